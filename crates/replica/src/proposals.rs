//! The requests that this node has taken from clients and not yet seen committed.
//!
//! A request is in one of three places: it waits here for a leader, it is in this leader's own
//! log, or it was forwarded to the leader, once. While it waits it has had no effect and may be
//! sent on. From the other two places it leaves when its entry is committed (the applier will
//! answer it), or with an error that says that its fate is unknown. A definite refusal by the
//! node it was forwarded to puts it back to waiting: that is no second try, since there was no
//! first.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use quorate_proto::envelope::CommandKind;
use quorate_raft::{Instant, LogIndex, NodeId, Term};

use crate::limits::{MAX_PENDING_PROPOSAL_BYTES, MAX_PENDING_PROPOSALS, MAX_PROPOSAL_BATCH_BYTES};

/// A client's write, checked and encoded by the node that took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Rises with each request of this boot; starts at 1.
    pub sequence: u64,
    /// What the body is.
    pub kind: CommandKind,
    /// The encoded command.
    pub body: Bytes,
}

#[derive(Debug)]
enum Place {
    Waiting(Proposal),
    Appended { index: LogIndex, bytes: usize },
    Forwarded { to: NodeId, proposal: Proposal },
}

#[derive(Debug, Default)]
pub(crate) struct Proposals {
    pending: BTreeMap<u64, Place>,
    waiting: VecDeque<u64>,
    deadlines: VecDeque<(Instant, u64)>,
    bytes: usize,
}

impl Proposals {
    /// Takes a request, unless the node holds too many.
    pub(crate) fn admit(&mut self, proposal: Proposal, deadline: Instant) -> bool {
        let bytes = proposal.body.len();
        let full = self.pending.len() >= MAX_PENDING_PROPOSALS
            || self.bytes + bytes > MAX_PENDING_PROPOSAL_BYTES;
        if full || self.pending.contains_key(&proposal.sequence) {
            return false;
        }
        self.bytes += bytes;
        self.waiting.push_back(proposal.sequence);
        self.deadlines.push_back((deadline, proposal.sequence));
        self.pending
            .insert(proposal.sequence, Place::Waiting(proposal));
        true
    }

    /// Some of the waiting requests, in order, about [`MAX_PROPOSAL_BATCH_BYTES`] of them.
    /// The caller says where each went by `appended`, `forwarded` or `take`.
    pub(crate) fn next_batch(&mut self) -> Vec<Proposal> {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        while let Some(sequence) = self.waiting.front() {
            let Some(Place::Waiting(proposal)) = self.pending.get(sequence) else {
                self.waiting.pop_front();
                continue;
            };
            batch_bytes += proposal.body.len();
            if !batch.is_empty() && batch_bytes > MAX_PROPOSAL_BATCH_BYTES {
                break;
            }
            batch.push(proposal.clone());
            self.waiting.pop_front();
        }
        batch
    }

    /// The batch is in our own log from `first` on.
    pub(crate) fn appended(&mut self, batch: &[Proposal], first: LogIndex) {
        for (offset, proposal) in (0..).zip(batch) {
            let index = LogIndex(first.0 + offset);
            let place = Place::Appended {
                index,
                bytes: proposal.body.len(),
            };
            self.pending.insert(proposal.sequence, place);
        }
    }

    /// A request that waited for its turn in our own log stands there now.
    pub(crate) fn moved(&mut self, sequence: u64, to: LogIndex) {
        if let Some(Place::Appended { index, .. }) = self.pending.get_mut(&sequence) {
            *index = to;
        }
    }

    /// A request that waited for its turn in our own log never got there: it waits for a leader
    /// again, unless it was answered meanwhile.
    pub(crate) fn wait_for_leader(&mut self, sequence: u64, kind: CommandKind, body: &Bytes) {
        if let Some(Place::Appended { .. }) = self.pending.get(&sequence) {
            let body = body.clone();
            self.wait_again(vec![Proposal {
                sequence,
                kind,
                body,
            }]);
        }
    }

