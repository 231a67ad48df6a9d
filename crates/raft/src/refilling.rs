//! Refilling: how a member whose disk went back in time becomes one again.
//!
//! Such a node has forgotten promises, and does not know which. It must make no new ones before it
//! can keep the old. So it does not vote, campaign, acknowledge or confirm anything; it follows
//! leaders, takes entries and snapshots in, and hands out what is committed (what an old disk holds
//! of that is as right as ever). Instead of `AppendAccepted` it says `Refill`: "this much I have;
//! count nothing". It stays so over crashes: the flag stands beside term and vote on the disk, and is
//! there before anything else is taken in. Otherwise a start would take the disk, in a new term,
//! for a newer one than the record.
//!
//! # When it is whole again
//!
//! ```text
//!  node X                                   leader L of term T
//!  Refill life=x ─────────────────────────► the first of this life of X: appends an entry b, the
//!                                           *barrier*
//!  ◄───────────────── Append ... b ──────── as to a learner
//!  Refill life=x matched ≥ b ─────────────► b is durable on enough others, X not counted?
//!  ◄──────────────── Refilled life=x b ────
//!  log verified and durable through b:
//!  flag off, vote in T spent on L; durable; AppendAccepted
//! ```
//!
//! *Enough others* (R) are so many that without them no majority can be had of any list of voters
//! in force, even with X. Among three that is both others, among five three of four: the members
//! that would be a quorum without X. Of two it is the other one.
//!
//! Two things could be wrong with X back in its place.
//!
//! - *It lacks an entry that it acknowledged and that is committed.* X acknowledged the entry in an
//!   earlier life, so it existed before `Refill` was sent, and before b was appended. If its leader's
//!   term is T, it stands in L's log before b. If earlier, L has it (Leader Completeness), before
//!   b. And of a term U above T there was none yet: its leader was elected by a quorum; some Y of
//!   that is in R. Y acknowledged b in T, so it voted in U later than that, and only for a log
//!   that has b: the campaign began in X's present life. So X has all of them with b.
//! - *It votes again in a term in which it voted; or a vote that it forgot is still counted.* In T
//!   and before it does not vote any more. Let C be a candidate of a term U above T that has X's
//!   vote of an earlier life. Its campaign, too, began before b was appended. To win it needs somebody
//!   of R, who voted in U after acknowledging b, and then not for a log without b. So C
//!   never wins, whatever else X does. This is what the barrier is for: to know the terms and logs of
//!   a majority is not enough (Michael et al., "Recovering Shared Objects Without Stable
//!   Storage", DISC 2017, find that hole in the recovery of Viewstamped Replication Revisited, §4.3,
//!   after which the rest of this is modelled).
//!
//! Nothing of this asks how much X has forgotten, nor what anyone's table says.
//!
//! Messages of an earlier life may come late. An `AppendAccepted` of one makes the leader count for
//! a moment what X had; that was a true acknowledgement, and covers nothing from the barrier on;
//! it holds for a commit as any other member's that is down. The next `Refill` puts the leader right.
//!
//! # Where it ends
//!
//! With fewer than R alive it waits, and says so ([`Standing::Refilling`]): as long as one of
//! three is dead and one refilling, the third cannot tell what those two decided. Of two voters,
//! the other must lead already: it is not elected without this one's vote.

use crate::error::MessageError;
use crate::message::Message;
use crate::progress::Refill;
use crate::raft::Raft;
use crate::records::Record;
use crate::role::RoleState;
use crate::types::{Entry, LogIndex, NodeId, Payload, Term};

/// What a node takes its own disk for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// All that it ever promised is there, for all that anyone knows.
    #[default]
    Sound,
    /// It has started, and asks the others. Until they answer it takes no part.
    Asking,
    /// It is older than what others remember: the node is caught up like a learner, and neither
    /// votes nor acknowledges until it is done.
    Refilling,
}

/// How a node came to know that its disk is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewound {
    /// Who told.
    pub by: NodeId,
    /// What this node acknowledged in an earlier life, and has no more.
    pub record: Record,
}

/// "I do not have your entry at `previous_index`", of a node that is being refilled. As in
/// [`Message::AppendRejected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The `previous_index` that was refused.
    pub previous_index: LogIndex,
    /// Where the leader should look next.
    pub hint_index: LogIndex,
    /// The term of the node's entry there.
    pub hint_term: Term,
}

