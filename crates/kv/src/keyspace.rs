//! The ordered map from key to its versions: a B+-tree of two levels.
//!
//! The upper level is a standard ordered map from a lower bound to a [`Leaf`] of up to 64 keys. Over
//! one ordered map of keys it has two merits. It is dense: leaves grow in exact steps, and keys that
//! arrive in order fill them to the last slot. And each leaf carries a summary, so that a count over a
//! million keys looks at some twenty thousand leaves and not at the keys (`walk.rs`).
//!
//! Invariants: there is always a leaf for the empty bound, and only that one may be empty; each key
//! lies in the last leaf whose bound is not greater. `live_keys` is the sum over the leaves.
//!
//! The writer may be in the middle of a change of many steps: then versions exist that are newer than
//! the store's revision, and readers, who always name theirs, do not see them.

use std::collections::BTreeMap;
use std::num::NonZeroI64;
use std::ops::Bound::{Excluded, Included, Unbounded};

use crate::key::Key;
use crate::leaf::{Entry, Freed, Leaf};
use crate::limits::{LEAF_KEYS_MAX, LEAF_KEYS_MIN};
use crate::span::Span;
use crate::versions::{Version, Versions};

/// All keys.
#[derive(Debug)]
pub(crate) struct Keyspace {
    leaves: BTreeMap<Key, Leaf>,
    live_keys: usize,
    bytes: usize,
}

impl Keyspace {
    pub(crate) fn new() -> Keyspace {
        Keyspace {
            leaves: BTreeMap::from([(Key::EMPTY, Leaf::default())]),
            live_keys: 0,
            bytes: 0,
        }
    }

    /// Keys whose newest version is not a tombstone.
    pub(crate) fn live_keys(&self) -> usize {
        self.live_keys
    }

