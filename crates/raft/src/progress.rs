//! What a leader knows of one peer, and what it may send it.
//!
//! ```text
//!            accepted through next - 1
//!   Probe ─────────────────────────────► Replicate
//!     ▲  one Append with entries at      │  Appends one after the other,
//!     │  a time, until one is accepted   │  bounded in bytes and number
//!     └──────────────────────────────────┘
//!            rejected, or link lost
//! ```
//!
//! From either, a peer whose next entry is released comes to `Snapshot`: it gets offers, and no
//! entries, until it acknowledges more than before.
//!
//! Invariants:
//! - `matched < next`; `matched` only rises while the leader leads, unless the peer says that it
//!   lost what it had (`refilling.rs`).
//! - In `Probe`, entries from `next` on may have been sent once (`waiting`); in `Replicate`,
//!   entries in `(matched, next)` are under way and accounted for in `inflight`.

use std::collections::VecDeque;

use crate::types::{Instant, LogIndex};

#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The peer's log is durable and equal to ours through here.
    pub(crate) matched: LogIndex,
    /// The next entry to send.
    pub(crate) next: LogIndex,
    pub(crate) state: ProgressState,
    pub(crate) inflight: Inflight,
    /// The greatest round that the peer echoed.
    pub(crate) round_echoed: u64,
    /// The round that was last sent to it.
    pub(crate) round_sent: u64,
    /// The commit index that was last sent to it.
    pub(crate) commit_sent: LogIndex,
    /// The round of an Append that told nothing but the commit index, until it is answered. What
    /// is committed meanwhile is told when the answer comes, or along with entries: so a burst
    /// of commits costs a message per round trip, not one each.
    pub(crate) commit_notice: Option<u64>,
    /// A heartbeat is to be sent.
    pub(crate) heartbeat_due: bool,
    /// When it last answered in this term.
    pub(crate) last_contact: Instant,
    /// The peer is being refilled: what it has counts for nothing.
    pub(crate) refill: Option<Refill>,
    /// The last one, when an answer of another life came in between.
    earlier_refill: Option<Refill>,
    /// Set on a peer that is no member any more: until when it is told the log all the same, so
    /// that it learns of its removal.
    pub(crate) departs_at: Option<Instant>,
}

/// A life of a peer in which it is being refilled (`refilling.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refill {
    /// The peer's number for this life.
    pub(crate) life: u64,
    /// The entry that it has to get, which was appended when this leader heard of this life.
    pub(crate) barrier: Option<LogIndex>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressState {
    /// It is not known whether the peer's log matches ours before `next`.
    Probe {
        /// Entries were sent to find out, and nothing came back yet. Heartbeats probe too, so a
        /// lost probe is made good by the next one of them.
        waiting: bool,
    },
    /// It matches; Appends are pipelined on the assumption that they arrive.
    Replicate,
    /// What it needs next is gone from our log; it has to pull a snapshot.
    Snapshot {
        /// It was told so.
        offered: bool,
    },
}

impl Progress {
    /// A peer of which a new leader, whose log ends at `last`, knows nothing.
    pub(crate) fn new(last: LogIndex, now: Instant) -> Progress {
        Progress {
            matched: LogIndex::ZERO,
            next: last.next(),
            state: ProgressState::Probe { waiting: false },
            inflight: Inflight::default(),
            round_echoed: 0,
            round_sent: 0,
            commit_sent: LogIndex::ZERO,
            commit_notice: None,
            heartbeat_due: true,
            last_contact: now,
            refill: None,
            earlier_refill: None,
            departs_at: None,
        }
    }

    /// Whether entries may be sent to it now, under these limits on what is under way.
    pub(crate) fn may_send_entries(&self, max_bytes: usize, max_appends: usize) -> bool {
        match self.state {
            ProgressState::Probe { waiting } => !waiting,
            ProgressState::Replicate => {
                self.inflight.bytes < max_bytes && self.inflight.appends.len() < max_appends
            }
            ProgressState::Snapshot { .. } => false,
        }
    }

