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
//! refuse. Whoever takes a request holds what it would cost ([`put_cost_bytes`], [`txn_cost_bytes`],
//! [`LEASE_COST_BYTES`]) against its own quota before it proposes it, and if that is too much refuses it and
//! raises the alarm (etcd does the same, `server/etcdserver/api/v3rpc/quota.go`). Writes that were under way
//! by then are applied; whoever finds after them that its quota is crossed raises the alarm, too.

use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, PutRequest, RequestOp, TxnRequest,
};

use crate::command::{Command, header};
use crate::error::KvError;
use crate::limits::ALARMS_MAX;
use crate::store::Store;

/// What a key costs beside its bytes, by etcd's count.
const PUT_OVERHEAD_BYTES: usize = 256;

/// What a lease costs, by etcd's count.
pub const LEASE_COST_BYTES: usize = 64;

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
        if command.cost_bytes() > 0 && self.alarms.is_on(AlarmType::Nospace) {
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
                let is_on = self.alarms.iter().any(|on| on == (kind, member));
                if !is_on && self.alarms.iter().len() >= ALARMS_MAX {
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

impl Command {
    /// What it may add to the store, in bytes, by etcd's count; 0 when it can only make it smaller.
    pub fn cost_bytes(&self) -> usize {
        match self {
            Command::Put(put) => put_cost_bytes(put),
            Command::Txn(txn) => txn_cost_bytes(txn),
            Command::LeaseGrant(_) => LEASE_COST_BYTES,
            Command::DeleteRange(_)
            | Command::Compact(_)
            | Command::LeaseRevoke(_)
            | Command::LeaseCheckpoint(_)
            | Command::Alarm(_) => 0,
        }
    }
}

/// What a put may add to the store, in bytes, by etcd's count.
pub fn put_cost_bytes(put: &PutRequest) -> usize {
    PUT_OVERHEAD_BYTES + put.key.len() + put.value.len()
}

/// What a transaction may add to the store, in bytes, by etcd's count; 0 when it can only make it smaller. Of
/// its branches the larger one, and unlike in etcd the transactions nested in it count.
pub fn txn_cost_bytes(txn: &TxnRequest) -> usize {
    let operation = |operation: &RequestOp| match &operation.request {
        Some(Request::RequestPut(put)) => put_cost_bytes(put),
        Some(Request::RequestTxn(txn)) => txn_cost_bytes(txn),
        _ => 0,
    };
    let branch = |operations: &[RequestOp]| operations.iter().map(operation).sum::<usize>();
    branch(&txn.success).max(branch(&txn.failure))
}
