//! A range of keys in etcd's notation: a key and a `range_end`.

use bytes::Bytes;

/// The keys from `start` on, up to `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: Bytes,
    pub(crate) end: End,
}

/// Where a range ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With its first key: the range is that one key.
    AtStart,
    /// Before this key. A range whose end is not after its start has no keys.
    Before(Bytes),
    /// Never.
    Never,
}

impl Span {
    /// `range_end` empty: the one key; a single zero byte: everything from `key` on; else exclusive.
    pub(crate) fn new(key: &Bytes, range_end: &Bytes) -> Span {
        let end = match range_end.as_ref() {
            [] => End::AtStart,
            [0] => End::Never,
            _ => End::Before(range_end.clone()),
        };
        Span {
            start: key.clone(),
            end,
        }
    }

    /// Whether it can hold no more than one key.
    pub(crate) fn is_single(&self) -> bool {
        self.end == End::AtStart
    }

    /// Whether `key`, which is not before the start, lies before the end.
    pub(crate) fn ends_after(&self, key: &[u8]) -> bool {
        match &self.end {
            End::AtStart => key == self.start,
            End::Before(end) => key < end.as_ref(),
            End::Never => true,
        }
    }

    /// Whether all keys below `bound` (`None`: all keys there are) lie before the end.
    pub(crate) fn covers_below(&self, bound: Option<&[u8]>) -> bool {
        match (&self.end, bound) {
            (End::Never, _) => true,
            (End::Before(end), Some(bound)) => bound <= end.as_ref(),
            (End::Before(_), None) | (End::AtStart, _) => false,
        }
    }
}
