//! One client's stream: its watchers, and the queue of what it is to be told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::history::HistoryCursor;
use crate::limits::{
    WATCH_MESSAGE_OVERHEAD_BYTES, WATCH_QUEUES_BYTES_MAX, WATCH_STREAM_QUEUE_BYTES_MAX,
    WATCH_STREAM_QUEUE_BYTES_MIN,
};
use crate::watch::message::{EventBatch, WatchMessage};

/// A stream. Its number may be another's later, its serial never.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) serial: u64,
    pub(super) watchers: BTreeMap<i64, Watcher>,
    /// The id that the next watcher gets that brings none.
    pub(super) next_watch_id: i64,
    pub(super) queue: Queue,
    /// Watchers that are behind, by their turns. A map, so that one that is cancelled is not searched for.
    pub(super) behind: BTreeMap<u64, i64>,
    /// The turn of the next one that falls behind.
    pub(super) next_turn: u64,
    /// Whether it is in the hub's list of streams that may read history.
    pub(super) is_ready: bool,
    /// Whether it is in the hub's list of streams that have something to take.
    pub(super) is_woken: bool,
    /// The greatest revision that an answer to it has named.
    pub(super) told_revision: i64,
    /// The starts that lay ahead when their watchers were created, each with its watcher.
    pub(super) later_starts: BTreeSet<(i64, i64)>,
    /// Its client asked for progress, and is answered when the hub is at this revision.
    pub(super) progress_wanted_at: Option<i64>,
    pub(super) progress_interval_ms: u64,
    /// When its watchers are to be told of their progress.
    pub(super) progress_at_ms: u64,
}

/// A watcher, live or behind.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) group: u32,
    pub(super) options: Options,
    pub(super) state: State,
}

/// What a watcher asked for beside its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) without_puts: bool,
    pub(super) without_deletes: bool,
    pub(super) with_previous: bool,
    pub(super) may_split: bool,
    pub(super) notifies_progress: bool,
    /// The revision it named, 0 for none. Of what lies before it nothing is told, not even progress.
    pub(super) start_revision: i64,
}

#[derive(Debug)]
pub(super) enum State {
    /// At this place among the live watchers of its group.
    Live { place: u32 },
    /// Reading history.
    Behind {
        /// Its place in the stream's map of those that are behind.
        turn: u64,
        next_revision: i64,
        /// Made when its turn comes.
        reader: Option<Reader>,
        /// Whether it has been given anything since it was last told of its progress.
        has_sent: bool,
    },
}

/// A watcher's place in the history of a store.
#[derive(Debug)]
pub(super) struct Reader {
    /// Which of the stores that the hub has had; the place means nothing in another one.
    pub(super) store_number: u64,
    pub(super) cursor: Box<HistoryCursor>,
}

/// Messages in order, counted in bytes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    messages: VecDeque<(WatchMessage, usize)>,
    pub(super) bytes: usize,
}

impl Queue {
    /// Adds a message. `bytes` is what its events keep alive; many watchers of a stream may share them,
    /// one after the other, and then they count once.
    pub(super) fn push(&mut self, message: WatchMessage, bytes: usize) -> usize {
        let is_counted = self.last_batch().zip(batch_of(&message));
        let is_counted = is_counted.is_some_and(|(last, batch)| last.is_same(batch));
        let cost = WATCH_MESSAGE_OVERHEAD_BYTES + if is_counted { 0 } else { bytes };
        self.messages.push_back((message, cost));
        self.bytes += cost;
        cost
    }

    /// Takes messages of up to `bytes_max` bytes, at least one if there is any; and what they counted.
    pub(super) fn take(&mut self, bytes_max: usize) -> (Vec<WatchMessage>, usize) {
        let before = self.bytes;
        let mut taken = Vec::new();
        while let Some((_, cost)) = self.messages.front() {
            if !taken.is_empty() && before - self.bytes + cost > bytes_max {
                break;
            }
            let (message, cost) = self.messages.pop_front().expect("it was just seen");
            self.bytes -= cost;
            taken.push(message);
        }
        (taken, before - self.bytes)
    }

    pub(super) fn first(&self) -> Option<&WatchMessage> {
        self.messages.front().map(|(message, _)| message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn last_batch(&self) -> Option<&EventBatch> {
        self.messages.back().and_then(|(last, _)| batch_of(last))
    }
}

/// How many bytes a stream's queue may have when all have `queued_bytes`.
pub(super) fn queue_bytes_max(queued_bytes: usize) -> usize {
    match queued_bytes < WATCH_QUEUES_BYTES_MAX {
        true => WATCH_STREAM_QUEUE_BYTES_MAX,
        false => WATCH_STREAM_QUEUE_BYTES_MIN,
    }
}

fn batch_of(message: &WatchMessage) -> Option<&EventBatch> {
    match message {
        WatchMessage::Events { events, .. } => Some(events),
        _ => None,
    }
}
