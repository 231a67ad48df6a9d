//! Numbers for Prometheus: etcd's names where the meaning is the same, `quorate_…` elsewhere.
//!
//! Counters are counted where things happen; what can be read off the node's state (who leads,
//! how far the log is) is set when somebody asks.

mod leases;
mod snapshots;
mod watches;

use std::sync::atomic::AtomicU64;

pub(crate) use leases::LeaseMetrics;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use quorate_raft::{NodeId, Role, Standing};
pub(crate) use snapshots::SnapshotMetrics;
use watches::WatchMetrics;

use crate::core::Core;
use crate::settings::{ETCD_VERSION, QUORATE_VERSION};

/// How a gRPC method was handled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct HandledLabels {
    pub(crate) grpc_service: &'static str,
    pub(crate) grpc_method: &'static str,
    pub(crate) grpc_code: &'static str,
}

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
    pub(crate) leader_changes: Counter,
    pub(crate) proposals_failed: Counter,
    pub(crate) proposals_pending: Gauge,
    pub(crate) read_indexes_failed: Counter,
    pub(crate) wal_fsync_seconds: Histogram,
    pub(crate) handled: Family<HandledLabels, Counter>,
    pub(crate) committed_index: Gauge,
    pub(crate) client_connections: Gauge,
    pub(crate) peer_connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) connections_broken: Counter,
    pub(crate) connections_overdue: Counter,
    pub(crate) peer_handshakes_refused: Counter,
    pub(crate) peer_frames_refused: Counter,
    pub(crate) peer_frames_delayed: Counter,
    pub(crate) peer_received_bytes: Bytes,
    pub(crate) snapshots: SnapshotMetrics,
    pub(crate) watches: WatchMetrics,
    pub(crate) leases: LeaseMetrics,
    has_leader: Gauge,
    is_leader: Gauge,
    applied_index: Gauge,
    term: Gauge,
    store_bytes: Gauge,
    store_bytes_in_use: Gauge,
    keys: Gauge,
    resident_bytes: Gauge,
    messages_refused: Gauge,
    damaged_entries: Gauge,
    repaired_entries: Gauge,
    asking: Gauge,
    refilling: Gauge,
    clock_readings_refused: Gauge,
    peer_up: Family<PeerLabels, Gauge>,
    peer_dropped: Family<PeerLabels, Gauge>,
    peer_sent_bytes: Family<PeerLabels, Gauge>,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::default(),
            leader_changes: Counter::default(),
            proposals_failed: Counter::default(),
            proposals_pending: Gauge::default(),
            read_indexes_failed: Counter::default(),
            // etcd's buckets, so that its dashboards read the same: 1 ms to 8 s.
            wal_fsync_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            handled: Family::default(),
            committed_index: Gauge::default(),
            client_connections: Gauge::default(),
            peer_connections: Gauge::default(),
            connections_refused: Counter::default(),
            connections_broken: Counter::default(),
            connections_overdue: Counter::default(),
            peer_handshakes_refused: Counter::default(),
            peer_frames_refused: Counter::default(),
            peer_frames_delayed: Counter::default(),
            peer_received_bytes: Bytes::default(),
            snapshots: SnapshotMetrics::new(),
            watches: WatchMetrics::new(),
            leases: LeaseMetrics::new(),
            has_leader: Gauge::default(),
            is_leader: Gauge::default(),
            applied_index: Gauge::default(),
            term: Gauge::default(),
            store_bytes: Gauge::default(),
            store_bytes_in_use: Gauge::default(),
            keys: Gauge::default(),
            resident_bytes: Gauge::default(),
            messages_refused: Gauge::default(),
            damaged_entries: Gauge::default(),
            repaired_entries: Gauge::default(),
            asking: Gauge::default(),
            refilling: Gauge::default(),
            clock_readings_refused: Gauge::default(),
            peer_up: Family::default(),
            peer_dropped: Family::default(),
            peer_sent_bytes: Family::default(),
        };
        metrics.register_etcd_names();
        metrics.register_own_names();
        metrics.register_peers();
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
        r.register("etcd_debugging_mvcc_keys_total", "Keys", self.keys.clone());
        r.register(
            "process_resident_memory_bytes",
            "Resident memory of the process",
            self.resident_bytes.clone(),
        );
        r.register(
            "grpc_server_handled",
            "Handled gRPC calls",
            self.handled.clone(),
        );
        let version = [("server_version".into(), ETCD_VERSION.into())];
        r.sub_registry_with_labels(version.into_iter()).register(
            "etcd_server_version",
            "The etcd version whose API is served",
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

    fn register_peers(&mut self) {
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
        r.register(
            "etcd_network_peer_received_bytes",
            "Bytes heard from peers",
            self.peer_received_bytes.clone(),
        );
        r.register(
            "etcd_network_active_peers",
            "Whether the link to a peer is up",
            self.peer_up.clone(),
        );
        r.register(
            "etcd_network_peer_sent_failures_total",
            "Messages to a peer that found no link or no room",
            self.peer_dropped.clone(),
        );
        r.register(
            "etcd_network_peer_sent_bytes_total",
            "Bytes said to a peer",
            self.peer_sent_bytes.clone(),
        );
    }

    /// The page that Prometheus reads.
    pub(crate) fn encode(&self, core: &Core) -> String {
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
        self.keys.set(number(store.key_count() as u64));
        self.store_bytes.set(number(store.memory_bytes() as u64));
        self.store_bytes_in_use
            .set(number(store.memory_bytes() as u64));
        self.leases.set_count(store.lease_count());
        drop(store);
        self.watches.read(&core.watches, &core.watch_answers);
        self.resident_bytes.set(number(resident_bytes()));
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
        for (peer, queue) in core.peers.all() {
            let labels = PeerLabels::of(peer);
            self.peer_up
                .get_or_create(&labels)
                .set(i64::from(queue.is_up()));
            self.peer_dropped
                .get_or_create(&labels)
                .set(number(queue.dropped()));
            self.peer_sent_bytes
                .get_or_create(&labels)
                .set(number(queue.sent_bytes()));
        }
    }
}

/// From `/proc`, in pages of 4 KiB; zero where there is none.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
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
