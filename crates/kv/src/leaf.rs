//! A leaf of the ordered map: up to 64 neighbouring keys with their versions, in one allocation.

use crate::key::Key;
use crate::limits::{LEAF_GROWTH_KEYS, LEAF_KEYS_MAX};
use crate::versions::{Version, Versions};

/// One key and all its versions.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) versions: Versions,
}

/// Neighbouring keys, with a summary that lets a reader count them without looking.
#[derive(Debug, Default)]
pub(crate) struct Leaf {
    entries: Vec<Entry>,
    /// How many keys have a newest version that is not a tombstone.
    live: usize,
    /// No version in this leaf is newer.
    newest_change: i64,
}

impl Leaf {
    /// A leaf of these keys, which are in order and no more than fit.
    pub(crate) fn of(entries: Vec<Entry>) -> Leaf {
        assert!(
            entries.len() <= LEAF_KEYS_MAX,
            "{} keys for one leaf",
            entries.len()
        );
        let mut leaf = Leaf {
            entries,
            ..Leaf::default()
        };
        leaf.summarize();
        leaf
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where `key` is, or where it would be inserted.
    pub(crate) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| entry.key.as_slice().cmp(key))
    }

    /// How many keys of this leaf a reader at `revision` sees, if the summary tells: that is, if
    /// nothing here changed since.
    pub(crate) fn live_at(&self, revision: i64) -> Option<usize> {
        (self.newest_change <= revision).then_some(self.live)
    }

    /// Whether there is certainly nothing here for a reader at `revision`.
    pub(crate) fn is_blank_at(&self, revision: i64) -> bool {
        self.live_at(revision) == Some(0)
    }

    pub(crate) fn has_live(&self) -> bool {
        self.live > 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= LEAF_KEYS_MAX
    }

    /// Adds a newest version to the key at `index`.
    pub(crate) fn push(&mut self, index: usize, version: Version) {
        let versions = &mut self.entries[index].versions;
        self.live -= usize::from(versions.newest().is_live());
        self.live += usize::from(version.is_live());
        self.newest_change = self.newest_change.max(version.revision());
        versions.push(version);
    }

    /// Adds a key at `index`. The leaf is not full.
    pub(crate) fn insert(&mut self, index: usize, key: Key, version: Version) {
        assert!(
            !self.is_full(),
            "a full leaf is split before a key is inserted"
        );
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(LEAF_GROWTH_KEYS);
        }
        self.live += usize::from(version.is_live());
        self.newest_change = self.newest_change.max(version.revision());
        self.entries.insert(
            index,
            Entry {
                key,
                versions: Versions::One(version),
            },
        );
    }

    /// Splits off the part where a key that belongs at `index` will go or that comes after it: the
    /// upper half; or nothing, when the key belongs after all others. So keys that arrive in order
    /// leave full leaves behind.
    pub(crate) fn split(&mut self, index: usize) -> Leaf {
        if index == self.entries.len() {
            return Leaf::default();
        }
        let upper = self.entries.split_off(self.entries.len() / 2);
        self.entries
            .shrink_to(self.entries.len() + LEAF_GROWTH_KEYS);
        self.summarize();
        let mut upper = Leaf {
            entries: upper,
            ..Leaf::default()
        };
        upper.summarize();
        upper
    }

    /// Drops versions of the key at `index` from its oldest on: those that no reader at or after
    /// `floor` needs, as far as the change at revision `changed_at` made them so.
    pub(crate) fn free(&mut self, index: usize, changed_at: i64, floor: i64) -> Freed {
        let versions = &mut self.entries[index].versions;
        let mut freed = Freed::default();
        loop {
            let (oldest, next) = versions.oldest();
            let superseded = next.is_some_and(|next| next <= changed_at);
            let forgotten = !oldest.is_live() && oldest.revision() <= changed_at;
            if oldest.revision() >= floor || !(superseded || forgotten) {
                return freed;
            }
            freed.heap_bytes += oldest.heap_bytes();
            if next.is_none() {
                freed.entry = Some(self.remove(index));
                return freed;
            }
            freed.versions += 1;
            versions.pop_oldest();
        }
    }

    fn remove(&mut self, index: usize) -> Entry {
        let entry = self.entries.remove(index);
        assert!(
            !entry.versions.newest().is_live(),
            "a live key is never removed: {:?}",
            entry.key
        );
        if self.entries.capacity() > self.entries.len() + 2 * LEAF_GROWTH_KEYS {
            self.entries
                .shrink_to(self.entries.len() + LEAF_GROWTH_KEYS);
        }
        entry
    }

    /// Takes in the keys of the leaf that follows.
    pub(crate) fn append(&mut self, following: Leaf) {
        self.entries.reserve_exact(following.entries.len());
        self.entries.extend(following.entries);
        self.live += following.live;
        self.newest_change = self.newest_change.max(following.newest_change);
    }

    fn summarize(&mut self) {
        let newest = || self.entries.iter().map(|entry| entry.versions.newest());
        self.live = newest().filter(|version| version.is_live()).count();
        self.newest_change = newest().map(Version::revision).max().unwrap_or(0);
    }
}

/// What [`Leaf::free`] took away.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    /// Versions taken from a key that stays.
    pub(crate) versions: usize,
    /// Bytes of the values, of the removed entry's as well.
    pub(crate) heap_bytes: usize,
    /// The key itself, when nothing of it was left.
    pub(crate) entry: Option<Entry>,
}