    /// About how many bytes all of it takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes + self.leaves.len() * (size_of::<(Key, Leaf)>() + size_of::<Entry>())
    }

    /// The versions of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Versions> {
        Some(&self.entry(key)?.versions)
    }

    /// `key` as it is kept here, with its versions.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<&Entry> {
        let (_, leaf) = self.leaves_from(key).next()?;
        let index = leaf.find(key).ok()?;
        Some(&leaf.entries()[index])
    }

    /// The leaf in which `key` lies or would lie, and all after it.
    pub(crate) fn leaves_from(&self, key: &[u8]) -> impl Iterator<Item = (&Key, &Leaf)> {
        let (first, _) = self
            .leaves
            .range::<[u8], _>((Unbounded, Included(key)))
            .next_back()
            .expect("the leaf of the empty bound comes before all keys");
        self.leaves
            .range::<[u8], _>((Included(first.as_slice()), Unbounded))
    }

    /// The leaves that may hold keys before `bound`, or all, last first.
    pub(crate) fn leaves_back_from(
        &self,
        bound: Option<&[u8]>,
    ) -> impl Iterator<Item = (&Key, &Leaf)> {
        let bound = bound.map_or(Unbounded, Excluded);
        self.leaves.range::<[u8], _>((Unbounded, bound)).rev()
    }

    /// Gives `key` a new newest version, made from the newest so far.
    pub(crate) fn write(&mut self, key: &[u8], make: impl FnOnce(Option<&Version>) -> Version) {
        loop {
            let leaf = leaf_of(&mut self.leaves, key);
            let place = leaf.find(key);
            if let Err(index) = place
                && leaf.is_full()
            {
                let upper = leaf.split(index);
                let bound = upper
                    .entries()
                    .first()
                    .map_or_else(|| Key::new(key), |e| e.key.clone());
                self.leaves.insert(bound, upper);
                continue;
            }
            let before = place
                .ok()
                .map(|index| leaf.entries()[index].versions.newest());
            let was_live = before.is_some_and(Version::is_live);
            let version = make(before);
            self.live_keys -= usize::from(was_live);
            self.live_keys += usize::from(version.is_live());
            self.bytes += version.heap_bytes();
            match place {
                Ok(index) => {
                    self.bytes += size_of::<Version>();
                    leaf.push(index, version);
                }
                Err(index) => {
                    let key = Key::new(key);
                    self.bytes += size_of::<Entry>() + key.heap_bytes();
                    leaf.insert(index, key, version);
                }
            }
            return;
        }
    }

    /// Puts tombstones on live keys from `from` on, within `span`, as far as `budget` goes; tells each
    /// key, the version that was its newest, and the tombstone. Returns where to go on.
    pub(crate) fn delete_step(
        &mut self,
        from: &[u8],
        span: &Span,
        revision: NonZeroI64,
        budget: &mut usize,
        mut deleted: impl FnMut(&Key, &Version, &Version),
    ) -> Option<Key> {
        let (first, _) = self
            .leaves
            .range::<[u8], _>((Unbounded, Included(from)))
            .next_back()?;
        let first = first.clone();
        for (bound, leaf) in self.leaves.range_mut(first..) {
            if bound.as_slice() > from && !span.ends_after(bound.as_slice()) {
                return None;
            }
            if !leaf.has_live() {
                if *budget == 0 {
                    return Some(Key::new(from.max(bound.as_slice())));
                }
                *budget -= 1;
                continue;
            }
            let start = leaf.find(from).unwrap_or_else(|index| index);
            for index in start..leaf.entries().len() {
                let entry = &leaf.entries()[index];
                if !span.ends_after(entry.key.as_slice()) {
                    return None;
                }
                if *budget == 0 {
                    return Some(entry.key.clone());
                }
                *budget -= 1;
                let newest = entry.versions.newest();
                if newest.is_live() {
                    let tombstone = Version::tombstone(revision);
                    deleted(&entry.key, newest, &tombstone);
                    leaf.push(index, tombstone);
                    self.live_keys -= 1;
                    self.bytes += size_of::<Version>();
                }
            }
        }
        None
    }

    /// Frees versions of `key` that nobody at or after `floor` needs, as far as its change at
    /// `changed_at` made them so.
    pub(crate) fn free(&mut self, key: &[u8], changed_at: i64, floor: i64) {
        let leaf = leaf_of(&mut self.leaves, key);
        let Ok(index) = leaf.find(key) else { return };
        let Freed {
            versions,
            heap_bytes,
            entry,
        } = leaf.free(index, changed_at, floor);
        self.bytes -= versions * size_of::<Version>() + heap_bytes;
        if let Some(entry) = entry {
            self.bytes -= size_of::<Entry>() + entry.key.heap_bytes();
            if leaf.entries().len() < LEAF_KEYS_MIN {
                self.tidy(key);
            }
        }
    }

    /// Joins the small leaf of `key` with a neighbour where both fit into one with room to spare.
    fn tidy(&mut self, key: &[u8]) {
        let mut around = self.leaves_from(key).map(|(bound, _)| bound.clone());
        let (Some(this), after) = (around.next(), around.next()) else {
            return;
        };
        drop(around);
        if let Some(after) = after {
            self.join(&this, &after);
        }
        let before = self.leaves_back_from(Some(this.as_slice())).next();
        if let Some(before) = before.map(|(bound, _)| bound.clone()) {
            self.join(&before, &this);
        }
    }

    fn join(&mut self, left: &Key, right: &Key) {
        let keys = |bound: &Key| {
            self.leaves
                .get(bound)
                .map_or(0, |leaf| leaf.entries().len())
        };
        if keys(right) > 0 && keys(left) + keys(right) > LEAF_KEYS_MAX * 3 / 4 {
            return;
        }
        let Some(following) = self.leaves.remove(right) else {
            return;
        };
        let leaf = self
            .leaves
            .get_mut(left)
            .expect("both bounds were just found");
        leaf.append(following);
    }

    /// Panics unless the invariants hold.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let mut live = 0;
        let mut previous: Option<&[u8]> = None;
        for (bound, leaf) in &self.leaves {
            assert!(
                *bound == Key::EMPTY || !leaf.entries().is_empty(),
                "an empty leaf at {bound:?}"
            );
            let is_live = |entry: &&Entry| entry.versions.newest().is_live();
            let live_here = leaf.entries().iter().filter(is_live).count();
            assert_eq!(
                leaf.live_at(i64::MAX),
                Some(live_here),
                "the summary at {bound:?}"
            );
            for entry in leaf.entries() {
                let newest = entry.versions.newest().revision();
                assert_eq!(leaf.live_at(newest - 1), None, "the summary at {bound:?}");
                let key = entry.key.as_slice();
                assert!(
                    previous.is_none_or(|previous| previous < key),
                    "{key:?} out of order"
                );
                assert!(
                    bound.as_slice() <= key,
                    "{key:?} lies before its leaf's bound"
                );
                live += usize::from(entry.versions.newest().is_live());
                previous = Some(key);
            }
        }
        assert_eq!(live, self.live_keys);
        assert!(self.leaves.contains_key(&Key::EMPTY));
    }
}

fn leaf_of<'a>(leaves: &'a mut BTreeMap<Key, Leaf>, key: &[u8]) -> &'a mut Leaf {
    let (_, leaf) = leaves
        .range_mut::<[u8], _>((Unbounded, Included(key)))
        .next_back()
        .expect("the leaf of the empty bound comes before all keys");
    leaf
}

mod build;

pub(crate) use build::KeyspaceBuilder;

#[cfg(test)]
mod tests;
