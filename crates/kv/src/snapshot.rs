//! The whole store as bytes, and back: what a member writes to a file so that its log may be forgotten,
//! and what one that fell behind is sent.
//!
//! A snapshot holds the state after one entry of the log: the revision R and the compacted revision C
//! at that moment, every version and tombstone from C to R, of each key without a change at C the
//! version that a reader at C sees, the list of changes from C to R in the order in which they were
//! made, the leases and the alarms. (C itself is included because a watcher may start there: etcd issue 19179.) Nothing before that
//! can be asked for, so nothing before that is kept. What differs from member to member (how far freeing
//! has come, who holds a pin, how the leaves are filled) leaves no trace: **the same state gives the same
//! bytes**, so that a member can go on fetching from another what it began to fetch from the first.
//!
//! # Taking one
//!
//! [`Store::capture_snapshot`](crate::Store::capture_snapshot) notes the head and takes a pin at C. From
//! then on the store may go on: later versions have later revisions and are passed over, a later
//! compaction is visible at once, and only the freeing waits. `scan_snapshot` then gives the bytes in
//! steps, each bounded in bytes and in versions; it finds its place again by key, as reads do (`walk.rs`).
//! Leases have no versions: of those that change while they are scanned, what they were before is kept.
//!
//! # Loading one
//!
//! A [`SnapshotLoader`] takes the bytes in pieces of any size and believes none of them. It holds on to
//! nothing longer than what it was given, refuses whatever the encoder would not have written, and builds
//! a store only at the end, from what is consistent in itself: keys in order, versions that follow from
//! one another, revisions without gaps, changes that name exactly the versions there are.
//!
//! # The two hashes
//!
//! The store's running hash is one of its history, and most of a history is not in a snapshot: what
//! was overwritten and compacted is gone. So the head carries the running hash, and the store that is
//! loaded goes on from it. What proves the rest is the **snapshot's own hash**: over the head, that
//! hash included, and every version and change, made from their values while they are scanned, and made
//! again from the values that were loaded. It comes last, and a difference is
//! [`SnapshotError::HashMismatch`].
//!
//! The bytes are described in `docs/format-snapshot.md`.

mod error;
mod fields;
mod load;
mod output;
mod scan;

pub use error::SnapshotError;
pub use load::{SnapshotChecker, SnapshotLoader, SnapshotSummary};
pub use scan::SnapshotScan;

/// The newest version of the encoding; the version is its first byte.
pub(crate) const FORMAT_VERSION: u8 = 2;

/// A store without leases and alarms is written as it was before there were any, so that members who
/// know neither can load it, and make the same bytes. Both come into being only once no member is so old.
const FORMAT_VERSION_WITHOUT_LEASES: u8 = 1;

/// The end of a section.
const TAG_END: u8 = 0;
/// A version of a key, or a change.
const TAG_RECORD: u8 = 1;
/// Of a version: it is the first of another key. Of a change: the first of the next revision.
const TAG_FIRST: u8 = 2;
/// The version is a tombstone.
const TAG_TOMBSTONE: u8 = 4;
/// The version hung on a lease.
const TAG_LEASE: u8 = 8;

/// What a snapshot begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The log index of the last entry that the snapshot contains.
    pub(crate) applied_index: u64,
    pub(crate) compacted_revision: i64,
    pub(crate) revision: i64,
    /// The running hash of the history.
    pub(crate) state_hash: u64,
}

impl Head {
    /// The revision of the first change that a snapshot lists, if it lists any. Every revision has a change but the
    /// first, and one that was reached by a bump ([`Store::begin_anew`](crate::Store::begin_anew)): whether C is such
    /// a one tell the versions, which come before the changes.
    fn first_change(&self, is_compacted_at_a_change: bool) -> i64 {
        if self.compacted_revision < 2 || is_compacted_at_a_change {
            self.compacted_revision.max(2)
        } else {
            self.compacted_revision + 1
        }
    }
}

#[cfg(test)]
mod tests;
