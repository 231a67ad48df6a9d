//! Reading history for the watchers that are behind.
//!
//! Streams take turns, and within a stream its watchers; a turn reads a bounded number of versions, as far
//! as the stream's queue has room. A stream without room has no turn until its client has taken enough.
//!
//! When many fall behind at once (the store was replaced, a revision was too large to be handed out) then
//! those of one span are mostly at one place. So what was read last is kept, and given to the next one too
//! if it is where the last one was: one reading, one copy.

use crate::history::{HistoryCursor, HistoryError};
use crate::limits::{CATCH_UP_VERSIONS_PER_TURN, SHARED_READ_EVENTS_MAX};
use crate::store::Store;
use crate::watch::hub::WatchHub;
use crate::watch::message::WatchMessage;
use crate::watch::publish::Variants;
use crate::watch::stream::{State, queue_bytes_max};

/// One step of reading, with what it depended on.
#[derive(Debug)]
pub(super) struct LastRead {
    /// Where the reader was before and after, if both are worth copying.
    places: Option<(HistoryCursor, HistoryCursor)>,
    /// The store's current and compacted revision.
    store: (i64, i64),
    found: Variants,
    bytes: usize,
    versions_read: usize,
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
            store.revision() >= self.revision,
            "a store at revision {} is older than the hub at {}",
            store.revision(),
            self.revision
        );
        let mut budget = versions_max.max(1);
        while budget > 0 {
            let Some(number) = self.ready.pop_front() else {
                self.last_read = None;
                return false;
            };
            self.stream_at(number).is_ready = false;
            let Some((_, watch_id)) = self.stream_at(number).behind.pop_first() else {
                continue;
            };
            let turn = budget.min(CATCH_UP_VERSIONS_PER_TURN);
            budget = budget.saturating_sub(self.read_for(store, number, watch_id, turn));
            self.check_ready(number);
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
        let WatchHub {
            streams,
            groups,
            last_read,
            ..
        } = self;
        let stream = streams[number as usize].as_mut();
        let stream = stream.expect("a stream that is ready is open");
        let room = bytes_max.saturating_sub(stream.queue.bytes);
        let watcher = stream.watchers.get_mut(&watch_id);
        let watcher = watcher.expect("a watcher that waits for its turn is there");
        let options = watcher.options;
        let State::Behind {
            next_revision,
            cursor,
            has_sent,
            ..
        } = &mut watcher.state
        else {
            unreachable!("watcher {watch_id} waits for a turn and is live")
        };
        let cursor = cursor.get_or_insert_with(|| {
            let group = groups.get(watcher.group);
            let (key, range_end) = (&group.key, &group.range_end);
            let cursor = HistoryCursor::new(key, range_end, *next_revision, options.with_previous);
            Box::new(cursor)
        });
        let last = last_read.take();
        let last = last.filter(|last| last.is_of(store) && last.fits(versions_max, room));
        let shared = last.filter(|last| last.lets_follow(cursor));
        let (mut read, cost) = match shared {
            Some(read) => (read, 1),
            None => match LastRead::read(store, cursor, versions_max, room) {
                Ok(read) => {
                    let cost = read.versions_read.max(1);
                    (read, cost)
                }
                Err(HistoryError::Compacted { compact_revision }) => {
                    self.remove_watcher(number, watch_id);
                    let message = WatchMessage::Compacted {
                        watch_id,
                        compact_revision,
                    };
                    self.push(number, message);
                    return 1;
                }
            },
        };
        let next_revision = cursor.next_revision();
        let is_over = read.is_over;
        let last = read.found.events().last().map(|event| event.revision());
        let found = read.found.of(options).cloned();
        *has_sent |= found.is_some();
        *last_read = Some(read).filter(|read| read.places.is_some());
        if let (Some((events, bytes)), Some(last)) = (found, last) {
            let message = WatchMessage::Events {
                watch_id,
                // Not ahead of what it has yet to read.
                revision: if is_over { store.revision() } else { last },
                events,
                with_previous: options.with_previous,
                may_split: options.may_split,
                more_follows: false,
            };
            self.push_counted(number, message, bytes);
        }
        match is_over {
            true => self.make_live(number, watch_id, next_revision),
            false => self.enqueue_behind(number, watch_id),
        }
        cost
    }
}

impl LastRead {
    fn read(
        store: &Store,
        cursor: &mut HistoryCursor,
        versions_max: usize,
        bytes_max: usize,
    ) -> Result<LastRead, HistoryError> {
        let place = |cursor: &HistoryCursor| {
            let is_small = cursor.held_count() <= SHARED_READ_EVENTS_MAX;
            is_small.then(|| cursor.clone())
        };
        let before = place(cursor);
        let step = store.read_history(cursor, versions_max, bytes_max)?;
        Ok(LastRead {
            places: before.zip(place(cursor)),
            store: (store.revision(), store.compacted_revision()),
            bytes: step.events.iter().map(|event| event.memory_bytes()).sum(),
            found: Variants::new(step.events),
            versions_read: step.versions_read,
            is_over: step.is_over,
        })
    }

    /// Whether nothing has happened since to the store that was read.
    fn is_of(&self, store: &Store) -> bool {
        self.store == (store.revision(), store.compacted_revision())
    }

    /// Whether it is no more than may be read at once.
    fn fits(&self, versions_max: usize, bytes_max: usize) -> bool {
        self.versions_read <= versions_max && self.bytes <= bytes_max
    }

    /// Moves a reader as this reading did, if it is where that began.
    fn lets_follow(&self, cursor: &mut HistoryCursor) -> bool {
        let Some((before, after)) = &self.places else {
            return false;
        };
        let is_there = before.is_where(cursor);
        if is_there {
            *cursor = after.clone();
        }
        is_there
    }
}
