//! Telling the live watchers what happened, in bounded steps.
//!
//! Revisions are told one after the other, and each to one group after the other, from its first watcher to
//! its last. A step may end between any two watchers; how far it came is kept. Meanwhile watchers come and
//! go, become live or are read to. What holds between two steps, with R the revision being told:
//!
//! - The hub's revision is that before R. Who has been told of R begins after it (`from_revision`), so it
//!   is not told again, whatever happens.
//! - The first `told` watchers of a group that is being told have had their turn, and no others
//!   ([`leave_live`] keeps that so).
//! - Who becomes live meanwhile begins after R: history gave it R, or it does not want it. One that wants R
//!   and was not there when telling began reads history ([`WatchHub::telling_revision`]).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::event::SharedEvent;
use crate::live::{RevisionContent, RevisionEvents};
use crate::watch::catch_up::SharedReads;
use crate::watch::group::{Group, LiveWatcher};
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

/// What has yet to be told.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// In order; what is missing between them is read from the history.
    revisions: VecDeque<RevisionEvents>,
    /// Where the store was after the last of them.
    store_revision: i64,
    telling: Option<Telling>,
}

/// A revision that is being told, or the last one of several that are missing.
#[derive(Debug)]
struct Telling {
    revision: i64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Finding the groups that its events concern.
    Noting {
        events: Vec<SharedEvent>,
        noted: usize,
    },
    /// Telling these, the first ones of which are done.
    Groups {
        touched: Vec<u32>,
        done: usize,
        /// Those of the group whose turn it is.
        variants: Option<Variants>,
    },
    /// Sending all groups that it concerns to the history, up to the next one.
    ToHistory {
        keys: Option<(Bytes, Bytes)>,
        next_group: u32,
    },
    /// The store has been replaced: forgetting what was noted for these and is not told.
    Forgetting { touched: Vec<u32>, done: usize },
}

impl WatchHub {
    /// Takes the revisions that have become visible, in order, up to the one that the store is at now
    /// ([`Store::take_events`](crate::Store::take_events), [`Store::revision`](crate::Store::revision)),
    /// and tells the watchers of them, however many there are. Revisions that are missing among them, and
    /// those without their events, are read from the history.
    pub fn publish(&mut self, taken: VecDeque<RevisionEvents>, store_revision: i64) {
        self.begin_publish(taken, store_revision);
        while self.publish_step(usize::MAX) {}
    }

    /// The beginning of [`WatchHub::publish`]; [`WatchHub::publish_step`] is the rest.
    pub fn begin_publish(&mut self, taken: VecDeque<RevisionEvents>, store_revision: i64) {
        let backlog = &mut self.backlog;
        let is_visible = |taken: &RevisionEvents| taken.revision <= store_revision;
        backlog
            .revisions
            .extend(taken.into_iter().filter(is_visible));
        backlog.store_revision = backlog.store_revision.max(store_revision);
    }

    /// Tells watchers what has been begun to be published, about `deliveries_max` of them in all (see
    /// [`DELIVERIES_PER_STEP`](crate::DELIVERIES_PER_STEP)). Returns whether there is more to tell. Until
    /// there is not, anything else may be done with the hub in between.
    pub fn publish_step(&mut self, deliveries_max: usize) -> bool {
        let mut budget = deliveries_max.max(1);
        while budget > 0 {
            let telling = self.backlog.telling.take();
            if telling.is_none() && !self.answer_wanted(&mut budget) {
                break;
            }
            let Some(mut telling) = telling.or_else(|| self.next_telling()) else {
                return false;
            };
            match self.tell(&mut telling, &mut budget) {
                true => {
                    self.revision = telling.revision;
                    budget = budget.saturating_sub(1);
                }
                false => self.backlog.telling = Some(telling),
            }
        }
        let backlog = &self.backlog;
        backlog.telling.is_some() || backlog.store_revision > self.revision || self.has_wanted()
    }

