//! Granting, revoking and noting the time of leases.

use quorate_proto::etcdserverpb::{
    LeaseCheckpoint, LeaseCheckpointRequest, LeaseCheckpointResponse, LeaseGrantRequest,
    LeaseGrantResponse, LeaseRevokeRequest, LeaseRevokeResponse,
};

use crate::command::header;
use crate::delete::delete_key;
use crate::error::KvError;
use crate::lease::{LeaseEvent, LeaseTimes};
use crate::limits::LEASE_TTL_SECONDS_MAX;
use crate::store::Store;

/// A lease being revoked: its keys go one after the other, all in one revision, and the lease with the
/// last of them.
#[derive(Debug)]
pub(crate) struct Revocation {
    id: i64,
}

impl Store {
    /// Grants a lease. A time below one second, which no server proposes, counts as one.
    pub(crate) fn grant_lease(
        &mut self,
        request: &LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, KvError> {
        let id = request.id;
        if id == 0 {
            return Err(KvError::LeaseNotFound);
        }
        if request.ttl > LEASE_TTL_SECONDS_MAX {
            return Err(KvError::LeaseTtlTooLarge);
        }
        if self.leases.contains(id) {
            return Err(KvError::LeaseExists);
        }
        let ttl_seconds = request.ttl.max(1);
        self.set_lease_times(
            id,
            LeaseTimes {
                granted_ttl_seconds: ttl_seconds,
                remaining_ttl_seconds: 0,
            },
        );
        self.lease_events
            .push(LeaseEvent::Granted { id, ttl_seconds });
        Ok(LeaseGrantResponse {
            header: header(self.draft_revision()),
            id,
            ttl: ttl_seconds,
            error: String::new(),
        })
    }

    /// Notes how much time leases have left. Those that are gone by now are passed over: whoever made
    /// the list could not know. No time, or more than was granted, means all of it.
    pub(crate) fn checkpoint_leases(
        &mut self,
        request: &LeaseCheckpointRequest,
    ) -> LeaseCheckpointResponse {
        for LeaseCheckpoint { id, remaining_ttl } in &request.checkpoints {
            let Some(times) = self.leases.times(*id) else {
                continue;
            };
            let is_part = (1..times.granted_ttl_seconds).contains(remaining_ttl);
            let remaining = is_part.then_some(*remaining_ttl);
            self.set_lease_times(
                *id,
                LeaseTimes {
                    remaining_ttl_seconds: remaining.unwrap_or(0),
                    ..times
                },
            );
            self.lease_events.push(LeaseEvent::Checkpointed {
                id: *id,
                remaining_ttl_seconds: remaining,
            });
        }
        LeaseCheckpointResponse {
            header: header(self.draft_revision()),
        }
    }

    fn set_lease_times(&mut self, id: i64, times: LeaseTimes) {
        self.leases.remember(id, self.scanning.strong_count() > 0);
        self.leases.set(id, times);
        self.draft.hash.absorb_lease(id, times);
    }
}

impl Revocation {
    pub(crate) fn new(request: &LeaseRevokeRequest) -> Revocation {
        Revocation { id: request.id }
    }

    /// Goes on as far as `budget` allows; the answer when all is done.
    pub(crate) fn step(
        &mut self,
        store: &mut Store,
        budget: &mut usize,
    ) -> Option<Result<LeaseRevokeResponse, KvError>> {
        let id = self.id;
        if !store.leases.contains(id) {
            return Some(Err(KvError::LeaseNotFound));
        }
        while let Some(key) = store.leases.first_key(id) {
            if *budget == 0 {
                return None;
            }
            *budget -= 1;
            delete_key(store, key.as_slice(), |_| {});
        }
        store.leases.remember(id, store.scanning.strong_count() > 0);
        store.leases.remove(id);
        store.draft.hash.absorb_lease_revocation(id);
        store.lease_events.push(LeaseEvent::Revoked { id });
        Some(Ok(LeaseRevokeResponse {
            header: header(store.draft_revision()),
        }))
    }
}
