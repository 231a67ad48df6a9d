//! Numbers about the links to other members, under etcd's names.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use quorate_raft::NodeId;

use super::{Bytes, FromLabels, PeerLabels};
use crate::core::Core;

/// Both ends of a link, in etcd's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(non_snake_case)]
struct LinkLabels {
    Local: String,
    Remote: String,
}

type Number = Counter<u64, AtomicU64>;

/// What is counted of links. What the queues count themselves is read off them.
pub(crate) struct PeerMetrics {
    round_trip_seconds: Family<PeerLabels, Histogram>,
    received_bytes: Family<FromLabels, Bytes>,
    received_failures: Family<FromLabels, Number>,
    disconnections: Family<LinkLabels, Number>,
    up: Family<LinkLabels, Gauge>,
    known: Family<LinkLabels, Gauge>,
    sent_failures: Family<PeerLabels, Number>,
    sent_bytes: Family<PeerLabels, Bytes>,
}

impl PeerMetrics {
    pub(super) fn new() -> PeerMetrics {
        PeerMetrics {
            // etcd's: 0.1 ms to 3.3 s.
            round_trip_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.0001, 2.0, 16))
            }),
            received_bytes: Family::default(),
            received_failures: Family::default(),
            disconnections: Family::default(),
            up: Family::default(),
            known: Family::default(),
            sent_failures: Family::default(),
            sent_bytes: Family::default(),
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "etcd_network_peer_round_trip_time_seconds",
            "A question to a peer and its answer, asked every few seconds",
            self.round_trip_seconds.clone(),
        );
        r.register(
            "etcd_network_peer_received_bytes",
            "Bytes heard from a peer",
            self.received_bytes.clone(),
        );
        r.register(
            "etcd_network_peer_received_failures",
            "Illegal frames from a peer",
            self.received_failures.clone(),
        );
        r.register(
            "etcd_network_disconnected_peers",
            "Times that the link to a peer was lost",
            self.disconnections.clone(),
        );
        r.register(
            "etcd_network_active_peers",
            "Whether the link to a peer is up",
            self.up.clone(),
        );
        r.register(
            "etcd_network_known_peers",
            "Peers that there are",
            self.known.clone(),
        );
        r.register(
            "etcd_network_peer_sent_failures",
            "Messages to a peer that found no link or no room",
            self.sent_failures.clone(),
        );
        r.register(
            "etcd_network_peer_sent_bytes",
            "Bytes said to a peer",
            self.sent_bytes.clone(),
        );
    }

    /// A peer answered a question.
    pub(crate) fn round_trip(&self, to: NodeId, took: Duration) {
        let labels = PeerLabels::of(to);
        let histogram = self.round_trip_seconds.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    /// Where bytes heard from a peer are counted, to be asked for once a link.
    pub(crate) fn heard_from(&self, from: NodeId) -> Bytes {
        self.received_bytes
            .get_or_create(&FromLabels::of(from))
            .clone()
    }

    /// A peer said what cannot be.
    pub(crate) fn broke_protocol(&self, from: NodeId) {
        self.received_failures
            .get_or_create(&FromLabels::of(from))
            .inc();
    }

    /// The link to a peer is lost.
    pub(crate) fn disconnected(&self, core: &Core, remote: NodeId) {
        let labels = link(core, remote);
        self.disconnections.get_or_create(&labels).inc();
    }

    pub(super) fn read(&self, core: &Core) {
        // Those that are gone are not known any more, nor up.
        self.up.clear();
        self.known.clear();
        for (peer, queue) in core.peers.all() {
            let (link, to) = (link(core, peer), PeerLabels::of(peer));
            let is_up = i64::from(queue.is_up());
            self.up.get_or_create(&link).set(is_up);
            self.known.get_or_create(&link).set(1);
            // There from the start, or rates would miss the first.
            drop(self.disconnections.get_or_create(&link));
            drop(self.received_failures.get_or_create(&FromLabels::of(peer)));
            let set = |family: &Family<PeerLabels, Number>, value| {
                let counter = family.get_or_create(&to);
                counter.inner().store(value, Ordering::Relaxed);
            };
            set(&self.sent_failures, queue.dropped());
            set(&self.sent_bytes, queue.sent_bytes());
        }
    }
}

fn link(core: &Core, remote: NodeId) -> LinkLabels {
    LinkLabels {
        Local: format!("{:x}", core.identity.member_id),
        Remote: format!("{:x}", remote.0),
    }
}
