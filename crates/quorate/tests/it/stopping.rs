//! SIGTERM ends a node soon, whatever is linked to it.

use std::time::{Duration, Instant};

use crate::cluster::Plan;

/// Half of the time that a node waits for its clients.
const STOP_MAX: Duration = Duration::from_secs(1);

#[test]
fn a_node_without_clients_stops_at_once_though_its_peers_are_linked() {
    let mut cluster = Plan::of(3).alone().start();
    // The last one has nobody left to be linked to.
    for i in 0..2 {
        cluster.wait_for("a link", || {
            (cluster.metric(i, "quorate_peer_connections") > 0.0).then_some(())
        });
        let started = Instant::now();
        let ended = cluster.nodes[i].terminate();
        let took = started.elapsed();
        eprintln!("node {i} stopped in {took:?}");
        assert!(ended.success(), "{ended}");
        assert!(took < STOP_MAX, "node {i} took {took:?}");
    }
}