    /// Entries from `next` through `last`, of so many bytes, were sent.
    pub(crate) fn sent(&mut self, last: LogIndex, bytes: usize) {
        match &mut self.state {
            ProgressState::Probe { waiting } => *waiting = true,
            ProgressState::Replicate => {
                self.inflight.add(last, bytes);
                self.next = last.next();
            }
            ProgressState::Snapshot { .. } => {
                panic!("entries through {last} sent to a peer that needs a snapshot: {self:?}")
            }
        }
    }

    /// The peer answered, and echoed this round.
    pub(crate) fn heard(&mut self, round: u64, now: Instant) {
        self.last_contact = now;
        self.round_echoed = self.round_echoed.max(round);
        if self
            .commit_notice
            .is_some_and(|notice| self.round_echoed >= notice)
        {
            self.commit_notice = None;
        }
    }

    /// The peer's log matches through `matched`. Returns whether that is news. An older claim
    /// that arrives late changes nothing.
    pub(crate) fn accepted(&mut self, matched: LogIndex) -> bool {
        if let ProgressState::Probe { .. } = self.state
            && matched.next() >= self.next
        {
            self.state = ProgressState::Replicate;
            self.next = matched.next();
        }
        if matched <= self.matched {
            return false;
        }
        if let ProgressState::Snapshot { .. } = self.state {
            // Installed; or an earlier answer, and then it is back here before anything is sent.
            self.state = ProgressState::Replicate;
            self.next = matched.next();
        }
        self.matched = matched;
        self.next = self.next.max(matched.next());
        self.inflight.free_through(matched);
        true
    }

    /// The peer acknowledges something: it is not being refilled any more, or this is of an
    /// earlier life. Only what it acknowledges counts from now on, not what it merely had.
    pub(crate) fn acknowledges(&mut self) {
        if let Some(refill) = self.refill.take() {
            self.earlier_refill = Some(refill);
            self.matched = LogIndex::ZERO;
        }
    }

    /// The peer, in this life of it, has lost what it acknowledged before, and has the log through
    /// `matched`. What it says of one life is in order, but for what comes late; if it speaks of a
    /// refill anew, everything that was known of its log is void. `retry` is a refused
    /// previous index, and what to try next.
    pub(crate) fn refilled(
        &mut self,
        life: u64,
        matched: LogIndex,
        round: u64,
        retry: Option<(LogIndex, LogIndex)>,
    ) {
        if self.refill.is_none_or(|refill| refill.life != life) {
            let before = self.earlier_refill.filter(|refill| refill.life == life);
            self.refill = before.or(Some(Refill {
                life,
                barrier: None,
            }));
            self.matched = LogIndex::ZERO;
            let next = retry.map_or(matched.next(), |(refused, retry)| retry.min(refused));
            self.probe_from(next);
        }
        if self.commit_notice.is_some_and(|notice| round >= notice) {
            self.commit_notice = None;
        }
        self.accepted(matched);
        if let Some((refused, retry)) = retry {
            self.rejected(refused, retry);
        }
    }

    /// The peer does not have our entry at `previous_index`; `retry` is the next index to try,
    /// by the leader's terms and the peer's hint. Late and repeated rejections change nothing.
    pub(crate) fn rejected(&mut self, previous_index: LogIndex, retry: LogIndex) {
        let current = match self.state {
            ProgressState::Probe { .. } => previous_index.next() == self.next,
            ProgressState::Replicate => previous_index < self.next,
            ProgressState::Snapshot { .. } => false,
        };
        if !current || previous_index <= self.matched {
            return;
        }
        if planted::bug("hint-counts-as-a-match") {
            self.matched = self.matched.max(retry.min(previous_index).previous());
        }
        self.probe_from(retry.min(previous_index));
    }

    /// Nothing that is under way can be counted on.
    pub(crate) fn link_lost(&mut self) {
        self.probe_from(self.matched.next());
        self.commit_notice = None;
    }

    /// What it needs next is released.
    pub(crate) fn needs_snapshot(&mut self) {
        self.state = ProgressState::Snapshot { offered: false };
        self.inflight = Inflight::default();
        self.commit_notice = None;
    }

    /// It was told so.
    pub(crate) fn snapshot_offered(&mut self) {
        self.state = ProgressState::Snapshot { offered: true };
    }

