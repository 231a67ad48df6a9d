//! Damaged entries: what a node may still say about them, and how it gets them back (pitfall 21).
//!
//! A record of acknowledged data that fails its checksum is not a torn tail. Cutting it would take
//! a promise back: the entry may be committed, and this node one of just enough that have it. So
//! its place stays in the log as a *gap* (`gaps.rs`), and this module fills it ("Protocol-Aware
//! Recovery for Consensus-Based Storage", FAST '18).
//!
//! # What a node in doubt may do
//!
//! It has made two promises, and each is kept by what it still knows for certain.
//!
//! - *Every leader it helps to elect has the entries that it acknowledged.* A vote is given by
//!   comparing the ends of two logs. This node knows at which index its log ends; of the term
//!   there it knows at least a bound, since no entry is of a later term than the node that holds
//!   it. It compares with the **greatest** term that its last entry can have. Whoever passes has a
//!   log at least as up to date as the one that was lost, which is all that Leader Completeness
//!   asks of a voter (Raft §5.4.3). What cannot be bounded so is refused.
//! - *What it acknowledged is on its disk.* It acknowledges nothing from the first gap on, hands
//!   nothing out from there, and takes no snapshot of it, until the gap is filled on the disk: for
//!   all of that the log counts as durable through the entry before (`Log::durable`). What comes
//!   after the gap is taken in and kept, and acknowledged later.
//!
//! It does not campaign at all: a leader has to have its log. Term and vote are not in doubt; if
//! the disk cannot say them, the node does not start.
//!
//! # How a gap is filled
//!
//! Index and term name an entry: a term has one leader, which makes one entry of an index. And two
//! logs that have one entry in common have everything before it in common (Log Matching). So
//! anybody's copy will do, if it is shown to be of the same log by an **anchor**: an entry at the
//! gap's end or after it whose term this node knows. `EntryWanted` names it; whoever has the
//! anchor sends what is missing, and says the anchor again in `EntryFound`, so that the answer
//! proves itself however late it comes. No leader is needed for this, no quorum and no order of
//! terms: each member of a cluster in which all are damaged, in different places, gets well by
//! what the others have.
//!
//! Only at the end of a log can the term be unknown and no anchor follow (the header of the last
//! batch is lost with it, in the moment of an election). Then nobody can tell the lost entry from
//! another one at its index, and only a leader's word decides, as it does over any follower's end
//! of the log (Raft §5.3): the anchor is the entry *before* the gap, the leader of our term is
//! asked alone, and everything that is missing is written at once. If its entry cannot be the lost one, the
//! lost one was not committed, and is cut.
//!
//! An entry of a known term that is not what a leader has at that index is cut as in any log; a
//! leader that is asked about an anchor which it has not says what it has there instead, for Appends
//! do not get past an entry that cannot be compared. A
//! leader that has released what is missing offers its snapshot, and where that covers a gap and
//! the log holds its last entry, only what lies before leaves the log: what this node acknowledged
//! after it stays (`installed`).
//!
//! # When it cannot be filled
//!
//! Then the node waits, and says so ([`Status::damaged_entries`](crate::Status)). An entry that no
//! reachable member has may have been committed by those that lost it. A majority that never had
//! it can elect a leader without this node's vote, and then the entry is cut; as long as there is
//! no such majority, nothing is ever chosen in its place.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::MessageError;
use crate::message::Message;
use crate::raft::Raft;
use crate::role::RoleState;
use crate::types::{Entry, Instant, LogIndex, NodeId, Payload, Term};

/// How many election timeouts lie between two questions for what nobody misses.
const COVERED_PATIENCE: u32 = 10;

/// What a node does about its own gaps, and about those of others.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    /// When to ask again.
    ask_at: Instant,
    /// Whom to ask next: counts up, around the members.
    turn: usize,
    /// How many were asked since `ask_at` was set.
    asked: usize,
    /// What others want of this node's log: the last question of each.
    questions: BTreeMap<NodeId, Question>,
    /// Entries that were damaged and are whole again, since the start.
    pub(crate) repaired_entries: u64,
}

/// "Send me your entries `first..=last`, if you have the entry `anchor`."
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) term: Term,
    pub(crate) first: LogIndex,
    pub(crate) last: LogIndex,
    pub(crate) anchor: (LogIndex, Term),
}

impl Question {
    /// Whether it asks for the word of the leader of `term`, rather than for a proof.
    fn asks_for_word(&self) -> bool {
        self.anchor.0 < self.first
    }
}

impl Doubt {
    /// Whether some question begins within these entries.
    pub(crate) fn is_asked_for(&self, first: LogIndex, last: LogIndex) -> bool {
        let within = |question: &Question| first <= question.first && question.first <= last;
        self.questions.values().any(within)
    }
}