    /// The revision up to which live watchers have been told, or are just being.
    pub(super) fn telling_revision(&self) -> i64 {
        let telling = self.backlog.telling.as_ref();
        telling.map_or(self.revision, |telling| telling.revision)
    }

    /// The store was replaced by another, which was at `store_revision` then: from here on all that the
    /// watchers have yet to be told is read from its history. It may have gone on since, and the hub may
    /// have been told of that first: then the hub's revision stays, and what was read of the old store is
    /// forgotten all the same.
    pub fn store_replaced(&mut self, store_revision: i64) {
        self.begin_replace(store_revision);
        while self.publish_step(usize::MAX) {}
    }

    /// The beginning of [`WatchHub::store_replaced`], which costs the same however many watchers there are;
    /// [`WatchHub::publish_step`] is the rest.
    pub fn begin_replace(&mut self, store_revision: i64) {
        // Places in the old store's list of changes mean nothing in the new one. Whoever has one finds that
        // when its turn comes.
        self.reads = SharedReads::default();
        self.store_number += 1;
        self.backlog.revisions = VecDeque::new();
        // Who has been told of the revision that was being told is not told again: it begins after it.
        if let Some(telling) = self.backlog.telling.take() {
            let (touched, done) = self.forgotten(telling.stage);
            self.backlog.telling = Some(Telling {
                revision: self.revision,
                stage: Stage::Forgetting { touched, done },
            });
        }
        self.begin_publish(VecDeque::new(), store_revision);
    }

    /// Breaks off telling. Returns the groups for which something is noted, and how many of them are done.
    fn forgotten(&mut self, stage: Stage) -> (Vec<u32>, usize) {
        let (touched, done, half_told) = match stage {
            Stage::Noting { .. } => (self.groups.take_touched(), 0, None),
            Stage::Groups { touched, done, .. } => {
                let half_told = touched.get(done).copied();
                (touched, done, half_told)
            }
            Stage::ToHistory { next_group, .. } => (Vec::new(), 0, Some(next_group)),
            Stage::Forgetting { touched, done } => (touched, done, None),
        };
        if let Some(group) = half_told.and_then(|number| self.groups.find_mut(number)) {
            group.told = 0;
        }
        (touched, done)
    }

    /// What is to be told next.
    fn next_telling(&mut self) -> Option<Telling> {
        let told = self.revision;
        let Backlog {
            revisions,
            store_revision,
            ..
        } = &mut self.backlog;
        while revisions
            .pop_front_if(|next| next.revision <= told)
            .is_some()
        {}
        let missing_to = revisions
            .front()
            .map_or(*store_revision, |next| next.revision - 1);
        let everyone = |keys| Stage::ToHistory {
            keys,
            next_group: 0,
        };
        if missing_to > told {
            return Some(Telling {
                revision: missing_to,
                stage: everyone(None),
            });
        }
        let RevisionEvents { revision, content } = revisions.pop_front()?;
        let stage = match content {
            RevisionContent::Events(events) => Stage::Noting { events, noted: 0 },
            RevisionContent::InHistory { keys } => everyone(keys),
        };
        Some(Telling { revision, stage })
    }

