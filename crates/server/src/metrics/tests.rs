//! What etcd's own rules and dashboards ask for is on the page.
//!
//! The names and labels are those of etcd's monitoring mixin: its alerts and the panels of its dashboard.

use std::collections::BTreeSet;

use super::*;
use crate::core::tests::without_threads;

/// A sample that a query names, and the labels that it selects or groups by.
const ASKED_FOR: [(&str, &[&str]); 25] = [
    // Alerts.
    ("etcd_server_has_leader", &[]),
    ("etcd_server_leader_changes_seen_total", &[]),
    ("etcd_server_proposals_failed_total", &[]),
    ("etcd_disk_wal_fsync_duration_seconds_bucket", &["le"]),
    ("etcd_disk_backend_commit_duration_seconds_bucket", &["le"]),
    ("etcd_mvcc_db_total_size_in_bytes", &[]),
    ("etcd_mvcc_db_total_size_in_use_in_bytes", &[]),
    ("etcd_server_quota_backend_bytes", &[]),
    ("etcd_network_peer_sent_failures_total", &["To"]),
    (
        "etcd_network_peer_round_trip_time_seconds_bucket",
        &["To", "le"],
    ),
    (
        "grpc_server_handled_total",
        &["grpc_code", "grpc_method", "grpc_service", "grpc_type"],
    ),
    (
        "grpc_server_handling_seconds_bucket",
        &["grpc_method", "grpc_service", "grpc_type", "le"],
    ),
    // The dashboard.
    (
        "grpc_server_started_total",
        &["grpc_method", "grpc_service", "grpc_type"],
    ),
    ("process_resident_memory_bytes", &[]),
    ("etcd_network_client_grpc_received_bytes_total", &[]),
    ("etcd_network_client_grpc_sent_bytes_total", &[]),
    ("etcd_network_peer_received_bytes_total", &["From"]),
    ("etcd_network_peer_sent_bytes_total", &["To"]),
    ("etcd_server_proposals_pending", &[]),
    ("etcd_server_proposals_committed_total", &[]),
    ("etcd_server_proposals_applied_total", &[]),
    // What others ask for as often.
    ("etcd_server_is_leader", &[]),
    ("etcd_server_heartbeat_send_failures_total", &[]),
    ("etcd_server_slow_read_indexes_total", &[]),
    ("etcd_network_active_peers", &["Local", "Remote"]),
];

/// Each sample's name and its labels' names.
fn samples(page: &str) -> BTreeSet<(String, Vec<String>)> {
    let sample = |line: &str| {
        let (left, _) = line.rsplit_once(' ').expect("a name and a value");
        let (name, labels) = left.split_once('{').unwrap_or((left, "}"));
        let labels = labels.trim_end_matches('}').split(',');
        let mut labels: Vec<String> = labels
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()))
            .collect();
        labels.sort();
        (name.to_owned(), labels)
    };
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(sample).collect()
}

/// The page of a member that has a peer, and was called once.
fn page() -> String {
    let core = without_threads();
    let peer = NodeId(7);
    core.peers.add_for_tests(peer);
    let metrics = &core.metrics;
    metrics.peers.heard_from(peer).inc_by(1);
    metrics
        .peers
        .round_trip(peer, std::time::Duration::from_millis(1));
    let range = metrics
        .calls
        .find("/etcdserverpb.KV/Range")
        .expect("a method");
    metrics.calls.of(range).start();
    metrics
        .calls
        .of(range)
        .handle(tonic::Code::Ok, std::time::Duration::from_millis(1));
    Format::Text.of(metrics.encode(&core))
}

#[test]
fn what_etcds_alerts_and_dashboard_ask_for_is_there_with_its_labels() {
    let page = page();
    let samples = samples(&page);
    for (name, labels) in ASKED_FOR {
        let wanted: Vec<String> = labels.iter().map(ToString::to_string).collect();
        assert!(
            samples.contains(&(name.to_owned(), wanted)),
            "{name} with {labels:?} is not in\n{page}"
        );
    }
}

#[test]
fn of_two_pages_at_once_neither_lacks_a_peer() {
    let core = without_threads();
    core.peers.add_for_tests(NodeId(7));
    let has_peer = |page: &str| page.contains("etcd_network_active_peers{");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let page = core.metrics.encode(&core);
                    assert!(has_peer(&page), "{page}");
                }
            });
        }
    });
}

#[test]
fn what_the_dashboard_counts_streams_by_is_there_before_the_first_one() {
    let page = page();
    for service in ["Watch", "Lease"] {
        for name in ["started", "handled"] {
            let is_it = |line: &&str| {
                line.starts_with(&format!("grpc_server_{name}_total{{"))
                    && line.contains(&format!("grpc_service=\"etcdserverpb.{service}\""))
                    && line.contains("grpc_type=\"bidi_stream\"")
            };
            assert!(page.lines().any(|line| is_it(&line)), "{name} of {service}");
        }
    }
}

#[test]
fn no_sample_comes_twice_and_every_family_has_a_type() {
    let page = page();
    let mut seen = BTreeSet::new();
    let mut families = BTreeSet::new();
    for line in page.lines() {
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let family = of.split(' ').next().expect("a name");
            assert!(families.insert(family), "{family} has two types");
        } else if !line.starts_with('#') {
            let (left, _) = line.rsplit_once(' ').expect("a name and a value");
            assert!(seen.insert(left), "{left} comes twice");
            let name = left.split('{').next().expect("a name");
            let has_type = families.iter().any(|family| {
                let rest = name.strip_prefix(family);
                matches!(rest, Some("" | "_bucket" | "_sum" | "_count"))
            });
            assert!(has_type, "{name} has no type");
        }
    }
}
