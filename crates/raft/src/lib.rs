//! The Raft consensus protocol as a pure state machine.
//!
//! Raft (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014;
//! Ongaro's thesis, "Consensus: Bridging Theory and Practice", 2014) keeps a log of commands the
//! same on several machines, so that a state machine fed from it is the same on all of them, and
//! survives while a majority does.
//!
//! This crate is the protocol and nothing else. It knows no disk, socket, thread or clock, and not
//! what a command means. Its embedder feeds a [`Raft`] with what happens, and carries out what it
//! asks for:
//!
//! ```text
//!    messages, proposals, reads, time ─────►┌────────┐
//!    a write is durable ───────────────────►│  Raft  │── ready() ──► Ready
//!    old entries read back, applied index ─►└────────┘
//!
//!    Ready { send_now ─────────────────────────────────────► network
//!            write ──► disk ──► wrote(id), and then
//!                         └──► send_after ─────────────────► network
//!            restore ──► state machine, from a snapshot
//!            committed ──► state machine ──► applied(index)
//!            fetch ──► disk ──► fetched(first, entries)
//!            repair ──► disk ──► repaired(still)
//!            records ──► disk, some time
//!            install ──► a peer's snapshot ──► installed(meta)
//!            reads, dropped ──► clients waiting here
//!            state ──► who leads; membership ──► who is to be reached }
//! ```
//!
//! The essential rule is in the shape of [`Ready`]: what asserts something that is not durable
//! yet stands in `send_after`, next to the `write` that makes it so. Any number of writes may be
//! under way; the machine does not wait for them. `examples/three_nodes_in_memory.rs` is a whole
//! embedder in under a hundred lines.
//!
//! # One command, from proposal to commit
//!
//! ```text
//!  leader                                follower
//!  propose: append to the log
//!  ready:   send_now Append ───────────► receive: append to the log
//!           write entries                ready:   write entries
//!             │ (in parallel)                       │
//!  wrote: counts for itself              wrote: the answer may leave
//!  receive ◄──────────── AppendAccepted ─ ready:  send_now
//!  a quorum has it: committed
//!  ready: committed; send_now Append ──► receive: commit index moves
//!         (or the next entries tell)     ready:   committed
//! ```
//!
//! # What always holds
//!
//! - **Election Safety**: one leader a term. A node votes once a term, and says so only when
//!   that is durable (`outbox.rs`, `election.rs`).
//! - **Log Matching**: entries with the same index and term are the same, and so is all before
//!   them. An Append says what comes before its entries, and is refused where that is missing
//!   (`follower.rs`).
//! - **Leader Completeness**: a leader has every entry committed before its term. A voter refuses
//!   a log older than its own; only entries of a leader's own term are committed by counting
//!   (`replication.rs`).
//! - **State Machine Safety**: no two nodes are handed different entries for one index; what was
//!   handed out is never cut off, and is durable here.
//! - **One history of memberships**: who decides is an entry of the log like any other, in force
//!   where it stands; and whichever of two neighbouring memberships nodes go by, their majorities
//!   meet (`membership.rs`, `reconfiguration.rs`).
//! - **Linearizable reads**: a read is granted at an index that covers all that was committed
//!   before it was asked (`read_index.rs`, with the proof; `lease.rs`, which counts on clocks).
//!
//! These are `assert!`ed where one node can see them, in release builds too: a node that finds
//! itself in a state that cannot be must not go on. What comes from outside is never asserted: an
//! illegal message is a [`MessageError`], counted, and without effect.
//!
//! # Time, chance and limits
//!
//! Time is an argument ([`Instant`]); [`Raft::deadline`] says when to call [`Raft::tick`]. Chance
//! is a generator seeded by [`Config::seed`]. The same inputs give the same outputs, always, so a
//! simulated cluster can be replayed from a seed. Every queue has a limit, in [`Config`] or in
//! [`limits`].
//!
//! # Where to read on
//!
//! `raft.rs` has the inputs, `dispatch.rs` which message is for whom, `output.rs` has `ready`; `role.rs` says
//! what each role knows; then `election.rs`, `follower.rs`, `replication.rs` (with `progress.rs`)
//! `read_index.rs`, `snapshot.rs`, `transfer.rs` and `disk_stall.rs`; what is damaged on
//! disk is `doubt.rs` (with `gaps.rs`), and a disk that went back in time `records.rs`, `asking.rs` and
//! `refilling.rs`; who the members are, and how that changes, are
//! `membership.rs`, `quorum.rs` and `reconfiguration.rs`. The log is `log.rs`, which is made of `terms.rs`, `durability.rs` and
//! `fetcher.rs`. The scripts in `tests/scripts` show each behaviour as a trace.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod asking;
mod config;
mod disk_stall;
mod dispatch;
mod doubt;
mod durability;
mod election;
mod error;
mod fetcher;
mod follower;
mod gaps;
mod lease;
pub mod limits;
mod log;
mod membership;
mod message;
mod outbox;
mod output;
mod progress;
mod quorum;
mod raft;
mod random;
mod read_index;
mod ready;
mod reconfiguration;
mod records;
mod refilling;
mod replication;
mod restored;
mod role;
mod snapshot;
mod status;
mod terms;
mod transfer;
mod types;
mod validate;

pub use config::Config;
pub use error::{
    ChangeError, ConfigError, InstallError, MessageError, ProposeError, ReadError, TransferError,
};
pub use gaps::Damaged;
pub use membership::Membership;
pub use message::{Envelope, Message};
pub use raft::{Accepted, Raft};
pub use ready::{DropReason, Dropped, Fetch, LeadershipState, ReadGrant, Ready, Role, Write};
pub use reconfiguration::MembershipChange;
pub use records::Record;
pub use refilling::{Rejection, Rewound, Standing};
pub use restored::Restored;
pub use snapshot::{InstallWanted, SnapshotMark, SnapshotMeta};
pub use status::{PeerStatus, RefusedMessages, Status};
pub use transfer::TransferOutcome;
pub use types::{Entry, HardState, Instant, LogIndex, NodeId, Payload, ReadId, Term, WriteId};
