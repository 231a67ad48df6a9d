//! etcd's data model in memory: revisions, ranges, transactions, compaction, leases, watches.
//!
//! # The model
//!
//! The store maps keys to values, both plain bytes, and remembers. Each change takes the next
//! **revision** of the whole store, whatever its size: a put, a deletion of a million keys and a
//! transaction of a hundred operations take one each, and what changes nothing takes none. A reader may
//! ask for any revision between the **compacted** one and the current one and sees the store as it was.
//! A key's **version** counts its writes since its creation. A deletion leaves a **tombstone**.
//!
//! The semantics are etcd's (its API reference; where that is silent, what etcd 3.5 does), down to the
//! text of each refusal, since clients tell errors apart by it. Requests and answers are etcd's messages.
//!
//! # How it is used
//!
//! A [`Store`] is driven by a log: [`Store::apply`] takes a [`Command`] with the index of its entry.
//! What comes of it depends on the log alone: there is no clock here, no randomness, no configuration, so
//! that all members that apply the same log hold the same state. They can tell by
//! [`Store::state_hash`]. A refusal is a result like any other and counts as applied. What can be refused
//! without the state is refused before it is proposed ([`check_put`] and its siblings).
//!
//! Whoever shares a store between threads puts a lock around it, and so that nobody holds that lock for
//! long, everything that can be long can be done in steps of at most so many keys
//! ([`KEYS_PER_STEP`]): applying ([`Store::begin`]), reading ([`Store::begin_range`],
//! [`Store::begin_read_only_txn`]), freeing ([`Store::free_step`]), taking a snapshot
//! ([`Store::capture_snapshot`]). Between the steps others see either
//! nothing of a change or all of it, and a reader's view is kept by a [`Pin`].
//!
//! ```
//! use quorate_kv::{Answer, Command, Store};
//! use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};
//!
//! let mut store = Store::new();
//! let put = PutRequest { key: "greeting".into(), value: "hello".into(), ..Default::default() };
//! store.apply(1, &Command::Put(put), Answer::Wanted)?;
//!
//! let get = RangeRequest { key: "greeting".into(), ..Default::default() };
//! assert_eq!(store.range(&get)?.kvs[0].value, "hello");
//! assert_eq!(store.revision(), 2);
//! # Ok::<(), quorate_kv::KvError>(())
//! ```
//!
//! # How it is built
//!
//! - `keyspace`, `leaf`, `key`, `versions`: the ordered map from key to its versions. Dense, because
//!   memory is what a store in memory costs: a key of 8 bytes with a value of 256 takes some 375 bytes in
//!   all (`examples/million_keys.rs` measures it). `walk` reads ranges of it.
//! - `changes`: which key changed at which revision. Compaction finds there what to free.
//! - `store`, `apply`, `put`, `delete`, `txn`, `compare`: changing it.
//! - `range`, `sort`, `read_txn`: reading it.
//! - `lease`: keys that go when their lease does.
//! - `compaction`, `pin`: forgetting, and holding on.
//! - `history`, `live`, `event`: what happened, and what happens.
//! - `watch`: who is to be told of it.
//! - `snapshot`: the whole store as bytes, and back. `begin_anew`: a backup as a new cluster's beginning.
//! - `check`, `overlap`, `alarm`, `limits`, `error`: refusing.
//! - `hash`, `hash_kv`: comparing.
//!
//! # What must hold
//!
//! - Equal logs give equal states, answers, refusals and hashes, whatever the sizes of the steps and
//!   whenever freeing happens and pins come and go.
//! - A change is visible whole or not at all, and is never half-applied: everything that the state could
//!   refuse is checked before the first write, and what then still fails is a bug and stops the process.
//! - A revision at or above the compacted one reads the same for ever.
//! - No step touches more keys than it was allowed.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod alarm;
mod apply;
mod begin_anew;
mod changes;
mod check;
mod command;
mod compaction;
mod compare;
mod counts;
mod delete;
mod error;
mod event;
mod hash;
mod hash_kv;
mod history;
mod key;
mod keyspace;
mod leaf;
mod lease;
mod limits;
mod live;
mod overlap;
mod pin;
mod put;
mod range;
mod read_txn;
mod rules;
mod snapshot;
mod sort;
mod span;
mod store;
mod txn;
mod varint;
mod versions;
mod walk;
mod watch;

pub use alarm::{LEASE_COST_BYTES, put_cost_bytes, txn_cost_bytes};
pub use apply::{Application, Step};
pub use begin_anew::BumpError;
pub use check::{
    check_compaction, check_delete, check_lease_checkpoint, check_lease_grant, check_put,
    check_range, check_txn, is_read_only, is_serializable,
};
pub use command::{Answer, Command, Reply};
pub use counts::Counts;
pub use error::{Code, KvError};
pub use event::{Event, SharedEvent};
pub use hash_kv::{HashCursor, KvHash};
pub use history::{HistoryCursor, HistoryError, HistoryStep};
pub use lease::{LeaseEvent, LeaseEvents, LeaseInfo};
pub use limits::{
    ALARMS_MAX, DELIVERIES_PER_STEP, KEYS_PER_STEP, LEASE_CHECKPOINTS_MAX, LEASE_TTL_SECONDS_MAX,
    Limits, SNAPSHOT_STEP_BYTES_MAX, TXN_DEPTH_MAX, WATCH_QUEUES_BYTES_MAX,
    WATCH_STREAM_QUEUE_BYTES_MAX, WATCHERS_PER_STREAM_MAX,
};
pub use live::{RevisionContent, RevisionEvents};
pub use pin::Pin;
pub use range::{RangeCursor, RangeStep};
pub use read_txn::{ReadTxnCursor, ReadTxnStep};
pub use rules::Rules;
pub use snapshot::{SnapshotChecker, SnapshotError, SnapshotLoader, SnapshotScan, SnapshotSummary};
pub use store::Store;
pub use watch::{EventBatch, QueueLimits, StreamId, WatchHub, WatchMessage, WatchRefusal};
