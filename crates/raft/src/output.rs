//! The one output: [`Raft::ready`].

use std::collections::VecDeque;

use chaos::chaos;

use crate::raft::Raft;
use crate::ready::{Fetch, LeadershipState, Ready, Write};
use crate::refilling::Standing;
use crate::role::RoleState;
use crate::types::{Entry, LogIndex};

/// What was handed out and is not applied, so that it can be bounded.
#[derive(Debug)]
pub(crate) struct Unapplied {
    applied: LogIndex,
    /// The last index and the bytes of each lot that was handed out.
    lots: VecDeque<(LogIndex, usize)>,
    bytes: usize,
}

impl Unapplied {
    pub(crate) fn new(applied: LogIndex) -> Unapplied {
        Unapplied {
            applied,
            lots: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(crate) fn index(&self) -> LogIndex {
        self.applied
    }

    pub(crate) fn applied(&mut self, index: LogIndex) {
        self.applied = self.applied.max(index);
        while let Some((_, bytes)) = self.lots.pop_front_if(|(last, _)| *last <= index) {
            self.bytes -= bytes;
        }
    }

    fn handed_out(&mut self, last: LogIndex, bytes: usize) {
        self.lots.push_back((last, bytes));
        self.bytes += bytes;
    }
}

impl Raft {
    /// Everything that is to be done now. Call it after feeding in whatever was waiting: the more
    /// inputs it covers, the fewer messages and writes they cost.
    pub fn ready(&mut self) -> Ready {
        match &self.role {
            RoleState::Leader(_) => {
                self.send_to_peers();
                self.invite_candidate();
                self.leave_office_if_removed();
            }
            RoleState::Follower(_) => {
                self.answer_leader();
                self.ask_leader();
            }
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {}
        }
        self.answer_questions();
        let restore = self.take_restore();
        let committed = self.take_committed();
        let write = self.take_write();
        let fetch = self.take_fetches();
        let ready = Ready {
            send_now: std::mem::take(&mut self.outbox.now),
            send_after: std::mem::take(&mut self.outbox.after),
            write,
            restore,
            committed,
            fetch,
            repair: self.log.gaps.take_found(),
            records: self.take_records(),
            install: self.take_install(),
            reads: std::mem::take(&mut self.reads.granted),
            dropped: std::mem::take(&mut self.reads.dropped),
            transfer: self.take_transfer_outcome(),
            state: self.take_state(),
            standing: self.take_standing(),
            membership: self.take_membership(),
        };
        assert!(
            ready.write.is_some() || ready.send_after.is_empty(),
            "messages wait for a write that is not there: {:?}",
            ready.send_after
        );
        ready
    }

    /// Whether [`Raft::ready`] has anything to do. When not, it would return nothing; otherwise
    /// it may still, once, when all it does is to let a message wait for an earlier write.
    pub fn has_ready(&self) -> bool {
        !self.outbox.now.is_empty()
            || self.has_write()
            || !self.reads.granted.is_empty()
            || !self.reads.dropped.is_empty()
            || self.leadership() != self.state_told
            || self.standing() != self.standing_told
            || self.records.is_untold()
            || *self.memberships.in_force() != self.membership_told
            || self.has_something_for_peers()
            || self.candidate_to_invite().is_some()
            || self.has_transfer_outcome()
            || self.owes_answer()
            || self.may_ask_leader()
            || self.has_restore()
            || self.has_install()
            || self.has_committed()
            || self.log.fetcher.has_untold()
            || self.log.gaps.has_found()
            || self.has_answers()
    }

    fn has_write(&self) -> bool {
        self.persistent.is_changed()
            || self.snapshots.mark.is_some()
            || self.log.disk.is_behind(self.log.last_index())
    }

    fn take_write(&mut self) -> Option<Write> {
        if !self.has_write() {
            return None;
        }
        let entries = self.log.unwritten();
        let (id, truncate_after) = self.log.disk.begin_write(self.log.last_index());
        self.write_times.began(id, self.now);
        let hard_state = self.persistent.take_change(id);
        Some(Write {
            id,
            hard_state,
            truncate_after,
            snapshot: self.snapshots.take_mark(id),
            entries,
        })
    }

    /// The end of what may be handed out: committed, and durable here.
    fn committed_and_durable(&self) -> LogIndex {
        self.commit.min(self.log.durable())
    }

    /// Whether something can be handed out, or asked for to that end.
    fn has_committed(&self) -> bool {
        self.log.base().0 <= self.handed_out
            && self.handed_out < self.committed_and_durable()
            && self.unapplied.bytes < self.config.max_unapplied_bytes
            && self.log.can_serve_or_ask(self.handed_out.next())
    }

    fn take_committed(&mut self) -> Vec<Entry> {
        if !self.has_committed() {
            return Vec::new();
        }
        let (first, last) = (self.handed_out.next(), self.committed_and_durable());
        let room = self.config.max_unapplied_bytes - self.unapplied.bytes;
        let mut max_bytes = room.min(self.config.max_committed_bytes_per_ready);
        if chaos!("committed-one-by-one", 50) {
            max_bytes = 1;
        }
        let Some((entries, bytes)) = self.log.slice(first, last, max_bytes) else {
            self.log.fetch(first, last, max_bytes);
            return Vec::new();
        };
        assert!(
            entries[0].index == first,
            "handed out {} after {}",
            entries[0].index,
            first
        );
        self.handed_out = entries[entries.len() - 1].index;
        self.unapplied.handed_out(self.handed_out, bytes);
        entries
    }

    fn take_fetches(&mut self) -> Vec<Fetch> {
        let next = self.handed_out.next();
        let role = &self.role;
        let doubt = &self.doubt;
        self.log.fetcher.end_ready(|first, last| {
            let within = |index: LogIndex| first <= index && index <= last;
            let wanted_by_peer = match role {
                RoleState::Leader(leader) => leader.peers.values().any(|peer| within(peer.next)),
                _ => false,
            };
            within(next) || wanted_by_peer || doubt.is_asked_for(first, last)
        })
    }

    fn leadership(&self) -> LeadershipState {
        LeadershipState {
            role: self.role.role(),
            term: self.persistent.term(),
            leader: self.leader(),
        }
    }

    fn take_standing(&mut self) -> Option<Standing> {
        let standing = self.standing();
        let told = std::mem::replace(&mut self.standing_told, standing);
        (standing != told).then_some(standing)
    }

    fn take_state(&mut self) -> Option<LeadershipState> {
        let state = self.leadership();
        if state == self.state_told {
            return None;
        }
        self.state_told = state;
        Some(state)
    }
}
