//! The seam of files: the few operations that durability is made of.
//!
//! Everything is synchronous. The server runs it on threads of its own; a simulator runs it
//! inside an event and reports completion at a later virtual time. A name is a plain file name
//! inside the one directory that the disk stands for.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use std::fmt;

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

/// What went wrong, in kinds that a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such file.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The file system is full, or a quota is.
    NoSpace,
    /// Not allowed, or mounted read-only.
    PermissionDenied,
    /// The device failed (`EIO`) or anything else that cannot be retried.
    Io,
}

/// An operation on a file that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {operation} {file}: {reason}")]
pub struct DiskError {
    /// What a caller can act on.
    pub kind: ErrorKind,
    /// What was tried: "create", "write at 4096", "sync".
    pub operation: String,
    /// Which file, as a person can find it.
    pub file: String,
    /// What the system said.
    pub reason: String,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::NotFound => "not found",
            ErrorKind::AlreadyExists => "already exists",
            ErrorKind::NoSpace => "no space left",
            ErrorKind::PermissionDenied => "permission denied",
            ErrorKind::Io => "input/output error",
        })
    }
}
