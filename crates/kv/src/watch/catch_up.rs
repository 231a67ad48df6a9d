//! Reading history for the watchers that are behind.
//!
//! Streams take turns, and within a stream its watchers; a turn reads a bounded number of versions, as far
//! as the stream's queue has room. A stream without room has no turn until its client has taken enough.
//!
//! When many fall behind at once (the store was replaced, a revision was too large to be handed out) then
//! those of one span are mostly at one place. So what was read last is kept, and given to the others too
//! that are where the reader was: one reading, one copy.
//!
//! A turn ends with whole revisions, since the beginning of one is of use to nobody. Of a revision that is
//! larger than a turn its reader holds the beginning and goes on before anyone else has a turn, room or
//! not, until it has all of it. So **at most one reader holds a part of a revision**, however many wait for
//! the same, and what it holds counts as bytes that wait.

use std::collections::VecDeque;

use crate::history::{HistoryCursor, HistoryError, HistoryStep};
use crate::limits::{CATCH_UP_VERSIONS_PER_TURN, SHARED_READS_BYTES_MAX, SHARED_READS_MAX};
use crate::store::Store;
use crate::watch::hub::WatchHub;
use crate::watch::message::{EventBatch, WatchMessage};
use crate::watch::publish::Variants;
use crate::watch::stream::{Options, Reader, State, queue_bytes_max};

/// What has been read for watchers that are behind: the next ones may be at the same places.
#[derive(Debug, Default)]
pub(super) struct SharedReads {
    /// The oldest first.
    done: VecDeque<Reading>,
    /// What the events of these keep alive.
    bytes: usize,
    /// Where the one reader began that holds a part of a revision.
    begun: Option<HistoryCursor>,
}

/// One reading, with what it depended on.
#[derive(Debug)]
struct Reading {
    /// Where the reader was before and after.
    before: HistoryCursor,
    after: HistoryCursor,
    compacted_revision: i64,
    found: Variants,
    bytes: usize,
    /// The same without the last revision's: a reader with less room would have ended earlier.
    bytes_before_last: usize,
    /// All up to this revision has been read, which was the store's.
    over_at: Option<i64>,
}

/// What a turn gave.
struct Turn {
    /// In versions.
    cost: usize,
    events: Option<(EventBatch, usize)>,
    last_revision: Option<i64>,
    is_over: bool,
}

impl WatchHub {
    /// Lets watchers that are behind read on, about `versions_max` versions in all (see
    /// [`KEYS_PER_STEP`](crate::KEYS_PER_STEP)). Returns whether there is more that could be read now;
    /// what waits for room in a stream does not count.
    ///
    /// Panics when the store is older than what has been published of it.
    pub fn catch_up(&mut self, store: &Store, versions_max: usize) -> bool {
        assert!(
            store.revision() >= self.telling_revision(),
            "a store at revision {} is older than the hub at {}",
            store.revision(),
            self.telling_revision()
        );
        let mut budget = versions_max.max(1);
        while budget > 0 {
            let Some(number) = self.ready.pop_front() else {
                self.reads = SharedReads::default();
                return false;
            };
            self.stream_at(number).is_ready = false;
            let Some((_, watch_id)) = self.stream_at(number).behind.pop_first() else {
                continue;
            };
            let turn = budget.min(CATCH_UP_VERSIONS_PER_TURN);
            budget = budget.saturating_sub(self.read_for(store, number, watch_id, turn));
            if self.reads.begun.is_none() {
                self.check_ready(number);
            } else if !std::mem::replace(&mut self.stream_at(number).is_ready, true) {
                self.ready.push_front(number);
            }
        }
        !self.ready.is_empty()
    }

