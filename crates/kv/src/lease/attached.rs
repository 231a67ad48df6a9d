//! The keys that hang on one lease. Most have one, such as a lock's, so that one costs no allocation;
//! some have a hundred thousand.

use std::collections::BTreeSet;
use std::ops::Bound::{Included, Unbounded};

use crate::key::Key;

/// Keys in order.
#[derive(Debug, Default)]
pub(super) enum AttachedKeys {
    #[default]
    None,
    One(Key),
    /// It may shrink to none, and then stays.
    Many(BTreeSet<Key>),
}

impl AttachedKeys {
    /// Whether it was not there.
    pub(super) fn insert(&mut self, key: Key) -> bool {
        match self {
            AttachedKeys::None => *self = AttachedKeys::One(key),
            AttachedKeys::One(one) if *one == key => return false,
            AttachedKeys::One(one) => {
                let keys = BTreeSet::from([one.clone(), key]);
                *self = AttachedKeys::Many(keys);
            }
            AttachedKeys::Many(keys) => return keys.insert(key),
        }
        true
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        match self {
            AttachedKeys::One(one) if one.as_slice() == key => {
                *self = AttachedKeys::None;
                true
            }
            AttachedKeys::Many(keys) => keys.remove(key),
            AttachedKeys::None | AttachedKeys::One(_) => false,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            AttachedKeys::None => 0,
            AttachedKeys::One(_) => 1,
            AttachedKeys::Many(keys) => keys.len(),
        }
    }

    /// The keys that do not come before `from`.
    pub(super) fn from(&self, from: &[u8]) -> impl Iterator<Item = &Key> {
        let (one, many) = match self {
            AttachedKeys::None => (None, None),
            AttachedKeys::One(key) => (Some(key).filter(|key| key.as_slice() >= from), None),
            AttachedKeys::Many(keys) => (
                None,
                Some(keys.range::<[u8], _>((Included(from), Unbounded))),
            ),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}
