//! What became of leases, for whoever counts their time.

use crate::limits::LEASE_EVENTS_MAX;
use crate::store::Store;

/// A change of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEvent {
    /// It was granted.
    Granted {
        /// Its id.
        id: i64,
        /// For how many seconds.
        ttl_seconds: i64,
    },
    /// It is gone.
    Revoked {
        /// Its id.
        id: i64,
    },
    /// How much was left of it has been noted.
    Checkpointed {
        /// Its id.
        id: i64,
        /// So many seconds; `None`: all its time, since it has been renewed.
        remaining_ttl_seconds: Option<i64>,
    },
}

/// The changes of leases since they were last taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseEvents {
    /// All of them, in order.
    All(Vec<LeaseEvent>),
    /// Too many were waiting, and they were dropped: read [`Store::leases`] anew.
    Lost,
}

/// The changes that wait to be taken, if somebody follows them.
#[derive(Debug, Default)]
pub(crate) struct LeaseEventQueue {
    is_followed: bool,
    waiting: Vec<LeaseEvent>,
    lost: bool,
}

impl LeaseEventQueue {
    pub(crate) fn push(&mut self, event: LeaseEvent) {
        if !self.is_followed || self.lost {
            return;
        }
        if self.waiting.len() == LEASE_EVENTS_MAX {
            self.waiting = Vec::new();
            self.lost = true;
            return;
        }
        self.waiting.push(event);
    }
}

impl Store {
    /// Whether changes of leases are kept for [`Store::take_lease_events`]. From the start they are not,
    /// nor in a store that was loaded. What was waiting is dropped; [`Store::leases`] is where to begin.
    pub fn follow_leases(&mut self, is_followed: bool) {
        self.lease_events = LeaseEventQueue {
            is_followed,
            ..LeaseEventQueue::default()
        };
    }

    /// The changes of leases that were applied since the last call.
    pub fn take_lease_events(&mut self) -> LeaseEvents {
        let queue = &mut self.lease_events;
        if std::mem::take(&mut queue.lost) {
            return LeaseEvents::Lost;
        }
        LeaseEvents::All(std::mem::take(&mut queue.waiting))
    }
}
