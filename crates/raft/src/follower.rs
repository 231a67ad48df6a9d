//! Following: taking Appends in, and saying how far that went (Raft §5.3).
//!
//! Three positions must not be confused:
//!
//! - `last`: where our log ends. Its tail may be of an older leader and void.
//! - `verified`: through where Appends of *this* leader have shown our log to equal its own.
//! - `durable`: through where our log is on disk.
//!
//! An answer claims `min(verified, durable)`; the commit index moves to at most `verified`;
//! entries are handed out through at most `min(commit, durable)`. A heartbeat is an Append
//! without entries and goes through the same checks.

use chaos::chaos;

use crate::error::MessageError;
use crate::message::Message;
use crate::raft::Raft;
use crate::role::RoleState;
use crate::types::{Entry, LogIndex, NodeId, Term};

impl Raft {
    /// An Append of this term arrived.
    pub(crate) fn on_append(
        &mut self,
        from: NodeId,
        term: Term,
        previous: (LogIndex, Term),
        commit: LogIndex,
        entries: Vec<Entry>,
        round: u64,
    ) -> Result<(), MessageError> {
        if let Some(leader) = self.leader().filter(|leader| *leader != from) {
            return Err(MessageError::TwoLeaders { from, term, leader });
        }
        self.follow(from);
        let (previous, entries) = self.after_base(from, previous, entries)?;
        let (previous_index, previous_term) = previous;
        let term_here = self.log.known_term(previous_index);
        let late = self.log.begins_late();
        let believed = late && planted::bug("previous-term-not-compared-after-a-snapshot");
        if term_here != Some(previous_term) && !(believed && term_here.is_some()) {
            if late && planted::bug("commit-of-a-rejected-append-after-a-snapshot") {
                self.commit = self.commit.max(commit.min(self.log.last_index()));
            }
            let RoleState::Follower(follower) = &mut self.role else {
                return Ok(());
            };
            follower.round = follower.round.max(round);
            follower.rejected = Some(
                follower
                    .rejected
                    .map_or(previous, |other| other.min(previous)),
            );
            return Ok(());
        }
        let is_empty = entries.is_empty();
        let (matches_through, entries) = self.known_part(previous_index, entries);
        let mut verified = LogIndex(previous_index.0 + entries.len() as u64);
        if late && entries.is_empty() && planted::bug("heartbeat-verifies-all-after-a-snapshot") {
            verified = self.log.last_index();
        }
        self.append_missing(from, matches_through, entries)?;
        let durable = self.log.durable();
        let RoleState::Follower(follower) = &mut self.role else {
            return Ok(());
        };
        // Entries are answered when they are durable. What asks for a sign of life is answered
        // at once: a heartbeat, a new round (a read waits for it), or a repeat, since an answer
        // may have been lost.
        if is_empty || round > follower.round || verified <= durable {
            follower.answer_due = true;
        }
        follower.round = follower.round.max(round);
        follower.verified = follower.verified.max(verified);
        let known = match late && planted::bug("commit-of-the-unverified-after-a-snapshot") {
            true => self.log.last_index(),
            false => follower.verified,
        };
        self.commit = self.commit.max(commit.min(known));
        self.memberships.committed(self.commit);
        Ok(())
    }

    /// Follows the leader of this term, which was just heard.
    pub(crate) fn follow(&mut self, leader: NodeId) {
        self.promise_no_vote();
        let deadline = self.now + self.random.jittered(self.config.election_timeout);
        match &mut self.role {
            RoleState::Follower(follower) => {
                follower.leader = Some((leader, self.now));
                follower.doubts_leader = false;
                follower.election_deadline = deadline;
            }
            _ => self.become_follower(self.persistent.term(), Some(leader)),
        }
    }

    /// Appends those of the leader's entries that are not here yet. Entries that are here stay,
    /// and so does what follows them: an Append that was overtaken by later ones says nothing
    /// about the log after its own entries. Only a conflict cuts.
    fn append_missing(
        &mut self,
        from: NodeId,
        matches_through: LogIndex,
        entries: Vec<Entry>,
    ) -> Result<(), MessageError> {
        let (last, late) = (self.log.last_index(), self.log.begins_late());
        let known = entries
            .iter()
            .take_while(|entry| {
                let term = self.log.known_term(entry.index);
                let by_index = late && planted::bug("entries-compared-by-index-after-a-snapshot");
                entry.index <= matches_through
                    || term == Some(entry.term)
                    || (term.is_some() && by_index)
            })
            .count();
        let Some(first_missing) = entries.get(known) else {
            if planted::bug("append-cuts-a-tail-of-an-older-term")
                && let Some(end) = entries.last().map(|entry| entry.index)
                && end >= self.commit
                && self.log.last_term() < self.persistent.term()
            {
                self.truncate_after(end);
            }
            return Ok(());
        };
        let index = first_missing.index;
        let verified = match &self.role {
            RoleState::Follower(follower) => follower.verified,
            _ => LogIndex::ZERO,
        };
        if index <= last {
            if index <= self.commit {
                return Err(MessageError::ConflictsWithCommitted {
                    from,
                    index,
                    commit: self.commit,
                });
            }
            if index <= verified {
                let what = "entries differ from what this leader sent before";
                return Err(MessageError::Malformed { from, what });
            }
            self.truncate_after(index.previous());
        }
        for entry in entries.into_iter().skip(known) {
            self.append_entry(entry);
        }
        Ok(())
    }

