//! The running hash of the state.
//!
//! Members compare it at equal applied index: a difference means that they applied different things,
//! and costs nothing to find. Each change is absorbed as it is applied, in order, so the hash says
//! what was written and when in the order of revisions; it says nothing of what has been freed since
//! or who holds a pin, which differ from member to member.
//!
//! It guards against faults, not against malice: keys and values enter by their length and CRC-32C, so
//! one changed value is missed once in four thousand million times. The mixing is the finalizer of
//! SplitMix64 (Steele, Lea and Flood, 2014), a bijection, so that no two differing words cancel at once.

use quorate_proto::etcdserverpb::AlarmType;

use crate::lease::LeaseTimes;
use crate::snapshot::Head;
use crate::versions::Version;

/// What kind of change is absorbed; part of the hash.
const PUT: u64 = 1;
const TOMBSTONE: u64 = 2;
const COMPACTION: u64 = 3;
const SNAPSHOT: u64 = 4;
const CHANGE: u64 = 5;
const LEASE: u64 = 6;
const LEASE_REVOCATION: u64 = 7;
const ALARM_ON: u64 = 8;
const ALARM_OFF: u64 = 9;

/// The hash of all changes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateHash(u64);

impl StateHash {
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// The hash of a history that was hashed elsewhere.
    pub(crate) fn continued_from(hash: u64) -> StateHash {
        StateHash(hash)
    }

    /// What a snapshot begins with. A snapshot's own hash is made of this, then of all its versions by
    /// key, then of its changes by revision.
    pub(crate) fn absorb_snapshot_head(&mut self, head: &Head) {
        self.absorb(SNAPSHOT);
        self.absorb(head.applied_index);
        self.absorb_number(head.compacted_revision);
        self.absorb_number(head.revision);
        self.absorb(head.state_hash);
    }

    /// `key` changed at `revision`, as the list of changes says.
    pub(crate) fn absorb_change(&mut self, revision: i64, key: &[u8]) {
        self.absorb(CHANGE);
        self.absorb_number(revision);
        self.absorb_bytes(key);
    }

    /// One number for a change of `key` at `revision`, to be added up: equal sums mean the same changes,
    /// in whatever order.
    pub(crate) fn of_change(revision: i64, key: &[u8]) -> u64 {
        let mut hash = StateHash::default();
        hash.absorb_number(revision);
        hash.absorb_bytes(key);
        hash.get()
    }

    /// A key has a new newest version.
    pub(crate) fn absorb_version(&mut self, key: &[u8], version: &Version) {
        self.absorb(if version.is_live() { PUT } else { TOMBSTONE });
        self.absorb_number(version.revision());
        self.absorb_bytes(key);
        if let Some(value) = &version.value {
            self.absorb_number(version.create_revision);
            self.absorb_number(version.version);
            self.absorb_number(version.lease);
            self.absorb_bytes(value);
        }
    }

    /// Everything before `revision` is compacted.
    pub(crate) fn absorb_compaction(&mut self, revision: i64) {
        self.absorb(COMPACTION);
        self.absorb_number(revision);
    }

    fn absorb_bytes(&mut self, bytes: &[u8]) {
        self.absorb(((bytes.len() as u64) << 32) ^ u64::from(crc32c::crc32c(bytes)));
    }

    /// A lease was granted, or has other times.
    pub(crate) fn absorb_lease(&mut self, id: i64, times: LeaseTimes) {
        self.absorb(LEASE);
        self.absorb_number(id);
        self.absorb_number(times.granted_ttl_seconds);
        self.absorb_number(times.remaining_ttl_seconds);
    }

    /// A lease is gone.
    pub(crate) fn absorb_lease_revocation(&mut self, id: i64) {
        self.absorb(LEASE_REVOCATION);
        self.absorb_number(id);
    }

    /// An alarm is on, or off again.
    pub(crate) fn absorb_alarm(&mut self, kind: AlarmType, member: u64, is_on: bool) {
        self.absorb(if is_on { ALARM_ON } else { ALARM_OFF });
        self.absorb_number(i64::from(kind as i32));
        self.absorb(member);
    }

    fn absorb_number(&mut self, number: i64) {
        self.absorb(number.cast_unsigned());
    }

    fn absorb(&mut self, word: u64) {
        let mut mixed = (self.0 ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroI64;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_order_of_two_changes_is_seen() {
        let (mut one, mut other) = (StateHash::default(), StateHash::default());
        one.absorb_compaction(2);
        one.absorb_compaction(3);
        other.absorb_compaction(3);
        other.absorb_compaction(2);
        assert_ne!(one, other);
    }

    /// The value is part of what members of different versions compare: it must never change.
    #[test]
    fn the_hash_of_a_fixed_history_is_fixed() {
        let version = Version {
            mod_revision: NonZeroI64::new(3).unwrap(),
            create_revision: 2,
            version: 2,
            lease: 0,
            value: Some(Arc::from(b"value".as_slice())),
        };
        let mut hash = StateHash::default();
        hash.absorb_version(b"key", &version);
        hash.absorb_version(b"key", &Version::tombstone(NonZeroI64::new(4).unwrap()));
        hash.absorb_compaction(4);
        assert_eq!(format!("{:016x}", hash.get()), "013996531c98f826");
    }
}
