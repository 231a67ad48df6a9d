//! The words of the protocol as types, so that a term is never taken for an index.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::membership::Membership;

/// A point on the embedder's monotonic clock: nanoseconds since a start of its own choosing.
///
/// The machine never reads a clock. Every input carries the time at which it happened, and
/// times handed to one machine must never go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the embedder's clock.
    pub const ZERO: Instant = Instant(0);

    /// The instant `nanos` nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Instant {
        Instant(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, after: Duration) -> Instant {
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $zero:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            #[doc = $zero]
            pub const ZERO: $name = $name(0);

            /// The next one.
            #[must_use]
            pub const fn next(self) -> $name {
                $name(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number!(
    /// A member of the cluster. Zero is no one.
    NodeId,
    "No one."
);
number!(
    /// An election term (Raft §5.1). Terms only grow; zero is before the first election.
    Term,
    "Before the first election."
);
number!(
    /// A position in the log. The first entry has index 1; zero is before the log's start.
    LogIndex,
    "Before the first entry."
);
number!(
    /// Names one [`Write`](crate::Write). Rises by one with each; completions come in this order.
    WriteId,
    "Before the first write."
);
number!(
    /// The embedder's name for one read request (or for a batch of reads that share a round).
    ReadId,
    "A read id like any other."
);

impl LogIndex {
    /// The index before this one; zero stays zero.
    #[must_use]
    pub const fn previous(self) -> LogIndex {
        LogIndex(self.0.saturating_sub(1))
    }
}

/// What must survive a crash besides the log (Raft, Figure 2: "persistent state").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The latest term this node has seen.
    pub term: Term,
    /// Whom it voted for in that term. It may stand for itself where it never campaigned: then the
    /// vote may have been given in an earlier life, and is not given again (`asking.rs`).
    pub vote: Option<NodeId>,
    /// Whether the disk went back in time, and is being made good (`refilling.rs`).
    pub refilling: bool,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its position.
    pub index: LogIndex,
    /// The term of the leader that appended it.
    pub term: Term,
    /// What it carries.
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: appended by a new leader so that it can commit what came before (Raft §8).
    Empty,
    /// A command of the embedder's, opaque here. Cloning shares the bytes.
    Command(Bytes),
    /// Who the members are from here on: in force wherever it stands in a log, committed or not.
    Membership {
        /// The members. Boxed, because such entries are rare and every entry pays for the
        /// largest kind.
        membership: Box<Membership>,
        /// What the embedder said about the change, opaque here; empty in the entry that a
        /// leader appends by itself to end a joint membership.
        context: Bytes,
    },
}

impl Payload {
    /// Bytes of payload, for limits and batching.
    pub fn len(&self) -> usize {
        match self {
            Payload::Empty => 0,
            Payload::Command(bytes) => bytes.len(),
            Payload::Membership {
                membership,
                context,
            } => {
                let Membership {
                    voters,
                    voters_outgoing,
                    learners,
                } = &**membership;
                let ids = voters.len() + voters_outgoing.len() + learners.len();
                ids * size_of::<NodeId>() + context.len()
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
