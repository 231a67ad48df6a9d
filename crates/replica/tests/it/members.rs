//! Members come and go through consensus: asked of any node, decided by the leader alone, answered
//! once, and the same for everybody (Raft §6; the texts are etcd's).

use std::time::Duration;

use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::peer;
use quorate_proto::peer::member_change::Change;
use quorate_replica::limits::CHANGE_PATIENCE;
use quorate_replica::{HIGHEST_PROTOCOL_VERSION, RequestError};

use crate::support::{SOON, roles, run_until_settled};
use quorate_sim::world::{Asked, Outcome, Presence, World};

/// Three members and so many spare positions; everyone knows the leader.
fn three_and(spare: usize) -> World {
    let mut world = World::quiet_with(3, spare);
    world.run_until("a leader and a cluster version", SOON, |world| {
        (0..3).all(|node| {
            let consensus = &world.process(node).consensus;
            consensus.leadership().leader.is_some()
                && consensus.status().cluster_version == HIGHEST_PROTOCOL_VERSION
        })
    });
    world
}

fn run_until_changed(world: &mut World, op: usize) {
    world.run_until("an answer", Duration::from_secs(8), |world| {
        world.ops[op].outcome.is_some()
    });
    let outcome = &world.ops[op].outcome;
    assert!(matches!(outcome, Some(Outcome::Changed(_))), "{outcome:?}");
}

fn run_until_present(world: &mut World, node: usize) {
    world.run_until("it has joined", SOON, |world| {
        world.members[node].presence == Presence::Present
            && world.table(node).get(world.members[node].id.0).is_some()
    });
}

/// A learner that has told its name has caught up, too: it was told by its own node.
fn run_until_its_name_is_known(world: &mut World, node: usize) {
    let id = world.members[node].id.0;
    world.run_until("its name is known everywhere", SOON, |world| {
        world.tables().all(|table| {
            let member = table.get(id);
            member.is_some_and(|member| !member.name.is_empty())
        })
    });
}

fn error_of(world: &mut World, op: usize) -> String {
    world.run_until("an answer", Duration::from_secs(8), |world| {
        world.ops[op].outcome.is_some()
    });
    world.ops[op].error().expect("refused")
}

#[test]
fn a_follower_has_a_learner_added_and_promoted_and_everybody_has_one_table() {
    let mut world = three_and(1);
    let (_, follower, other) = roles(&world);
    let added = world.add_member(follower, 3, true);
    run_until_changed(&mut world, added);
    run_until_present(&mut world, 3);
    assert!(world.table(3).get(4).unwrap().is_learner);
    run_until_its_name_is_known(&mut world, 3);
    let promoted = world.change_members(other, Change::Promote(4));
    run_until_changed(&mut world, promoted);
    assert!(!world.table(other).get(4).unwrap().is_learner);
    world.heal_and_judge();
}

#[test]
fn the_second_of_a_cluster_of_one_starts_when_its_addition_was_answered() {
    let mut world = World::quiet_with(1, 1);
    run_until_settled_alone(&mut world);
    let added = world.add_member(0, 1, false);
    run_until_changed(&mut world, added);
    assert_eq!(
        world.members[1].presence,
        Presence::Joining,
        "nobody waited for it"
    );
    // It is durable, so a power cut takes nothing of it back.
    world.crash(0, quorate_disk::Crash::LoseUnsynced);
    world.start(0);
    run_until_present(&mut world, 1);
    let written = world.ask(1, None, Asked::PutUnique);
    world.run_until("a write", SOON, |world| {
        world.ops[written].is_acknowledged()
    });
    world.heal_and_judge();
}

fn run_until_settled_alone(world: &mut World) {
    world.run_until("a leader", SOON, |world| {
        world.leader().is_some()
            && world.process(0).consensus.status().cluster_version == HIGHEST_PROTOCOL_VERSION
    });
}

#[test]
fn two_changes_at_once_are_made_one_after_the_other() {
    let mut world = three_and(2);
    let (leader, follower, other) = roles(&world);
    let (first, second) = (
        world.add_member(follower, 3, false),
        world.change_members(leader, Change::Remove(other as u64 + 1)),
    );
    run_until_changed(&mut world, first);
    run_until_changed(&mut world, second);
    run_until_present(&mut world, 3);
    let ids: Vec<u64> = world.table(leader).iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.contains(&4) && !ids.contains(&(other as u64 + 1)));
    world.heal_and_judge();
}

#[test]
fn a_change_that_cannot_be_finished_holds_up_the_next_which_is_refused_in_the_end() {
    let mut world = three_and(2);
    let (leader, one, two) = roles(&world);
    let first = world.add_member(leader, 3, true);
    let began = world.now;
    // Nothing is committed any more, before the leader knows it.
    world.kill(one);
    world.kill(two);
    let second = world.add_member(leader, 4, true);
    let error = error_of(&mut world, second);
    let waited = world.now.since(began);
    assert!(
        error.contains("under way") && waited >= CHANGE_PATIENCE
            || error == RequestError::LeaderLost.to_string(),
        "{error} after {waited:?}"
    );
    world.heal_and_judge();
    let outcome = &world.ops[first].outcome;
    assert!(outcome.is_some());
}

