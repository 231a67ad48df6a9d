//! What can be wrong with a snapshot.

use crate::snapshot::FORMAT_VERSION;

/// Why a snapshot cannot be taken or loaded. Offsets count from the first byte given to the loader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// One snapshot is scanned at a time, since each holds back the freeing.
    #[error("another snapshot of the store is being scanned: end it first")]
    UnderWay,
    /// Written by a program of another time.
    #[error(
        "the snapshot's store has format version {found}, this program knows {FORMAT_VERSION}: \
         start the quorate that wrote it, or a newer one"
    )]
    UnknownVersion {
        /// The version it has.
        found: u8,
    },
    /// The bytes end too early.
    #[error(
        "the snapshot's store breaks off after {bytes} bytes: use an older snapshot, or fetch it again"
    )]
    Truncated {
        /// How many there are.
        bytes: u64,
    },
    /// The bytes are not what a store writes.
    #[error(
        "the snapshot's store is damaged at byte {offset}: {what}. Use an older snapshot, or fetch it again"
    )]
    Damaged {
        /// Where the field begins that cannot be.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// What was loaded is not what was written, though each part of it could be.
    #[error(
        "the snapshot's store has hash {found:016x} where it should have {expected:016x}: use an older \
         snapshot, or fetch it again"
    )]
    HashMismatch {
        /// The hash that the snapshot ends with.
        expected: u64,
        /// The hash of what was loaded.
        found: u64,
    },
}
