//! The versions of one key, oldest first.
//!
//! Most keys have one version most of the time, and that one lies in the leaf beside the key. A key
//! that is written again gets a history on the heap until compaction brings it back to one. A history
//! is cut into chunks, so that neither a write to a key with a million versions nor the freeing of its
//! oldest ever moves more than one chunk.
//!
//! Invariants: at least one version; modification revisions never fall from one to the next (they are
//! equal only when one transaction changed the key twice, in the order of its operations); a history
//! has at least two versions and no empty chunk.

use std::collections::VecDeque;
use std::num::NonZeroI64;
use std::sync::Arc;

use bytes::Bytes;
use quorate_proto::mvccpb::KeyValue;

use crate::limits::{HISTORY_CHUNK_VERSIONS, VALUE_COPY_BYTES_MAX};

/// What a write left behind: a value, or the mark of a deletion.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// The store revision of the write. Never 0, which leaves room for a tag without a word of its own.
    pub(crate) mod_revision: NonZeroI64,
    /// The revision at which the key came into being; 0 in a tombstone.
    pub(crate) create_revision: i64,
    /// Writes since then, this one included; 0 in a tombstone.
    pub(crate) version: i64,
    /// The lease the key hangs on, 0 for none.
    pub(crate) lease: i64,
    /// `None` is a tombstone. An allocation of its own and of exact size: a slice of a network
    /// buffer would keep the whole buffer.
    pub(crate) value: Option<Arc<[u8]>>,
}

impl Version {
    pub(crate) fn tombstone(mod_revision: NonZeroI64) -> Version {
        Version {
            mod_revision,
            create_revision: 0,
            version: 0,
            lease: 0,
            value: None,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.value.is_some()
    }

    pub(crate) fn revision(&self) -> i64 {
        self.mod_revision.get()
    }

    /// Bytes of the value's allocation, with the two counters before it.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.len() + 16)
    }

    /// This version in etcd's terms; without the value when only the rest is asked for.
    pub(crate) fn to_key_value(&self, key: &[u8], with_value: bool) -> KeyValue {
        KeyValue {
            key: Bytes::copy_from_slice(key),
            create_revision: self.create_revision,
            mod_revision: self.revision(),
            version: self.version,
            value: if with_value {
                self.value_bytes()
            } else {
                Bytes::new()
            },
            lease: self.lease,
        }
    }

    /// The same with a key that is there already.
    pub(crate) fn to_key_value_of(&self, key: Bytes) -> KeyValue {
        KeyValue {
            key,
            ..self.to_key_value(&[], true)
        }
    }

    fn value_bytes(&self) -> Bytes {
        match &self.value {
            Some(value) if value.len() > VALUE_COPY_BYTES_MAX => {
                Bytes::from_owner(Arc::clone(value))
            }
            Some(value) => Bytes::copy_from_slice(value),
            None => Bytes::new(),
        }
    }
}

/// All kept versions of a key.
#[derive(Debug)]
pub(crate) enum Versions {
    One(Version),
    Many(Box<History>),
}

#[derive(Debug, Default)]
pub(crate) struct History {
    /// Chunks that are full, but for the first, from whose front versions are freed.
    full: VecDeque<Vec<Version>>,
    /// The newest versions, never none.
    tail: Vec<Version>,
}

impl Versions {
    pub(crate) fn newest(&self) -> &Version {
        match self {
            Versions::One(version) => version,
            Versions::Many(history) => history.newest(),
        }
    }

    /// The version that a reader at `revision` sees: the newest not after it. It may be a tombstone.
    pub(crate) fn at(&self, revision: i64) -> Option<&Version> {
        match self {
            Versions::One(version) => (version.revision() <= revision).then_some(version),
            Versions::Many(history) => history.at(revision),
        }
    }

    /// The same, but nothing for a tombstone.
    pub(crate) fn live_at(&self, revision: i64) -> Option<&Version> {
        self.at(revision).filter(|version| version.is_live())
    }

    /// The versions at or after `revision`, oldest first.
    pub(crate) fn since(&self, revision: i64) -> impl Iterator<Item = &Version> {
        let (one, history) = match self {
            Versions::One(version) => (Some(version), None),
            Versions::Many(history) => (None, Some(history)),
        };
        one.into_iter()
            .filter(move |version| version.revision() >= revision)
            .chain(history.into_iter().flat_map(move |h| h.since(revision)))
    }

