//! Telling the live watchers what happened.

use std::collections::VecDeque;

use crate::event::SharedEvent;
use crate::live::{RevisionContent, RevisionEvents};
use crate::watch::catch_up::SharedReads;
use crate::watch::group::LiveWatcher;
use crate::watch::hub::{WatchHub, leave_live};
use crate::watch::message::{EventBatch, WatchMessage};
use crate::watch::stream::{Options, State, queue_bytes_max};

/// Events that concern several watchers, once for each set of filters that one of them has.
#[derive(Debug)]
pub(super) struct Variants {
    events: Vec<SharedEvent>,
    /// Made when first asked for; none when nothing passes the filters.
    batches: [Option<Option<(EventBatch, usize)>>; 4],
}

impl WatchHub {
    /// Takes the revisions that have become visible, in order, up to the one that the store is at now
    /// ([`Store::take_events`](crate::Store::take_events), [`Store::revision`](crate::Store::revision)).
    /// Revisions that are missing among them, and those without their events, are read from the history.
    pub fn publish(&mut self, taken: VecDeque<RevisionEvents>, store_revision: i64) {
        for RevisionEvents { revision, content } in taken {
            if revision <= self.revision || revision > store_revision {
                continue;
            }
            self.fall_behind_to(revision - 1);
            match content {
                RevisionContent::Events(events) => self.publish_events(revision, &events),
                RevisionContent::InHistory { keys } => {
                    let keys = keys.as_ref();
                    let keys = keys.map(|(least, greatest)| (least.as_ref(), greatest.as_ref()));
                    self.send_to_history(revision, keys);
                }
            }
            self.revision = revision;
        }
        self.fall_behind_to(store_revision);
    }

    /// The store was replaced by another, which was at `store_revision` then: from here on all that the
    /// watchers have yet to be told is read from its history. It may have gone on since, and the hub may
    /// have been told of that first: then the hub's revision stays, and what was read of the old store is
    /// forgotten all the same.
    pub fn store_replaced(&mut self, store_revision: i64) {
        // Places in the old store's list of changes mean nothing in the new one.
        self.reads = SharedReads::default();
        for stream in self.streams.iter_mut().flatten() {
            for watcher in stream.watchers.values_mut() {
                if let State::Behind {
                    next_revision,
                    cursor,
                    ..
                } = &mut watcher.state
                    && let Some(cursor) = cursor.take()
                {
                    *next_revision = cursor.next_revision();
                    self.queued_bytes -= cursor.held_bytes();
                }
            }
        }
        self.fall_behind_to(store_revision);
    }

    /// Goes on to `revision`; whatever lies between is read from the history.
    fn fall_behind_to(&mut self, revision: i64) {
        if revision > self.revision {
            self.send_to_history(revision, None);
            self.revision = revision;
        }
    }

    /// All live watchers of keys from one to another, or of any, that want to be told of something
    /// between the hub's revision and `revision` read it from the history.
    fn send_to_history(&mut self, revision: i64, keys: Option<(&[u8], &[u8])>) {
        for number in self.groups.numbers() {
            let group = self.groups.get(number);
            if keys.is_some_and(|(least, greatest)| !group.overlaps(least, greatest)) {
                continue;
            }
            let mut place = 0;
            while let Some(live) = self.groups.get(number).live.get(place as usize) {
                match live.from_revision > revision {
                    true => place += 1,
                    false => self.fall_behind(number, place),
                }
            }
        }
    }

    /// A live watcher misses what comes after the hub's revision, and must read it.
    fn fall_behind(&mut self, group: u32, place: u32) {
        let live = leave_live(&mut self.streams, &mut self.groups, group, place);
        let next_revision = live.from_revision.max(self.revision + 1);
        let stream = self.stream_at(live.stream);
        let watcher = stream.watchers.get_mut(&live.watch_id);
        let watcher = watcher.expect("a live watcher is there");
        watcher.state = State::Behind {
            turn: 0,
            next_revision,
            cursor: None,
            has_sent: live.has_sent,
        };
        self.behind_count += 1;
        self.enqueue_behind(live.stream, live.watch_id);
    }

    fn publish_events(&mut self, revision: i64, events: &[SharedEvent]) {
        for event in events {
            self.groups.note(event);
        }
        let touched = self.groups.take_touched();
        for group in &touched {
            self.publish_to_group(revision, *group);
        }
        self.groups.put_back_touched(touched);
    }

    fn publish_to_group(&mut self, revision: i64, number: u32) {
        let events = std::mem::take(&mut self.groups.get_mut(number).pending);
        let mut variants = Variants::new(events);
        let mut place = 0;
        while let Some(live) = self.groups.get_mut(number).live.get_mut(place as usize) {
            if live.from_revision > revision {
                place += 1;
                continue;
            }
            let Some((batch, bytes)) = variants.of(live.options) else {
                place += 1;
                continue;
            };
            let stream = self.streams[live.stream as usize].as_ref();
            let queued = stream.map_or(0, |stream| stream.queue.bytes);
            if queued >= queue_bytes_max(self.queued_bytes) {
                self.fall_behind(number, place);
                continue;
            }
            live.has_sent = true;
            let live = *live;
            let message = events_message(&live, revision, batch.clone());
            self.push_counted(live.stream, message, *bytes);
            place += 1;
        }
    }
}

fn events_message(live: &LiveWatcher, revision: i64, events: EventBatch) -> WatchMessage {
    WatchMessage::Events {
        watch_id: live.watch_id,
        revision,
        events,
        with_previous: live.options.with_previous,
        may_split: live.options.may_split,
        more_follows: false,
    }
}

impl Variants {
    pub(super) fn new(events: Vec<SharedEvent>) -> Variants {
        Variants {
            events,
            batches: [const { None }; 4],
        }
    }

    /// All events.
    pub(super) fn events(&self) -> &[SharedEvent] {
        &self.events
    }

    /// The events that pass a watcher's filters, and what they keep alive; nothing when none does.
    pub(super) fn of(&mut self, options: Options) -> Option<&(EventBatch, usize)> {
        let index = usize::from(options.without_puts) + 2 * usize::from(options.without_deletes);
        let Variants { events, batches } = self;
        let batch = batches[index].get_or_insert_with(|| {
            let passing: Vec<SharedEvent> = events
                .iter()
                .filter(|event| options.passes(event.is_delete()))
                .cloned()
                .collect();
            let batch = EventBatch::new(passing);
            let bytes = batch.memory_bytes();
            (!batch.is_empty()).then_some((batch, bytes))
        });
        batch.as_ref()
    }
}

impl Options {
    /// Whether the filters let an event pass.
    fn passes(&self, is_delete: bool) -> bool {
        match is_delete {
            true => !self.without_deletes,
            false => !self.without_puts,
        }
    }
}
