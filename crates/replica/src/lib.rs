//! How raft, wal and kv make one node: machines joined by queues, without I/O of their own.
//!
//! ```text
//!   proposals, reads, peers' messages, time          committed entries, read grants
//!              │                                                 │
//!       ┌──────▼──────┐   writes    ┌───────────┐         ┌──────▼──────┐
//!       │  Consensus  ├────────────►│ LogWriter ├──► disk │   Applier   ├──► answers
//!       │   (raft)    │◄────────────┤   (wal)   │         │ (over a kv) │
//!       └──────┬──────┘   written   └───────────┘         └─────────────┘
//!              └──► peers' messages, read grants, refusals
//! ```
//!
//! The server gives each a thread; the simulator delays each on its own. They share nothing:
//! what one tells another is a value in a queue, so a delete of a million keys in the
//! [`Applier`] never stops a heartbeat of [`Consensus`], and neither waits for the disk.
//!
//! What must hold:
//! - A request is answered with success only by the node that took it, after that node applied
//!   it.
//! - A proposal leaves a follower at most once. When its fate cannot be known any more the
//!   client is told so; there is never a silent second try.
//! - No request id is applied twice, whatever the network did ([`Applier`] keeps the windows).
//! - A linearizable read waits until applied ≥ the index that the leader granted.
//! - Queues are bounded ([`limits`]); over a limit the client hears "too many requests".
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod applier;
mod auto_compaction;
mod cluster_version;
mod consensus;
mod corruption;
mod damage;
mod duplicates;
mod entry_format;
mod error;
mod identity;
mod lease_clock;
mod lease_questions;
pub mod limits;
mod log_clock;
mod log_writer;
mod members;
mod node;
mod proposals;
mod reads;
mod records_file;
mod snapshot_head;
mod snapshots;
pub mod wire;

pub use applier::{Answer, Applier, Progress};
pub use auto_compaction::{AutoCompaction, AutoCompactor, StoreLevel};
pub use cluster_version::{
    HIGHEST_PROTOCOL_VERSION, LEASES_FROM_VERSION, LOWEST_PROTOCOL_VERSION, TooNew,
};
pub use consensus::{Consensus, ConsensusSettings, ConsensusStatus, Effects, WriteRequest};
pub use corruption::{MemberHash, UNKNOWN_MEMBER, corrupt_members};
pub use damage::Repaired;
pub use entry_format::EntryError;
pub use error::{ApplyError, ApplyFault, OpenError, RequestError, SnapshotContentError};
pub use identity::{ClusterIdentity, MemberSeed, identify};
pub use lease_clock::{LeaseNews, LeaseTime};
pub use lease_questions::{LeaseOutcome, LeaseQuestion};
pub use log_writer::LogWriter;
pub use members::{Member, MemberError, MemberTable, are_attributes_within_limits};
pub use node::{LogReader, Node, NodeSettings};
pub use proposals::Proposal;
pub use records_file::{RecordsFile, records_on};
pub use snapshot_head::{SnapshotHead, SnapshotHeadError};
pub use snapshots::{
    Capture, LoadedSnapshot, PullProgress, RestoreError, RestoreSettings, RestoredSnapshot,
    SnapshotPuller, SnapshotQuery, SnapshotTaker, TakenSnapshot, check_imported, load_imported,
    load_snapshot, restore,
};
pub use wire::{ForwardedProposal, PeerMessage, RefusalReason};
