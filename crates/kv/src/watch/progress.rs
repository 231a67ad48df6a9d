//! Bookmarks: telling watchers that nothing is missing up to a revision.
//!
//! A progress message stands in the stream's queue behind all events up to its revision, so it is never
//! ahead of them. It is told to live watchers alone, and to none before the revision that it named as its
//! start (etcd issues 15220 and 20221 were violations of either).
//!
//! Nor does it fall back: while a revision is being told in steps, a stream that has been told of it is ahead
//! of the hub, whose revision is that before. The answer to its client's question then waits until the hub
//! has come as far as the stream ([`WatchHub::answer_wanted`]).

use std::collections::btree_map;
use std::ops::Bound;

use crate::watch::hub::{StreamId, WatchHub};
use crate::watch::message::WatchMessage;
use crate::watch::stream::{State, Stream, Watcher, queue_bytes_max};

/// A stream whose watchers are being told of their progress, and how far that is.
#[derive(Debug)]
pub(super) struct Notifying {
    id: StreamId,
    /// The last one that had its turn.
    after: Option<i64>,
}

impl WatchHub {
    /// Tells a stream, as its client asked, that all its watchers have been told everything up to the
    /// hub's revision; nothing, as in etcd, if one is behind or has not begun, or there is none. If it has
    /// been told of more already, the answer comes when the hub has told everybody as much.
    pub fn request_progress(&mut self, id: StreamId) {
        let revision = self.revision;
        let Some(stream) = self.stream(id) else {
            return;
        };
        match stream.told_revision <= revision {
            true => self.answer_progress(id.number),
            false => self.want_progress(id.number),
        }
    }

    fn want_progress(&mut self, number: u32) {
        let stream = self.stream_at(number);
        if stream.progress_wanted_at.is_none() {
            let at = stream.told_revision;
            stream.progress_wanted_at = Some(at);
            self.progress_wanted.insert((at, number));
        }
    }

    fn answer_progress(&mut self, number: u32) {
        let revision = self.revision;
        let stream = self.stream_at(number);
        while stream
            .later_starts
            .first()
            .is_some_and(|(start, _)| *start <= revision)
        {
            stream.later_starts.pop_first();
        }
        let are_there = stream.later_starts.is_empty() && stream.behind.is_empty();
        if are_there && !stream.watchers.is_empty() {
            let watch_id = None;
            self.push(number, WatchMessage::Progress { watch_id, revision });
        }
    }

    /// Answers those who wait for progress up to the hub's revision. Returns whether that was all.
    pub(super) fn answer_wanted(&mut self, budget: &mut usize) -> bool {
        while self.has_wanted() {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let wanted = self.progress_wanted.pop_first();
            let (_, number) = wanted.expect("there is one, as was just seen");
            let revision = self.revision;
            let stream = self.stream_at(number);
            stream.progress_wanted_at = None;
            match stream.told_revision <= revision {
                true => self.answer_progress(number),
                // History has told it of more meanwhile.
                false => self.want_progress(number),
            }
        }
        true
    }

    /// Whether somebody waits for progress up to the hub's revision.
    pub(super) fn has_wanted(&self) -> bool {
        let first = self.progress_wanted.first();
        first.is_some_and(|(at, _)| *at <= self.revision)
    }

    /// When [`WatchHub::tick`] has something to do next.
    pub fn next_tick_ms(&self) -> Option<u64> {
        self.progress_due.first().map(|(at_ms, _)| *at_ms)
    }

    /// Tells the watchers of their progress that asked to be told now and then, that are due, and that
    /// have not been told of an event since the last time.
    pub fn tick(&mut self, now_ms: u64) {
        while self.tick_step(now_ms, usize::MAX) {}
    }

    /// The same in steps, each of which looks at up to `watchers_max` watchers. Returns whether there is more.
    pub fn tick_step(&mut self, now_ms: u64, watchers_max: usize) -> bool {
        let mut budget = watchers_max.max(1);
        loop {
            if let Some(notifying) = self.notifying.take() {
                self.notifying = self.notify(&notifying, &mut budget);
            }
            let is_due = |first: &&(u64, u32)| first.0 <= now_ms;
            let due = self.progress_due.first().filter(is_due).copied();
            if budget == 0 {
                return self.notifying.is_some() || due.is_some();
            }
            let Some((at_ms, number)) = due else {
                return false;
            };
            budget -= 1;
            self.progress_due.remove(&(at_ms, number));
            let stream = self.stream_at(number);
            stream.progress_at_ms = now_ms.saturating_add(stream.progress_interval_ms);
            let next = (stream.progress_at_ms, number);
            let id = StreamId::new(number, stream.serial);
            self.progress_due.insert(next);
            self.notifying = Some(Notifying { id, after: None });
            if next.0 <= now_ms {
                // The end of time.
                return false;
            }
        }
    }

    /// Goes on to tell a stream's watchers. Returns where to go on if there are more.
    fn notify(&mut self, notifying: &Notifying, budget: &mut usize) -> Option<Notifying> {
        let Notifying { id, mut after } = *notifying;
        let revision = self.revision;
        self.stream(id)?;
        loop {
            let room = queue_bytes_max(self.queued_bytes);
            let WatchHub {
                streams, groups, ..
            } = self;
            let stream = streams[id.number as usize].as_mut();
            let stream = stream.expect("it was just seen");
            let has_room = stream.queue.bytes < room;
            let mut is_any_idle = None;
            for (watch_id, watcher) in watchers_after(stream, after) {
                if *budget == 0 {
                    return Some(Notifying { id, after });
                }
                *budget -= 1;
                after = Some(*watch_id);
                if !watcher.options.notifies_progress {
                    continue;
                }
                let has_sent = match &mut watcher.state {
                    State::Live { place } => {
                        let live = &mut groups.get_mut(watcher.group).live[*place as usize];
                        // One that begins later, or has been told of more, has nothing to learn from this.
                        std::mem::take(&mut live.has_sent) || live.from_revision > revision + 1
                    }
                    State::Behind { has_sent, .. } => {
                        *has_sent = false;
                        true
                    }
                };
                if !has_sent && has_room {
                    is_any_idle = Some(*watch_id);
                    break;
                }
            }
            let watch_id = Some(is_any_idle?);
            self.push(id.number, WatchMessage::Progress { watch_id, revision });
        }
    }
}

/// The watchers of a stream after one of them, or all.
fn watchers_after(
    stream: &mut Stream,
    after: Option<i64>,
) -> btree_map::RangeMut<'_, i64, Watcher> {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    stream.watchers.range_mut((start, Bound::Unbounded))
}
