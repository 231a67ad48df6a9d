//! The cluster version is agreed through the log, once, when everyone has been heard.

use std::time::Duration;

use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::LeaseGrantRequest;
use quorate_raft::Instant;
use quorate_replica::{
    ForwardedProposal, NodeSettings, OpenError, PeerMessage, RefusalReason, SnapshotContentError,
    TooNew, load_snapshot,
};
use quorate_sim::world::{Asked, Input, Process, World};

use crate::support::{SOON, cluster, roles, run_until_settled, tap};

fn version(world: &World, node: usize) -> u32 {
    world.process(node).consensus.status().cluster_version
}

#[test]
fn the_cluster_version_is_agreed_once_all_handshakes_are_heard() {
    let mut world = World::quiet(3);
    run_until_settled(&mut world);
    let last = |world: &World, node| world.process(node).consensus.status().raft.last_index;
    let term = world.process(0).consensus.leadership().term;
    let before = last(&world, 0);
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.process(0).consensus.leadership().term, term);
    for node in 0..3 {
        assert_eq!(last(&world, node), before, "one entry, and no other");
    }
}

#[test]
fn a_member_that_never_came_is_waited_for_a_while_and_learns_the_version_from_the_log() {
    let mut world = World::quiet(3);
    world.kill(2);
    let op = world.ask(0, None, Asked::PutUnique);
    world.run_until("a write", SOON, |world| world.ops[op].is_acknowledged());
    assert_eq!((version(&world, 0), version(&world, 1)), (0, 0));
    let written = world.now;
    world.run_until("the majority's version", SOON, |world| {
        (0..2).all(|node| version(world, node) == 2)
    });
    assert!(world.now.since(written) > Duration::from_millis(500));
    let before = world.process(0).consensus.status().raft.last_index;
    world.start(2);
    run_until_settled(&mut world);
    world.run_for(Duration::from_secs(2));
    for node in 0..3 {
        let last = world.process(node).consensus.status().raft.last_index;
        assert_eq!(last, before, "no other is agreed");
    }
}

#[test]
fn the_cluster_version_outlives_a_restart() {
    let mut world = World::quiet(3);
    run_until_settled(&mut world);
    for node in 0..3 {
        world.kill(node);
    }
    for node in [0, 1] {
        world.start(node);
    }
    world.run_until("it is known though one is missing", SOON, |world| {
        version(world, 0) == 2 && version(world, 1) == 2
    });
}

const TOO_NEW: TooNew = TooNew {
    needed: 2,
    highest: 1,
};

/// A quiet cluster of members that speak version 1, and have agreed on it.
fn older_cluster() -> World {
    let mut world = World::quiet_of_version(3, 1);
    world.run_until("version 1 and a leader", SOON, |world| {
        (0..3).all(|node| version(world, node) == 1)
    });
    world
}

#[test]
fn a_leader_refuses_what_some_member_does_not_know_whoever_sends_it() {
    let mut world = older_cluster();
    let (leader, follower, _) = roles(&world);
    let before = world.process(leader).consensus.status().raft.last_index;
    let sent = tap(&mut world, |_, _, _| false);
    let forwarded = |sequence, kind| ForwardedProposal {
        boot_nonce: 7,
        sequence,
        kind,
        body: LeaseGrantRequest { ttl: 5, id: 1 }.encode_to_vec().into(),
    };
    let unknown = vec![
        forwarded(1, CommandKind::LeaseGrant),
        forwarded(2, CommandKind::Alarm),
        forwarded(3, CommandKind::LeaseRevoke),
    ];
    let from = world.members[follower].id;
    let message = PeerMessage::Forward(unknown);
    world.tell(leader, Input::Received(from, vec![message]));
    world.run_for(Duration::from_millis(300));
    let refusal = PeerMessage::ForwardRefused {
        reason: RefusalReason::NotCapable,
        boot_nonce: 7,
        sequences: vec![1, 2, 3],
    };
    let is_told = sent
        .borrow()
        .iter()
        .any(|(from, to, message)| (*from, *to, message) == (leader, follower, &refusal));
    assert!(is_told, "{:?}", sent.borrow());
    let last = world.process(leader).consensus.status().raft.last_index;
    assert_eq!(last, before, "the log holds none of it");
}

#[test]
fn members_are_upgraded_one_by_one_and_the_last_one_decides() {
    let mut world = older_cluster();
    let granted = |world: &mut World, node| {
        let op = world.ask(node, None, Asked::GrantLease(5));
        world.run_until("an answer", SOON, |world| world.ops[op].outcome.is_some());
        world.ops[op].is_acknowledged()
    };
    for (node, speaks) in [(0, 2), (1, 2), (1, 1), (1, 2)] {
        world.replace_program(node, speaks);
        world.run_for(SOON);
        assert!((0..3).all(|node| version(&world, node) == 1));
        assert!(!granted(&mut world, node));
    }
    world.replace_program(2, 2);
    run_until_settled(&mut world);
    for node in 0..3 {
        assert!(granted(&mut world, node));
    }
}

/// It went away as the newer program, and may come back as the older one.
#[test]
fn a_version_is_not_agreed_on_while_a_member_is_away() {
    let mut world = older_cluster();
    world.replace_program(0, 2);
    world.run_for(SOON);
    world.kill(0);
    world.run_for(SOON);
    for node in [1, 2] {
        world.replace_program(node, 2);
    }
    world.run_for(2 * SOON);
    assert!([1, 2].iter().all(|node| version(&world, *node) == 1));
    world.members[0].speaks = 1;
    world.start(0);
    world.run_for(SOON);
    assert!((0..3).all(|node| version(&world, node) == 1));
    world.replace_program(0, 2);
    run_until_settled(&mut world);
}

fn open_as_older(world: &World, node: usize) -> Result<Process, OpenError> {
    let settings = NodeSettings {
        highest_version: 1,
        ..world.settings(node)
    };
    let disk = &world.members[node].disk;
    Process::open(disk, &settings, Instant::ZERO, 0).map(|(process, _)| process)
}

#[test]
fn a_log_that_went_on_is_none_for_an_older_program() {
    let mut world = cluster(3);
    world.kill(0);
    let refused = open_as_older(&world, 0).err().expect("refused");
    assert!(matches!(refused, OpenError::TooNew(TOO_NEW)), "{refused}");
    assert!(
        refused
            .to_string()
            .starts_with("this member's data needs protocol version 2")
    );
    world.start(0);
    run_until_settled(&mut world);
}

#[test]
fn a_snapshot_of_a_cluster_that_went_on_is_neither_loaded_nor_removed_by_an_older_program() {
    let mut world = World::quiet(3);
    world.plan.snapshot_log_bytes = 200;
    for node in 0..3 {
        world.kill(node);
        world.start(node);
    }
    run_until_settled(&mut world);
    for _ in 0..20 {
        let op = world.ask(0, None, Asked::PutUnique);
        world.run_until("a write", SOON, |world| world.ops[op].is_acknowledged());
    }
    world.run_for(SOON);
    let files = world.process(0).files.clone();
    let before = files.list().unwrap().snapshots;
    let newest = before.first().expect("a snapshot").mark;
    let refused = load_snapshot(&files, newest, 1).err().expect("refused");
    assert!(
        matches!(refused, SnapshotContentError::TooNew(TOO_NEW)),
        "{refused}"
    );
    world.kill(0);
    let refused = open_as_older(&world, 0).err().expect("refused");
    assert!(matches!(refused, OpenError::TooNew(TOO_NEW)), "{refused}");
    assert_eq!(files.list().unwrap().snapshots, before);
    world.start(0);
    run_until_settled(&mut world);
}
