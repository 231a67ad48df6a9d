//! The judge of the worlds finds what must be found: here it is done to the world on purpose.

use std::time::Duration;

use quorate_disk::SimDisk;
use quorate_raft::{LogIndex, Message, Standing, Term};
use quorate_replica::PeerMessage;
use quorate_sim::world::{Asked, Input, Outcome, World};

const SOON: Duration = Duration::from_secs(3);

/// Three nodes that all hold one acknowledged write.
fn world_with_a_write() -> World {
    let mut world = World::quiet(3);
    let op = world.ask(0, None, Asked::PutUnique);
    world.run_until("a write", SOON, |world| {
        let everywhere = (0..3).all(|node| world.process(node).store.revision() == 2);
        world.ops[op].is_acknowledged() && everywhere
    });
    world
}

/// All come back with empty disks, so that none can tell another what it forgot, but in a term that
/// no one has led in.
fn forget_everything(world: &mut World) {
    for node in 0..3 {
        world.kill(node);
        world.members[node].disk = SimDisk::new();
        world.start(node);
    }
    world.run_until("all take part", SOON, |world| {
        let standing = |node| world.process(node).consensus.status().raft.standing;
        (0..3).all(|node| standing(node) == Standing::Sound)
    });
    for node in 0..3 {
        move_to_a_new_term(world, node);
    }
}

fn move_to_a_new_term(world: &mut World, node: usize) {
    let news = Message::RequestVote {
        term: Term(40),
        last_index: LogIndex(0),
        last_term: Term(0),
        pre: false,
        transfer: false,
    };
    let from = world.members[(node + 1) % 3].id;
    world.tell(node, Input::Received(from, vec![PeerMessage::Raft(news)]));
}

/// Its client was told that it took effect, and what took effect was something else.
#[test]
#[should_panic(expected = "is lost on")]
fn a_write_that_was_acknowledged_and_is_nowhere_is_missed() {
    let mut world = world_with_a_write();
    let op = world.ask(1, None, Asked::PutShared(1));
    world.run_until("a write", SOON, |world| world.ops[op].is_acknowledged());
    world.ops[op].asked = Asked::PutUnique;
    world.heal_and_judge();
}

/// A read that was served shows less than a write before it, which its client had heard of.
#[test]
#[should_panic(expected = "is not linearizable")]
fn a_stale_read_is_found_in_what_clients_were_told() {
    let mut world = world_with_a_write();
    let op = world.ask(1, None, Asked::Read);
    world.run_until("a read", SOON, |world| world.ops[op].was_read());
    world.judge_history();
    world.ops[op].outcome = Some(Outcome::ReadAt(1));
    world.judge_history();
}

/// In their state, or in the log time of which it is a part.
#[test]
#[should_panic(expected = "at index 2")]
fn nodes_that_applied_different_things_at_one_index_are_found_out() {
    let mut world = world_with_a_write();
    forget_everything(&mut world);
    let op = world.ask(0, None, Asked::PutUnique);
    world.run_until("another write", 2 * SOON, |world| {
        world.ops[op].is_acknowledged()
    });
}

#[test]
#[should_panic(expected = "two leaders in")]
fn nodes_that_forget_their_votes_elect_a_second_leader_of_a_term() {
    let mut world = world_with_a_write();
    for _ in 0..20 {
        for node in 0..3 {
            world.kill(node);
            world.members[node].disk = SimDisk::new();
            world.start(node);
        }
        world.run_until("a leader", SOON, |world| world.leader().is_some());
    }
}

#[test]
#[should_panic(expected = "not well 15s after healing")]
fn a_cluster_that_never_recovers_is_found_out() {
    let mut world = world_with_a_write();
    world.filter = Some(Box::new(|_, _, _| false));
    world.heal_and_judge();
}
