//! Leases through whole nodes: who counts their time, whose word on a renewal holds, and that they end
//! through the log alone.

use std::time::Duration;

use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::{LeaseGrantRequest, LeaseRevokeRequest};
use quorate_raft::Instant;
use quorate_replica::PeerMessage;
use quorate_sim::world::{Asked, Outcome, World, granted_id};

use crate::support::{SOON, cluster, roles, run_until_settled, tap, versions};

/// What a node has to end a lease when its time is over: a round of the log, and more than enough.
const ENDING: Duration = Duration::from_millis(500);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Asks, and waits for the answer.
fn ask(world: &mut World, node: usize, asked: Asked) -> usize {
    let op = world.ask(node, None, asked);
    world.run_until("an answer", seconds(8), |world| {
        world.ops[op].outcome.is_some()
    });
    op
}

/// A lease of so many seconds, granted at this node; when it was asked for.
fn grant(world: &mut World, node: usize, ttl_seconds: i64) -> (i64, Instant) {
    let begun = world.now;
    let op = ask(world, node, Asked::GrantLease(ttl_seconds));
    assert!(world.ops[op].is_acknowledged(), "{:?}", world.ops[op]);
    let lease = granted_id(op);
    world.run_until("it is known everywhere", SOON, |world| {
        (0..world.members.len()).all(|node| exists(world, node, lease))
    });
    (lease, begun)
}

/// What the leader says to this node's client of the seconds that are left; none without such a lease.
fn remaining(world: &mut World, node: usize, asked: Asked) -> Option<i64> {
    let op = ask(world, node, asked);
    match &world.ops[op].outcome {
        Some(Outcome::Lives(time)) => time.map(|time| time.remaining_seconds),
        other => panic!("{other:?}"),
    }
}

fn exists(world: &World, node: usize, lease: i64) -> bool {
    world.process(node).store.lease(lease).is_some()
}

/// Waits until the lease is gone at this node, and gives when that was.
fn end_of(world: &mut World, node: usize, lease: i64, limit: Duration) -> Instant {
    world.run_until("the end of the lease", limit, |world| {
        !exists(world, node, lease)
    });
    world.now
}

#[test]
fn a_lease_ends_when_its_time_is_over_on_every_node_and_its_keys_at_one_revision() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let (lease, begun) = grant(&mut world, follower, 3);
    for _ in 0..5 {
        ask(&mut world, follower, Asked::PutOnLease(lease));
    }
    assert_eq!(versions(&world.process(leader).store, "l/").len(), 5);
    let before = world.process(leader).store.revision();
    let ended = end_of(&mut world, leader, lease, seconds(4));
    assert!(ended >= begun + seconds(3), "early");
    assert!(ended < begun + seconds(3) + ENDING, "late");
    world.run_for(ENDING);
    for node in 0..3 {
        let store = &world.process(node).store;
        assert!(!exists(&world, node, lease), "on node {node}");
        assert_eq!(versions(store, "l/"), Vec::<i64>::new());
        assert_eq!(store.revision(), before + 1, "all of them at once");
    }
}

#[test]
fn a_renewal_from_any_node_counts_from_then_on() {
    let mut world = cluster(3);
    let (leader, follower, other) = roles(&world);
    let (lease, _) = grant(&mut world, leader, 2);
    for node in [follower, leader, other, follower] {
        world.run_for(Duration::from_millis(1_500));
        assert!(remaining(&mut world, node, Asked::TimeOfLease(lease)) == Some(0));
        let renewed = Asked::RenewLease(lease);
        assert_eq!(remaining(&mut world, node, renewed), Some(2));
    }
    let renewed = world.now;
    let ended = end_of(&mut world, other, lease, seconds(3));
    assert!(ended >= renewed + Duration::from_millis(1_990));
    let after = Asked::RenewLease(lease);
    assert_eq!(remaining(&mut world, follower, after), None, "it is over");
}

#[test]
fn a_deposed_leader_renews_nothing() {
    let mut world = cluster(3);
    let (old, follower, other) = roles(&world);
    let (lease, _) = grant(&mut world, old, 3);
    let nodes = world.members.len();
    world.network.isolate(old, nodes);
    let lost = world.ask(old, None, Asked::RenewLease(lease));
    world.run_until("another leader", SOON, |world| {
        world.leader().is_some_and(|leader| leader != old)
    });
    let ended = end_of(&mut world, follower, lease, seconds(6));
    world.run_for(ENDING);
    assert!(!exists(&world, other, lease));
    assert!(exists(&world, old, lease), "it has not heard");
    world.run_until("an answer", seconds(8), |world| {
        world.ops[lost].outcome.is_some()
    });
    let heard = world.ops[lost].error();
    assert!(heard.is_some(), "it ended at {ended:?}, and {heard:?}");
}

