//! A node's snapshots: taken, read at a start, pulled from a peer, and served to one.
//!
//! A snapshot is the whole replicated state at one applied index: the node's own part (the
//! [head](crate::SnapshotHead): membership, windows of duplicates, log time, cluster version) and the
//! store. The same index gives the same bytes on every member, so a follower that was pulling from
//! one leader goes on with the next if that one has a snapshot at the same index. Most often it
//! has: a step of the applier ends at the entry that makes a snapshot due, and which one that is
//! follows from the bytes of the log and of the last snapshot. Where it has not (a member was still
//! writing its last one, gave one up, or restarted in between), the follower begins anew.
//!
//! ```text
//!   Applier ── capture ──► SnapshotTaker ── file durable ──► Consensus ── mark ──► LogWriter
//!                          (scans the store in steps)                        releases the log before
//!
//!   Consensus ── install ──► SnapshotPuller ── file durable ──► Consensus ── mark durable ──► Applier
//!                            (chunks from a peer)                              reads it: load_snapshot
//! ```
//!
//! What must hold, in this order, so that a crash in between finds what was before (pitfall 9):
//! 1. the file is durable under its name, and one that was pulled has been read to its end;
//! 2. the log says so in a mark;
//! 3. the store is loaded from it; older files are removed, and once the two newest have been
//!    verified the log before the older of them is released ([`LogWriter::release`](crate::LogWriter::release)).
//!
//! The content of a file: the head's length (4 bytes, little-endian), the head, the store
//! (`docs/format-snapshot.md`).

mod loader;
mod policy;
mod puller;
mod restore;
mod taker;

pub(crate) use loader::check_snapshot;
pub use loader::{LoadedSnapshot, check_imported, load_imported, load_snapshot};
pub(crate) use policy::SnapshotPolicy;
pub use puller::{PullProgress, SnapshotPuller, SnapshotQuery};
pub use restore::{RestoreError, RestoreSettings, RestoredSnapshot, restore};
pub use taker::{Capture, SnapshotTaker, TakenSnapshot};
