//! What is on disk is all that a node needs (pitfall 10).

use std::time::Duration;

use quorate_disk::{Crash, SimDisk};
use quorate_raft::{
    Entry, Fetch, HardState, Instant, LogIndex, Membership, Message, NodeId, Payload, Term, Write,
    WriteId,
};
use quorate_replica::{Node, PeerMessage};

use crate::support::{SOON, cluster, roles, run_until_settled, tap, versions};
use quorate_sim::world::{Asked, Input, Process, World};

/// Forty writes through all nodes, all acknowledged.
fn write(world: &mut World) {
    for round in 0..10 {
        for node in 0..world.members.len() {
            let unique = world.ask(node, None, Asked::PutUnique);
            let shared = world.ask(node, None, Asked::PutShared(round % 3));
            world.run_until("the writes", SOON, |world| {
                world.ops[unique].is_acknowledged() && world.ops[shared].is_acknowledged()
            });
        }
    }
}

#[test]
fn a_restart_from_the_log_gives_the_same_store_and_hash_and_applies_nothing_twice() {
    for nodes in [1, 3] {
        let mut world = cluster(nodes);
        write(&mut world);
        let all_equal = |world: &World| {
            let index = |node| world.process(node).store.applied_index();
            (0..world.members.len()).all(|node| index(node) == index(0))
        };
        world.run_until("all are equal", SOON, all_equal);
        let store = &world.process(0).store;
        let (hash, index, revision) = (store.state_hash(), store.applied_index(), store.revision());
        for node in 0..nodes {
            world.kill(node);
        }
        for node in 0..nodes {
            world.start(node);
            // One that is alone leads at once and has appended its empty entry.
            let last = LogIndex(index + u64::from(nodes == 1));
            let status = world.process(node).consensus.status();
            assert_eq!(status.raft.last_index, last, "the index is in the log");
        }
        run_until_settled(&mut world);
        for node in 0..nodes {
            // The new leader's empty entry changes no state.
            let store = &world.process(node).store;
            assert_eq!((store.state_hash(), store.revision()), (hash, revision));
            assert!(versions(store, "u/").iter().all(|version| *version == 1));
            assert_eq!(versions(store, "u/").len(), 10 * nodes);
            assert_eq!(world.process(node).applier.duplicate_count(), 0);
        }
        world.heal_and_judge();
    }
}

#[test]
fn a_power_cut_of_all_at_once_loses_nothing_acknowledged() {
    let mut world = cluster(3);
    write(&mut world);
    for node in 0..3 {
        world.crash(node, Crash::LoseUnsynced);
    }
    for node in 0..3 {
        world.start(node);
    }
    world.heal_and_judge();
}

#[test]
fn a_request_that_was_applied_before_the_restart_is_not_applied_again_after_it() {
    let mut world = cluster(3);
    let (leader, follower, other) = roles(&world);
    let sent = tap(&mut world, |_, _, _| false);
    let op = world.ask(follower, None, Asked::PutUnique);
    world.run_until("the write", SOON, |world| world.ops[op].is_acknowledged());
    let forward = sent
        .borrow()
        .iter()
        .find(|(_, _, message)| matches!(message, PeerMessage::Forward(_)))
        .map(|(_, _, message)| message.clone())
        .unwrap();
    for node in 0..3 {
        world.kill(node);
    }
    // Whoever takes the old frame must lead, so its sender comes back last.
    world.start(leader);
    world.start(other);
    world.run_until("a leader", SOON, |world| world.leader().is_some());
    world.start(follower);
    run_until_settled(&mut world);
    let leader = world.leader().unwrap();
    assert_ne!(leader, follower);
    let from = world.members[follower].id;
    world.tell(leader, Input::Received(from, vec![forward]));
    world.run_until("it was passed over", SOON, |world| {
        (0..3).all(|node| world.process(node).applier.duplicate_count() == 1)
    });
    world.heal_and_judge();
}

#[test]
fn entries_that_left_the_log_while_they_were_to_be_read_back_are_no_reason_to_stop() {
    let settings = World::quiet(3).settings(0);
    let (node, _) = Process::open(&SimDisk::new(), &settings, Instant::ZERO, 0).unwrap();
    let fetch = Fetch {
        first: LogIndex(5),
        last: LogIndex(9),
        max_bytes: 1_000,
    };
    assert_eq!(node.log_reader.read(fetch).unwrap(), []);
}

/// Else it could vote twice in one term (pitfall 2).
#[test]
fn a_vote_outlives_a_power_cut() {
    let mut world = World::quiet(3);
    world.kill(1);
    world.kill(2);
    let asks = Message::RequestVote {
        term: Term(40),
        last_index: LogIndex::ZERO,
        last_term: Term::ZERO,
        pre: false,
        transfer: false,
    };
    let candidate = world.members[1].id;
    world.tell(0, Input::Received(candidate, vec![PeerMessage::Raft(asks)]));
    world.run_for(Duration::from_millis(50));
    world.crash(0, Crash::LoseUnsynced);
    world.start(0);
    let raft = world.process(0).consensus.status().raft;
    assert_eq!((raft.term, raft.vote), (Term(40), Some(candidate)));
}

/// Else it would campaign and count by the members of its first start (pitfall 6).
#[test]
fn a_membership_in_the_log_is_in_force_from_the_start() {
    let settings = World::quiet(3).settings(0);
    let disk = SimDisk::new();
    let first: Vec<u64> = settings.founders.iter().map(|(id, _)| id).collect();
    let joint = Membership {
        voters: vec![NodeId(first[0]), NodeId(first[1])],
        voters_outgoing: first.iter().copied().map(NodeId).collect(),
        learners: vec![NodeId(7)],
    };
    let entry = |index, payload| Entry {
        index: LogIndex(index),
        term: Term(1),
        payload,
    };
    let change = Payload::Membership {
        membership: Box::new(joint.clone()),
        context: "who asked".into(),
    };
    let mut node = Node::open(disk.clone(), &settings, Instant::ZERO, 0).unwrap();
    let write = Write {
        id: WriteId(1),
        hard_state: Some(HardState {
            term: Term(1),
            vote: None,
            refilling: false,
        }),
        truncate_after: None,
        snapshot: None,
        entries: vec![
            entry(1, Payload::Empty),
            entry(2, change),
            entry(3, Payload::Empty),
        ],
    };
    node.log_writer.write(vec![write]).unwrap();
    drop(node);
    let node = Node::open(disk, &settings, Instant::ZERO, 0).unwrap();
    let status = node.consensus.status().raft;
    assert_eq!(
        (status.membership, status.membership_index),
        (joint, LogIndex(2))
    );
}
