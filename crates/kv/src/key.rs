//! A key as the store keeps it: short ones inline, so that most keys cost no allocation; the bytes of
//! longer ones are shared by all who hold the key: its entry, its leaf's bound, the lease it hangs on.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

/// Longest key that is kept inline: what fits beside a length and a tag in three words.
const INLINE_BYTES_MAX: usize = 22;

/// An owned key, 24 bytes. Ordered as its bytes are.
#[derive(Clone)]
pub(crate) struct Key(Kind);

#[derive(Clone)]
enum Kind {
    Inline {
        length: u8,
        bytes: [u8; INLINE_BYTES_MAX],
    },
    Heap(Arc<[u8]>),
}

impl Key {
    /// The key with no bytes, which sorts before all others.
    pub(crate) const EMPTY: Key = Key(Kind::Inline {
        length: 0,
        bytes: [0; INLINE_BYTES_MAX],
    });

    pub(crate) fn new(key: &[u8]) -> Key {
        if key.len() > INLINE_BYTES_MAX {
            return Key(Kind::Heap(key.into()));
        }
        let mut bytes = [0; INLINE_BYTES_MAX];
        bytes[..key.len()].copy_from_slice(key);
        Key(Kind::Inline {
            length: key.len() as u8,
            bytes,
        })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Kind::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Kind::Heap(bytes) => bytes,
        }
    }

    /// Bytes beside the 24 of the key itself, with the two counters before them.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Kind::Inline { .. } => 0,
            Kind::Heap(bytes) => bytes.len() + 16,
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "\"{}\"", self.as_slice().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_three_words() {
        assert_eq!(size_of::<Key>(), 24);
    }

    #[test]
    fn keys_of_every_length_come_back_and_sort_as_bytes() {
        let keys: Vec<Vec<u8>> = (0..40)
            .map(|length| (0..length).map(|byte: u8| byte.wrapping_mul(7)).collect())
            .collect();
        for a in &keys {
            assert_eq!(Key::new(a).as_slice(), &a[..]);
            for b in &keys {
                assert_eq!(Key::new(a).cmp(&Key::new(b)), a.cmp(b));
            }
        }
        assert_eq!(Key::new(b""), Key::EMPTY);
    }
}
