//! Numbers about snapshots: taken, sent to a peer, received from one, loaded, found damaged.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use quorate_raft::NodeId;
use quorate_wal::{Note, WalError};

use super::{Bytes, Counted, FromLabels, PeerLabels};

/// Snapshot files take from a millisecond to minutes: etcd's buckets for them, 0.1 s to 52 s, and as
/// many more below, where small stores lie.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0015625, 2.0, 16))
}

/// Numbers about snapshots. Clones count together.
#[derive(Clone)]
pub(crate) struct SnapshotMetrics {
    taken: Counter,
    taken_bytes: Bytes,
    take_seconds: Histogram,
    sent: Family<PeerLabels, Gauge>,
    send_failures: Family<PeerLabels, Gauge>,
    sending: Family<PeerLabels, Gauge>,
    send_seconds: Family<PeerLabels, Histogram>,
    sent_bytes: Bytes,
    received: Family<FromLabels, Gauge>,
    receive_failures: Family<FromLabels, Gauge>,
    receiving: Family<FromLabels, Gauge>,
    receive_seconds: Family<FromLabels, Histogram>,
    received_bytes: Bytes,
    loading: Gauge,
    load_seconds: Histogram,
    damaged: Counter,
}

impl SnapshotMetrics {
    pub(super) fn new() -> SnapshotMetrics {
        SnapshotMetrics {
            taken: Counter::default(),
            taken_bytes: Bytes::default(),
            take_seconds: seconds(),
            sent: Family::default(),
            send_failures: Family::default(),
            sending: Family::default(),
            send_seconds: Family::new_with_constructor(seconds),
            sent_bytes: Bytes::default(),
            received: Family::default(),
            receive_failures: Family::default(),
            receiving: Family::default(),
            receive_seconds: Family::new_with_constructor(seconds),
            received_bytes: Bytes::default(),
            loading: Gauge::default(),
            load_seconds: seconds(),
            damaged: Counter::default(),
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "quorate_snapshot_taken",
            "Snapshots taken of this member's own state",
            self.taken.clone(),
        );
        r.register(
            "quorate_snapshot_taken_bytes",
            "Bytes of content of snapshots taken",
            self.taken_bytes.clone(),
        );
        r.register(
            "quorate_snapshot_take_duration_seconds",
            "Taking a snapshot: scanning the store, writing, verifying and syncing the file",
            self.take_seconds.clone(),
        );
        self.register_sent(r);
        self.register_received(r);
        r.register(
            "quorate_snapshot_damaged",
            "Times that a snapshot file on this disk was found damaged",
            self.damaged.clone(),
        );
    }

    fn register_sent(&self, r: &mut Registry) {
        r.register(
            "etcd_network_snapshot_send_success",
            "Snapshots sent to a peer, to their end",
            self.sent.clone(),
        );
        r.register(
            "etcd_network_snapshot_send_failures",
            "Snapshots sent to a peer in part: it goes on where that ended",
            self.send_failures.clone(),
        );
        r.register(
            "etcd_network_snapshot_send_inflights_total",
            "Snapshots being sent to a peer",
            self.sending.clone(),
        );
        r.register(
            "etcd_network_snapshot_send_total_duration_seconds",
            "Sending a snapshot to a peer, to its end",
            self.send_seconds.clone(),
        );
        r.register(
            "quorate_snapshot_sent_bytes",
            "Bytes of content of snapshots sent to peers",
            self.sent_bytes.clone(),
        );
    }

    fn register_received(&self, r: &mut Registry) {
        r.register(
            "etcd_network_snapshot_receive_success",
            "Snapshots received from a peer, whole, verified and durable",
            self.received.clone(),
        );
        r.register(
            "etcd_network_snapshot_receive_failures",
            "Attempts to receive a snapshot from a peer that failed",
            self.receive_failures.clone(),
        );
        r.register(
            "etcd_network_snapshot_receive_inflights_total",
            "Snapshots being received from a peer",
            self.receiving.clone(),
        );
        r.register(
            "etcd_network_snapshot_receive_total_duration_seconds",
            "Receiving a snapshot from a peer: the attempt that ended well",
            self.receive_seconds.clone(),
        );
        r.register(
            "quorate_snapshot_received_bytes",
            "Bytes of content of snapshots received from peers",
            self.received_bytes.clone(),
        );
        r.register(
            "etcd_server_snapshot_apply_in_progress_total",
            "Whether a peer's snapshot is being loaded",
            self.loading.clone(),
        );
        r.register(
            "quorate_snapshot_load_duration_seconds",
            "Loading a peer's snapshot into the store",
            self.load_seconds.clone(),
        );
    }