    fn probe_from(&mut self, next: LogIndex) {
        self.next = next.max(self.matched.next());
        self.state = ProgressState::Probe { waiting: false };
        self.inflight = Inflight::default();
    }
}

/// Appends with entries that are under way to a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inflight {
    /// The last index and the bytes of each, in the order of sending.
    appends: VecDeque<(LogIndex, usize)>,
    bytes: usize,
}

impl Inflight {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn appends(&self) -> usize {
        self.appends.len()
    }

    fn add(&mut self, last: LogIndex, bytes: usize) {
        self.appends.push_back((last, bytes));
        self.bytes += bytes;
    }

    fn free_through(&mut self, matched: LogIndex) {
        while let Some((_, bytes)) = self.appends.pop_front_if(|(last, _)| *last <= matched) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicating(matched: u64, next: u64) -> Progress {
        let mut progress = Progress::new(LogIndex(matched), Instant::ZERO);
        assert!(progress.accepted(LogIndex(matched)));
        for index in matched + 1..next {
            progress.sent(LogIndex(index), 100);
        }
        progress
    }

    #[test]
    fn a_probe_sends_once_and_becomes_replication_when_accepted() {
        let mut progress = Progress::new(LogIndex(7), Instant::ZERO);
        assert!(progress.may_send_entries(1, 1));
        progress.sent(LogIndex(9), 100);
        assert!(!progress.may_send_entries(1000, 10));
        assert_eq!(
            progress.next,
            LogIndex(8),
            "a probe does not count on its arrival"
        );
        assert!(progress.accepted(LogIndex(9)));
        assert_eq!(
            (progress.state, progress.next),
            (ProgressState::Replicate, LogIndex(10))
        );
    }

    #[test]
    fn a_probe_is_not_over_while_less_is_accepted_than_it_asked() {
        let mut progress = Progress::new(LogIndex(7), Instant::ZERO);
        progress.accepted(LogIndex(5));
        assert_eq!(progress.state, ProgressState::Probe { waiting: false });
        assert_eq!(
            (progress.matched, progress.next),
            (LogIndex(5), LogIndex(8))
        );
    }

    #[test]
    fn what_is_under_way_is_bounded_in_bytes_and_number() {
        let mut progress = replicating(3, 6);
        assert_eq!(
            (progress.inflight.appends(), progress.inflight.bytes()),
            (2, 200)
        );
        assert!(progress.may_send_entries(201, 3));
        assert!(!progress.may_send_entries(200, 3));
        assert!(!progress.may_send_entries(201, 2));
        progress.accepted(LogIndex(4));
        assert_eq!(
            (progress.inflight.appends(), progress.inflight.bytes()),
            (1, 100)
        );
    }

    #[test]
    fn a_rejection_lowers_next_and_frees_what_was_under_way() {
        let mut progress = replicating(3, 9);
        progress.rejected(LogIndex(7), LogIndex(5));
        assert_eq!(progress.next, LogIndex(5));
        assert_eq!(progress.state, ProgressState::Probe { waiting: false });
        assert_eq!(progress.inflight.bytes(), 0);
        // The other Appends that were under way are rejected too: old news.
        progress.sent(LogIndex(8), 100);
        progress.rejected(LogIndex(8), LogIndex(5));
        assert_eq!(progress.state, ProgressState::Probe { waiting: true });
    }

    #[test]
    fn late_rejections_and_acceptances_move_nothing_back() {
        let mut progress = replicating(6, 9);
        progress.rejected(LogIndex(6), LogIndex(2));
        progress.rejected(LogIndex(4), LogIndex(2));
        assert!(!progress.accepted(LogIndex(5)));
        assert_eq!(
            (progress.matched, progress.next),
            (LogIndex(6), LogIndex(9))
        );
        assert_eq!(progress.state, ProgressState::Replicate);
    }

    #[test]
    fn next_never_falls_to_what_is_matched() {
        let mut progress = replicating(6, 9);
        progress.rejected(LogIndex(8), LogIndex(2));
        assert_eq!(progress.next, LogIndex(7));
        progress.link_lost();
        assert_eq!(progress.next, LogIndex(7));
    }
}