    /// Through where the entries are known to be ours (`previous` if of none), and those that come
    /// before the first of which we cannot say whether it is: its term is lost with it. Where a
    /// later one is ours, so are all before it (Log Matching).
    fn known_part(&self, previous: LogIndex, mut entries: Vec<Entry>) -> (LogIndex, Vec<Entry>) {
        if self.log.gaps.next_unknown(previous).is_none() {
            return (previous, entries);
        }
        let is_ours = |entry: &&Entry| self.log.known_term(entry.index) == Some(entry.term);
        let ours = entries.iter().rev().find(is_ours);
        let through = ours.map_or(previous, |entry| entry.index);
        if let Some(unknown) = self.log.gaps.next_unknown(through.next()) {
            entries.retain(|entry| entry.index < unknown);
        }
        (through, entries)
    }

    /// Cuts off a suffix that conflicts with the leader's log.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        assert!(
            index >= self.commit && self.commit >= self.handed_out,
            "truncation after {index} would lose entries committed through {}: {:?}",
            self.commit,
            self.status()
        );
        self.log.truncate_after(index);
        if self.memberships.truncate_after(index) {
            self.membership_changed();
        }
    }

    /// "Your previous entry is not here", and where to look instead. Up to that entry the leader
    /// has no term above `previous_term`, so where we have one our logs differ: the hint passes
    /// over all of that. The leader likewise passes over what it has of terms above the hint's.
    /// So each exchange gets behind at least one whole term of one of the two logs. The hint never
    /// goes behind our base, which every leader's log has.
    pub(crate) fn rejection(&self, previous: (LogIndex, Term), round: u64) -> Message {
        let (hint_index, hint_term) = self.rejection_hint(previous);
        Message::AppendRejected {
            term: self.persistent.term(),
            previous_index: previous.0,
            hint_index,
            hint_term,
            round,
        }
    }

    /// Where the leader should look instead, and the term of our entry there.
    pub(crate) fn rejection_hint(&self, previous: (LogIndex, Term)) -> (LogIndex, Term) {
        let (previous_index, previous_term) = previous;
        let mut hint_index = self
            .log
            .terms
            .last_at_most(previous_index.previous(), previous_term)
            .max(self.log.base().0);
        if chaos!("hint-at-the-base", 30) {
            hint_index = self.log.base().0;
        }
        let hint_index = self.log.last_known(hint_index);
        (hint_index, self.log.term(hint_index))
    }

    /// Whether the leader is owed an answer.
    pub(crate) fn owes_answer(&self) -> bool {
        matches!(&self.role, RoleState::Follower(follower)
            if follower.leader.is_some() && (follower.answer_due || follower.rejected.is_some()))
    }

    /// Answers the Appends since the last `ready`: once for all that were accepted, once for all
    /// that were not.
    pub(crate) fn answer_leader(&mut self) {
        if self.is_refilling() {
            return self.answer_with_refill();
        }
        let durable = self.log.durable();
        let late = self.log.begins_late();
        let RoleState::Follower(follower) = &mut self.role else {
            return;
        };
        let Some((leader, _)) = follower.leader else {
            return;
        };
        let round = follower.round;
        let mut matched = follower.verified.min(durable);
        if late && planted::bug("all-that-is-durable-acknowledged-after-a-snapshot") {
            matched = durable;
        }
        let accepted = std::mem::take(&mut follower.answer_due);
        let rejected = follower.rejected.take();
        if accepted {
            follower.acknowledged = matched;
            let term = self.persistent.term();
            self.say(
                leader,
                Message::AppendAccepted {
                    term,
                    matched,
                    round,
                },
            );
        }
        if let Some(previous) = rejected {
            let rejection = self.rejection(previous, round);
            self.say(leader, rejection);
        }
    }
}
