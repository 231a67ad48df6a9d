//! The seam of files: the few operations that durability is made of.
//!
//! Everything is synchronous. The server runs it on threads of its own; a simulator runs it
//! inside an event and reports completion at a later virtual time. A name is a plain file name
//! inside the one directory that the disk stands for.
//!
//! Two things implement it: the server's real directory, and [`SimDisk`], a directory in memory
//! that forgets, tears, fills up and rots on demand.
//!
//! What an owner may rely on, and nothing more (POSIX, and the crash studies ALICE, OSDI '14, and
//! "Can Applications Recover from fsync Failures?", ATC '20):
//!
//! * bytes and length of a file are durable after [`File::sync`] returned `Ok`, names after
//!   [`Disk::sync_directory`] did; syncing a file does not make its name durable;
//! * until then a crash keeps any part of them, in any order: writes tear at 512 bytes;
//! * a rename is atomic: after a crash it happened or it did not;
//! * after a sync that failed, what it should have made durable may be gone for good, and trying
//!   again may succeed falsely.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod crash;
mod error;
mod fault;
mod inode;
mod sim_disk;
mod sim_state;

pub use crash::{Crash, CrashStates};
pub use error::{DiskError, ErrorKind};
pub use fault::{Effect, Fault, Operation};
pub use sim_disk::{SimDisk, SimFile};
pub use sim_state::SIMULATED;

/// One directory's worth of files. Cloning gives another handle to the same directory.
pub trait Disk: Clone + Send + 'static {
    /// An open file.
    type File: File;

    /// Creates an empty file; fails with [`ErrorKind::AlreadyExists`] if the name is taken.
    /// The name is durable only after [`Disk::sync_directory`].
    fn create(&self, name: &str) -> Result<Self::File, DiskError>;

    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> Result<Self::File, DiskError>;

    /// Renames atomically, replacing `to` if it exists; durable after [`Disk::sync_directory`].
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file; durable after [`Disk::sync_directory`].
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// Names of all files, sorted.
    fn list(&self) -> Result<Vec<String>, DiskError>;

    /// Makes creations, renames and removals so far durable.
    fn sync_directory(&self) -> Result<(), DiskError>;
}

/// An open file. Cloning gives another handle to the same file.
pub trait File: Clone + Send + 'static {
    /// Reads at `offset` until `buffer` is full or the file ends; gives the bytes read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;

    /// Writes all of `bytes` at `offset`, growing the file as needed.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes the file's contents and length durable (`fdatasync`). After an error nothing may be
    /// believed of what was written since the last success: the process has to stop.
    fn sync(&self) -> Result<(), DiskError>;

    /// Sets the length; bytes beyond the old end read as zero.
    fn truncate(&self, length: u64) -> Result<(), DiskError>;

    /// The length in bytes.
    fn length(&self) -> Result<u64, DiskError>;
}
