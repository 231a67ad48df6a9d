//! What the store refuses, in etcd's words.
//!
//! Clients in Go tell errors apart by their text, so each text is etcd's byte for byte
//! (`api/v3rpc/rpctypes/error.go` names them).

/// A refusal. Deterministic: every member that applies the same command refuses it alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// A key is empty.
    #[error("etcdserver: key is not provided")]
    KeyNotProvided,
    /// `ignore_value` or `ignore_lease` on a key that does not exist, or an operation that is none.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// `ignore_value` together with a value.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// `ignore_lease` together with a lease.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// More compares or operations than allowed, or nested too deep.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOperations,
    /// One transaction would write a key twice.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    /// An unknown sort order or sort target.
    #[error("etcdserver: invalid sort option")]
    InvalidSortOption,
    /// The request is larger than [`Limits::request_bytes_max`](crate::Limits::request_bytes_max).
    #[error("etcdserver: request is too large")]
    RequestTooLarge,
    /// The revision lies before the compacted one; for a compaction also: at it.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// The revision lies after the current one.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// No such lease.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// A lease of this id has been granted before.
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    /// A time to live above [`LEASE_TTL_SECONDS_MAX`](crate::LEASE_TTL_SECONDS_MAX).
    #[error("etcdserver: too large lease TTL")]
    LeaseTtlTooLarge,
    /// The NOSPACE alarm is on and the command would take space.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    /// The CORRUPT alarm is on.
    #[error("etcdserver: corrupt cluster")]
    Corrupt,
    /// More alarms than a cluster can have members.
    #[error("etcdserver: too many alarms")]
    TooManyAlarms,
}

/// The gRPC status code of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `INVALID_ARGUMENT` (3).
    InvalidArgument,
    /// `NOT_FOUND` (5).
    NotFound,
    /// `RESOURCE_EXHAUSTED` (8).
    ResourceExhausted,
    /// `FAILED_PRECONDITION` (9).
    FailedPrecondition,
    /// `OUT_OF_RANGE` (11).
    OutOfRange,
    /// `DATA_LOSS` (15).
    DataLoss,
}

impl KvError {
    /// The gRPC status code that goes with this refusal.
    pub fn code(&self) -> Code {
        match self {
            KvError::Compacted | KvError::FutureRevision | KvError::LeaseTtlTooLarge => {
                Code::OutOfRange
            }
            KvError::LeaseNotFound => Code::NotFound,
            KvError::LeaseExists => Code::FailedPrecondition,
            KvError::NoSpace | KvError::TooManyAlarms => Code::ResourceExhausted,
            KvError::Corrupt => Code::DataLoss,
            KvError::KeyNotProvided
            | KvError::KeyNotFound
            | KvError::ValueProvided
            | KvError::LeaseProvided
            | KvError::TooManyOperations
            | KvError::DuplicateKey
            | KvError::InvalidSortOption
            | KvError::RequestTooLarge => Code::InvalidArgument,
        }
    }
}