impl Raft {
    /// What is damaged has been written back, but for what overlaps `still`, in the order of
    /// [`Ready::repair`](crate::Ready::repair). Those entries are in doubt no more.
    pub fn repaired(&mut self, now: Instant, still: &[RangeInclusive<LogIndex>]) {
        self.advance_clock(now);
        let was_in_doubt = self.log.is_in_doubt();
        let entries = self.log.repaired(still);
        self.doubt.repaired_entries += entries.len() as u64;
        let mut changed = false;
        for entry in entries {
            if let Payload::Membership { membership, .. } = entry.payload {
                changed |= self.memberships.insert(entry.index, *membership);
            }
        }
        if changed {
            self.membership_changed();
        }
        self.doubt.asked = 0;
        self.doubt.ask_at = self.now;
        if was_in_doubt && !self.log.is_in_doubt() {
            // It may campaign again, and not because it could not for so long.
            let deadline = self.now + self.random.jittered(self.config.election_timeout);
            self.role.postpone_election(deadline);
        }
        if let RoleState::Follower(follower) = &mut self.role
            && follower.verified.min(self.log.durable()) > follower.acknowledged
        {
            follower.answer_due = true;
        }
    }

    /// What [`Ready::repair`](crate::Ready::repair) gave could not be written back, for lack of room
    /// or because it is not what was lost. It is asked for again, after a while.
    pub fn repair_failed(&mut self, now: Instant) {
        self.advance_clock(now);
        self.log.gaps.repair_failed();
        self.doubt.ask_at = self.now + self.config.election_timeout;
        self.doubt.asked = usize::MAX;
    }

    /// When to ask for what is missing.
    pub(crate) fn ask_missing_at(&self) -> Option<Instant> {
        if self.asking.is_some() {
            return None; // It would not hear the answer.
        }
        let base = self.log.base().0;
        let gap = self.log.gaps.wanted(base, self.doubt.turn)?;
        let urgent = gap.last > base || self.log.gaps.has_told();
        let patience = if urgent {
            Duration::ZERO
        } else {
            COVERED_PATIENCE * self.config.election_timeout
        };
        Some(self.doubt.ask_at + patience)
    }

    /// The part of [`Raft::tick`]: asks, if it is time.
    pub(crate) fn ask_missing_if_due(&mut self) {
        if self.ask_missing_at().is_some_and(|at| at <= self.now) {
            self.doubt.ask_at = self.now + 2 * self.config.heartbeat_interval;
            self.doubt.asked = 0;
            self.ask_next();
        }
    }

    /// Asks the next member that was not asked since it was time.
    fn ask_next(&mut self) {
        let Some(question) = self.question() else {
            return;
        };
        let to = if question.asks_for_word() {
            self.leader().filter(|_| self.doubt.asked == 0)
        } else {
            let mut members = self.memberships.in_force().members();
            members.retain(|id| *id != self.config.id);
            // Who the members are may be what is damaged.
            let leader = self.leader();
            members.extend(leader.filter(|leader| !members.contains(leader)));
            let open = self.doubt.asked < members.len();
            let turn = self.doubt.turn.checked_rem(members.len());
            turn.filter(|_| open).map(|turn| members[turn])
        };
        self.doubt.turn = self.doubt.turn.wrapping_add(1);
        self.doubt.asked = self.doubt.asked.saturating_add(1);
        if let Some(to) = to {
            self.ask(to, question);
        }
    }

    fn ask(&mut self, to: NodeId, question: Question) {
        let wanted = Message::EntryWanted {
            term: question.term,
            first: question.first,
            last: question.last,
            anchor_index: question.anchor.0,
            anchor_term: question.anchor.1,
        };
        // It says nothing of this node's term or vote that anyone will count on.
        self.outbox.say_freely(to, wanted);
    }

    /// What is to be asked for next: an anchor at the gap's end or after it, if there is one, else
    /// the entry before it.
    fn question(&self) -> Option<Question> {
        let gap = self.log.gaps.wanted(self.log.base().0, self.doubt.turn)?;
        let end = match gap.term() {
            Some(term) => Some((gap.last, term)),
            None => self.log.next_known(gap.last.next()),
        };
        let before = || {
            let index = gap.first.previous();
            Some((index, self.log.known_term(index)?))
        };
        let (first, anchor) = match end {
            Some(anchor) => (gap.next(), anchor),
            // All of it in one leader's words.
            None => (gap.next(), before()?),
        };
        Some(Question {
            term: self.persistent.term(),
            first,
            last: gap.last,
            anchor,
        })
    }

    /// A member asks for entries. It is answered in `ready`, since they may have to be read back.
    pub(crate) fn on_entry_wanted(&mut self, from: NodeId, question: Question) {
        self.doubt.questions.insert(from, question);
    }

    /// Whether a question can be answered, or what it wants be read back, now.
    pub(crate) fn has_answers(&self) -> bool {
        let answerable = |question: &Question| match self.answerable(question) {
            Some((first, _)) => self.log.can_serve_or_ask(first),
            None => true,
        };
        self.doubt.questions.values().any(answerable)
    }

