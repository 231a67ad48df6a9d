//! How much memory the store may take, and what happens beyond: etcd's `--quota-backend-bytes`.
//!
//! A member holds what a write may add against its own quota before it proposes it (etcd:
//! `server/etcdserver/api/v3rpc/quota.go`). What is too much is refused with "database space exceeded", once the
//! NOSPACE alarm is in the log; from there on all members refuse all writes alike (`quorate_kv`, `alarm`), until
//! somebody has made room and disarms it. Writes that were under way meanwhile are applied and answered; when they
//! cross the quota of a member, it raises its alarm too, whoever took them.
//!
//! The size is that of the store in memory: keys, values, versions and what keeps them in order.

use bytes::Bytes;
use prost::Message as _;
use quorate_kv::KvError;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::{AlarmRequest, AlarmType};
use quorate_replica::{LEASES_FROM_VERSION, RequestError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use crate::core::Core;
use crate::limits::ALARM_RETRY_AFTER;
use crate::memory_limit::memory_limit;

/// The default is never more than this (etcd: `DefaultQuotaBytes`).
const DEFAULT_BYTES_MAX: u64 = 2 << 30;

/// What the store may take, and what it takes.
pub(crate) struct Quota {
    limit_bytes: Option<usize>,
    used_bytes: AtomicUsize,
    crossed: Notify,
    /// Held by whoever raises the alarm; when somebody tried and could not.
    failed_at: Mutex<Option<Instant>>,
}

impl Quota {
    /// Of the flag's value: 0 is the default, and less is no limit.
    pub(crate) fn new(flag: i64) -> Quota {
        let limit_bytes = match u64::try_from(flag) {
            Err(_) => None,
            Ok(0) => Some(default_bytes(memory_limit())),
            Ok(bytes) => Some(bytes),
        };
        Quota {
            limit_bytes: limit_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            used_bytes: AtomicUsize::new(0),
            crossed: Notify::new(),
            failed_at: Mutex::new(None),
        }
    }

    /// In bytes; none if the store may take all there is.
    pub(crate) fn limit_bytes(&self) -> Option<usize> {
        self.limit_bytes
    }

    /// What the store took when it was last looked at, in bytes.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// The store takes so much now; `has_grown` says that something was written that may take more.
    pub(crate) fn note(&self, used_bytes: usize, has_grown: bool) {
        self.used_bytes.store(used_bytes, Ordering::Relaxed);
        if has_grown && self.limit_bytes.is_some_and(|limit| used_bytes >= limit) {
            self.crossed.notify_one();
        }
    }

    fn has_room_for(&self, cost_bytes: usize) -> bool {
        let after = self.used_bytes().saturating_add(cost_bytes);
        cost_bytes == 0 || self.limit_bytes.is_none_or(|limit| after < limit)
    }
}

/// Half of the memory there is, and no more than etcd's.
fn default_bytes(memory_bytes: Option<u64>) -> u64 {
    memory_bytes.map_or(DEFAULT_BYTES_MAX, |bytes| {
        (bytes / 2).min(DEFAULT_BYTES_MAX)
    })
}

/// Refuses a request that may add so many bytes if that is too much for this member, and raises the alarm. A cluster
/// that goes by a version without alarms has no quota either: nobody could see why its writes are refused.
pub(crate) async fn check(core: &Core, cost_bytes: usize) -> Result<(), RequestError> {
    if core.quota.has_room_for(cost_bytes) || !core.cluster_knows(LEASES_FROM_VERSION) {
        return Ok(());
    }
    raise_no_space(core).await;
    Err(RequestError::Refused(KvError::NoSpace))
}

/// Raises the alarm whenever something that was applied has crossed the quota, until the task is dropped.
pub(crate) async fn raise_when_crossed(core: Arc<Core>) {
    loop {
        core.quota.crossed.notified().await;
        raise_no_space(&core).await;
    }
}

/// One at a time, and after a failure not at once again: every refused write comes here.
async fn raise_no_space(core: &Core) {
    if !core.cluster_knows(LEASES_FROM_VERSION) {
        return;
    }
    let Ok(mut failed_at) = core.quota.failed_at.try_lock() else {
        return;
    };
    if failed_at.is_some_and(|at| at.elapsed() < ALARM_RETRY_AFTER) {
        return;
    }
    let raised = raise(core, AlarmType::Nospace, core.identity.member_id).await;
    *failed_at = raised.is_err().then(Instant::now);
    if raised == Ok(true) {
        tracing::warn!(
            used_bytes = core.quota.used_bytes(),
            quota_bytes = core.quota.limit_bytes(),
            "the store has reached its quota: writes are refused; compact, delete what is not needed, then disarm \
             the alarm (`quorate ctl alarm disarm`), or start with a larger --quota-backend-bytes"
        );
    }
}

/// An alarm could not be raised. Whoever has a reason for it the next time tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotRaised;

/// Raises an alarm through the log. Whether it was: not if it is on.
pub(crate) async fn raise(core: &Core, kind: AlarmType, member_id: u64) -> Result<bool, NotRaised> {
    let on = core.store().alarms(Some(kind));
    if on.iter().any(|alarm| alarm.member_id == member_id) {
        return Ok(false);
    }
    let request = AlarmRequest {
        action: AlarmAction::Activate.into(),
        member_id,
        alarm: kind.into(),
    };
    let body = Bytes::from(request.encode_to_vec());
    match core.write(CommandKind::Alarm, body).await {
        Ok(_) => Ok(true),
        Err(error) => {
            let alarm = kind.as_str_name();
            tracing::warn!(alarm, %error, "an alarm could not be raised");
            Err(NotRaised)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_half_of_the_memory_and_at_most_two_gibibytes() {
        assert_eq!(default_bytes(None), 2 << 30);
        assert_eq!(default_bytes(Some(1 << 30)), 512 << 20);
        assert_eq!(default_bytes(Some(64 << 30)), 2 << 30);
    }

    #[test]
    fn zero_is_the_default_and_less_is_no_limit() {
        assert!(
            Quota::new(0)
                .limit_bytes()
                .is_some_and(|bytes| bytes <= 2 << 30)
        );
        assert_eq!(Quota::new(-1).limit_bytes(), None);
        assert_eq!(Quota::new(1_000).limit_bytes(), Some(1_000));
    }

    #[test]
    fn room_is_what_is_left_and_what_takes_nothing_always_has_it() {
        let quota = Quota::new(1_000);
        quota.note(900, false);
        assert!(quota.has_room_for(99) && !quota.has_room_for(100));
        quota.note(2_000, false);
        assert!(quota.has_room_for(0) && !quota.has_room_for(1));
        assert!(Quota::new(-1).has_room_for(usize::MAX));
    }
}
