//! What clients of this node have asked about leases, for the leader, who alone counts their time.
//!
//! A question is asked again when the leader changes, when its link is lost, and when who was asked
//! says that it does not lead: a renewal that counts twice does no harm. It ends with the leader's
//! answer, or with a timeout.

use std::collections::{BTreeMap, VecDeque};

use quorate_raft::{Instant, NodeId};

use crate::lease_clock::LeaseTime;
use crate::limits::MAX_PENDING_LEASE_QUESTIONS;

/// What a client wants to know of one lease, or have done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseQuestion {
    /// Tells the questions of one boot of one member apart.
    pub sequence: u64,
    /// The lease's id.
    pub lease: i64,
    /// Whether it is to have all its time again.
    pub renews: bool,
}

/// What the leader says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// It lives for so long; if it was to be renewed, it was.
    Lives(LeaseTime),
    /// There is none of this id.
    Unknown,
    /// Whoever was asked does not lead.
    NotLeader,
    /// The leader has too many questions to answer.
    Overloaded,
}

#[derive(Debug, Default)]
pub(crate) struct LeaseQuestions {
    pending: BTreeMap<u64, Pending>,
    waiting: VecDeque<u64>,
    deadlines: VecDeque<(Instant, u64)>,
}

#[derive(Debug)]
struct Pending {
    question: LeaseQuestion,
    asked: Option<NodeId>,
}

impl LeaseQuestions {
    /// Takes a question, unless the node holds too many.
    pub(crate) fn admit(&mut self, question: LeaseQuestion, deadline: Instant) -> bool {
        let sequence = question.sequence;
        let is_full = self.pending.len() >= MAX_PENDING_LEASE_QUESTIONS;
        if is_full || self.pending.contains_key(&sequence) {
            return false;
        }
        let asked = None;
        self.pending.insert(sequence, Pending { question, asked });
        self.waiting.push_back(sequence);
        self.deadlines.push_back((deadline, sequence));
        true
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Some of those that wait, which go to `leader`.
    pub(crate) fn take_waiting(&mut self, leader: NodeId, at_most: usize) -> Vec<LeaseQuestion> {
        let mut taken = Vec::new();
        while taken.len() < at_most
            && let Some(sequence) = self.waiting.pop_front()
        {
            let pending = self.pending.get_mut(&sequence);
            if let Some(pending) = pending.filter(|pending| pending.asked.is_none()) {
                pending.asked = Some(leader);
                taken.push(pending.question);
            }
        }
        taken
    }

    /// The node that was asked has answered; false if nobody waits for that any more.
    pub(crate) fn take_answered(&mut self, from: NodeId, sequence: u64) -> bool {
        let is_awaited = self
            .pending
            .get(&sequence)
            .is_some_and(|pending| pending.asked == Some(from));
        is_awaited && self.pending.remove(&sequence).is_some()
    }

    /// The node that was asked will not answer this one.
    pub(crate) fn wait_again(&mut self, from: NodeId, sequence: u64) {
        if let Some(pending) = self.pending.get_mut(&sequence)
            && pending.asked == Some(from)
        {
            pending.asked = None;
            self.waiting.push_back(sequence);
        }
    }

    /// Nobody who was asked, or not this one, will answer.
    pub(crate) fn wait_all(&mut self, from: Option<NodeId>) {
        for (sequence, pending) in &mut self.pending {
            let is_meant = from.is_none_or(|from| pending.asked == Some(from));
            if is_meant && pending.asked.take().is_some() {
                self.waiting.push_back(*sequence);
            }
        }
    }

    /// Takes the questions whose time is over.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<u64> {
        let mut expired = Vec::new();
        while let Some((deadline, sequence)) = self.deadlines.front().copied() {
            if deadline > now && self.pending.contains_key(&sequence) {
                break;
            }
            self.deadlines.pop_front();
            if self.pending.remove(&sequence).is_some() {
                expired.push(sequence);
            }
        }
        // While there is no leader nobody else takes them out of the line, and new ones come.
        if self.waiting.len() > 2 * self.pending.len() {
            let pending = &self.pending;
            self.waiting
                .retain(|sequence| pending.contains_key(sequence));
        }
        expired
    }

    /// When the oldest question's time is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOON: Instant = Instant::from_nanos(10);

    fn question(sequence: u64) -> LeaseQuestion {
        LeaseQuestion {
            sequence,
            lease: 7,
            renews: true,
        }
    }

    #[test]
    fn a_question_to_a_leader_that_is_lost_is_asked_again() {
        let mut questions = LeaseQuestions::default();
        assert!(questions.admit(question(1), SOON));
        assert_eq!(questions.take_waiting(NodeId(2), 10), [question(1)]);
        assert!(!questions.has_waiting());
        questions.wait_all(Some(NodeId(3)));
        assert!(!questions.has_waiting(), "that one was not asked");
        questions.wait_all(Some(NodeId(2)));
        assert_eq!(questions.take_waiting(NodeId(3), 10), [question(1)]);
        assert!(
            !questions.take_answered(NodeId(2), 1),
            "it is another's now"
        );
        assert!(questions.take_answered(NodeId(3), 1));
        assert!(!questions.take_answered(NodeId(3), 1), "once");
    }

    #[test]
    fn a_question_ends_with_its_deadline() {
        let mut questions = LeaseQuestions::default();
        assert!(questions.admit(question(1), SOON));
        assert!(
            !questions.admit(question(1), SOON),
            "each has its own number"
        );
        assert_eq!(questions.deadline(), Some(SOON));
        assert_eq!(questions.take_expired(Instant::ZERO), []);
        assert_eq!(questions.take_expired(SOON + Duration::from_secs(1)), [1]);
        assert_eq!(questions.take_waiting(NodeId(2), 10), []);
        assert_eq!(questions.deadline(), None);
    }

    #[test]
    fn a_line_that_nobody_takes_from_does_not_grow() {
        let mut questions = LeaseQuestions::default();
        let at = |milliseconds| Instant::ZERO + Duration::from_millis(milliseconds);
        // As from clients that try again and again: some always wait.
        for number in 0..10_000 {
            questions.take_expired(at(number));
            assert!(questions.admit(question(number), at(number + 100)));
        }
        assert_eq!(questions.pending.len(), 100);
        assert!(
            questions.waiting.len() <= 201,
            "{}",
            questions.waiting.len()
        );
        let taken = questions.take_waiting(NodeId(2), 1_000);
        assert_eq!(taken.len(), 100, "and none of those that wait is lost");
    }

    #[test]
    fn the_number_of_questions_is_bounded() {
        let mut questions = LeaseQuestions::default();
        for sequence in 0..MAX_PENDING_LEASE_QUESTIONS as u64 {
            assert!(questions.admit(question(sequence), SOON));
        }
        assert!(!questions.admit(question(u64::MAX), SOON));
    }
}
