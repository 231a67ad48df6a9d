//! Over a limit there is a clear refusal, and nothing grows.

use std::time::Duration;

use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::PutRequest;
use quorate_replica::limits::{MAX_COMMAND_BYTES, MAX_PENDING_PROPOSALS, MAX_UNWRITTEN_BYTES};

use crate::support::{SOON, cluster, roles};
use quorate_sim::world::World;

fn put(key: &str, value_bytes: usize) -> Vec<u8> {
    let request = PutRequest {
        key: key.to_owned().into(),
        value: vec![b'v'; value_bytes].into(),
        ..PutRequest::default()
    };
    request.encode_to_vec()
}

#[test]
fn over_the_limit_of_pending_writes_a_client_hears_too_many_requests_at_once() {
    let mut world = World::quiet(3);
    world.network.isolate(0, 3);
    for _ in 0..MAX_PENDING_PROPOSALS {
        world.ask_raw(0, CommandKind::Put, put("k", 1));
    }
    let one_more = world.ask_raw(0, CommandKind::Put, put("k", 1));
    world.run_for(Duration::from_millis(10));
    let error = world.ops[one_more].error();
    assert_eq!(error.as_deref(), Some("etcdserver: too many requests"));
    let waiting = world.ops.iter().filter(|op| op.outcome.is_none()).count();
    assert_eq!(waiting, MAX_PENDING_PROPOSALS);
    world.run_until("room again", Duration::from_secs(7), |world| {
        world.ops.iter().all(|op| op.outcome.is_some())
    });
    let later = world.ask_raw(0, CommandKind::Put, put("k", 1));
    world.run_for(Duration::from_millis(10));
    assert_eq!(world.ops[later].outcome, None, "it is taken");
}

#[test]
fn a_body_larger_than_the_log_takes_is_refused() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    for node in [leader, follower] {
        let op = world.ask_raw(node, CommandKind::Put, vec![0; MAX_COMMAND_BYTES + 1]);
        world.run_for(Duration::from_millis(10));
        let error = world.ops[op].error();
        assert_eq!(error.as_deref(), Some("etcdserver: request is too large"));
    }
}

#[test]
fn the_largest_body_that_the_log_takes_arrives_everywhere() {
    let mut world = cluster(3);
    let (_, follower, _) = roles(&world);
    let framing = put("k", 1 << 20).len() - (1 << 20);
    let body = put("k", MAX_COMMAND_BYTES - framing - 1);
    assert!(body.len() <= MAX_COMMAND_BYTES);
    let op = world.ask_raw(follower, CommandKind::Put, body);
    world.run_until("it is applied everywhere", SOON, |world| {
        world.ops[op].is_acknowledged()
            && (0..3).all(|node| world.process(node).store.key_count() == 1)
    });
}

/// The followers commit without it, so nothing else would tell: pitfall 19's quieter sister.
#[test]
fn a_leader_whose_disk_stalls_while_its_followers_commit_refuses_what_is_too_much() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    world.process_mut(leader).log_busy = true; // for ever
    let mut written = 0;
    loop {
        let op = world.ask_raw(follower, CommandKind::Put, put("k", 1 << 20));
        world.run_until("an answer", SOON, |world| world.ops[op].outcome.is_some());
        match world.ops[op].error() {
            None => written += 1 << 20,
            Some(error) => {
                assert_eq!(error, "etcdserver: too many requests");
                break;
            }
        }
        assert!(written <= MAX_UNWRITTEN_BYTES + (2 << 20), "no refusal");
    }
    assert!(
        written >= MAX_UNWRITTEN_BYTES - (2 << 20),
        "refused at {written}"
    );
}
