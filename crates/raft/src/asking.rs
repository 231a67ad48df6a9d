//! Asking, after a start: is this disk the one that I stopped with?
//!
//! ```text
//!           start                    all others answered; or with those that did it is a
//!  (disk) ───────► Asking ─────────► quorum, and an election timeout is over       ───► Sound
//!                    │
//!                    │ somebody's record says more than the disk
//!                    ▼
//!                Refilling (`refilling.rs`)
//! ```
//!
//! A node that asks takes no part: it lets fall every message but the question and its answer. It
//! must not even adopt a term, since a later start would take the disk for a newer one than the
//! record. Everyone answers at once, even who is asking or being refilled: what it has on disk
//! about others is as good as ever.
//!
//! **What is seen.** Let a record say that this member had the log of term `t` durably through
//! index `i`. Terms never fall and what was acknowledged to a leader is not cut in its term. So a
//! disk in a term before `t`, or in `t` with a log that ends before `i` or has another entry there,
//! is older than the record. A disk in a later term is newer (a leader of that term may have cut
//! the log). What is damaged on it counts as had: `doubt.rs` sees to that.
//!
//! **Whom it suffices to ask.** Everyone is asked. When all have answered, everything is seen that
//! anyone knows. But a member must be able to start while another is down, so a quorum's answers, its
//! own included, suffice after an election timeout; then only what one of *those* knows is seen. Two
//! majorities may meet in this node alone: what it promised together with a member that is down, while
//! the one that answers was cut off, is not seen. (To wait for so many others that no majority can do
//! without them, as a refill does, would stop a cluster of three at the first restart while one is
//! down.) Nor is a vote that it gave, but that the *vote* of the term in which asking ends is spent.
//!
//! **Who the others are** may have changed, and a node that knows no members (it joins, or was
//! emptied and joins again) has nobody to ask. So whoever sends entries, or asks for a vote, is
//! asked too, and each answer tells the membership that the speaker goes by: of those, and its own,
//! the newest says who is to be asked and what a quorum is. Nothing else is done by it.
//!
//! A cluster's only voter, by its own disk, has nobody to ask, and goes on at once.

use std::collections::BTreeMap;

use crate::error::MessageError;
use crate::membership::Membership;
use crate::message::Message;
use crate::quorum::Configuration;
use crate::raft::Raft;
use crate::records::Record;
use crate::refilling::{Rewound, Standing};
use crate::types::{Instant, LogIndex, NodeId, Term};

/// A node that has started, and does not know yet what its disk is worth.
#[derive(Debug)]
pub(crate) struct Asking {
    began: Instant,
    /// When to ask again those that have not answered.
    again_at: Instant,
    /// Who answered, and in what term.
    answered: BTreeMap<NodeId, Term>,
    /// Somebody who sends entries, or wants a vote, and is no member for all this node knows.
    stranger: Option<NodeId>,
    /// The newest membership that it knows or was told, and the index of its entry.
    membership: (LogIndex, Configuration),
}

impl Asking {
    pub(crate) fn new(now: Instant, membership: (LogIndex, Configuration)) -> Asking {
        Asking {
            began: now,
            again_at: now,
            answered: BTreeMap::new(),
            stranger: None,
            membership,
        }
    }
}

impl Raft {
    /// Whether this node knows what its disk is worth, and that is all it ever was.
    pub(crate) fn takes_part(&self) -> bool {
        self.asking.is_none() && !self.is_refilling()
    }

    /// The members that a node which asks has no answer from.
    pub(crate) fn unanswered(&self) -> Vec<NodeId> {
        let Some(asking) = &self.asking else {
            return Vec::new();
        };
        let (_, configuration) = &asking.membership;
        let others = configuration.members_except(self.config.id);
        let others = others.filter(|id| !asking.answered.contains_key(id));
        others.collect()
    }

    /// When there is something to do about it.
    pub(crate) fn asking_deadline(&self) -> Option<Instant> {
        let asking = self.asking.as_ref()?;
        let waits = !asking.answered.is_empty();
        let patience = asking.began + self.config.election_timeout;
        let patience = (waits && patience > self.now).then_some(patience);
        let again = (!self.unanswered().is_empty()).then_some(asking.again_at);
        [patience, again].into_iter().flatten().min()
    }

    /// The part of [`Raft::tick`], and of a start.
    pub(crate) fn ask_records_if_due(&mut self) {
        let others = self.unanswered();
        let Some(asking) = &mut self.asking else {
            return;
        };
        if asking.again_at <= self.now {
            asking.again_at = self.now + 2 * self.config.heartbeat_interval;
            for other in others {
                self.ask_record(other);
            }
        }
        self.end_asking_if_answered();
    }

