//! Leases: which there are, how long they last, and which keys hang on them.
//!
//! The store counts no time. A lease is granted for so many seconds, and the leader, who alone counts
//! them, revokes it by a command when they are over. What the leader may note here now and then is how
//! many are left (a **checkpoint**), so that its successor need not give the lease all its time again.
//! (etcd's `lease/lessor.go` keeps both in one; semantics and texts are its.)
//!
//! A key hangs on a lease when its newest version says so: a put names the lease or none, which lets go
//! of the one before, and a deletion lets go too. Older versions keep the number and mean nothing by it.
//!
//! Changes of leases take no revision, but they are in the state hash and in snapshots. What others
//! follow them by is a queue of [`LeaseEvent`]s.
//!
//! Invariants: a key is listed by exactly the lease that its newest version names, and that lease exists;
//! a lease lives 1 to [`LEASE_TTL_SECONDS_MAX`] seconds and has no more left than it was granted.

mod attached;
mod commands;
mod events;

use std::collections::BTreeMap;

use crate::key::Key;
use crate::lease::attached::AttachedKeys;
use crate::store::Store;

pub(crate) use commands::Revocation;
pub(crate) use events::LeaseEventQueue;
pub use events::{LeaseEvent, LeaseEvents};

#[cfg(doc)]
use crate::limits::LEASE_TTL_SECONDS_MAX;

/// A lease as the log knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseInfo {
    /// Its id, never 0.
    pub id: i64,
    /// What it was granted, in seconds.
    pub granted_ttl_seconds: i64,
    /// What the last checkpoint said was left of that, in seconds; `None` when there was none since it
    /// was granted, or renewed: it has all its time.
    pub remaining_ttl_seconds: Option<i64>,
}

/// What of a lease is replicated beside its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseTimes {
    pub(crate) granted_ttl_seconds: i64,
    /// 0 for none noted.
    pub(crate) remaining_ttl_seconds: i64,
}

/// All leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<i64, Lease>,
    /// How many keys hang on all of them.
    attached: usize,
    /// For the snapshot that is being scanned: what those leases were when it was captured that have
    /// changed since, and `None` for those that were not.
    before: BTreeMap<i64, Option<LeaseTimes>>,
}

#[derive(Debug)]
struct Lease {
    times: LeaseTimes,
    keys: AttachedKeys,
}

/// What an entry of an ordered map takes beside itself: its nodes are two thirds full.
const MAP_ENTRY_OVERHEAD_BYTES: usize = 24;

impl Leases {
    pub(crate) fn contains(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn times(&self, id: i64) -> Option<LeaseTimes> {
        self.by_id.get(&id).map(|lease| lease.times)
    }

    /// Puts a lease there, or other times on one that is.
    pub(crate) fn set(&mut self, id: i64, times: LeaseTimes) {
        let keys = AttachedKeys::default();
        let lease = self.by_id.entry(id).or_insert(Lease { times, keys });
        lease.times = times;
    }

    /// Takes a lease away, on which nothing hangs any more.
    pub(crate) fn remove(&mut self, id: i64) {
        let lease = self.by_id.remove(&id);
        assert!(
            lease.as_ref().is_some_and(|lease| lease.keys.len() == 0),
            "lease {id:x} is taken away as {lease:?}"
        );
    }

    /// Hangs `key` on a lease.
    pub(crate) fn attach(&mut self, id: i64, key: &Key) {
        let lease = self.by_id.get_mut(&id);
        let lease = lease.unwrap_or_else(|| panic!("{key:?} hangs on lease {id:x}, which is none"));
        let is_new = lease.keys.insert(key.clone());
        assert!(is_new, "{key:?} hangs on lease {id:x} twice");
        self.attached += 1;
    }

    /// Takes `key` off a lease.
    pub(crate) fn detach(&mut self, id: i64, key: &[u8]) {
        let lease = self.by_id.get_mut(&id);
        let was_there = lease.is_some_and(|lease| lease.keys.remove(key));
        assert!(
            was_there,
            "\"{}\" did not hang on lease {id:x}",
            key.escape_ascii()
        );
        self.attached -= 1;
    }

    /// The first key of a lease.
    pub(crate) fn first_key(&self, id: i64) -> Option<Key> {
        self.by_id.get(&id)?.keys.from(&[]).next().cloned()
    }

    /// About how many bytes all of it takes. The bytes of long keys are the keyspace's.
    pub(crate) fn heap_bytes(&self) -> usize {
        let leases = size_of::<(i64, Lease)>() + MAP_ENTRY_OVERHEAD_BYTES;
        self.by_id.len() * leases + self.attached * (size_of::<Key>() + MAP_ENTRY_OVERHEAD_BYTES)
    }

    /// Starts to remember, for a snapshot of what is here now.
    pub(crate) fn begin_scan(&mut self) {
        self.before.clear();
    }

    /// Keeps what a lease is before it changes, if a snapshot that is `scanning` may yet need it.
    pub(crate) fn remember(&mut self, id: i64, scanning: bool) {
        if scanning {
            let times = self.times(id);
            self.before.entry(id).or_insert(times);
        } else {
            self.before.clear();
        }
    }

    /// The first lease with an id from `from` on, as it was when the scan began; nothing with its id if
    /// it was not there then.
    pub(crate) fn scanned_from(&self, from: i64) -> Option<(i64, Option<LeaseTimes>)> {
        let now = self.by_id.range(from..).next();
        let before = self.before.range(from..).next();
        match (now, before) {
            (Some((id, lease)), before) if before.is_none_or(|(changed, _)| id < changed) => {
                Some((*id, Some(lease.times)))
            }
            (_, before) => before.map(|(id, times)| (*id, *times)),
        }
    }
}

impl LeaseInfo {
    fn of(id: i64, times: LeaseTimes) -> LeaseInfo {
        LeaseInfo {
            id,
            granted_ttl_seconds: times.granted_ttl_seconds,
            remaining_ttl_seconds: match times.remaining_ttl_seconds {
                0 => None,
                seconds => Some(seconds),
            },
        }
    }
}

impl Store {
    /// How many leases there are.
    pub fn lease_count(&self) -> usize {
        self.leases.len()
    }

    /// The leases with an id from `from` on, by id. Whoever shares the store takes a bounded number of
    /// them and goes on after the last; `i64::MIN` is where to begin.
    pub fn leases(&self, from: i64) -> impl Iterator<Item = LeaseInfo> {
        let leases = self.leases.by_id.range(from..);
        leases.map(|(id, lease)| LeaseInfo::of(*id, lease.times))
    }

    /// One lease.
    pub fn lease(&self, id: i64) -> Option<LeaseInfo> {
        Some(LeaseInfo::of(id, self.leases.times(id)?))
    }

    /// The keys that hang on a lease, from `from` on, in order; none when there is no such lease. To be
    /// taken in bounded portions, as leases are. As in etcd they are those of this moment: in the middle
    /// of an application the part already done counts.
    pub fn lease_keys(&self, id: i64, from: &[u8]) -> impl Iterator<Item = &[u8]> {
        let lease = self.leases.by_id.get(&id);
        let keys = lease.into_iter().flat_map(|lease| lease.keys.from(from));
        keys.map(Key::as_slice)
    }

    /// How many keys hang on a lease.
    pub fn lease_key_count(&self, id: i64) -> usize {
        self.leases
            .by_id
            .get(&id)
            .map_or(0, |lease| lease.keys.len())
    }
}

#[cfg(test)]
mod tests;
