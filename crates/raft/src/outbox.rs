//! Messages on their way out, sorted by what must be durable before they leave.
//!
//! A message in this node's name asserts its term, and some assert its vote. If a node could
//! say so and then forget it in a crash, it could vote twice in one term, and two leaders would
//! follow (pitfall: the answer overtakes the disk). So each message leaves by one of three doors:
//!
//! - `now`: what it asserts is durable, or it asserts nothing;
//! - `after`: the next write makes it durable, so it leaves with that write's completion;
//! - `held`: an earlier write, still under way, makes it durable; it waits here.

use std::collections::VecDeque;

use crate::durability::Durability;
use crate::limits::MAX_HELD_MESSAGES;
use crate::message::{Envelope, Message};
use crate::types::{HardState, NodeId, Term, WriteId};

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) now: Vec<Envelope>,
    pub(crate) after: Vec<Envelope>,
    held: VecDeque<(WriteId, Envelope)>,
}

/// Term and vote, and how far they are on their way to the disk.
#[derive(Debug)]
pub(crate) struct Persistent {
    state: HardState,
    /// Whether they changed since the last write was begun.
    changed: bool,
    /// The write that carried their last change.
    write: WriteId,
}

impl Persistent {
    pub(crate) fn new(state: HardState) -> Persistent {
        Persistent {
            state,
            changed: false,
            write: WriteId::ZERO,
        }
    }

    pub(crate) fn term(&self) -> Term {
        self.state.term
    }

    pub(crate) fn vote(&self) -> Option<NodeId> {
        self.state.vote
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Moves to a new term, in which no vote is given yet.
    pub(crate) fn enter_term(&mut self, term: Term) {
        assert!(
            term > self.state.term,
            "term {term} after {}",
            self.state.term
        );
        self.state.term = term;
        self.state.vote = None;
        self.changed = true;
    }

    /// Gives this term's vote. There is only one.
    pub(crate) fn vote_for(&mut self, candidate: NodeId) {
        let free = self.state.vote.is_none_or(|voted| voted == candidate);
        assert!(free, "vote for {candidate} with {:?}", self.state);
        if self.state.vote.is_none() {
            self.state.vote = Some(candidate);
            self.changed = true;
        }
    }

    /// This term's vote may have been given, and this node forgot: it is not given again. `to` is
    /// whom it then stands for.
    pub(crate) fn spend_vote(&mut self, to: NodeId) {
        if self.state.vote.is_none() && self.state.term > Term::ZERO {
            self.vote_for(to);
        }
    }

    pub(crate) fn is_refilling(&self) -> bool {
        self.state.refilling
    }

    pub(crate) fn begin_refilling(&mut self) {
        self.state.refilling = true;
        self.changed = true;
    }

    pub(crate) fn end_refilling(&mut self) {
        self.state.refilling = false;
        self.changed = true;
    }

    /// What the write `id`, which is being made, has to carry.
    pub(crate) fn take_change(&mut self, id: WriteId) -> Option<HardState> {
        if !self.changed {
            return None;
        }
        self.changed = false;
        self.write = id;
        Some(self.state)
    }
}

impl Outbox {
    /// Sends a message that asserts this node's term (and perhaps its vote).
    pub(crate) fn say(
        &mut self,
        to: NodeId,
        message: Message,
        persistent: &Persistent,
        disk: &Durability,
    ) {
        let envelope = Envelope { to, message };
        if persistent.changed {
            self.after.push(envelope);
        } else if disk.is_done(persistent.write) {
            self.now.push(envelope);
        } else if self.held.len() < MAX_HELD_MESSAGES {
            self.held.push_back((persistent.write, envelope));
        }
    }

    /// Sends a message that would be as true after a crash.
    pub(crate) fn say_freely(&mut self, to: NodeId, message: Message) {
        self.now.push(Envelope { to, message });
    }

    /// A write was completed: what waited for it may leave.
    pub(crate) fn release(&mut self, disk: &Durability) {
        while let Some((_, envelope)) = self.held.pop_front_if(|(id, _)| disk.is_done(*id)) {
            self.now.push(envelope);
        }
    }
}
