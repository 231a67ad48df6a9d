//! The hub: who watches what, and what has yet to be told to whom.
//!
//! A watcher asks for the changes of a key, or of a range of keys, from a revision on. The watchers of one
//! client share a **stream**, in whose queue the answers wait to be sent. The hub is told of each revision
//! that becomes visible, finds the watchers it concerns, and puts one shared copy of its events into their
//! streams' queues. It does nothing else: no clock, no thread, no encoding.
//!
//! # Live and behind
//!
//! A watcher is **live** when it has been given everything up to the hub's revision. Live watchers of the
//! same span form a group, found by its key in an ordered map or by its range in an interval index; what is
//! done for an event is done once for the group, and what is left for each watcher is one place in a queue.
//!
//! A watcher is **behind** when there are older events that it has not been given: it began in the past,
//! its stream had no room, or the store was replaced by another. Nothing is kept for it but its next
//! revision. It reads history (`history.rs`) in bounded steps, as far as its stream has room, until nothing
//! is missing, and is live again. So a slow client costs the room of its queue, never more, and delays
//! nobody. One that compaction overtakes is cancelled, and told where history begins now.
//!
//! # What is promised (etcd's guarantees of watches)
//!
//! - *Ordered, unique, reliable*: a watcher gets the events of its span, each once, by rising revision,
//!   without a gap, from its first revision on until it is cancelled.
//! - *Atomic*: all its events of one revision are in one message.
//! - *Resumable*: a watcher that begins at the revision after the last it was told misses nothing, or is
//!   told that compaction was faster.
//! - *Bookmarkable*: a progress message at revision R comes after all events up to R.
//!
//! They rest on one invariant: **everything up to the hub's revision is in a live watcher's queue or was,
//! and nothing after it but what history gave the watcher itself** (which its `from_revision` skips).
//!
//! # How it is driven
//!
//! ```text
//! store.want_events(hub.wants_events());     before applying
//! … the store applies …
//! hub.begin_publish(store.take_events(), store.revision());
//! while hub.publish_step(DELIVERIES_PER_STEP) {}  in steps too; `publish` is both at once
//! while hub.catch_up(&store, KEYS_PER_STEP) {}    in steps, as long as it says that there is more
//! for stream in hub.take_woken() {}          whose queues are no longer empty
//! hub.take(stream, bytes)                    when its client can be sent something
//! ```
//!
//! The order of the calls does not matter for correctness: a revision that was not collected is found
//! missing by its number, and read from the history. Whoever shares the hub puts a lock around it.
//! A client's requests are taken only while [`WatchHub::has_room`], since each is answered in the queue.

mod catch_up;
mod create;
mod group;
mod hub;
mod interval_index;
mod message;
mod progress;
mod publish;
mod stream;

pub use hub::{StreamId, WatchHub};
pub use message::{EventBatch, WatchMessage, WatchRefusal};
pub use stream::QueueLimits;