#[test]
fn a_name_published_in_the_same_moment_as_a_change_is_not_lost_by_it() {
    let mut world = three_and(1);
    let (leader, follower, other) = roles(&world);
    let publication = peer::MemberPublication {
        name: "another".to_owned(),
        client_urls: vec!["http://elsewhere:2379".to_owned()],
    };
    let id = other as u64 + 1;
    let update = peer::MemberUpdate {
        id,
        peer_urls: Vec::new(),
        publication: Some(publication),
    };
    for by in [leader, follower] {
        world.ask_raw(by, CommandKind::MemberUpdate, update.encode_to_vec());
    }
    let added = world.add_member(leader, 3, false);
    run_until_changed(&mut world, added);
    assert_eq!(world.table(leader).get(id).unwrap().name, "another");
    world.heal_and_judge();
}

#[test]
fn a_leader_that_is_removed_answers_and_stops_and_the_others_go_on() {
    let mut world = three_and(0);
    let (leader, follower, _) = roles(&world);
    let id = world.members[leader].id.0;
    let removed = world.change_members(leader, Change::Remove(id));
    run_until_changed(&mut world, removed);
    world.run_until("it has stopped", SOON, |world| {
        world.members[leader].presence == Presence::Left
    });
    let written = world.ask(follower, None, Asked::PutUnique);
    world.run_until("a write", SOON, |world| {
        world.ops[written].is_acknowledged()
    });
    world.heal_and_judge();
}

#[test]
fn who_was_removed_while_it_was_down_is_told_when_it_comes_back_and_stops() {
    let mut world = three_and(0);
    let (leader, follower, other) = roles(&world);
    world.kill(other);
    let id = world.members[other].id.0;
    let removed = world.change_members(follower, Change::Remove(id));
    run_until_changed(&mut world, removed);
    // The leader no longer sends to it.
    world.run_for(Duration::from_secs(5));
    let term = world.process(leader).consensus.status().raft.term;
    world.start(other);
    world.run_until("it has stopped", SOON, |world| {
        world.members[other].presence == Presence::Left
    });
    let status = world.process(leader).consensus.status();
    assert_eq!(status.raft.term, term, "and has disturbed no one");
    world.heal_and_judge();
}

#[test]
fn a_member_that_was_away_finds_those_that_came_meanwhile() {
    let mut world = three_and(1);
    let (leader, follower, away) = roles(&world);
    world.kill(away);
    // A voter comes only while all are well, so it learns first.
    let added = world.add_member(follower, 3, true);
    run_until_changed(&mut world, added);
    run_until_present(&mut world, 3);
    run_until_its_name_is_known(&mut world, 3);
    let promoted = world.change_members(leader, Change::Promote(4));
    run_until_changed(&mut world, promoted);
    let to = world.members[3].id;
    world.transfer(leader, to);
    world.run_until("the newcomer leads", SOON, |world| {
        world.leader() == Some(3)
    });
    world.start(away);
    let written = world.ask(away, None, Asked::PutUnique);
    world.run_until("a write", SOON, |world| {
        world.ops[written].is_acknowledged()
    });
    world.heal_and_judge();
}

/// Found by a simulated world: the newcomer's node was never started, since its addition could not be
/// committed without it or the one that was refilled.
#[test]
fn no_voter_comes_while_one_is_refilled() {
    let mut world = three_and(1);
    let (leader, _, emptied) = roles(&world);
    let written = world.ask(leader, None, Asked::PutUnique);
    world.run_until("a write", SOON, |world| {
        world.ops[written].is_acknowledged()
    });
    // Until the others have written down what it acknowledged.
    world.run_for(Duration::from_secs(3));
    world.empty_disk(emptied);
    world.run_until("the leader knows that it is refilled", SOON, |world| {
        let status = world.process(leader).consensus.status().raft;
        status.peers.iter().any(|peer| peer.refilling)
    });
    let added = world.add_member(leader, 3, false);
    assert_eq!(error_of(&mut world, added), "etcdserver: unhealthy cluster");
    world.heal_and_judge();
}

#[test]
fn a_table_of_members_outlives_restarts_and_snapshots() {
    let mut world = three_and(1);
    for node in 0..3 {
        world.kill(node);
    }
    world.plan.snapshot_log_bytes = 500;
    for node in 0..3 {
        world.start(node);
    }
    let settled = |world: &World| world.leader().is_some();
    world.run_until("a leader", SOON, settled);
    world.run_for(Duration::from_secs(1));
    let (leader, follower, _) = roles(&world);
    let added = world.add_member(follower, 3, false);
    run_until_changed(&mut world, added);
    run_until_present(&mut world, 3);
    for _ in 0..40 {
        let written = world.ask(leader, None, Asked::PutUnique);
        world.run_until("a write", SOON, |world| {
            world.ops[written].outcome.is_some()
        });
    }
    world.run_for(Duration::from_secs(2));
    let table = world.table(leader).clone();
    assert_eq!(table.get(4).unwrap().name, "n4");
    for node in 0..4 {
        let status = world.process(node).consensus.status().raft;
        assert!(status.snapshot_index.0 > 0, "{status:?}");
        world.kill(node);
    }
    for node in 0..4 {
        world.start(node);
        // Before anything is heard from others.
        assert_eq!(world.table(node), &table);
    }
    run_until_settled(&mut world);
    world.heal_and_judge();
}
