//! Numbers for Prometheus: etcd's names where the meaning is the same, `quorate_…` elsewhere.
//!
//! Counters are counted where things happen; what can be read off the node's state (who leads,
//! how far the log is) is set when somebody asks.

mod calls;
mod durations;
mod leases;
mod page;
mod peers;
mod process;
mod snapshots;
mod store;
#[cfg(test)]
mod tests;
mod watches;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use calls::CallCollector;
pub(crate) use calls::{CallMetrics, MethodMetrics};
pub(crate) use leases::LeaseMetrics;
pub(crate) use page::Format;
use peers::PeerMetrics;
use process::ProcessMetrics;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use quorate_raft::{NodeId, Role, Standing};
pub(crate) use snapshots::SnapshotMetrics;
use store::StoreMetrics;
use watches::WatchMetrics;

use crate::core::{Core, MemberIdentity};
use crate::settings::{ETCD_CLUSTER_VERSION, ETCD_VERSION, QUORATE_VERSION};

/// etcd names this label `To`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(non_snake_case)]
struct PeerLabels {
    To: String,
}

impl PeerLabels {
    fn of(to: NodeId) -> PeerLabels {
        PeerLabels {
            To: format!("{:x}", to.0),
        }
    }
}

/// And this one `From`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(non_snake_case)]
struct FromLabels {
    From: String,
}

impl FromLabels {
    fn of(from: NodeId) -> FromLabels {
        FromLabels {
            From: format!("{:x}", from.0),
        }
    }
}

type Bytes = Counter<u64, AtomicU64>;

/// All numbers of one server.
pub(crate) struct Metrics {
    registry: Registry,
    /// Of one page after the other.
    turn: Mutex<()>,
    pub(crate) leader_changes: Counter,
    pub(crate) proposals_failed: Counter,
    pub(crate) proposals_pending: Gauge,
    pub(crate) read_indexes_failed: Counter,
    pub(crate) wal_fsync_seconds: Histogram,
    pub(crate) backend_commit_seconds: Histogram,
    pub(crate) slow_applies: Counter,
    pub(crate) slow_read_indexes: Counter,
    pub(crate) heartbeat_send_failures: Counter,
    pub(crate) members_compared: Counter,
    pub(crate) health_successes: Gauge,
    pub(crate) health_failures: Gauge,
    pub(crate) calls: Arc<CallMetrics>,
    pub(crate) committed_index: Gauge,
    pub(crate) client_connections: Gauge,
    pub(crate) peer_connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) connections_broken: Counter,
    pub(crate) connections_overdue: Counter,
    pub(crate) peer_handshakes_refused: Counter,
    pub(crate) peer_frames_refused: Counter,
    pub(crate) peer_frames_delayed: Counter,
    pub(crate) snapshots: SnapshotMetrics,
    pub(crate) watches: WatchMetrics,
    pub(crate) leases: LeaseMetrics,
    pub(crate) peers: PeerMetrics,
    pub(crate) store: StoreMetrics,
    process: ProcessMetrics,
    is_learner: Gauge,
    has_leader: Gauge,
    is_leader: Gauge,
    applied_index: Gauge,
    term: Gauge,
    quota_bytes: Gauge,
    store_bytes: Gauge,
    store_bytes_in_use: Gauge,
    messages_refused: Gauge,
    damaged_entries: Gauge,
    repaired_entries: Gauge,
    asking: Gauge,
    refilling: Gauge,
    clock_readings_refused: Gauge,
}