    /// The version that a reader at `compacted` sees, if it was written before: what a key that was not
    /// changed there has left of its past.
    pub(crate) fn seen_before(&self, compacted: i64) -> Option<&Version> {
        let changed_there = self
            .since(compacted)
            .next()
            .is_some_and(|version| version.revision() == compacted);
        if changed_there {
            return None;
        }
        self.live_at(compacted)
    }

    pub(crate) fn push(&mut self, version: Version) {
        let newest = self.newest().revision();
        assert!(
            newest <= version.revision(),
            "a version at revision {} cannot follow one at {newest}",
            version.revision()
        );
        if let Versions::Many(history) = self {
            history.push(version);
            return;
        }
        let history = Box::new(History::default());
        let Versions::One(first) = std::mem::replace(self, Versions::Many(history)) else {
            unreachable!("a history was handled above");
        };
        let Versions::Many(history) = self else {
            unreachable!("it was just put there")
        };
        history.tail.reserve_exact(2);
        history.tail.extend([first, version]);
    }

    /// The oldest version, and the revision of the one after it.
    pub(crate) fn oldest(&self) -> (&Version, Option<i64>) {
        match self {
            Versions::One(version) => (version, None),
            Versions::Many(history) => {
                let mut versions = history.iter();
                let first = versions
                    .next()
                    .expect("a history has at least two versions");
                (first, versions.next().map(Version::revision))
            }
        }
    }

    /// Takes the oldest of several versions away.
    pub(crate) fn pop_oldest(&mut self) -> Version {
        let Versions::Many(history) = self else {
            unreachable!("the only version of a key goes with its entry");
        };
        let oldest = history.pop_oldest();
        if let Some(last) = history.take_only() {
            *self = Versions::One(last);
        }
        oldest
    }

    /// The revisions of all kept versions.
    #[cfg(test)]
    pub(crate) fn revisions(&self) -> Vec<i64> {
        match self {
            Versions::One(version) => vec![version.revision()],
            Versions::Many(history) => history.iter().map(Version::revision).collect(),
        }
    }
}

impl History {
    fn iter(&self) -> impl Iterator<Item = &Version> {
        self.full.iter().flatten().chain(&self.tail)
    }

    fn newest(&self) -> &Version {
        self.tail.last().expect("the newest version is in the tail")
    }

    fn at(&self, revision: i64) -> Option<&Version> {
        let starts_in_time = |chunk: &Vec<Version>| {
            chunk
                .first()
                .is_some_and(|version| version.revision() <= revision)
        };
        let chunk = if starts_in_time(&self.tail) {
            &self.tail
        } else {
            let chunks = self.full.partition_point(starts_in_time);
            self.full.get(chunks.checked_sub(1)?)?
        };
        let versions = chunk.partition_point(|version| version.revision() <= revision);
        chunk.get(versions.checked_sub(1)?)
    }

    fn since(&self, revision: i64) -> impl Iterator<Item = &Version> {
        let is_before = |version: &Version| version.revision() < revision;
        let passed = |chunk: &Vec<Version>| chunk.last().is_some_and(is_before);
        let passed = self.full.partition_point(passed);
        let first = self.full.get(passed).unwrap_or(&self.tail);
        let skipped = first.partition_point(is_before);
        let versions = self.full.range(passed..).flatten().chain(&self.tail);
        versions.skip(skipped)
    }

    fn push(&mut self, version: Version) {
        if self.tail.len() == HISTORY_CHUNK_VERSIONS {
            self.full.push_back(std::mem::take(&mut self.tail));
        }
        self.tail.push(version);
    }

    fn pop_oldest(&mut self) -> Version {
        let Some(chunk) = self.full.front_mut() else {
            return self.tail.remove(0);
        };
        let oldest = chunk.remove(0);
        if chunk.is_empty() {
            self.full.pop_front();
        }
        oldest
    }

    /// The last version left, if it is the only one.
    fn take_only(&mut self) -> Option<Version> {
        if self.full.is_empty() && self.tail.len() == 1 {
            self.tail.pop()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