    fn ask_record(&mut self, to: NodeId) {
        let question = Message::RecordWanted {
            term: self.persistent.term(),
            life: self.life,
        };
        // Nobody will count on the term in it.
        self.outbox.say_freely(to, question);
    }

    /// A message came to a node that asks: it has no effect, but that its sender may know more.
    pub(crate) fn on_message_while_asking(&mut self, from: NodeId, message: &Message) {
        let is_of_a_member = matches!(
            message,
            Message::Append { .. } | Message::SnapshotOffer { .. } | Message::RequestVote { .. }
        );
        if is_of_a_member
            && let Some(asking) = &mut self.asking
            && !asking.membership.1.contains(from)
        {
            asking.stranger = Some(from);
            self.ask_record(from);
        }
    }

    /// A member has started, and wants to know what it acknowledged in its earlier lives.
    pub(crate) fn on_record_wanted(&mut self, from: NodeId, life: u64) {
        let answer = Message::RecordFound {
            term: self.persistent.term(),
            life,
            record: self.record_of(from),
            membership: self.memberships.in_force().clone(),
            membership_index: self.memberships.in_force_index(),
        };
        self.say(from, answer);
    }

    /// The answer.
    pub(crate) fn on_record_found(
        &mut self,
        from: NodeId,
        (term, life): (Term, u64),
        record: Option<Record>,
        told: (LogIndex, &Membership),
    ) -> Result<(), MessageError> {
        if record.is_some_and(|record| record.member != self.config.id) {
            let what = "a record of somebody else";
            return Err(MessageError::Malformed { from, what });
        }
        let ours = life == self.life;
        let Some(asking) = &mut self.asking else {
            return Ok(());
        };
        let was_asked = asking.membership.1.contains(from) || asking.stranger == Some(from);
        if !ours || !was_asked {
            return Ok(());
        }
        asking.answered.insert(from, term);
        if told.0 > asking.membership.0 {
            asking.membership = (told.0, Configuration::new(told.1));
            asking.again_at = self.now;
        }
        match record.filter(|record| self.is_more_than_the_disk(record)) {
            Some(record) => self.begin_refilling(Rewound { by: from, record }),
            None => self.ask_records_if_due(),
        }
        Ok(())
    }

    /// Whether the disk must have held more, once, than it does.
    fn is_more_than_the_disk(&self, record: &Record) -> bool {
        let term = self.persistent.term();
        if term != record.term {
            return term < record.term;
        }
        if self.log.last_index() < record.index {
            return true;
        }
        let here = self.log.known_term(record.index);
        record.entry_term > Term::ZERO && here.is_some_and(|here| here != record.entry_term)
    }

    fn end_asking_if_answered(&mut self) {
        let Some(asking) = &self.asking else {
            return;
        };
        let me = self.config.id;
        let (_, configuration) = &asking.membership;
        let others = configuration.members_except(me).count();
        let all = others > 0 && self.unanswered().is_empty();
        let waited = asking.began + self.config.election_timeout <= self.now;
        let heard = |id| id == me || asking.answered.contains_key(&id);
        if all || (waited && configuration.is_quorum(heard)) {
            self.become_sound();
        }
    }

    /// Nobody knows of anything that this disk has not. It may have voted all the same.
    ///
    /// It does not wait an election timeout for a leader, which may be gone for long: one that lives is heard within
    /// a heartbeat interval, and the others then refuse who campaigns. So it is with a lost link
    /// (`doubt_leader_on_lost_link`), and a cluster that starts as a whole has its leader at once.
    fn become_sound(&mut self) {
        let Some(asking) = self.asking.take() else {
            return;
        };
        let term = asking.answered.values().copied().max().unwrap_or_default();
        let patience = match self.config.doubt_leader_on_lost_link {
            true => 2 * self.config.heartbeat_interval,
            false => self.config.election_timeout,
        };
        let deadline = self.now + self.random.jittered(patience);
        if term > self.persistent.term() {
            self.become_follower(term, None);
        }
        self.persistent.spend_vote(self.config.id);
        self.role.postpone_election(deadline);
    }

    /// What this node takes its disk for.
    pub(crate) fn standing(&self) -> Standing {
        if self.is_refilling() {
            Standing::Refilling
        } else if self.asking.is_some() {
            Standing::Asking
        } else {
            Standing::Sound
        }
    }
}
