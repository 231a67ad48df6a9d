//! Quorate's write-ahead log: how entries, term, vote and snapshot marks lie on disk, and how they
//! are read back after a crash.
//!
//! It knows nothing of Raft's rules and nothing of real files: it is handed a [`quorate_disk::Disk`],
//! so that a simulator can tear, fill and damage what lies underneath. It reads no clock and starts
//! no thread. [`open`] gives four parts for the owner's threads: a [`Writer`], a [`Reader`], a
//! [`Preparer`], and what was [`Recovered`].
//!
//! # The shape
//!
//! A log is a row of *segments*, files of a fixed size that are filled with zeros before they are
//! used and used again when they are released. A segment is a header block and a row of *batches*.
//! A batch is what one call of [`Writer::append`] writes: entries, and changes of term, vote, bounds.
//! It begins on a 512-byte boundary with a header that has a checksum of its own, and it is the unit
//! of tearing: after a crash all of it counts or nothing. Any number of batches are made durable by
//! one [`Writer::sync`], which is what makes group commit cheap. The bytes are in `docs/format-wal.md`
//! and beside the code that writes them (`segment_header.rs`, `batch_format.rs`).
//!
//! # What holds
//!
//! 1. **What was synced is never cut.** Every batch says how far the log was durable when it was
//!    written (`synced_through`). Of what lies at or before the greatest such number, nothing is ever
//!    taken for a torn tail: [`open`] gives everything, or refuses with [`WalError::Damaged`], file
//!    and offset, and has changed nothing; or, for an owner that can deal with it, names the entries
//!    that cannot be read ([`Recovered::damaged`]), which [`Writer::repair`] then writes back. A scan
//!    beyond the damage finds later headers, so that a broken batch does not hide that it was
//!    acknowledged. This is what "Protocol-Aware Recovery for Consensus-Based Storage" (FAST '18)
//!    asks of a log: "there but bad" is never mistaken for "never written".
//! 2. **What was not completely written is void, for good.** After the last whole batch the tail is
//!    cut, with a [`Note`]. No process ever writes into a segment that another one began: each start
//!    begins a new segment, whose header says where the one before it ends. So an intact batch beyond
//!    a cut cannot come to life when the numbers go on.
//! 3. **Bytes of another life never pass.** Each life of a file has an *epoch*, greater than any
//!    before, which is in every header and seeds every checksum. An entry's checksum is also seeded
//!    with its batch, index and term.
//! 4. **Term and vote are in two places at any time.** Every header carries those in force; a batch
//!    that changes them repeats its header in an *echo*, in a sector of its own; each segment's first
//!    block has them twice. Once a batch is covered they are in a third place, the header that covers
//!    it, so that no damage of acknowledged data leaves a vote in doubt without [`open`] saying so.
//!    Truncations and snapshot marks have an echo too. From a tail that is cut the newest ones are kept, since to remember more
//!    than one promised is harmless, and to remember less is not.
//! 5. **A failed write or sync is final.** The [`Writer`] refuses everything afterwards. And what a
//!    start finds beyond the last `synced_through` is written once more and synced before it is
//!    believed, since it may stand in a page cache that lost it ("Can Applications Recover from fsync
//!    Failures?", ATC '20).
//! 6. **The row of segments has no gap.** A segment's header and name are durable before its first
//!    batch; the one before it is synced before that; released ones go oldest first, each durably
//!    before the next.
//! 7. **A log and a snapshot that go together are always there** ([`snapshot`]): entries are
//!    released only behind the older of two durable snapshots.
//!
//! Beside the log, a [`SlotFile`] keeps a small table that stands in no order with it.
//!
//! # What cannot be told apart
//!
//! Rot in the last batch, as long as no later header names it durable, looks like a torn tail, and
//! is cut (but for its term and vote: see 4). [`Writer::cover`] ends that state: after 100 ms of
//! quiet the server writes one empty batch. A start does the same.
//!
//! # What it costs
//!
//! On disk 7 bytes for an entry of up to 127 bytes and 8 for one of up to 16 KiB; 128 for a batch,
//! rounded up to 512; 512 more when term or vote change, or for a truncation or a snapshot mark; 4 KiB
//! for a segment. In memory 16 bytes for
//! 32 KiB of log, and 16 for each term. Limits are in `limits.rs`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod batch_format;
mod bytes_io;
mod directory;
mod error;
mod limits;
mod log_state;
mod names;
mod open;
mod options;
mod preparer;
mod reader;
mod recovery;
mod scan;
mod segment;
mod segment_header;
mod slot_file;
pub mod snapshot;
mod spares;
mod types;
mod walk;
mod window;
mod writer;

pub use error::{Note, WalError};
pub use limits::*;
pub use open::{Opened, open};
pub use options::Options;
pub use preparer::Preparer;
pub use reader::Reader;
pub use slot_file::{SlotContent, SlotFile};
pub use types::{
    Batch, BatchNumber, Damage, Entry, HardState, Identity, Recovered, Released, SnapshotMark,
};
pub use writer::Writer;
