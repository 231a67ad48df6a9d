//! The Raft consensus protocol as a pure state machine.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod config;
mod error;
pub mod limits;
mod message;
mod raft;
mod ready;
mod status;
mod types;

pub use config::Config;
pub use error::{ConfigError, MessageError, ProposeError, ReadError};
pub use message::{Envelope, Message};
pub use raft::{Accepted, Raft, Restored};
pub use ready::{DropReason, Dropped, Fetch, LeadershipState, ReadGrant, Ready, Role, Write};
pub use status::{PeerStatus, RefusedMessages, Status};
pub use types::{Entry, HardState, Instant, LogIndex, NodeId, Payload, ReadId, Term, WriteId};
