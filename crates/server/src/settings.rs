//! What a server has to be told; the command line fills it from flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use quorate_replica::AutoCompaction;

/// The etcd version that `/version` and Status give: clients decide by it what they may use.
pub const ETCD_VERSION: &str = "3.5.21";

/// The etcd cluster version beside it.
pub const ETCD_CLUSTER_VERSION: &str = "3.5.0";

/// Quorate's own version.
pub const QUORATE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// One member of the cluster as every member was told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where its peers reach it, as URLs.
    pub peer_urls: Vec<String>,
}

/// Everything a server has to be told.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// This member's name; one of `members` has it.
    pub name: String,
    /// Where its data lies; made if absent.
    pub data_dir: PathBuf,
    /// Where clients are listened to.
    pub listen_client: Vec<SocketAddr>,
    /// Where peers are listened to.
    pub listen_peer: Vec<SocketAddr>,
    /// Where metrics and health are served besides the client ports.
    pub listen_metrics: Vec<SocketAddr>,
    /// Where clients reach this member, as URLs.
    pub advertise_client_urls: Vec<String>,
    /// All members, this one included, as they were when this one first started.
    pub members: Vec<Member>,
    /// Whether this member joins, or has joined, a cluster that others founded.
    pub join_existing: bool,
    /// Tells clusters with equal addresses apart.
    pub cluster_token: String,
    /// How often a leader is heard from.
    pub heartbeat_interval: Duration,
    /// How long a leader may be silent.
    pub election_timeout: Duration,
    /// Whether a node asks before it campaigns.
    pub pre_vote: bool,
    /// Whether a leader serves reads on a lease; counts on clocks, and all members must agree.
    pub lease_reads: bool,
    /// Whether a leader has the log say now and then how much of leases is left, so that its successor
    /// need not give them all their time again.
    pub lease_checkpoints: bool,
    /// The highest protocol version to speak.
    pub protocol_version: u32,
    /// Whether to start with the data as it is, whatever other members remember of it.
    pub accepts_old_disk: bool,
    /// The largest request, in bytes.
    pub max_request_bytes: usize,
    /// Operations in one transaction.
    pub max_txn_ops: usize,
    /// Bytes of memory that the store may take: 0 is the default (the smaller of 2 GiB and half of the memory there
    /// is), and less is no limit.
    pub quota_backend_bytes: i64,
    /// What is compacted without being asked.
    pub auto_compaction: AutoCompaction,
    /// Whether this member compares itself with the others before it serves clients.
    pub initial_corrupt_check: bool,
    /// How often the leader compares the members, if ever.
    pub corrupt_check_interval: Option<Duration>,
    /// The origins whose pages browsers let read answers over HTTP; `*` stands for all.
    pub cors: Vec<String>,
    /// Whether the JSON gateway is served.
    pub json_gateway: bool,
    /// How often watchers that ask for it are told of their progress, when there was nothing else to tell.
    pub watch_progress_interval: Duration,
    /// Bytes of log after which a snapshot is taken, at the least.
    pub snapshot_log_bytes: u64,
}
