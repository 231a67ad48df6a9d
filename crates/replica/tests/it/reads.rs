//! Linearizable reads (pitfall 13): never before the index is applied, and never for ever.

use std::time::Duration;

use quorate_disk::SimDisk;
use quorate_raft::{Entry, Instant, LogIndex, Message, Payload, ReadGrant, ReadId, Term};
use quorate_replica::PeerMessage;

use crate::support::{SOON, cluster, roles, tap};
use quorate_sim::world::{Asked, Process, World};

#[test]
fn a_granted_read_waits_until_its_index_has_been_applied() {
    let settings = World::quiet(3).settings(0);
    let (mut node, _) = Process::open(&SimDisk::new(), &settings, Instant::ZERO, 0).unwrap();
    let mut step = |entry: Option<u64>, grant: Option<(u64, u64)>| {
        let entries = entry.map(|index| Entry {
            index: LogIndex(index),
            term: Term(1),
            payload: Payload::Empty,
        });
        node.applier.committed(entries.into_iter().collect());
        if let Some((id, index)) = grant {
            node.applier.granted(ReadGrant {
                id: ReadId(id),
                index: LogIndex(index),
            });
        }
        let progress = node.applier.step(&mut node.store, 10).unwrap();
        progress.released.iter().map(|id| id.0).collect::<Vec<_>>()
    };
    assert_eq!(step(None, Some((1, 2))), Vec::<u64>::new());
    assert_eq!(
        step(Some(1), Some((2, 1))),
        [2],
        "the other one's index is applied"
    );
    assert_eq!(step(Some(2), None), [1]);
    assert_eq!(step(None, Some((3, 2))), [3], "nothing to wait for");
}

#[test]
fn a_read_survives_a_change_of_leader() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let write = world.ask(leader, None, Asked::PutUnique);
    world.run_until("a write", SOON, |world| world.ops[write].is_acknowledged());
    tap(&mut world, |_, _, message| {
        matches!(
            message,
            PeerMessage::Raft(Message::ReadIndexResponse { .. })
        )
    });
    let read = world.ask(follower, None, Asked::Read);
    world.run_for(Duration::from_millis(50));
    assert_eq!(world.ops[read].outcome, None);
    world.kill(leader);
    world.run_for(Duration::from_millis(50));
    world.filter = None;
    world.run_until("the read", SOON, |world| world.ops[read].was_read());
}

#[test]
fn a_read_that_has_its_index_but_never_the_entries_before_it_times_out() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    tap(&mut world, move |_, to, message| {
        let entries = match message {
            PeerMessage::Raft(Message::Append { entries, .. }) => entries.len(),
            _ => 0,
        };
        to == follower && entries > 0
    });
    let write = world.ask(leader, None, Asked::PutUnique);
    world.run_until("a write", SOON, |world| world.ops[write].is_acknowledged());
    let read = world.ask(follower, None, Asked::Read);
    world.run_for(Duration::from_millis(5_900));
    assert_eq!(world.ops[read].outcome, None);
    assert!(
        world
            .process(follower)
            .consensus
            .leadership()
            .leader
            .is_some()
    );
    world.run_for(Duration::from_millis(200));
    let error = world.ops[read].error();
    assert_eq!(error.as_deref(), Some("etcdserver: request timed out"));
    world.filter = None;
    world.heal_and_judge();
}