    /// Goes on to tell a revision. Returns whether everyone has been told.
    fn tell(&mut self, telling: &mut Telling, budget: &mut usize) -> bool {
        let revision = telling.revision;
        if let Stage::Noting { events, noted } = &mut telling.stage {
            while let Some(event) = events.get(*noted) {
                if *budget == 0 {
                    return false;
                }
                *budget = budget.saturating_sub(1 + self.groups.note(event));
                *noted += 1;
            }
            telling.stage = Stage::Groups {
                touched: self.groups.take_touched(),
                done: 0,
                variants: None,
            };
        }
        match &mut telling.stage {
            Stage::Noting { .. } => unreachable!("it was just replaced"),
            Stage::Groups {
                touched,
                done,
                variants,
            } => {
                while let Some(number) = touched.get(*done) {
                    let pending = || Variants::new(self.groups.take_pending(*number));
                    let found = variants.get_or_insert_with(pending);
                    if !self.tell_group(revision, *number, found, budget) {
                        return false;
                    }
                    *done += 1;
                    *variants = None;
                }
                self.groups.put_back_touched(std::mem::take(touched));
                true
            }
            Stage::Forgetting { touched, done } => {
                while let Some(number) = touched.get(*done) {
                    if *budget == 0 {
                        return false;
                    }
                    *budget -= 1;
                    self.groups.take_pending(*number);
                    *done += 1;
                }
                self.groups.put_back_touched(std::mem::take(touched));
                true
            }
            Stage::ToHistory { keys, next_group } => {
                let keys = keys.as_ref();
                let keys = keys.map(|(least, greatest)| (least.as_ref(), greatest.as_ref()));
                self.send_to_history(revision, keys, next_group, budget)
            }
        }
    }

    /// All live watchers of keys from one to another, or of any, that want to be told of something
    /// between the hub's revision and `revision` read it from the history. Returns whether all do.
    fn send_to_history(
        &mut self,
        revision: i64,
        keys: Option<(&[u8], &[u8])>,
        next_group: &mut u32,
        budget: &mut usize,
    ) -> bool {
        while *next_group < self.groups.number_max() {
            if *budget == 0 {
                return false;
            }
            let number = *next_group;
            let overlaps = |group: &Group| {
                keys.is_none_or(|(least, greatest)| group.overlaps(least, greatest))
            };
            if self.groups.find(number).is_some_and(overlaps) {
                while let Some(live) = self.groups.get(number).next_untold() {
                    if *budget == 0 {
                        return false;
                    }
                    *budget -= 1;
                    match live.from_revision > revision {
                        true => self.groups.get_mut(number).told += 1,
                        false => self.fall_behind(number),
                    }
                }
                self.groups.get_mut(number).told = 0;
            }
            *next_group += 1;
            *budget = budget.saturating_sub(1);
        }
        true
    }

    /// The next live watcher of a group misses what comes after the hub's revision, and must read it.
    fn fall_behind(&mut self, group: u32) {
        let place = self.groups.get(group).told;
        let live = leave_live(&mut self.streams, &mut self.groups, group, place);
        let next_revision = live.from_revision.max(self.revision + 1);
        let stream = self.stream_at(live.stream);
        let watcher = stream.watchers.get_mut(&live.watch_id);
        let watcher = watcher.expect("a live watcher is there");
        watcher.state = State::Behind {
            turn: 0,
            next_revision,
            reader: None,
            has_sent: live.has_sent,
        };
        self.behind_count += 1;
        self.enqueue_behind(live.stream, live.watch_id);
    }

    /// Goes on to tell a group. Returns whether all in it have been told. It may have gone meanwhile, and
    /// another may have its number: then nobody in that wants this revision.
    fn tell_group(
        &mut self,
        revision: i64,
        number: u32,
        variants: &mut Variants,
        budget: &mut usize,
    ) -> bool {
        while let Some(group) = self.groups.find_mut(number)
            && let Some(live) = group.live.get_mut(group.told as usize)
        {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let wanted = match live.from_revision > revision {
                true => None,
                false => variants.of(live.options),
            };
            let Some((batch, bytes)) = wanted else {
                group.told += 1;
                continue;
            };
            let stream = self.streams[live.stream as usize].as_ref();
            let queued = stream.map_or(0, |stream| stream.queue.bytes);
            if queued >= queue_bytes_max(self.queued_bytes) {
                self.fall_behind(number);
                continue;
            }
            live.has_sent = true;
            live.from_revision = revision + 1;
            let live = *live;
            group.told += 1;
            let message = events_message(&live, revision, batch.clone());
            self.push_counted(live.stream, message, *bytes);
        }
        if let Some(group) = self.groups.find_mut(number) {
            group.told = 0;
        }
        true
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
