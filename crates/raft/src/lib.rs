//! The Raft consensus protocol as a pure state machine.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod config;
mod durability;
mod election;
mod error;
mod fetcher;
mod follower;
pub mod limits;
mod log;
mod message;
mod outbox;
mod output;
mod progress;
mod quorum;
mod raft;
mod random;
mod read_index;
mod ready;
mod replication;
mod restored;
mod role;
mod status;
mod terms;
mod types;
mod validate;

pub use config::Config;
pub use error::{ConfigError, MessageError, ProposeError, ReadError};
pub use message::{Envelope, Message};
pub use raft::{Accepted, Raft};
pub use ready::{DropReason, Dropped, Fetch, LeadershipState, ReadGrant, Ready, Role, Write};
pub use restored::Restored;
pub use status::{PeerStatus, RefusedMessages, Status};
pub use types::{Entry, HardState, Instant, LogIndex, NodeId, Payload, ReadId, Term, WriteId};