    /// One watcher's turn; what it cost, in versions.
    fn read_for(
        &mut self,
        store: &Store,
        number: u32,
        watch_id: i64,
        versions_max: usize,
    ) -> usize {
        let bytes_max = queue_bytes_max(self.queued_bytes);
        let store_number = self.store_number;
        let WatchHub {
            streams,
            groups,
            reads,
            ..
        } = self;
        let stream = streams[number as usize].as_mut();
        let stream = stream.expect("a stream that is ready is open");
        let room = bytes_max.saturating_sub(stream.queue.bytes);
        let watcher = stream.watchers.get_mut(&watch_id);
        let watcher = watcher.expect("a watcher that waits for its turn is there");
        let options = watcher.options;
        let State::Behind {
            turn: place,
            next_revision,
            reader,
            has_sent,
        } = &mut watcher.state
        else {
            unreachable!("watcher {watch_id} waits for a turn and is live")
        };
        let place = *place;
        let held_bytes = reader
            .as_ref()
            .map_or(0, |reader| reader.cursor.held_bytes());
        if let Some(of_other) = reader.take_if(|reader| reader.store_number != store_number) {
            *next_revision = of_other.cursor.next_revision();
        }
        let Reader { cursor, .. } = reader.get_or_insert_with(|| {
            let group = groups.get(watcher.group);
            let (key, range_end) = (&group.key, &group.range_end);
            let cursor = HistoryCursor::new(key, range_end, *next_revision, options.with_previous);
            Reader {
                store_number,
                cursor: Box::new(cursor),
            }
        });
        let turn = match reads.turn(store, cursor, options, versions_max, room) {
            Ok(turn) => turn,
            Err(HistoryError::Compacted { compact_revision }) => {
                let held_now = cursor.held_bytes();
                self.queued_bytes = self.queued_bytes + held_now - held_bytes;
                self.remove_watcher(number, watch_id);
                let message = WatchMessage::Compacted {
                    watch_id,
                    compact_revision,
                };
                self.push(number, message);
                return 1;
            }
        };
        let next_revision = cursor.next_revision();
        *has_sent |= turn.events.is_some();
        self.queued_bytes = self.queued_bytes + cursor.held_bytes() - held_bytes;
        let is_held = cursor.holds_any();
        if let (Some((events, bytes)), Some(last)) = (turn.events, turn.last_revision) {
            let message = WatchMessage::Events {
                watch_id,
                // Not ahead of what it has yet to read.
                revision: if turn.is_over { store.revision() } else { last },
                events,
                with_previous: options.with_previous,
                may_split: options.may_split,
                more_follows: false,
            };
            self.push_counted(number, message, bytes);
        }
        match turn.is_over {
            true => self.make_live(number, watch_id, next_revision),
            false if is_held => drop(self.stream_at(number).behind.insert(place, watch_id)),
            false => self.enqueue_behind(number, watch_id),
        }
        turn.cost
    }
}

impl SharedReads {
    /// Lets a reader read on, or go where another has read before.
    fn turn(
        &mut self,
        store: &Store,
        cursor: &mut HistoryCursor,
        options: Options,
        versions_max: usize,
        bytes_max: usize,
    ) -> Result<Turn, HistoryError> {
        // Whoever began and has no turn now is gone.
        let begun = self.begun.take();
        let leads = |read: &&mut Reading| read.leads(cursor, store, bytes_max);
        if let Some(read) = self.done.iter_mut().rev().find(leads) {
            *cursor = read.after.clone();
            return Ok(read.turn(store, options, 1));
        }
        // Who holds a part of a revision is the one that began; it reads to the end of that.
        let (before, bytes_max) = match cursor.holds_any() {
            true => (begun.expect("who holds something has begun"), 0),
            false => (cursor.clone(), bytes_max),
        };
        let step = store.read_history(cursor, versions_max, bytes_max)?;
        let cost = step.versions_read.max(1);
        if cursor.holds_any() {
            if step.events.is_empty() {
                self.begun = Some(before);
                return Ok(Turn {
                    cost,
                    events: None,
                    last_revision: None,
                    is_over: false,
                });
            }
            cursor.rewind();
        }
        let mut read = Reading::new(store, before, cursor.clone(), step);
        let turn = read.turn(store, options, cost);
        self.keep(read);
        Ok(turn)
    }

    fn keep(&mut self, read: Reading) {
        self.bytes += read.bytes;
        self.done.push_back(read);
        while self.done.len() > SHARED_READS_MAX
            || self.bytes > SHARED_READS_BYTES_MAX && self.done.len() > 1
        {
            let oldest = self.done.pop_front().expect("it was just counted");
            self.bytes -= oldest.bytes;
        }
    }
}

impl Reading {
    fn new(
        store: &Store,
        before: HistoryCursor,
        after: HistoryCursor,
        step: HistoryStep,
    ) -> Reading {
        let last = step.events.last().map(|event| event.revision());
        let (mut bytes, mut bytes_before_last) = (0, 0);
        for event in &step.events {
            bytes += event.memory_bytes();
            if Some(event.revision()) != last {
                bytes_before_last = bytes;
            }
        }
        Reading {
            before,
            after,
            compacted_revision: store.compacted_revision(),
            found: Variants::new(step.events),
            bytes,
            bytes_before_last,
            over_at: step.is_over.then(|| store.revision()),
        }
    }

    /// Whether a reader would read the same: it is where this began, history has not been compacted since,
    /// and it has room for it. A revision is read whole even so.
    fn leads(&self, cursor: &HistoryCursor, store: &Store, bytes_max: usize) -> bool {
        self.before.is_where(cursor)
            && self.compacted_revision == store.compacted_revision()
            && (self.bytes_before_last == 0 || self.bytes_before_last < bytes_max)
    }

    fn turn(&mut self, store: &Store, options: Options, cost: usize) -> Turn {
        Turn {
            cost,
            last_revision: self.found.events().last().map(|event| event.revision()),
            events: self.found.of(options).cloned(),
            // What has happened since is read from there on.
            is_over: self.over_at == Some(store.revision()),
        }
    }
}