#[test]
fn a_new_leader_gives_each_lease_all_its_time_again() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let (lease, begun) = grant(&mut world, leader, 5);
    world.run_for(seconds(4));
    let killed = world.now;
    world.kill(leader);
    let ended = end_of(&mut world, follower, lease, seconds(9));
    assert!(ended > begun + seconds(6), "the old time");
    assert!(ended >= killed + seconds(5), "all its time");
    assert!(ended < killed + seconds(5) + SOON, "and not much more");
}

#[test]
fn leases_outlive_a_restart_of_all_and_then_end() {
    let mut world = cluster(3);
    let (lease, _) = grant(&mut world, 0, 3);
    ask(&mut world, 0, Asked::PutOnLease(lease));
    for node in 0..3 {
        world.kill(node);
    }
    for node in 0..3 {
        world.start(node);
    }
    let started = world.now;
    run_until_settled(&mut world);
    let ended = end_of(&mut world, 0, lease, seconds(8));
    assert!(ended >= started + seconds(3));
    world.heal_and_judge();
    assert_eq!(versions(&world.process(1).store, "l/"), Vec::<i64>::new());
}

#[test]
fn a_new_leader_goes_on_from_what_the_log_says_is_left() {
    let mut world = World::quiet(3);
    world.plan.lease_checkpoints = true;
    // The processes that run were started without.
    for node in 0..3 {
        world.kill(node);
        world.start(node);
    }
    run_until_settled(&mut world);
    let (leader, follower, _) = roles(&world);
    let (lease, begun) = grant(&mut world, leader, 400);
    let (renewed, _) = grant(&mut world, leader, 400);
    world.run_for(seconds(302));
    let noted = |world: &World, lease| {
        let lease = world.process(follower).store.lease(lease);
        lease.expect("it lives").remaining_ttl_seconds
    };
    assert!(noted(&world, lease).is_some_and(|left| (99..=101).contains(&left)));
    let all = remaining(&mut world, follower, Asked::RenewLease(renewed));
    assert!(all.is_some_and(|left| left >= 399), "{all:?}");
    world.run_for(ENDING);
    assert_eq!(
        noted(&world, renewed),
        None,
        "struck out before it was renewed"
    );
    world.kill(leader);
    let ended = end_of(&mut world, follower, lease, seconds(150));
    assert!(ended >= begun + seconds(400), "early");
    assert!(ended < begun + seconds(410), "it did not begin again");
    assert!(exists(&world, follower, renewed));
}

#[test]
fn a_revoke_that_is_asked_for_twice_takes_effect_once() {
    let mut world = cluster(3);
    let (leader, follower, other) = roles(&world);
    let (lease, _) = grant(&mut world, leader, 30);
    ask(&mut world, leader, Asked::PutOnLease(lease));
    let both = [follower, other].map(|node| world.ask(node, None, Asked::RevokeLease(lease)));
    world.run_until("both answers", seconds(8), |world| {
        both.iter().all(|op| world.ops[*op].outcome.is_some())
    });
    let done = both.iter().filter(|op| world.ops[**op].is_acknowledged());
    assert_eq!(done.count(), 1);
    let heard = both.iter().find_map(|op| world.ops[*op].error());
    assert_eq!(
        heard.as_deref(),
        Some("etcdserver: requested lease not found")
    );
    world.run_for(ENDING);
    assert_eq!(
        versions(&world.process(leader).store, "l/"),
        Vec::<i64>::new()
    );
}

#[test]
fn a_renewal_whose_way_to_the_leader_is_lost_is_asked_again() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let (lease, _) = grant(&mut world, leader, 30);
    let mut lost = 0;
    tap(&mut world, move |_, _, message| {
        let is_first = matches!(message, PeerMessage::LeaseQuestions { .. }) && lost == 0;
        lost += usize::from(is_first);
        is_first
    });
    let op = world.ask(follower, None, Asked::RenewLease(lease));
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.ops[op].outcome, None);
    world.lose_link(follower, leader, Duration::from_millis(1));
    world.run_until("an answer", SOON, |world| world.ops[op].outcome.is_some());
    assert!(matches!(
        world.ops[op].outcome,
        Some(Outcome::Lives(Some(_)))
    ));
}

