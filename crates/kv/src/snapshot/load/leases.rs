//! The alarms and leases of a snapshot.

use quorate_proto::etcdserverpb::AlarmType;

use crate::alarm::Alarms;
use crate::lease::LeaseTimes;
use crate::limits::{ALARMS_MAX, LEASE_TTL_SECONDS_MAX};
use crate::snapshot::fields::{Fields, Stop, damaged};
use crate::snapshot::load::{Section, SnapshotLoader};
use crate::snapshot::{TAG_END, TAG_RECORD};

impl SnapshotLoader {
    pub(super) fn read_lease(&mut self, fields: &mut Fields<'_>) -> Result<(), Stop> {
        let start = fields.offset();
        match fields.byte()? {
            TAG_END if self.leases.len() == 0 && self.alarms.iter().len() == 0 => {
                let what = "version 2 without a lease or an alarm";
                return Err(damaged(start, what));
            }
            TAG_END => {
                self.section = Section::Keys;
                return Ok(());
            }
            TAG_RECORD => {}
            _ => return Err(damaged(start, "no lease")),
        }
        let id = fields.varint()?.cast_signed();
        let times = LeaseTimes {
            granted_ttl_seconds: fields.revision()?,
            remaining_ttl_seconds: fields.revision()?,
        };
        if id == 0 || self.last_lease.is_some_and(|last| id <= last) {
            let what = "a lease that does not come after the last";
            return Err(damaged(start, what));
        }
        if !(1..=LEASE_TTL_SECONDS_MAX).contains(&times.granted_ttl_seconds)
            || times.remaining_ttl_seconds >= times.granted_ttl_seconds
        {
            return Err(damaged(start, "a lease of a time that none has"));
        }
        self.last_lease = Some(id);
        self.leases.set(id, times);
        self.hash.absorb_lease(id, times);
        Ok(())
    }
}

pub(super) fn read_alarms(fields: &mut Fields<'_>) -> Result<Alarms, Stop> {
    let start = fields.offset();
    let mut alarms = Alarms::default();
    let mut last = None;
    let count = fields.varint()?;
    if count > ALARMS_MAX as u64 {
        return Err(damaged(start, "more alarms than there may be"));
    }
    for _ in 0..count {
        let start = fields.offset();
        let kind = AlarmType::try_from(i32::from(fields.byte()?));
        let member = fields.varint()?;
        let (Ok(AlarmType::Nospace | AlarmType::Corrupt), Ok(kind)) = (kind, kind) else {
            return Err(damaged(start, "an alarm of a kind that is none"));
        };
        if last.is_some_and(|last| (kind, member) <= last) {
            return Err(damaged(start, "an alarm that does not come after the last"));
        }
        last = Some((kind, member));
        alarms.insert(kind, member);
    }
    Ok(alarms)
}
