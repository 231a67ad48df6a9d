//! The node's watch hub as its threads and its streams share it.
//!
//! The hub itself (`quorate_kv::WatchHub`) is pure. Around it stand here the lock, the **feed** by which the applier
//! tells it what has happened, and a bell for each stream. Who does what:
//!
//! - the applier, under the store's lock, puts the revisions that a step made visible into the feed: a few pointers,
//!   and nothing at all while there are no streams;
//! - the thread `watch` ([`crate::threads`]) gives the feed to the hub, which puts shared copies into the streams'
//!   queues, reads history for watchers that are behind, and rings;
//! - a task for each stream (`grpc::watch`) creates and cancels watchers, and takes from its queue when it hears its
//!   bell and its client has taken what came before.
//!
//! So no client, and no number of them, holds up a put.
//!
//! # Why nothing is missed
//!
//! Whether events are wanted is decided by the number of open streams. A stream is open before its first watcher looks
//! at the store's revision, and looking takes the store's lock: every step after that look finds that events are
//! wanted and is fed; what came before it is not newer than the revision that was seen. A gap in the feed (it has been
//! cut because it grew too long, or nobody watched for a while) shows in the numbers of the revisions, and the hub
//! reads it from the history.
//!
//! # Order of the locks
//!
//! The store's, then the feed's; never the store's by one who holds another. Who holds the store does not wait for the
//! hub, since puts wait for the store: it is passed over when somebody is at it. The feed and the hub are not held
//! together.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use quorate_kv::{
    DELIVERIES_PER_STEP, KEYS_PER_STEP, RevisionContent, RevisionEvents, Store, StreamId, WatchHub,
};
use tokio::sync::Notify;

use crate::limits::{WATCH_FEED_BYTES, WATCH_FEED_REVISIONS, WATCH_STREAMS};

/// The hub, its feed and its streams' bells.
pub(crate) struct Watches {
    hub: Mutex<Hub>,
    feed: Mutex<Feed>,
    fed: Condvar,
    open_streams: AtomicUsize,
    is_stopping: AtomicBool,
}

struct Hub {
    hub: WatchHub,
    bells: HashMap<StreamId, Arc<Notify>>,
}

/// What became of a step of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaughtUp {
    /// Nobody can read on now.
    Done,
    /// There is more to read.
    More,
    /// Somebody is at the hub, or it has yet to hear of another store: try again, with the store unlocked
    /// meanwhile.
    NotNow,
}

/// What the hub has yet to be told.
#[derive(Default)]
pub(crate) struct Feed {
    /// The store was replaced by one at this revision, before what follows.
    replaced: Option<i64>,
    revisions: VecDeque<RevisionEvents>,
    bytes: usize,
    /// The store's revision after the last of them; none when there is nothing new.
    store_revision: Option<i64>,
    is_woken: bool,
}

impl Feed {
    fn is_empty(&self) -> bool {
        self.replaced.is_none() && self.store_revision.is_none() && !self.is_woken
    }
}

