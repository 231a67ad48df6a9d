//! Numbers of leases, under etcd's names.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use quorate_kv::LeaseEvent;
use quorate_replica::LeaseNews;

use super::number;

/// What is counted of leases.
pub(crate) struct LeaseMetrics {
    granted: Counter,
    revoked: Counter,
    renewed: Counter<u64, AtomicU64>,
    expired: Counter<u64, AtomicU64>,
    ttl_seconds: Histogram,
    count: Gauge,
}

impl LeaseMetrics {
    pub(super) fn new() -> LeaseMetrics {
        LeaseMetrics {
            granted: Counter::default(),
            revoked: Counter::default(),
            renewed: Counter::default(),
            expired: Counter::default(),
            // etcd's buckets: 1 second to 3 months.
            ttl_seconds: Histogram::new(exponential_buckets(1.0, 2.0, 24)),
            count: Gauge::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "etcd_debugging_lease_granted",
            "Leases granted, by whichever member",
            self.granted.clone(),
        );
        registry.register(
            "etcd_debugging_lease_revoked",
            "Leases revoked or ended because their time was over",
            self.revoked.clone(),
        );
        registry.register(
            "etcd_debugging_lease_renewed",
            "Renewals that this member granted as leader",
            self.renewed.clone(),
        );
        registry.register(
            "etcd_debugging_lease_ttl_total",
            "Times for which leases were granted, in seconds",
            self.ttl_seconds.clone(),
        );
        registry.register(
            "etcd_debugging_server_lease_expired",
            "Leases whose time was over, as this member said as leader",
            self.expired.clone(),
        );
        registry.register("quorate_leases", "Leases", self.count.clone());
    }

    /// What the applier has told.
    pub(crate) fn learn(&self, news: &LeaseNews) {
        let LeaseNews::Changes(events) = news else {
            return;
        };
        for event in events {
            match event {
                LeaseEvent::Granted { ttl_seconds, .. } => {
                    self.granted.inc();
                    self.ttl_seconds.observe(*ttl_seconds as f64);
                }
                LeaseEvent::Revoked { .. } => {
                    self.revoked.inc();
                }
                LeaseEvent::Checkpointed { .. } => {}
            }
        }
    }

    pub(super) fn set_count(&self, count: usize) {
        self.count.set(number(count as u64));
    }

    /// What consensus has counted.
    pub(super) fn count_of_leader(&self, renewed: u64, expired: u64) {
        self.renewed
            .inner()
            .store(renewed, std::sync::atomic::Ordering::Relaxed);
        self.expired
            .inner()
            .store(expired, std::sync::atomic::Ordering::Relaxed);
    }
}
