//! The tokio shell around a replica: gRPC, peer links, real files, threads, metrics.
//!
//! Nothing is decided here that concerns consensus or the store; the machines of
//! `quorate-replica` decide, and this crate gives them time, disks, sockets and threads.
//!
//! ```text
//!  client port                                        peer port
//!  grpc/, http/ ──► Core ──► threads/consensus ◄──── peers/accept ◄── other members
//!       ▲            │           │        │
//!       │            │     threads/log  peers/queue ──► peers/dial ──► other members
//!       │            ▼           │
//!       └──── threads/applier ◄──┘ (committed)
//! ```
//!
//! `gateway/` turns JSON over HTTP into calls of `grpc/`, and the answers back.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod answers;
mod auto_compaction;
mod backup;
mod bodies;
mod budget;
mod clock;
mod core;
mod corruption;
mod data_dir;
mod error;
mod exports;
mod first_words;
mod gateway;
mod grpc;
mod hashing;
mod http;
mod inbox;
mod join;
mod lease_questions;
mod limits;
mod listen;
mod members;
mod memory_limit;
mod metrics;
mod overdue;
mod peers;
mod quota;
mod read_queue;
mod real_disk;
mod removal;
mod restore;
mod settings;
mod start;
pub mod stubs;
#[cfg(test)]
mod test_servers;
mod threads;
mod versions;
mod watches;

pub use backup::{BackupError, BackupStatus, check_backup};
pub use error::ServerError;
pub use quorate_replica::{HIGHEST_PROTOCOL_VERSION, LOWEST_PROTOCOL_VERSION};
pub use real_disk::{RealDisk, RealFile};
pub use restore::{RestoreFailure, RestoreOptions, Restored, restore_backup};
pub use settings::{
    AutoCompaction, ETCD_CLUSTER_VERSION, ETCD_VERSION, Member, QUORATE_VERSION, ServerSettings,
};
pub use start::Server;
