//! Bookmarks: telling watchers that nothing is missing up to a revision.
//!
//! A progress message stands in the stream's queue behind all events up to its revision, so it is never
//! ahead of them. It is told to live watchers alone, and to none before the revision that it named as its
//! start (etcd issues 15220 and 20221 were violations of either).

use crate::watch::hub::{StreamId, WatchHub};
use crate::watch::message::WatchMessage;
use crate::watch::stream::{State, Stream, Watcher, queue_bytes_max};

impl WatchHub {
    /// Tells a stream, as its client asked, that all its watchers have been told everything up to the
    /// hub's revision; nothing, as in etcd, if one is behind or has not begun, or there is none.
    pub fn request_progress(&mut self, id: StreamId) {
        let revision = self.revision;
        let Some(stream) = self.stream(id) else {
            return;
        };
        let can_be_told = |watcher: &Watcher| {
            let is_live = matches!(watcher.state, State::Live { .. });
            is_live && watcher.options.start_revision <= revision
        };
        if !stream.watchers.is_empty() && stream.watchers.values().all(can_be_told) {
            let watch_id = None;
            self.push(id.number, WatchMessage::Progress { watch_id, revision });
        }
    }

    /// When [`WatchHub::tick`] has something to do next.
    pub fn next_tick_ms(&self) -> Option<u64> {
        self.progress_due.first().map(|(at_ms, _)| *at_ms)
    }

    /// Tells the watchers of their progress that asked to be told now and then, that are due, and that
    /// have not been told of an event since the last time.
    pub fn tick(&mut self, now_ms: u64) {
        while let Some(&(at_ms, number)) = self.progress_due.first()
            && at_ms <= now_ms
        {
            self.progress_due.remove(&(at_ms, number));
            let stream = self.stream_at(number);
            stream.progress_at_ms = now_ms.saturating_add(stream.progress_interval_ms);
            let next = (stream.progress_at_ms, number);
            self.progress_due.insert(next);
            self.notify_progress(number);
            if next.0 <= now_ms {
                // The end of time.
                return;
            }
        }
    }

    fn notify_progress(&mut self, number: u32) {
        let revision = self.revision;
        let room = queue_bytes_max(self.queued_bytes);
        let WatchHub {
            streams, groups, ..
        } = self;
        let stream = streams[number as usize].as_mut();
        let stream = stream.expect("a stream that is due is open");
        let has_room = stream.queue.bytes < room;
        let mut idle = Vec::new();
        for (watch_id, watcher) in notified(stream) {
            let has_sent = match &mut watcher.state {
                State::Live { place } => {
                    let live = &mut groups.get_mut(watcher.group).live;
                    let has_sent = std::mem::take(&mut live[*place as usize].has_sent);
                    has_sent || watcher.options.start_revision > revision
                }
                State::Behind { has_sent, .. } => {
                    *has_sent = false;
                    true
                }
            };
            if !has_sent && has_room {
                idle.push(*watch_id);
            }
        }
        for watch_id in idle {
            let watch_id = Some(watch_id);
            self.push(number, WatchMessage::Progress { watch_id, revision });
        }
    }
}

/// The watchers of a stream that asked to be told of their progress.
fn notified(stream: &mut Stream) -> impl Iterator<Item = (&i64, &mut Watcher)> {
    let watchers = stream.watchers.iter_mut();
    watchers.filter(|(_, watcher)| watcher.options.notifies_progress)
}