impl Raft {
    /// Whether this node's disk has lost promises.
    pub(crate) fn is_refilling(&self) -> bool {
        self.persistent.is_refilling()
    }

    /// Its disk is older than it should be.
    pub(crate) fn begin_refilling(&mut self, rewound: Rewound) {
        self.asking = None;
        self.rewound = Some(rewound);
        self.persistent.begin_refilling();
    }

    /// Answers the leader's Appends and offers since the last `ready`, so that nothing is counted.
    pub(crate) fn answer_with_refill(&mut self) {
        let durable = self.log.durable();
        let RoleState::Follower(follower) = &mut self.role else {
            return;
        };
        let Some((leader, _)) = follower.leader else {
            return;
        };
        let answer_due = std::mem::take(&mut follower.answer_due);
        let rejected = follower.rejected.take();
        if !answer_due && rejected.is_none() {
            return;
        }
        let (matched, round) = (follower.verified.min(durable), follower.round);
        follower.acknowledged = matched;
        let rejected = rejected.map(|previous| {
            let (hint_index, hint_term) = self.rejection_hint(previous);
            Rejection {
                previous_index: previous.0,
                hint_index,
                hint_term,
            }
        });
        let refill = Message::Refill {
            term: self.persistent.term(),
            life: self.life,
            matched,
            round,
            rejected,
        };
        self.say(leader, refill);
    }

    /// A peer is being refilled: it has this much, and counts for nothing.
    pub(crate) fn on_refill(
        &mut self,
        from: NodeId,
        life: u64,
        (matched, round): (LogIndex, u64),
        rejected: Option<Rejection>,
    ) -> Result<(), MessageError> {
        let last = self.log.last_index();
        let retry = rejected.map(|rejected| {
            let (hint_index, hint_term) = (rejected.hint_index, rejected.hint_term);
            let may_match = self.log.terms.last_at_most(hint_index, hint_term);
            (rejected.previous_index, may_match.next())
        });
        let RoleState::Leader(leader) = &mut self.role else {
            return Ok(());
        };
        if matched > last {
            return Err(MessageError::BeyondLog {
                from,
                matched,
                last,
            });
        }
        if let Some(progress) = leader.peers.get_mut(&from) {
            progress.refilled(life, matched, round, retry);
            self.set_or_tell_barrier(from);
        }
        Ok(())
    }

    /// Appends the entry that this life of the peer has to get, or tells the peer that enough
    /// others have it.
    fn set_or_tell_barrier(&mut self, peer: NodeId) {
        let RoleState::Leader(leader) = &self.role else {
            return;
        };
        let Some(progress) = leader.peers.get(&peer) else {
            return;
        };
        let Some(refill) = progress.refill else {
            return;
        };
        match refill.barrier {
            None => self.set_barrier(peer, refill),
            Some(through) => {
                let (me, durable) = (self.config.id, self.log.durable());
                let holds = |id| leader.matched(id, me, durable) >= through;
                if progress.matched >= through && self.configuration.is_held_without(peer, holds) {
                    let refilled = Message::Refilled {
                        term: self.persistent.term(),
                        life: refill.life,
                        through,
                    };
                    self.say(peer, refilled);
                }
            }
        }
    }

    fn set_barrier(&mut self, peer: NodeId, refill: Refill) {
        // Who is to take over must not be sent more and more; the next answer sets it.
        if self.transferring_to().is_some() {
            return;
        }
        let (index, term) = (self.log.last_index().next(), self.persistent.term());
        self.log.append(Entry {
            index,
            term,
            payload: Payload::Empty,
        });
        if let RoleState::Leader(leader) = &mut self.role
            && let Some(progress) = leader.peers.get_mut(&peer)
        {
            progress.refill = Some(Refill {
                barrier: Some(index),
                ..refill
            });
        }
    }

    /// The leader says that enough others have its log through the barrier of this life. If this
    /// node has, too, it is whole.
    pub(crate) fn on_refilled(&mut self, from: NodeId, life: u64, through: LogIndex) {
        let durable = self.log.durable();
        let RoleState::Follower(follower) = &mut self.role else {
            return;
        };
        let leads = follower.leader.is_some_and(|(leader, _)| leader == from);
        let has_it = follower.verified.min(durable) >= through;
        if !leads || !has_it || life != self.life || !self.persistent.is_refilling() {
            return;
        }
        follower.answer_due = true;
        self.rewound = None;
        self.persistent.end_refilling();
        self.persistent.spend_vote(from);
    }
}
