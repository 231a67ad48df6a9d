//! Reading history for the watchers that are behind.
//!
//! Streams take turns, and within a stream its watchers; a turn reads a bounded number of versions, as far
//! as the stream's queue has room. A stream without room has no turn until its client has taken enough.

use crate::history::{HistoryCursor, HistoryError, HistoryStep};
use crate::limits::CATCH_UP_VERSIONS_PER_TURN;
use crate::store::Store;
use crate::watch::hub::WatchHub;
use crate::watch::message::{EventBatch, WatchMessage};
use crate::watch::stream::{Options, State, queue_bytes_max};

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
                return false;
            };
            self.stream_at(number).is_ready = false;
            let Some(watch_id) = self.stream_at(number).behind.pop_front() else {
                continue;
            };
            let turn = budget.min(CATCH_UP_VERSIONS_PER_TURN);
            let versions_read = self.read_for(store, number, watch_id, turn);
            budget = budget.saturating_sub(versions_read.max(1));
            self.check_ready(number);
        }
        !self.ready.is_empty()
    }

    /// One watcher's turn; how many versions it read.
    fn read_for(&mut self, store: &Store, number: u32, watch_id: i64, versions_max: usize) -> usize {
        let bytes_max = queue_bytes_max(self.queued_bytes);
        let WatchHub {
            streams, groups, ..
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
        match store.read_history(cursor, versions_max, room) {
            Ok(step) => {
                *has_sent |= !step.events.is_empty();
                let next_revision = cursor.next_revision();
                let versions_read = step.versions_read;
                self.tell(number, watch_id, options, step, store.revision(), next_revision);
                versions_read
            }
            Err(HistoryError::Compacted { compact_revision }) => {
                self.remove_watcher(number, watch_id);
                let message = WatchMessage::Compacted {
                    watch_id,
                    compact_revision,
                };
                self.push(number, message);
                1
            }
        }
    }

    /// Puts what a watcher has read into its stream's queue, and makes it live if that was all.
    fn tell(
        &mut self,
        number: u32,
        watch_id: i64,
        options: Options,
        step: HistoryStep,
        store_revision: i64,
        next_revision: i64,
    ) {
        let last = step.events.last().map(|event| event.revision());
        let mut events = step.events;
        events.retain(|event| options.passes(event.is_delete()));
        if let Some(last) = last
            && !events.is_empty()
        {
            let events = EventBatch::new(events);
            let bytes = events.memory_bytes();
            let message = WatchMessage::Events {
                watch_id,
                // Not ahead of what it has yet to read.
                revision: if step.is_over { store_revision } else { last },
                events,
                with_previous: options.with_previous,
                may_split: options.may_split,
                more_follows: false,
            };
            self.push_counted(number, message, bytes);
        }
        match step.is_over {
            true => self.make_live(number, watch_id, next_revision),
            false => self.stream_at(number).behind.push_back(watch_id),
        }
    }
}
