//! A member that has just started knows less than it has shown before; it must not show that.

use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};
use tonic::Code;

use crate::cluster::{Plan, get, kv, runtime};

fn own_state(key: &'static str) -> RangeRequest {
    RangeRequest {
        key: key.into(),
        serializable: true,
        ..Default::default()
    }
}

#[test]
fn a_member_serves_no_serializable_read_before_it_has_caught_up_since_its_start() {
    let mut cluster = Plan::of(3).start();
    let runtime = runtime();
    cluster.wait_for_leader();
    cluster.wait_until_healthy(0);
    let put = PutRequest {
        key: "k".into(),
        value: "v".into(),
        ..Default::default()
    };
    let endpoint = cluster.endpoint(0);
    runtime
        .block_on(async { kv(&endpoint).put(put).await })
        .expect("a healthy member takes a write");
    for i in 0..3 {
        cluster.kill(i);
    }

    cluster.restart(0);
    let refused = runtime
        .block_on(async { kv(&endpoint).range(own_state("k")).await })
        .expect_err("a member alone cannot know what was committed");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(refused.message().contains("has not caught up"), "{refused}");
    let port = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let health = get(port, "/health?serializable=true").unwrap_or_default();
    assert!(!health.contains("\"true\""), "{health}");

    cluster.restart(1);
    let value = cluster.wait_for("the member to have caught up", || {
        let read = async { kv(&endpoint).range(own_state("k")).await };
        runtime.block_on(read).ok()
    });
    assert_eq!(value.into_inner().kvs[0].value, "v");

    cluster.kill(1);
    runtime
        .block_on(async { kv(&endpoint).range(own_state("k")).await })
        .expect("once it has caught up it needs no one for its own state");
}
