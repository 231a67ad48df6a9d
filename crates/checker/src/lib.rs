//! Histories of clients, and whether they are linearizable.
//!
//! A [`History`] says what clients asked, what they were told, and when. Three checks judge it:
//!
//! - [`check_registers`]: for each key there is one order of its operations that respects real time and agrees with
//!   every answer (Wing and Gong, *Testing and Verifying Concurrent Objects*, 1993; Lowe, *Testing for
//!   Linearizability*, 2017). Exact, and within a budget: what it cannot decide it calls undecided.
//! - [`check_revisions`]: where answers name revisions, these are the order; it is enough to see that they are unique,
//!   respect real time, and that every read is right at its revision. Nearly linear in time; covers ranges,
//!   transactions, leases and compaction.
//! - [`check_watch`]: watches were told everything, once, in order, all of a revision together.
//!
//! Histories come from the simulator and from real clients, or from files ([`read_history`]). The crate knows nothing
//! of the rest of Quorate, so that it can judge it.
//!
//! # What must hold
//!
//! - A violation is never called for a history that is right. Each comes with the smallest window that shows it.
//! - A history that is wrong is never called linearizable by [`check_registers`].
//! - The same history gives the same verdict, window and number of steps.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod blob;
mod error;
mod format;
mod history;
mod limits;
mod matching;
mod registers;
mod revisions;
mod search;
mod store;
mod timeline;
mod values;
mod verdict;
mod watch;
mod watch_log;
mod window;

pub use blob::Blob;
pub use error::HistoryError;
pub use format::{Format, read_history, write_json_lines};
pub use history::{Call, ClientId, History, Moment, OpId, Operation, Outcome, RegisterCall, Time};
pub use limits::{BUDGET_STEPS_DEFAULT, OPERATIONS_MAX};
pub use registers::check_registers;
pub use revisions::check_revisions;
pub use store::{
    Compare, KeyValue, OpAnswer, Relation, Span, StoreAnswer, StoreBody, StoreCall, StoreOp, Target,
};
pub use verdict::{Effort, Rule, Undecided, Verdict, Violation, Window};
pub use watch::check_watch;
pub use watch_log::{WatchBatch, WatchEvent, WatchId, WatchLog};
