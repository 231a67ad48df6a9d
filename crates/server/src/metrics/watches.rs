//! Numbers about watches.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::watches::Watches;

pub(crate) struct WatchMetrics {
    streams: Gauge,
    watchers: Gauge,
    slow_watchers: Gauge,
    events: Counter<u64, AtomicU64>,
    unread: Counter<u64, AtomicU64>,
}

impl WatchMetrics {
    pub(super) fn new() -> WatchMetrics {
        WatchMetrics {
            streams: Gauge::default(),
            watchers: Gauge::default(),
            slow_watchers: Gauge::default(),
            events: Counter::default(),
            unread: Counter::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "etcd_debugging_mvcc_watch_stream_total",
            "Open watch streams",
            self.streams.clone(),
        );
        registry.register(
            "etcd_debugging_mvcc_watcher_total",
            "Watchers",
            self.watchers.clone(),
        );
        registry.register(
            "etcd_debugging_mvcc_slow_watcher_total",
            "Watchers that are behind and read history",
            self.slow_watchers.clone(),
        );
        registry.register(
            "etcd_debugging_mvcc_events",
            "Events sent to watchers",
            self.events.clone(),
        );
        registry.register(
            "quorate_watch_streams_unread",
            "Watch streams ended because their clients did not read while others waited for room",
            self.unread.clone(),
        );
    }

    /// A stream was ended that was not read.
    pub(crate) fn ended_unread(&self) {
        self.unread.inc();
    }

    /// Events were sent.
    pub(crate) fn sent(&self, events: usize) {
        self.events.inc_by(events as u64);
    }

    pub(super) fn read(&self, watches: &Watches) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (watchers, behind) = watches.with(|hub| (hub.watcher_count(), hub.behind_count()));
        self.streams.set(number(watches.stream_count()));
        self.watchers.set(number(watchers));
        self.slow_watchers.set(number(behind));
    }
}
