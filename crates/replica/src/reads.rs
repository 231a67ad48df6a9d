//! The linearizable reads that this node has taken and not yet released.
//!
//! A read has no effect, so unlike a write it may be asked again: when the leader changes, when
//! its link is lost, when a round gets no answer. It ends when its index has been applied, or
//! with a timeout: a node that has the index may still be cut off from the entries before it.

use std::collections::{BTreeMap, VecDeque};

use quorate_raft::{Instant, LogIndex, ReadId};

use crate::limits::MAX_PENDING_READS;

#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Without an index, by id: whether Raft has been asked and will answer.
    pending: BTreeMap<ReadId, bool>,
    /// With an index that the applier has to reach.
    granted: BTreeMap<ReadId, LogIndex>,
    deadlines: VecDeque<(Instant, ReadId)>,
    unasked: usize,
}

impl Reads {
    /// Takes a read, unless the node holds too many.
    pub(crate) fn admit(&mut self, id: ReadId, deadline: Instant) -> bool {
        let held = self.pending.len() + self.granted.len();
        let known = self.pending.contains_key(&id) || self.granted.contains_key(&id);
        if held >= MAX_PENDING_READS || known {
            return false;
        }
        self.pending.insert(id, false);
        self.deadlines.push_back((deadline, id));
        self.unasked += 1;
        true
    }

    /// Reads that Raft has to be asked for.
    pub(crate) fn to_ask(&self) -> Vec<ReadId> {
        if self.unasked == 0 {
            return Vec::new();
        }
        self.pending
            .iter()
            .filter(|(_, asked)| !**asked)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Raft has taken the read and will grant or drop it.
    pub(crate) fn asked(&mut self, id: ReadId) {
        if let Some(asked @ false) = self.pending.get_mut(&id) {
            *asked = true;
            self.unasked -= 1;
        }
    }

    /// Raft dropped the read: it is to be asked for again.
    pub(crate) fn dropped(&mut self, id: ReadId) {
        if let Some(asked @ true) = self.pending.get_mut(&id) {
            *asked = false;
            self.unasked += 1;
        }
    }

    /// The read has its index; false if it was given up before.
    pub(crate) fn granted(&mut self, id: ReadId, index: LogIndex) -> bool {
        let held = self.take_pending(id);
        if held {
            self.granted.insert(id, index);
        }
        held
    }

    /// The applier has come this far: it releases the reads that waited for it.
    pub(crate) fn applied(&mut self, applied: LogIndex) {
        self.granted.retain(|_, index| *index > applied);
    }

    /// Takes the reads whose time is over.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<ReadId> {
        let mut expired = Vec::new();
        while let Some((deadline, id)) = self.deadlines.front().copied() {
            let held = self.pending.contains_key(&id) || self.granted.contains_key(&id);
            if deadline > now && held {
                break;
            }
            self.deadlines.pop_front();
            if self.take_pending(id) || self.granted.remove(&id).is_some() {
                expired.push(id);
            }
        }
        expired
    }

    /// When the oldest read's time is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// Whether any read has to be asked for.
    pub(crate) fn has_unasked(&self) -> bool {
        self.unasked > 0
    }

    fn take_pending(&mut self, id: ReadId) -> bool {
        match self.pending.remove(&id) {
            Some(asked) => {
                self.unasked -= usize::from(!asked);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn after(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_dropped_read_is_asked_for_again() {
        let mut reads = Reads::default();
        assert!(reads.admit(ReadId(1), after(10)));
        assert_eq!(reads.to_ask(), [ReadId(1)]);
        reads.asked(ReadId(1));
        assert!(!reads.has_unasked());
        reads.dropped(ReadId(1));
        assert_eq!(reads.to_ask(), [ReadId(1)]);
        assert!(reads.granted(ReadId(1), LogIndex(5)));
        assert!(!reads.granted(ReadId(1), LogIndex(5)), "once");
        assert!(!reads.has_unasked());
    }

    #[test]
    fn a_read_ends_with_its_deadline() {
        let mut reads = Reads::default();
        assert!(reads.admit(ReadId(1), after(10)));
        assert!(reads.admit(ReadId(2), after(20)));
        reads.asked(ReadId(2));
        assert_eq!(reads.take_expired(after(10)), [ReadId(1)]);
        assert_eq!(reads.take_expired(after(20)), [ReadId(2)]);
        assert!(!reads.granted(ReadId(2), LogIndex(5)));
        assert_eq!(reads.deadline(), None);
    }
    #[test]
    fn a_read_with_an_index_that_is_never_applied_ends_with_its_deadline_too() {
        let mut reads = Reads::default();
        for id in [1, 2] {
            assert!(reads.admit(ReadId(id), after(10)));
            assert!(reads.granted(ReadId(id), LogIndex(id)));
        }
        reads.applied(LogIndex(1));
        assert_eq!(reads.take_expired(after(9)), []);
        assert_eq!(reads.take_expired(after(10)), [ReadId(2)]);
    }
}
