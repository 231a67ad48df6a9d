//! The cluster version is agreed through the log, once, when everyone has been heard.

use std::time::Duration;

use crate::support::{SOON, run_until_settled};
use quorate_sim::world::{Asked, World};

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
