//! A watch of some keys, on a stream of the hub of its own, for one who waits.

use std::sync::Arc;

use bytes::Bytes;
use quorate_kv::WatchMessage;
use quorate_proto::etcdserverpb::WatchCreateRequest;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_replica::RequestError;
use tonic::Status;

use super::super::status;
use super::super::watch::{Opened, create_in};
use super::Contests;
use crate::core::Core;
use crate::limits::WATCH_ANSWERS_BYTES;

/// Opened before the store is looked at, so that nothing that happens after the look is missed.
pub(in super::super) struct KeyWatch(Opened);

impl KeyWatch {
    pub(in super::super) fn open(core: &Arc<Core>) -> Result<KeyWatch, Status> {
        Opened::open(core).map(KeyWatch)
    }

    /// Watches from `start_revision` on for what `but_not` leaves.
    pub(in super::super) async fn add(
        &self,
        contests: &Contests,
        keys: (Bytes, Bytes),
        start_revision: i64,
        but_not: Option<FilterType>,
    ) -> Result<(), Status> {
        let create = WatchCreateRequest {
            key: keys.0,
            range_end: keys.1,
            start_revision,
            filters: but_not.into_iter().map(i32::from).collect(),
            ..Default::default()
        };
        let store_revision = contests.revision_here().await?;
        let watches = &self.0.core.watches;
        watches.with(|hub| create_in(hub, self.0.id, &create, store_revision));
        watches.wake();
        Ok(())
    }

    /// What there is to tell, as soon as there is something.
    pub(in super::super) async fn next(&self) -> Result<Vec<WatchMessage>, Status> {
        let watches = &self.0.core.watches;
        loop {
            if watches.is_stopping() {
                return Err(status::of_request(&RequestError::Stopped));
            }
            let (messages, is_any_behind) = watches.with(|hub| {
                let messages = hub.take(self.0.id, WATCH_ANSWERS_BYTES);
                (messages, hub.behind_count() > 0)
            });
            if !messages.is_empty() {
                if is_any_behind {
                    // There may be room again for what this stream has yet to read.
                    watches.wake();
                }
                return Ok(messages);
            }
            self.0.bell.notified().await;
        }
    }
}
