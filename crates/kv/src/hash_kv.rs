//! Hashes of what can be read, for comparing members: etcd's HashKV and Hash.
//!
//! The running hash (`hash.rs`) says at no cost whether two members applied the same; this one is made
//! anew from what a member holds, so that it also sees what has changed in memory since. It is a CRC-32C
//! over every version and tombstone from the compacted revision C to the one asked for, and of each key
//! without a change at C the version that a reader at C sees: what a snapshot of that revision holds. How
//! far freeing has come leaves no trace, so **members agree at equal revision and equal C**.
//!
//! etcd hashes the same versions in the order of their revisions; ours come in the order of the keys, since
//! that is how they lie. The values therefore differ from etcd's, which no cluster is made of together.
//!
//! Hashing goes in steps, under a pin, so that a compaction meanwhile takes nothing away that is yet to
//! be hashed.

use crate::error::KvError;
use crate::key::Key;
use crate::keyspace::Keyspace;
use crate::pin::Pin;
use crate::store::Store;
use crate::versions::{Version, Versions};

/// What is hashed before all keys: the name of etcd's bucket for them, as in etcd.
const FIRST_BYTES: &[u8] = b"key";

/// A hash of the keys and their versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvHash {
    /// The hash.
    pub hash: u32,
    /// The compacted revision when it was begun, -1 before the first compaction.
    pub compact_revision: i64,
    /// The revision up to which was hashed.
    pub hash_revision: i64,
    /// The store's revision when it was begun, for the answer's header.
    pub current_revision: i64,
}

/// A hash under way, with the pin that keeps what it has yet to read.
#[derive(Debug)]
pub struct HashCursor {
    done: KvHash,
    from: Key,
    /// Of that key so many versions have been hashed.
    versions_done: usize,
    keys_are_done: bool,
    /// The least lease id that has not been hashed, if leases are.
    from_lease: Option<i64>,
    _pin: Pin,
}

impl Store {
    /// Starts to hash the keys up to `revision`, or the current one if that is 0 or less.
    ///
    /// # Errors
    /// When the revision is compacted, or lies after the current one.
    pub fn begin_hash_kv(&self, revision: i64) -> Result<HashCursor, KvError> {
        let hash_revision = if revision <= 0 {
            self.revision
        } else {
            revision
        };
        if hash_revision < self.compacted_revision {
            return Err(KvError::Compacted);
        }
        if hash_revision > self.revision {
            return Err(KvError::FutureRevision);
        }
        Ok(HashCursor {
            done: KvHash {
                // Not of nothing, which would be 0: clients take that for no hash at all.
                hash: crc32c::crc32c(FIRST_BYTES),
                compact_revision: self.compacted_revision,
                hash_revision,
                current_revision: self.revision,
            },
            from: Key::EMPTY,
            versions_done: 0,
            keys_are_done: false,
            from_lease: None,
            _pin: self.pins.pin(self.compacted_revision),
        })
    }

    /// Starts to hash everything: the alarms, the keys, and then the leases that there are when their turn
    /// comes. Members that go on meanwhile need not agree.
    pub fn begin_hash(&self) -> Result<HashCursor, KvError> {
        let mut cursor = self.begin_hash_kv(0)?;
        cursor.from_lease = Some(i64::MIN);
        for (kind, member) in self.alarms.iter() {
            cursor.absorb(&i64::from(kind as i32).to_le_bytes());
            cursor.absorb(&member.to_le_bytes());
        }
        Ok(cursor)
    }

    /// Goes on, over at most `versions_max` versions (at least one). The hash when all is done; not to be
    /// called after that.
    pub fn advance_hash(&self, cursor: &mut HashCursor, versions_max: usize) -> Option<KvHash> {
        let mut budget = versions_max.max(1);
        if !cursor.keys_are_done && !cursor.hash_keys(&self.keyspace, &mut budget) {
            return None;
        }
        while let Some(from) = cursor.from_lease {
            if budget == 0 {
                return None;
            }
            budget -= 1;
            cursor.from_lease = cursor.hash_lease(self, from);
        }
        Some(cursor.done)
    }
}

impl HashCursor {
    /// Whether that was all of them.
    fn hash_keys(&mut self, keyspace: &Keyspace, budget: &mut usize) -> bool {
        let from = self.from.clone();
        for (_, leaf) in keyspace.leaves_from(from.as_slice()) {
            let start = leaf.find(from.as_slice()).unwrap_or_else(|index| index);
            for entry in &leaf.entries()[start..] {
                if *budget == 0 {
                    self.from = entry.key.clone();
                    return false;
                }
                if entry.key != from {
                    self.versions_done = 0;
                }
                let budget_before = *budget;
                if !self.hash_versions(&entry.key, &entry.versions, budget) {
                    self.from = entry.key.clone();
                    return false;
                }
                if *budget == budget_before {
                    // Nothing of it, or nothing more: it was looked at all the same.
                    *budget -= 1;
                }
            }
        }
        self.keys_are_done = true;
        true
    }

    /// Hashes the versions of a key, from where the last step left off. Whether that was all.
    fn hash_versions(&mut self, key: &Key, versions: &Versions, budget: &mut usize) -> bool {
        let KvHash {
            compact_revision,
            hash_revision,
            ..
        } = self.done;
        let oldest = versions.seen_before(compact_revision);
        let later = versions.since(compact_revision);
        let later = later.take_while(|version| version.revision() <= hash_revision);
        let wanted = oldest.into_iter().chain(later);
        for version in wanted.skip(self.versions_done) {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            self.versions_done += 1;
            self.absorb_version(key.as_slice(), version);
        }
        self.versions_done = 0;
        true
    }

    fn absorb_version(&mut self, key: &[u8], version: &Version) {
        let value = version.value.as_deref();
        self.absorb(&[u8::from(value.is_some())]);
        let numbers = [
            version.revision(),
            version.create_revision,
            version.version,
            version.lease,
            key.len() as i64,
            value.map_or(0, <[u8]>::len) as i64,
        ];
        for number in numbers {
            self.absorb(&number.to_le_bytes());
        }
        self.absorb(key);
        self.absorb(value.unwrap_or_default());
    }

    /// Hashes the first lease from `from` on; where to go on.
    fn hash_lease(&mut self, store: &Store, from: i64) -> Option<i64> {
        let lease = store.leases(from).next()?;
        let remaining = lease.remaining_ttl_seconds.unwrap_or(0);
        let numbers = [lease.id, lease.granted_ttl_seconds, remaining];
        for number in numbers {
            self.absorb(&number.to_le_bytes());
        }
        lease.id.checked_add(1)
    }

    fn absorb(&mut self, bytes: &[u8]) {
        self.done.hash = crc32c::crc32c_append(self.done.hash, bytes);
    }
}
