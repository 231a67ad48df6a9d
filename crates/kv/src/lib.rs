//! etcd's data model in memory: revisions, ranges, transactions, compaction.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod apply;
mod changes;
mod check;
mod command;
mod compaction;
mod compare;
mod delete;
mod error;
mod hash;
mod key;
mod keyspace;
mod leaf;
mod limits;
mod overlap;
mod pin;
mod put;
mod range;
mod read_txn;
mod sort;
mod span;
mod store;
mod txn;
mod versions;
mod walk;

pub use apply::{Application, Step};
pub use check::{
    check_compaction, check_delete, check_put, check_range, check_txn, is_read_only,
    is_serializable,
};
pub use command::{Answer, Command, Reply};
pub use error::{Code, KvError};
pub use limits::{KEYS_PER_STEP, Limits, TXN_DEPTH_MAX};
pub use pin::Pin;
pub use range::{RangeCursor, RangeStep};
pub use read_txn::{ReadTxnCursor, ReadTxnStep};
pub use store::Store;
