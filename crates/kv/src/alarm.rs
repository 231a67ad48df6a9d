//! Alarms: what the cluster refuses because a member is in need.
//!
//! **NOSPACE**: a member's store has outgrown its quota. What would take more is refused until the alarm
//! is ended: puts, transactions that hold one, grants of leases. Deletions and compactions go on, since
//! they are the way out. **CORRUPT**: members differ. Everything is refused, reads too.
//!
//! # Why a member's quota is not looked at here
//!
//! How much memory a store takes differs from member to member: one has freed what another's pins still
//! hold. A refusal that depended on it would split the cluster. So a command is refused for one reason
//! alone, that an alarm is on, and an alarm is a command: where it stands in the log, all members begin to
//! refuse. Whoever takes a request looks at its own quota ([`Store::exceeds_quota`]) before it proposes;
//! the write that crosses it is applied, and its client hears "database space exceeded" from the member
//! that took it, which raises the alarm (etcd does the same, `server/etcdserver/quota.go`).

use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, RequestOp, TxnRequest,
};

use crate::command::{Command, header};
use crate::error::KvError;
use crate::limits::ALARMS_MAX;
use crate::store::Store;

/// What a key costs beside its bytes, by etcd's count.
const PUT_OVERHEAD_BYTES: usize = 256;

/// What a lease costs, by etcd's count.
const LEASE_OVERHEAD_BYTES: usize = 64;

/// The alarms that are on, in the order of kind and member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alarms(Vec<(AlarmType, u64)>);

impl Alarms {
    pub(crate) fn is_on(&self, kind: AlarmType) -> bool {
        self.0.iter().any(|(on, _)| *on == kind)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (AlarmType, u64)> {
        self.0.iter().copied()
    }

    /// Adds an alarm that is not on yet; `false` when it is.
    pub(crate) fn insert(&mut self, kind: AlarmType, member: u64) -> bool {
        let place = self.0.binary_search(&(kind, member));
        if let Err(index) = place {
            self.0.insert(index, (kind, member));
        }
        place.is_err()
    }

    fn remove(&mut self, kind: AlarmType, member: u64) -> bool {
        let place = self.0.binary_search(&(kind, member));
        if let Ok(index) = place {
            self.0.remove(index);
        }
        place.is_ok()
    }
}

impl Store {
    /// The alarms that are on: all, or those of one kind.
    pub fn alarms(&self, kind: Option<AlarmType>) -> Vec<AlarmMember> {
        let is_wanted = |(on, _): &(AlarmType, u64)| kind.is_none_or(|kind| kind == *on);
        let wanted = self.alarms.iter().filter(is_wanted);
        wanted.map(|(kind, member)| alarm(kind, member)).collect()
    }

    /// Whether applying `command` would take the store over a quota of so many bytes of memory. A question
    /// for whoever takes a request, about its own member; nothing that is applied depends on it.
    pub fn exceeds_quota(&self, command: &Command, quota_bytes: usize) -> bool {
        let cost = cost_bytes(command);
        cost > 0 && self.memory_bytes().saturating_add(cost) >= quota_bytes
    }

    /// Refuses reads while the CORRUPT alarm is on.
    pub fn check_readable(&self) -> Result<(), KvError> {
        match self.alarms.is_on(AlarmType::Corrupt) {
            true => Err(KvError::Corrupt),
            false => Ok(()),
        }
    }

    /// Refuses what the alarms that are on forbid. Of the log alone, so that all members refuse alike.
    pub(crate) fn check_alarms(&self, command: &Command) -> Result<(), KvError> {
        if self.alarms.0.is_empty()
            || matches!(command, Command::Alarm(_) | Command::LeaseCheckpoint(_))
        {
            return Ok(());
        }
        self.check_readable()?;
        if cost_bytes(command) > 0 && self.alarms.is_on(AlarmType::Nospace) {
            return Err(KvError::NoSpace);
        }
        Ok(())
    }

    /// Raises, ends or lists alarms. As in etcd the answer to the first two is the alarm, and nothing when
    /// none was on to be ended; an action, or a kind, that is none does nothing.
    pub(crate) fn change_alarms(
        &mut self,
        request: &AlarmRequest,
    ) -> Result<AlarmResponse, KvError> {
        let kind = AlarmType::try_from(request.alarm).ok();
        let named = kind.filter(|kind| *kind != AlarmType::None);
        let member = request.member_id;
        let alarms = match (AlarmAction::try_from(request.action), named) {
            (Ok(AlarmAction::Get), _) if kind.is_some() => self.alarms(named),
            (Ok(AlarmAction::Activate), Some(kind)) => {
                if self.alarms.iter().len() >= ALARMS_MAX {
                    return Err(KvError::TooManyAlarms);
                }
                if self.alarms.insert(kind, member) {
                    self.draft.hash.absorb_alarm(kind, member, true);
                }
                vec![alarm(kind, member)]
            }
            (Ok(AlarmAction::Deactivate), Some(kind)) if self.alarms.remove(kind, member) => {
                self.draft.hash.absorb_alarm(kind, member, false);
                vec![alarm(kind, member)]
            }
            _ => Vec::new(),
        };
        Ok(AlarmResponse {
            header: header(self.revision),
            alarms,
        })
    }
}

fn alarm(kind: AlarmType, member: u64) -> AlarmMember {
    AlarmMember {
        member_id: member,
        alarm: kind.into(),
    }
}

/// What a command may add to the store, by etcd's count; 0 when it can only make it smaller. Of a
/// transaction the larger branch, and unlike in etcd those nested in it count.
fn cost_bytes(command: &Command) -> usize {
    match command {
        Command::Put(put) => PUT_OVERHEAD_BYTES + put.key.len() + put.value.len(),
        Command::Txn(txn) => txn_cost_bytes(txn),
        Command::LeaseGrant(_) => LEASE_OVERHEAD_BYTES,
        Command::DeleteRange(_)
        | Command::Compact(_)
        | Command::LeaseRevoke(_)
        | Command::LeaseCheckpoint(_)
        | Command::Alarm(_) => 0,
    }
}

fn txn_cost_bytes(txn: &TxnRequest) -> usize {
    let operation = |operation: &RequestOp| match &operation.request {
        Some(Request::RequestPut(put)) => PUT_OVERHEAD_BYTES + put.key.len() + put.value.len(),
        Some(Request::RequestTxn(txn)) => txn_cost_bytes(txn),
        _ => 0,
    };
    let branch = |operations: &[RequestOp]| operations.iter().map(operation).sum::<usize>();
    branch(&txn.success).max(branch(&txn.failure))
}