    /// A snapshot of so many bytes was taken in so long.
    pub(crate) fn took(&self, bytes: u64, time: Duration) {
        self.taken.inc();
        self.taken_bytes.inc_by(bytes);
        self.take_seconds.observe(time.as_secs_f64());
    }

    /// A snapshot is being sent until the answer is dropped.
    pub(crate) fn sends(&self, to: NodeId) -> Counted {
        Counted::new(&self.sending.get_or_create(&PeerLabels::of(to)))
    }

    /// Some content was sent.
    pub(crate) fn sent_chunk(&self, bytes: u64) {
        self.sent_bytes.inc_by(bytes);
    }

    /// It was sent to its end in so long, or not to its end.
    pub(crate) fn sent(&self, to: NodeId, whole: Option<Duration>) {
        let labels = PeerLabels::of(to);
        match whole {
            None => self.send_failures.get_or_create(&labels).inc(),
            Some(time) => {
                let seconds = time.as_secs_f64();
                self.send_seconds.get_or_create(&labels).observe(seconds);
                self.sent.get_or_create(&labels).inc()
            }
        };
    }

    /// A snapshot is being received until the answer is dropped.
    pub(crate) fn receives(&self, from: NodeId) -> Counted {
        Counted::new(&self.receiving.get_or_create(&FromLabels::of(from)))
    }

    /// Some content was received.
    pub(crate) fn received_chunk(&self, bytes: u64) {
        self.received_bytes.inc_by(bytes);
    }

    /// It was received whole in so long, or the attempt failed.
    pub(crate) fn received(&self, from: NodeId, whole: Option<Duration>) {
        let labels = FromLabels::of(from);
        match whole {
            None => self.receive_failures.get_or_create(&labels).inc(),
            Some(time) => {
                let seconds = time.as_secs_f64();
                self.receive_seconds.get_or_create(&labels).observe(seconds);
                self.received.get_or_create(&labels).inc()
            }
        };
    }

    /// A peer's snapshot is being loaded until the answer is dropped.
    pub(crate) fn loads(&self) -> Counted {
        Counted::new(&self.loading)
    }

    /// It was loaded in so long.
    pub(crate) fn loaded(&self, time: Duration) {
        self.load_seconds.observe(time.as_secs_f64());
    }

    /// Counts the error, if it says that a file is damaged.
    pub(crate) fn failed(&self, error: &WalError) {
        if matches!(error, WalError::SnapshotDamaged { .. }) {
            self.damaged.inc();
        }
    }

    /// Counts what these notes say to be damaged.
    pub(crate) fn noted(&self, notes: &[Note]) {
        let damaged = |note: &&Note| matches!(note, Note::SnapshotDamaged { .. });
        self.damaged
            .inc_by(notes.iter().filter(damaged).count() as u64);
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn what_was_sent_whole_or_in_part_is_counted_by_peer_under_etcds_names() {
        let metrics = SnapshotMetrics::new();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let peer = NodeId(0xa1);
        let sending = metrics.sends(peer);
        metrics.sent_chunk(70);
        metrics.sent(peer, None);
        metrics.sent(peer, Some(Duration::from_millis(30)));
        metrics.received(peer, Some(Duration::from_millis(30)));
        metrics.took(50, Duration::from_millis(2));
        let page = || {
            let mut page = String::new();
            text::encode(&mut page, &registry).expect("a string takes it");
            page
        };
        let expected = [
            "etcd_network_snapshot_send_success{To=\"a1\"} 1",
            "etcd_network_snapshot_send_failures{To=\"a1\"} 1",
            "etcd_network_snapshot_send_inflights_total{To=\"a1\"} 1",
            "etcd_network_snapshot_send_total_duration_seconds_count{To=\"a1\"} 1",
            "etcd_network_snapshot_receive_success{From=\"a1\"} 1",
            "quorate_snapshot_sent_bytes_total 70",
            "quorate_snapshot_taken_total 1",
            "quorate_snapshot_taken_bytes_total 50",
        ];
        for line in expected {
            assert!(page().contains(line), "no {line} in\n{}", page());
        }
        drop(sending);
        let line = "etcd_network_snapshot_send_inflights_total{To=\"a1\"} 0";
        assert!(page().contains(line), "{}", page());
    }
}