impl Watches {
    /// Without streams, over a store at `revision`.
    pub(crate) fn new(revision: i64) -> Watches {
        let hub = Hub {
            hub: WatchHub::new(revision),
            bells: HashMap::new(),
        };
        Watches {
            hub: Mutex::new(hub),
            feed: Mutex::default(),
            fed: Condvar::new(),
            open_streams: AtomicUsize::new(0),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Whether the store is to collect events. Asked under the store's lock, before a step.
    pub(crate) fn wants_events(&self) -> bool {
        self.open_streams.load(Ordering::SeqCst) > 0
    }

    /// Feeds what the store has made visible since the last time. Under the store's lock.
    pub(crate) fn feed(&self, store: &mut Store) {
        if !self.wants_events() {
            return;
        }
        let taken = store.take_events();
        if taken.is_empty() {
            return;
        }
        let mut feed = self.lock_feed();
        feed.bytes += taken.iter().map(bytes_of).sum::<usize>();
        feed.revisions.extend(taken);
        if feed.bytes > WATCH_FEED_BYTES || feed.revisions.len() > WATCH_FEED_REVISIONS {
            feed.revisions = VecDeque::new();
            feed.bytes = 0;
        }
        feed.store_revision = Some(store.revision());
        self.fed.notify_one();
    }

    /// Tells that the store was replaced by this one. Under the store's lock.
    pub(crate) fn replaced(&self, store: &Store) {
        let mut feed = self.lock_feed();
        *feed = Feed {
            replaced: Some(store.revision()),
            is_woken: true,
            ..Feed::default()
        };
        self.fed.notify_one();
    }

    /// Waits until there is something in the feed, or for so long; takes it.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Feed {
        let mut feed = self.lock_feed();
        if feed.is_empty() && !self.is_stopping() {
            feed = match limit {
                None => (self.fed.wait(feed)).unwrap_or_else(PoisonError::into_inner),
                Some(limit) => {
                    let waited = self.fed.wait_timeout(feed, limit);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::take(&mut *feed)
    }

    /// Gives the hub what was fed, a part at a time, so that streams get at it in between.
    pub(crate) fn publish(&self, fed: Feed) {
        if let Some(revision) = fed.replaced {
            self.with(|hub| hub.begin_replace(revision));
        }
        if let Some(revision) = fed.store_revision {
            self.with(|hub| hub.begin_publish(fed.revisions, revision));
        }
        while self.with(|hub| hub.publish_step(DELIVERIES_PER_STEP)) {}
    }

    /// Tells watchers of their progress that are due, likewise.
    pub(crate) fn tick(&self, now_ms: u64) {
        while self.with(|hub| hub.tick_step(now_ms, DELIVERIES_PER_STEP)) {}
    }

    /// Gives the hub what has been fed by now.
    pub(crate) fn publish_fed(&self) {
        let fed = std::mem::take(&mut *self.lock_feed());
        self.publish(fed);
    }

    /// Lets watchers that are behind read a step of history. `store` is locked, and whoever wants to write waits for
    /// it: so nothing is told here, and nobody waits for the hub. Revisions that have been fed and not been told yet
    /// are told later to whom they are still news.
    pub(crate) fn catch_up(&self, store: &Store) -> CaughtUp {
        if self.lock_feed().replaced.is_some() {
            return CaughtUp::NotNow; // The hub does not know this store yet.
        }
        match self.try_with(|hub| hub.catch_up(store, KEYS_PER_STEP)) {
            None => CaughtUp::NotNow,
            Some(true) => CaughtUp::More,
            Some(false) => CaughtUp::Done,
        }
    }

    /// Opens a stream; none when there are too many. It is closed by [`Watches::close`].
    pub(crate) fn open(&self, now_ms: u64, interval: Duration) -> Option<(StreamId, Arc<Notify>)> {
        if self.open_streams.fetch_add(1, Ordering::SeqCst) >= WATCH_STREAMS {
            self.open_streams.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        let bell = Arc::new(Notify::new());
        let mut shared = self.lock_hub();
        let id = shared.hub.open_stream(now_ms, with_jitter(interval));
        shared.bells.insert(id, Arc::clone(&bell));
        drop(shared);
        // The thread is to know when the first progress is due.
        self.wake();
        Some((id, bell))
    }

    /// Closes a stream, once.
    pub(crate) fn close(&self, id: StreamId) {
        while self.with(|hub| hub.close_step(id, DELIVERIES_PER_STEP)) {}
        if self.lock_hub().bells.remove(&id).is_some() {
            self.open_streams.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Does something with the hub, and rings for the streams that have something to take then.
    pub(crate) fn with<T>(&self, what: impl FnOnce(&mut WatchHub) -> T) -> T {
        Watches::with_locked(&mut self.lock_hub(), what)
    }

    /// As [`Watches::with`], unless somebody else is at the hub.
    fn try_with<T>(&self, what: impl FnOnce(&mut WatchHub) -> T) -> Option<T> {
        let mut shared = match self.hub.try_lock() {
            Ok(shared) => shared,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Watches::with_locked(&mut shared, what))
    }

    fn with_locked<T>(shared: &mut Hub, what: impl FnOnce(&mut WatchHub) -> T) -> T {
        let result = what(&mut shared.hub);
        for id in shared.hub.take_woken() {
            if let Some(bell) = shared.bells.get(&id) {
                bell.notify_one();
            }
        }
        result
    }

    /// Has the thread look for watchers that are behind and can read on.
    pub(crate) fn wake(&self) {
        self.lock_feed().is_woken = true;
        self.fed.notify_one();
    }

    pub(crate) fn stream_count(&self) -> usize {
        self.open_streams.load(Ordering::SeqCst)
    }

    /// Ends the thread and all streams.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        for bell in self.lock_hub().bells.values() {
            bell.notify_one();
        }
        self.wake();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    fn lock_hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to a tenth more, in milliseconds, so that streams are not told all at once.
fn with_jitter(interval: Duration) -> u64 {
    let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    // The standard library seeds this from the system's randomness.
    let random = RandomState::new().build_hasher().finish();
    interval_ms.saturating_add(random % (interval_ms / 10).max(1))
}

fn bytes_of(revision: &RevisionEvents) -> usize {
    match &revision.content {
        RevisionContent::Events(events) => events.iter().map(|event| event.memory_bytes()).sum(),
        RevisionContent::InHistory { .. } => 0,
    }
}

#[cfg(test)]
mod tests;
