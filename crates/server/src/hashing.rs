//! Hashes of what this member holds, made in steps: others get the store in between.

use std::cell::Cell;

use quorate_kv::{HashCursor, KEYS_PER_STEP, KvError, KvHash, Store};
use quorate_replica::RequestError;

use crate::core::Core;

/// The hash of all keys and versions up to `revision`; 0 is the newest.
pub(crate) async fn kv_hash(core: &Core, revision: i64) -> Result<KvHash, RequestError> {
    hash(core, |store| store.begin_hash_kv(revision)).await
}

/// The hash of everything, leases and alarms too.
pub(crate) async fn whole_hash(core: &Core) -> Result<KvHash, RequestError> {
    hash(core, Store::begin_hash).await
}

async fn hash(
    core: &Core,
    begin: impl FnOnce(&Store) -> Result<HashCursor, KvError>,
) -> Result<KvHash, RequestError> {
    // Each holds on to what it has yet to read: a few at a time, the others wait.
    let _turn = core.hashes.acquire().await;
    let on = Cell::new(None);
    let begun = with_store(core, &on, begin)?;
    let mut cursor = begun.map_err(RequestError::Refused)?;
    loop {
        let advance = |store: &Store| store.advance_hash(&mut cursor, KEYS_PER_STEP);
        if let Some(done) = with_store(core, &on, advance)? {
            return Ok(done);
        }
        tokio::task::yield_now().await;
    }
}

/// One step on the store: the first notes in `on` which store that is, and every later one refuses another.
fn with_store<T>(
    core: &Core,
    on: &Cell<Option<u64>>,
    step: impl FnOnce(&Store) -> T,
) -> Result<T, RequestError> {
    let (store, present) = core.readable_store()?;
    match on.replace(Some(present)) {
        Some(begun) if begun != present => Err(RequestError::NotCaughtUp),
        _ => Ok(step(&store)),
    }
}