    /// The batch is on its way to the leader.
    pub(crate) fn forwarded(&mut self, batch: &[Proposal], to: NodeId) {
        for proposal in batch {
            let place = Place::Forwarded {
                to,
                proposal: proposal.clone(),
            };
            self.pending.insert(proposal.sequence, place);
        }
    }

    /// The batch could not leave: it waits on, ahead of what came later.
    pub(crate) fn wait_again(&mut self, batch: Vec<Proposal>) {
        for proposal in batch.into_iter().rev() {
            self.waiting.push_front(proposal.sequence);
            self.pending
                .insert(proposal.sequence, Place::Waiting(proposal));
        }
    }

    /// The node it was forwarded to refused it for want of being leader: it waits again. False
    /// if it is not there (any more).
    pub(crate) fn refused_by(&mut self, from: NodeId, sequence: u64) -> bool {
        if let Some(Place::Forwarded { to, proposal }) = self.pending.get(&sequence)
            && *to == from
        {
            let proposal = proposal.clone();
            self.waiting.push_back(sequence);
            self.pending.insert(sequence, Place::Waiting(proposal));
            return true;
        }
        false
    }

    /// Takes a request that the node it was forwarded to refused for good; false if it is not
    /// there (any more).
    pub(crate) fn take_refused_by(&mut self, from: NodeId, sequence: u64) -> bool {
        let place = self.pending.get(&sequence);
        matches!(place, Some(Place::Forwarded { to, .. }) if *to == from) && self.take(sequence)
    }

    /// Forgets a request that has been committed or answered; false if it was not held.
    pub(crate) fn take(&mut self, sequence: u64) -> bool {
        let Some(place) = self.pending.remove(&sequence) else {
            return false;
        };
        self.bytes -= match place {
            Place::Waiting(proposal) | Place::Forwarded { proposal, .. } => proposal.body.len(),
            Place::Appended { bytes, .. } => bytes,
        };
        true
    }

    /// Takes the requests in our own log from index `from` on: we lead no more.
    pub(crate) fn take_appended_from(&mut self, from: LogIndex) -> Vec<u64> {
        self.take_where(|place| matches!(place, Place::Appended { index, .. } if *index >= from))
    }

    /// Takes the requests forwarded to `peer`: it leads no more, or its link is lost.
    pub(crate) fn take_forwarded_to(&mut self, peer: NodeId) -> Vec<u64> {
        self.take_where(|place| matches!(place, Place::Forwarded { to, .. } if *to == peer))
    }

    /// Takes all requests that were forwarded: whoever led then leads no more, or anew.
    pub(crate) fn take_forwarded(&mut self) -> Vec<u64> {
        self.take_where(|place| matches!(place, Place::Forwarded { .. }))
    }

    /// Takes the requests whose time is over.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<u64> {
        let mut expired = Vec::new();
        while let Some((deadline, sequence)) = self.deadlines.front().copied() {
            if deadline > now && self.pending.contains_key(&sequence) {
                break;
            }
            self.deadlines.pop_front();
            if self.take(sequence) {
                expired.push(sequence);
            }
        }
        // While there is no leader nobody else empties the line, and clients go on trying.
        while let Some(front) = self.waiting.front()
            && !matches!(self.pending.get(front), Some(Place::Waiting(_)))
        {
            self.waiting.pop_front();
        }
        expired
    }

    /// When the oldest request's time is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// Requests held.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether any wait for a leader.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn take_where(&mut self, matches: impl Fn(&Place) -> bool) -> Vec<u64> {
        let taken: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, place)| matches(place))
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in &taken {
            self.take(*sequence);
        }
        taken
    }
}

/// The term in which a proposal would be made, if this node may make it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Append it to our own log.
    Lead(Term),
    /// Send it to the leader.
    Forward(NodeId),
    /// Keep it until there is a leader.
    Wait,
}

#[cfg(test)]
mod tests;
