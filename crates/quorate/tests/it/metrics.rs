//! The page of metrics of a real cluster, as Prometheus and people ask for it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::cluster::{Cluster, Plan};
use crate::command::quorate;

/// The head and the body of `/metrics` on node `i`.
fn page(cluster: &Cluster, i: usize, accept: &str) -> (String, String) {
    let endpoint = cluster.endpoint(i);
    let address = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\n{accept}Connection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn prometheus_own_format_is_served_unless_the_other_is_asked_for() {
    let cluster = Plan::of(1).start();
    let (head, body) = page(&cluster, 0, "");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    assert!(body.contains("# TYPE grpc_server_handled_total counter"));
    assert!(!body.contains("# EOF"));
    let accept = "Accept: application/openmetrics-text; version=1.0.0, text/plain;q=0.5\r\n";
    let (head, body) = page(&cluster, 0, accept);
    assert!(
        head.contains("content-type: application/openmetrics-text"),
        "{head}"
    );
    assert!(body.contains("# TYPE grpc_server_handled counter"));
    assert!(body.contains("# EOF"));
}

#[test]
fn calls_links_and_the_store_are_counted_on_every_member() {
    let cluster = Plan::of(3).start();
    let puts = 30;
    let endpoints = cluster.endpoints().join(",");
    let total = puts.to_string();
    let ran = quorate(&[
        "bench",
        "put",
        "--endpoints",
        &endpoints,
        "--clients=3",
        "--warmup-seconds=0",
        "--total",
        &total,
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let sum = |name: &str| (0..3).map(|i| cluster.metric(i, name)).sum::<f64>();
    // Clients may have begun more than were counted.
    assert!(sum("grpc_server_started_total") >= f64::from(puts));
    assert!(sum("grpc_server_msg_received_total") >= f64::from(puts));
    for i in 0..3 {
        cluster.wait_for("all puts to be applied", || {
            (cluster.metric(i, "etcd_mvcc_put_total") >= f64::from(puts)).then_some(())
        });
        cluster.wait_for("both peers to have answered", || {
            let (_, body) = page(&cluster, i, "");
            let count = "etcd_network_peer_round_trip_time_seconds_count{To=";
            (body.matches(count).count() == 2).then_some(())
        });
        let up = cluster.metric(i, "etcd_network_active_peers");
        assert_eq!(up, 2.0, "of node {i}");
        assert!(cluster.metric(i, "etcd_network_peer_received_bytes_total") > 0.0);
        assert!(cluster.metric(i, "etcd_disk_backend_commit_duration_seconds_count") > 0.0);
        assert!(cluster.metric(i, "process_open_fds") > 0.0);
    }
}
