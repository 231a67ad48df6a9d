//! Numbers about keys and what was done to them, under etcd's names: those of today, and the older ones with
//! `debugging` in them.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use quorate_kv::Store;

use super::number;

type Number = Counter<u64, AtomicU64>;

/// What is counted of the store. Puts, deletions and transactions are counted as they are applied, on every member, and
/// begin anew when a snapshot takes the store's place.
#[derive(Default)]
pub(crate) struct StoreMetrics {
    ranges: Number,
    puts: Number,
    deletes: Number,
    transactions: Number,
    keys: Gauge,
    revision: Gauge,
    compacted_revision: Gauge,
}

impl StoreMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        let counters = [
            ("range", "Ranges that this member answered", &self.ranges),
            (
                "put",
                "Puts applied, those in transactions included",
                &self.puts,
            ),
            (
                "delete",
                "Deletions applied, those in transactions included",
                &self.deletes,
            ),
            ("txn", "Transactions applied", &self.transactions),
        ];
        for (name, help, counter) in counters {
            for prefix in ["etcd_mvcc", "etcd_debugging_mvcc"] {
                r.register(format!("{prefix}_{name}"), help, counter.clone());
            }
        }
        r.register("etcd_debugging_mvcc_keys_total", "Keys", self.keys.clone());
        r.register(
            "etcd_debugging_mvcc_current_revision",
            "The store's revision",
            self.revision.clone(),
        );
        r.register(
            "etcd_debugging_mvcc_compact_revision",
            "The revision before which nothing can be read; -1 before the first compaction",
            self.compacted_revision.clone(),
        );
    }

    /// This member answered a range.
    pub(crate) fn ranged(&self) {
        self.ranges.inc();
    }

    pub(super) fn read(&self, store: &Store) {
        let counts = store.counts();
        let set = |counter: &Number, value| counter.inner().store(value, Ordering::Relaxed);
        set(&self.puts, counts.puts);
        set(&self.deletes, counts.deletes);
        set(&self.transactions, counts.transactions);
        self.keys.set(number(store.key_count() as u64));
        self.revision.set(store.revision());
        self.compacted_revision.set(store.compacted_revision());
    }
}
