//! Building the ordered map from keys that come in order, as a snapshot has them: every leaf full, in
//! one allocation of its exact size, and the level above packed as tightly.

use std::collections::BTreeMap;

use crate::key::Key;
use crate::keyspace::Keyspace;
use crate::leaf::{Entry, Leaf};
use crate::limits::LEAF_KEYS_MAX;
use crate::versions::{Version, Versions};

/// A map that is being built.
#[derive(Debug, Default)]
pub(crate) struct KeyspaceBuilder {
    leaves: Vec<(Key, Leaf)>,
    entries: Vec<Entry>,
    live_keys: usize,
    bytes: usize,
}

impl KeyspaceBuilder {
    /// Adds a key, which comes after all added before. Returns it as it is kept.
    pub(crate) fn push(&mut self, key: &[u8], versions: Versions) -> &Key {
        if self.entries.len() == LEAF_KEYS_MAX {
            self.close_leaf();
        }
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(LEAF_KEYS_MAX);
        }
        let key = Key::new(key);
        let mut version_count = 0;
        for version in versions.since(i64::MIN) {
            version_count += 1;
            self.bytes += version.heap_bytes();
        }
        self.bytes += size_of::<Entry>() + key.heap_bytes();
        self.bytes += (version_count - 1) * size_of::<Version>();
        self.live_keys += usize::from(versions.newest().is_live());
        self.entries.push(Entry { key, versions });
        let entry = self.entries.last().expect("it was just added");
        &entry.key
    }

    /// The map. It always has a leaf for the empty bound.
    pub(crate) fn finish(mut self) -> Keyspace {
        self.entries.shrink_to_fit();
        if self.leaves.is_empty() || !self.entries.is_empty() {
            self.close_leaf();
        }
        Keyspace {
            leaves: BTreeMap::from_iter(self.leaves),
            live_keys: self.live_keys,
            bytes: self.bytes,
        }
    }

    fn close_leaf(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        let bound = match entries.first() {
            Some(first) if !self.leaves.is_empty() => first.key.clone(),
            _ => Key::EMPTY,
        };
        self.leaves.push((bound, Leaf::of(entries)));
    }
}
