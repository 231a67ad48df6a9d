//! One error for every operation: what was tried, on which file, and what a caller can do.

use std::fmt;

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
