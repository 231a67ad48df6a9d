//! What a check says.

use std::fmt;

use crate::blob::Blob;
use crate::history::{OpId, Time};
use crate::watch_log::WatchId;

/// What a check says about a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that clients were told agrees with one order of the operations that respects real time.
    Linearizable(Effort),
    /// Nothing of the kind: here is why.
    Violation(Box<Violation>),
    /// The budget ran out before it was known. Counts as a failure: a history that cannot be judged proves nothing.
    Undecided(Undecided),
}

/// What the check cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Operations that were looked at.
    pub operations: usize,
    /// Keys that they were on.
    pub keys: usize,
    /// Steps taken, in the unit of the budget.
    pub steps: u64,
}

/// Where and how far a check came that gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The key whose search did not end.
    pub key: Blob,
    /// Steps that were taken, over all keys.
    pub steps: u64,
}

/// Proof that a history is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise was broken.
    pub rule: Rule,
    /// The key concerned, if it is one.
    pub key: Option<Blob>,
    /// In plain words: what was seen, and why it cannot be.
    pub explanation: String,
    /// The smallest part of the history in which it shows.
    pub window: Window,
}

/// A promise of a linearizable store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One order of all operations agrees with all answers and with real time.
    Linearizable,
    /// No two writes have one revision.
    UniqueRevision,
    /// Revisions never run against real time.
    RealTime,
    /// What is read is what stood there at the answer's revision.
    Content,
    /// What is read was written by somebody.
    Origin,
    /// A watch hears changes in the order of revisions.
    WatchOrder,
    /// A watch hears no change twice.
    WatchUnique,
    /// A watch hears all changes of a revision together.
    WatchAtomic,
    /// A watch hears every change.
    WatchComplete,
    /// A watch hears what happened, and nothing else.
    WatchContent,
}

impl Rule {
    /// A short name, also used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Linearizable => "linearizable",
            Rule::UniqueRevision => "unique-revision",
            Rule::RealTime => "real-time",
            Rule::Content => "content",
            Rule::Origin => "origin",
            Rule::WatchOrder => "watch-order",
            Rule::WatchUnique => "watch-unique",
            Rule::WatchAtomic => "watch-atomic",
            Rule::WatchComplete => "watch-complete",
            Rule::WatchContent => "watch-content",
        }
    }
}

/// A part of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// Every operation on the key that lies in it or reaches into it, by invocation.
    pub operations: Vec<OpId>,
    /// Those of them without which nothing is proved.
    pub essential: Vec<OpId>,
    /// As far as an order could be found: these operations, so.
    pub longest_order: Vec<OpId>,
    /// The watch concerned, if it is one.
    pub watch: Option<WatchId>,
}

impl Verdict {
    /// Whether the history is wrong.
    pub fn is_violation(&self) -> bool {
        matches!(self, Verdict::Violation(_))
    }

    /// Whether the history is right.
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Verdict::Linearizable(_))
    }
}

/// One line in plain words.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Linearizable(effort) => write!(
                f,
                "linearizable: {} operations on {} keys, {} steps",
                effort.operations, effort.keys, effort.steps
            ),
            Verdict::Violation(violation) => {
                write!(f, "not linearizable: {}", violation.explanation)
            }
            Verdict::Undecided(undecided) => write!(
                f,
                "undecided: the budget was spent after {} steps, on key {}",
                undecided.steps, undecided.key
            ),
        }
    }
}
