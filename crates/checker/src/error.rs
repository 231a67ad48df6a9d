//! What is wrong with a history that cannot be one.

use crate::history::OpId;
use crate::watch_log::WatchId;

/// A history that contradicts itself, or a text that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A completion of something that was never invoked.
    #[error("operation {} was never invoked", .0.0)]
    NoSuchOperation(OpId),
    /// Two completions of one operation.
    #[error("operation {} is completed twice", .0.0)]
    CompletedTwice(OpId),
    /// Time runs backwards.
    #[error("operation {} is completed before it was invoked", .0.0)]
    CompletedBeforeInvoked(OpId),
    /// An answer to another question.
    #[error("the outcome of operation {} does not answer what was asked", .0.0)]
    OutcomeDoesNotFit(OpId),
    /// Events of a watch that was never begun.
    #[error("watch {} was never begun", .0.0)]
    NoSuchWatch(WatchId),
    /// A line that cannot be read.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A text in none of the formats.
    #[error(
        "in none of the formats that are known:\n\
         \x20 JSON lines, the first of them {{\"format\":\"quorate-history\",\"version\":1}}\n\
         \x20 a Jepsen log: INFO jepsen.util - 0 :invoke :read nil\n\
         \x20 lines of maps: {{:process 0, :type :invoke, :f :get, …}}"
    )]
    UnknownFormat,
}
