//! Giving way when the disk stalls (pitfall 19).
//!
//! A leader's heartbeats need no disk. One whose disk hangs keeps its followers quiet, while it can
//! neither vouch for an entry of its own nor hand one out: a cluster that looks well and stands
//! still. So a leader whose oldest write has been under way for an election timeout steps down, as
//! it does when no quorum answers; and a node whose disk stalls does not campaign before that
//! write is done, since its vote and its entries would wait behind it.
//!
//! A leader that is a quorum by itself stays: there is no one to give way to.

use std::collections::VecDeque;

use crate::raft::Raft;
use crate::role::RoleState;
use crate::types::{Instant, WriteId};

/// When the writes that are under way were asked for, oldest first.
#[derive(Debug, Default)]
pub(crate) struct WriteTimes {
    under_way: VecDeque<(WriteId, Instant)>,
}

impl WriteTimes {
    pub(crate) fn began(&mut self, id: WriteId, now: Instant) {
        self.under_way.push_back((id, now));
    }

    /// The write `id` and all before it are done.
    pub(crate) fn done(&mut self, id: WriteId) {
        while self
            .under_way
            .pop_front_if(|(first, _)| *first <= id)
            .is_some()
        {}
    }

    fn oldest(&self) -> Option<Instant> {
        self.under_way.front().map(|(_, began)| *began)
    }
}

impl Raft {
    /// When the disk will count as stalled, if the oldest write is not done by then.
    fn disk_stalls_at(&self) -> Option<Instant> {
        let oldest = self.write_times.oldest()?;
        Some(oldest + self.config.election_timeout)
    }

    pub(crate) fn disk_is_stalled(&self) -> bool {
        self.disk_stalls_at().is_some_and(|at| at <= self.now)
    }

    /// Whether another should lead, because the disk has stalled.
    pub(crate) fn is_hindered(&self) -> bool {
        let me = self.config.id;
        self.disk_is_stalled() && !self.configuration.is_quorum(|id| id == me)
    }

    /// When this leader is to step down, if its disk does nothing until then.
    pub(crate) fn gives_way_at(&self) -> Option<Instant> {
        let me = self.config.id;
        let leads = matches!(self.role, RoleState::Leader(_));
        self.disk_stalls_at()
            .filter(|_| leads && !self.configuration.is_quorum(|id| id == me))
    }

    /// Steps down if it leads and its disk has stalled.
    pub(crate) fn give_way_if_stalled(&mut self) {
        if matches!(self.role, RoleState::Leader(_)) && self.is_hindered() {
            self.become_follower(self.persistent.term(), None);
        }
    }
}