impl Metrics {
    pub(crate) fn new(identity: &MemberIdentity) -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::default(),
            turn: Mutex::default(),
            leader_changes: Counter::default(),
            proposals_failed: Counter::default(),
            proposals_pending: Gauge::default(),
            read_indexes_failed: Counter::default(),
            // etcd's buckets, so that its dashboards read the same: 1 ms to 8 s.
            wal_fsync_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            // etcd's: 1 ms to 8 s.
            backend_commit_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            slow_applies: Counter::default(),
            slow_read_indexes: Counter::default(),
            heartbeat_send_failures: Counter::default(),
            members_compared: Counter::default(),
            health_successes: Gauge::default(),
            health_failures: Gauge::default(),
            calls: Arc::new(CallMetrics::new()),
            committed_index: Gauge::default(),
            client_connections: Gauge::default(),
            peer_connections: Gauge::default(),
            connections_refused: Counter::default(),
            connections_broken: Counter::default(),
            connections_overdue: Counter::default(),
            peer_handshakes_refused: Counter::default(),
            peer_frames_refused: Counter::default(),
            peer_frames_delayed: Counter::default(),
            snapshots: SnapshotMetrics::new(),
            watches: WatchMetrics::new(),
            leases: LeaseMetrics::new(),
            peers: PeerMetrics::new(),
            store: StoreMetrics::default(),
            process: ProcessMetrics::default(),
            is_learner: Gauge::default(),
            has_leader: Gauge::default(),
            is_leader: Gauge::default(),
            applied_index: Gauge::default(),
            term: Gauge::default(),
            quota_bytes: Gauge::default(),
            store_bytes: Gauge::default(),
            store_bytes_in_use: Gauge::default(),
            messages_refused: Gauge::default(),
            damaged_entries: Gauge::default(),
            repaired_entries: Gauge::default(),
            asking: Gauge::default(),
            refilling: Gauge::default(),
            clock_readings_refused: Gauge::default(),
        };
        metrics.register_etcd_names();
        metrics.register_own_names();
        metrics.register_member(identity);
        metrics.register_peer_port();
        metrics.peers.register(&mut metrics.registry);
        metrics.store.register(&mut metrics.registry);
        metrics.process.register(&mut metrics.registry);
        let calls = CallCollector(Arc::clone(&metrics.calls));
        metrics.registry.register_collector(Box::new(calls));
        metrics.snapshots.register(&mut metrics.registry);
        metrics.watches.register(&mut metrics.registry);
        metrics.leases.register(&mut metrics.registry);
        metrics
    }

    fn register_etcd_names(&mut self) {
        let r = &mut self.registry;
        r.register(
            "etcd_server_has_leader",
            "Whether a leader is known",
            self.has_leader.clone(),
        );
        r.register(
            "etcd_server_is_leader",
            "Whether this member leads",
            self.is_leader.clone(),
        );
        r.register(
            "etcd_server_leader_changes_seen",
            "Leaders seen",
            self.leader_changes.clone(),
        );
        r.register(
            "etcd_server_proposals_committed_total",
            "The commit index",
            self.committed_index.clone(),
        );
        r.register(
            "etcd_server_proposals_applied_total",
            "The applied index",
            self.applied_index.clone(),
        );
        r.register(
            "etcd_server_proposals_pending",
            "Writes waiting for their answers",
            self.proposals_pending.clone(),
        );
        r.register(
            "etcd_server_proposals_failed",
            "Writes that got no answer from the store",
            self.proposals_failed.clone(),
        );
        r.register(
            "etcd_server_read_indexes_failed",
            "Linearizable reads that got no leave to read",
            self.read_indexes_failed.clone(),
        );
        r.register(
            "etcd_disk_wal_fsync_duration_seconds",
            "Writing and syncing one group of the log",
            self.wal_fsync_seconds.clone(),
        );
        r.register(
            "etcd_mvcc_db_total_size_in_bytes",
            "Memory held by the store",
            self.store_bytes.clone(),
        );
        r.register(
            "etcd_mvcc_db_total_size_in_use_in_bytes",
            "Memory used by the store",
            self.store_bytes_in_use.clone(),
        );
        r.register(
            "etcd_server_quota_backend_bytes",
            "Memory that the store may take; 0 if that is not limited",
            self.quota_bytes.clone(),
        );
        r.register(
            "etcd_disk_backend_commit_duration_seconds",
            "Applying one batch of entries to the store, which is in memory: nothing is synced",
            self.backend_commit_seconds.clone(),
        );
        r.register(
            "etcd_server_slow_apply",
            "Batches of entries that took longer than 100 ms to apply",
            self.slow_applies.clone(),
        );
        r.register(
            "etcd_server_slow_read_indexes",
            "Linearizable reads that waited longer than 500 ms for leave to read",
            self.slow_read_indexes.clone(),
        );
        r.register(
            "etcd_server_heartbeat_send_failures",
            "Times that this member, as leader, was a heartbeat late with what it had to send",
            self.heartbeat_send_failures.clone(),
        );
        r.register(
            "etcd_server_health_success",
            "Answers of /health that said that this member is healthy",
            self.health_successes.clone(),
        );
        r.register(
            "etcd_server_health_failures",
            "Answers of /health that said that it is not",
            self.health_failures.clone(),
        );
        let version = [("server_version".into(), ETCD_VERSION.into())];
        r.sub_registry_with_labels(version.into_iter()).register(
            "etcd_server_version",
            "The etcd version whose API is served",
            constant_one(),
        );
    }

    fn register_member(&mut self, identity: &MemberIdentity) {
        let r = &mut self.registry;
        r.register(
            "etcd_server_is_learner",
            "Whether this member only learns",
            self.is_learner.clone(),
        );
        let id = [(
            "server_id".into(),
            format!("{:x}", identity.member_id).into(),
        )];
        r.sub_registry_with_labels(id.into_iter()).register(
            "etcd_server_id",
            "This member's id",
            constant_one(),
        );
        let version = [("cluster_version".into(), cluster_version().into())];
        r.sub_registry_with_labels(version.into_iter()).register(
            "etcd_cluster_version",
            "The etcd version whose API the cluster serves",
            constant_one(),
        );
    }

    fn register_own_names(&mut self) {
        let r = &mut self.registry;
        let version = [("version".into(), QUORATE_VERSION.into())];
        r.sub_registry_with_labels(version.into_iter()).register(
            "quorate_version",
            "Quorate's own version",
            constant_one(),
        );
        r.register("quorate_raft_term", "The term", self.term.clone());
        r.register(
            "quorate_client_connections",
            "Open client connections",
            self.client_connections.clone(),
        );
        r.register(
            "quorate_peer_connections",
            "Open connections to the peer port",
            self.peer_connections.clone(),
        );
        r.register(
            "quorate_connections_refused",
            "Connections over the limit",
            self.connections_refused.clone(),
        );
        r.register(
            "quorate_connections_broken",
            "Connections closed for what was said on them",
            self.connections_broken.clone(),
        );
        r.register(
            "quorate_connections_overdue",
            "Connections ended because others waited for what their clients left unread or unfinished",
            self.connections_overdue.clone(),
        );
        r.register(
            "quorate_clock_readings_refused",
            "Wall clock readings refused as a jump",
            self.clock_readings_refused.clone(),
        );
        r.register(
            "quorate_peer_messages_refused",
            "Illegal consensus messages from peers",
            self.messages_refused.clone(),
        );
        r.register(
            "quorate_wal_damaged_entries",
            "Entries of the log that are damaged on this disk and not repaired yet",
            self.damaged_entries.clone(),
        );
        r.register(
            "quorate_wal_repaired_entries",
            "Damaged entries that were repaired from other members since the start",
            self.repaired_entries.clone(),
        );
        r.register(
            "quorate_members_compared",
            "Members whose hash this one, as leader, compared with its own",
            self.members_compared.clone(),
        );
        r.register(
            "quorate_asking",
            "Whether this member has started and waits for others to say what its disk is worth",
            self.asking.clone(),
        );
        r.register(
            "quorate_refilling",
            "Whether this disk went back in time and is being made good: no vote, no acknowledgement",
            self.refilling.clone(),
        );
    }

    fn register_peer_port(&mut self) {
        let r = &mut self.registry;
        r.register(
            "quorate_peer_handshakes_refused",
            "Links refused at the handshake",
            self.peer_handshakes_refused.clone(),
        );
        r.register(
            "quorate_peer_frames_refused",
            "Illegal frames from peers",
            self.peer_frames_refused.clone(),
        );
        r.register(
            "quorate_peer_frames_delayed",
            "Frames from peers that had to wait for room",
            self.peer_frames_delayed.clone(),
        );
    }

    /// The page that Prometheus reads, in OpenMetrics; [`Format::of`] puts it into another.
    pub(crate) fn encode(&self, core: &Core) -> String {
        // What is read off the server is set anew for each page: two at once would take it from each other.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_state(core);
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a string cannot fail");
        page
    }

    fn read_state(&self, core: &Core) {
        let leadership = core.leadership();
        self.has_leader.set(i64::from(leadership.leader.is_some()));
        self.is_leader
            .set(i64::from(leadership.role == Role::Leader));
        self.term.set(number(leadership.term.0));
        self.applied_index.set(number(core.applied_index()));
        let store = core.store();
        self.store.read(&store);
        self.is_learner.set(i64::from(core.is_learner()));
        let quota_bytes = core.quota.limit_bytes().unwrap_or(0);
        self.quota_bytes.set(number(quota_bytes as u64));
        self.store_bytes.set(number(store.memory_bytes() as u64));
        self.store_bytes_in_use
            .set(number(store.memory_bytes() as u64));
        self.leases.set_count(store.lease_count());
        drop(store);
        self.watches.read(&core.watches, &core.watch_answers);
        self.process.read();
        self.peers.read(core);
        if let Some(status) = core.consensus_status() {
            self.messages_refused.set(number(status.refused_messages));
            self.damaged_entries
                .set(number(status.raft.damaged_entries));
            self.repaired_entries
                .set(number(status.raft.repaired_entries));
            let standing = status.raft.standing;
            self.asking.set(i64::from(standing == Standing::Asking));
            self.refilling
                .set(i64::from(standing == Standing::Refilling));
            self.leases
                .count_of_leader(status.renewed_leases, status.expired_leases);
            self.clock_readings_refused
                .set(number(status.refused_clock_readings));
        }
    }
}

/// As etcd writes it here: without the patch.
fn cluster_version() -> String {
    let parts: Vec<&str> = ETCD_CLUSTER_VERSION.split('.').take(2).collect();
    parts.join(".")
}

/// One that is counted in a gauge until it is dropped.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn new(gauge: &Gauge) -> Counted {
        gauge.inc();
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn constant_one() -> Gauge {
    let one = Gauge::default();
    one.set(1);
    one
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
