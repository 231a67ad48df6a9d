//! Numbers about watches.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::budget::Budget;
use crate::watches::Watches;

pub(crate) struct WatchMetrics {
    streams: Gauge,
    watchers: Gauge,
    slow_watchers: Gauge,
    events: Counter<u64, AtomicU64>,
    unread: Counter<u64, AtomicU64>,
    queued_bytes: Gauge,
    unsent_bytes: Gauge,
}

impl WatchMetrics {
    pub(super) fn new() -> WatchMetrics {
        WatchMetrics {
            streams: Gauge::default(),
            watchers: Gauge::default(),
            slow_watchers: Gauge::default(),
            events: Counter::default(),
            unread: Counter::default(),
            queued_bytes: Gauge::default(),
            unsent_bytes: Gauge::default(),
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
        registry.register(
            "quorate_watch_queued_bytes",
            "Bytes of events that wait in the queues of watch streams",
            self.queued_bytes.clone(),
        );
        registry.register(
            "quorate_watch_unsent_bytes",
            "Bytes of watch answers that were made and are not sent",
            self.unsent_bytes.clone(),
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

    pub(super) fn read(&self, watches: &Watches, answers: &Budget) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (watchers, behind, queued_bytes) = watches.with(|hub| {
            let (watchers, behind) = (hub.watcher_count(), hub.behind_count());
            (watchers, behind, hub.queued_bytes())
        });
        self.streams.set(number(watches.stream_count()));
        self.watchers.set(number(watchers));
        self.slow_watchers.set(number(behind));
        self.queued_bytes.set(number(queued_bytes));
        self.unsent_bytes.set(number(answers.used_bytes()));
    }
}
