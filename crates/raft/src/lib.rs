//! The Raft consensus protocol as a pure state machine.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod message;
mod ready;
mod types;

pub use message::{Envelope, Message};
pub use ready::{Dropped, DropReason, Fetch, LeadershipState, ReadGrant, Ready, Role, Write};
pub use types::{Entry, HardState, Instant, LogIndex, NodeId, Payload, ReadId, Term, WriteId};
