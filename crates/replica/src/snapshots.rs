//! A node's snapshots: taken, read at a start, pulled from a peer, and served to one.
//!
//! A snapshot is the whole replicated state at one applied index: the node's own part (the
//! [head](crate::SnapshotHead): membership, windows of duplicates, log time, cluster version) and the
//! store. Its content is the same bytes on every member, so a follower that was pulling from one
//! leader goes on with the next.
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
//! 1. the file is durable under its name;
//! 2. the log says so in a mark;
//! 3. the log before it is released, older files are removed, or the store is loaded from it.
//!
//! The content of a file: the head's length (4 bytes, little-endian), the head, the store
//! (`docs/format-snapshot.md`).

mod loader;
mod policy;
mod puller;
mod taker;

pub(crate) use loader::head_of;
pub use loader::{LoadedSnapshot, load_snapshot};
pub(crate) use policy::SnapshotPolicy;
pub use puller::{PullProgress, SnapshotPuller, SnapshotQuery};
pub use taker::{Capture, SnapshotTaker, TakenSnapshot};