    /// Which entries to send: `None` if there are none that are known to be the right ones.
    fn answerable(&self, question: &Question) -> Option<(LogIndex, LogIndex)> {
        let (anchor, anchor_term) = question.anchor;
        let same_log = self.log.known_term(anchor) == Some(anchor_term);
        let leads = matches!(self.role, RoleState::Leader(_));
        let in_office = leads && self.persistent.term() == question.term;
        if !same_log || (question.asks_for_word() && !in_office) {
            return None;
        }
        let damaged = self.log.gaps.next_damaged(question.first);
        let last = damaged.map_or(question.last, |index| question.last.min(index.previous()));
        let last = last.min(self.log.last_index());
        (self.log.first_index() <= question.first && question.first <= last)
            .then_some((question.first, last))
    }

    /// Answers what was asked, as far as the entries are in memory, and asks for the rest of them.
    pub(crate) fn answer_questions(&mut self) {
        for (to, question) in std::mem::take(&mut self.doubt.questions) {
            let entries = match self.answerable(&question) {
                None => Vec::new(),
                Some((first, last)) => {
                    let max_bytes = self.config.max_append_bytes;
                    match self.log.slice(first, last, max_bytes) {
                        Some((entries, _)) => entries,
                        None => {
                            self.log.fetch(first, last, max_bytes);
                            self.doubt.questions.insert(to, question);
                            continue;
                        }
                    }
                }
            };
            if entries.is_empty() {
                self.offer_if_released(to, &question);
            }
            let (anchor_index, anchor_term) = question.anchor;
            let found = Message::EntryFound {
                term: self.persistent.term(),
                first: question.first,
                anchor_index,
                anchor_term: self.own_term_if_leader(anchor_index).unwrap_or(anchor_term),
                entries,
            };
            // A leader's word is one only in its term; elsewhere the entries prove themselves.
            self.say(to, found);
        }
    }

    /// What a leader has at the anchor. If that is another entry, it says so.
    fn own_term_if_leader(&self, index: LogIndex) -> Option<Term> {
        let leads = matches!(self.role, RoleState::Leader(_));
        self.log.known_term(index).filter(|_| leads)
    }

    /// The leader of our term has another entry where this node had its anchor: ours, and all after
    /// it, is void, as when an Append shows it (Raft §5.3). Appends would not get so far: they stop
    /// where our terms are unknown.
    fn cut_if_leader_differs(&mut self, from: NodeId, term: Term, anchor: (LogIndex, Term)) {
        let of_leader = term == self.persistent.term() && self.leader() == Some(from);
        let differs = self
            .log
            .known_term(anchor.0)
            .is_some_and(|own| own != anchor.1);
        if of_leader && differs && anchor.0 > self.commit && self.log.is_in_doubt() {
            self.truncate_after(anchor.0.previous());
            self.doubt.asked = 0;
            self.doubt.ask_at = self.now;
        }
    }

    /// What is wanted has left this leader's log: its snapshot has it.
    fn offer_if_released(&mut self, to: NodeId, question: &Question) {
        let (index, snapshot_term) = self.snapshots.position();
        let released = question.first < self.log.first_index() && question.first <= index;
        if let RoleState::Leader(leader) = &self.role
            && released
        {
            let offer = Message::SnapshotOffer {
                term: self.persistent.term(),
                index,
                snapshot_term,
                round: leader.round,
            };
            self.say(to, offer);
        }
    }

    /// Entries for a gap, with the entry that shows them to be of our log.
    pub(crate) fn on_entry_found(
        &mut self,
        from: NodeId,
        term: Term,
        anchor: (LogIndex, Term),
        entries: &[Entry],
    ) -> Result<(), MessageError> {
        let Some(entry) = entries.first() else {
            self.cut_if_leader_differs(from, term, anchor);
            self.ask_next();
            return Ok(());
        };
        if self.log.known_term(anchor.0) != Some(anchor.1) {
            return Ok(()); // Our log is another by now.
        }
        let Some(gap) = self.log.gaps.at(entry.index) else {
            return Ok(());
        };
        let by_word = anchor.0 < gap.first;
        let end = entries[entries.len() - 1].index.min(gap.last);
        if by_word {
            let of_leader = term == self.persistent.term() && self.leader() == Some(from);
            let alone = gap.term().is_none() && self.log.next_known(gap.last.next()).is_none();
            if !of_leader || !alone || anchor.0.next() != gap.first {
                return Ok(());
            }
        } else if anchor.0 < end {
            let what = "entries after the one that shows whose they are";
            return Err(MessageError::Malformed { from, what });
        }
        let (least, greatest) = (gap.least_term, gap.greatest_term);
        let is_other = |entry: &&Entry| entry.term < least || entry.term > greatest;
        let within = entries.iter().take_while(|entry| entry.index <= end);
        if let Some(other) = within.clone().find(is_other) {
            if !by_word {
                let what = "an entry of another term than the one that was lost";
                return Err(MessageError::Malformed { from, what });
            }
            // The leader has another entry there: the lost one, and all after it, is void.
            let index = other.index.previous();
            if index >= self.commit {
                self.truncate_after(index);
            }
            return Ok(());
        }
        let word_of = if by_word { term } else { Term::ZERO };
        if self.log.gaps.fill(entries, word_of)
            && let Some(question) = self.question()
        {
            self.ask(from, question);
        }
        Ok(())
    }
}
