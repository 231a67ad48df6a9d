//! Values as small numbers, so that the search compares and hashes them at no cost.

use std::collections::BTreeMap;

use crate::blob::Blob;

/// A value, or nothing, as a number.
pub(crate) type ValueId = u32;

/// Nothing.
pub(crate) const NOTHING: ValueId = 0;

/// Any value that no answer speaks of: to the search they are all one.
pub(crate) const UNSPOKEN: ValueId = 1;

#[derive(Debug)]
pub(crate) struct Values {
    ids: BTreeMap<Blob, ValueId>,
    blobs: Vec<Blob>,
    joined: BTreeMap<(ValueId, ValueId), ValueId>,
}

impl Values {
    pub(crate) fn new() -> Self {
        Values {
            ids: BTreeMap::new(),
            // The places of NOTHING and UNSPOKEN. Nothing appends like the empty value.
            blobs: vec![Blob::default(), Blob::default()],
            joined: BTreeMap::new(),
        }
    }

    pub(crate) fn id(&mut self, value: Option<&Blob>) -> ValueId {
        let Some(value) = value else { return NOTHING };
        if let Some(id) = self.ids.get(value) {
            return *id;
        }
        let id = ValueId::try_from(self.blobs.len()).expect("fewer values than operations");
        self.blobs.push(value.clone());
        self.ids.insert(value.clone(), id);
        id
    }

    /// Whether `whole` begins with `head`. Nothing is like the empty value.
    pub(crate) fn is_head(&self, head: ValueId, whole: ValueId) -> bool {
        let bytes = |id: ValueId| self.blobs[id as usize].as_bytes();
        bytes(whole).starts_with(bytes(head))
    }

    /// `head` with `tail` appended.
    pub(crate) fn joined(&mut self, head: ValueId, tail: ValueId) -> ValueId {
        assert!(head != UNSPOKEN, "appending to a value that was merged");
        if let Some(id) = self.joined.get(&(head, tail)) {
            return *id;
        }
        let whole = self.blobs[head as usize].joined(&self.blobs[tail as usize]);
        let id = self.id(Some(&whole));
        self.joined.insert((head, tail), id);
        id
    }
}
