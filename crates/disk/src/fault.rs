//! Faults that a test asks for, and the operations they are counted by.

use crate::ErrorKind;

/// The kinds of operation that are counted and can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// [`Disk::create`](crate::Disk::create).
    Create,
    /// [`Disk::open`](crate::Disk::open).
    Open,
    /// [`Disk::rename`](crate::Disk::rename).
    Rename,
    /// [`Disk::remove`](crate::Disk::remove).
    Remove,
    /// [`Disk::list`](crate::Disk::list).
    List,
    /// [`Disk::sync_directory`](crate::Disk::sync_directory).
    SyncDirectory,
    /// [`File::read_at`](crate::File::read_at).
    Read,
    /// [`File::write_at`](crate::File::write_at).
    Write,
    /// [`File::sync`](crate::File::sync).
    Sync,
    /// [`File::truncate`](crate::File::truncate).
    Truncate,
}

impl Operation {
    /// Whether it changes what a crash may leave behind.
    pub(crate) fn changes_state(self) -> bool {
        !matches!(self, Operation::Open | Operation::List | Operation::Read)
    }
}

/// What a fault does to the operation that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It fails and does nothing; a sync that fails so marks the unsynced data clean, and the
    /// next crash takes it.
    Fail(ErrorKind),
    /// A write does its first half and then fails; other operations as with [`Effect::Fail`].
    FailHalfway(ErrorKind),
    /// A read gives the first half only, without an error; other operations just succeed.
    ShortRead,
}

/// One fault: the operation number `after + 1` of its kind from now on is hit, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind of operation.
    pub operation: Operation,
    /// How many of the kind succeed before.
    pub after: u64,
    /// What happens to it.
    pub effect: Effect,
}