#[test]
fn a_renewal_without_a_leader_ends_with_etcds_text() {
    let mut world = cluster(3);
    let (leader, follower, other) = roles(&world);
    let (lease, _) = grant(&mut world, leader, 30);
    world.kill(leader);
    world.kill(other);
    let op = ask(&mut world, follower, Asked::RenewLease(lease));
    let heard = world.ops[op].error();
    assert_eq!(heard.as_deref(), Some("etcdserver: request timed out"));
}

/// Before a version that knows leases is agreed the log must not hold any.
#[test]
fn a_cluster_without_a_version_refuses_leases() {
    let mut world = World::quiet(3);
    world.kill(1);
    world.kill(2);
    let request = LeaseGrantRequest { ttl: 5, id: 1 };
    let op = world.ask_raw(0, CommandKind::LeaseGrant, request.encode_to_vec());
    world.run_until("a refusal", SOON, |world| world.ops[op].outcome.is_some());
    let heard = world.ops[op].error();
    assert_eq!(heard.as_deref(), Some("etcdserver: not capable"));
}

#[test]
fn a_thousand_leases_that_end_together_end_at_a_bounded_rate() {
    let mut world = cluster(1);
    for id in 1..=1_500 {
        let request = LeaseGrantRequest { ttl: 2, id };
        world.ask_raw(0, CommandKind::LeaseGrant, request.encode_to_vec());
        if id % 500 == 0 {
            world.run_for(Duration::from_millis(200));
        }
    }
    let count = |world: &World| world.process(0).store.lease_count();
    assert_eq!(count(&world), 1_500);
    world.run_until("the first to end", seconds(3), |world| count(world) < 1_500);
    let first = world.now;
    world.run_until("the last to end", seconds(5), |world| count(world) == 0);
    let took = world.now.since(first);
    assert!(took >= Duration::from_millis(900), "in {took:?}");
}

/// A leader that hands leadership over proposes nothing, and must not spin for want of it.
#[test]
fn a_lease_that_ends_while_leadership_is_handed_over_ends_afterwards() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let (lease, begun) = grant(&mut world, leader, 2);
    world.run_for(Duration::from_millis(1_900) - world.now.since(begun));
    let target = world.members[follower].id;
    // The other one never hears that it is to lead.
    tap(&mut world, move |_, to, _| to == follower);
    let now = world.now;
    let transfer = world.process_mut(leader).consensus.transfer(now, target);
    transfer.expect("it is begun");
    let events = world.events;
    world.run_for(Duration::from_millis(400));
    assert!(world.events - events < 2_000, "{}", world.events - events);
    let ended = end_of(&mut world, leader, lease, seconds(2));
    assert!(ended >= begun + seconds(2));
}

/// A lease that a client has revoked and granted anew must not be hit by the leader's own revoke of the
/// one before.
#[test]
fn an_id_granted_anew_as_it_ends_lives_its_time() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let request = LeaseGrantRequest { ttl: 2, id: 7 };
    let raw = |world: &mut World, node, kind, body| {
        let op = world.ask_raw(node, kind, body);
        world.run_until("an answer", seconds(8), |world| {
            world.ops[op].outcome.is_some()
        });
        world.ops[op].is_acknowledged()
    };
    let grant = CommandKind::LeaseGrant;
    assert!(raw(&mut world, follower, grant, request.encode_to_vec()));
    world.run_for(Duration::from_millis(1_990));
    let revoke = LeaseRevokeRequest { id: 7 }.encode_to_vec();
    world.ask_raw(leader, CommandKind::LeaseRevoke, revoke);
    let anew = world.now;
    world.ask_raw(leader, grant, request.encode_to_vec());
    world.run_for(Duration::from_millis(200));
    if exists(&world, leader, 7) {
        let ended = end_of(&mut world, leader, 7, seconds(4));
        assert!(ended >= anew + seconds(2));
    }
}

#[test]
fn clocks_of_any_speed_end_no_lease_before_its_time_by_the_leaders_clock() {
    for seed in 0..12 {
        let mut world = World::quiet_of(seed, 3, 50_000);
        run_until_settled(&mut world);
        let (leader, follower, _) = roles(&world);
        let (lease, begun) = grant(&mut world, follower, 10);
        let ended = end_of(&mut world, leader, lease, seconds(12));
        let lived = ended.since(begun);
        assert!(lived >= Duration::from_millis(9_523), "{lived:?}");
        assert!(lived <= Duration::from_millis(10_527) + ENDING, "{lived:?}");
    }
}
