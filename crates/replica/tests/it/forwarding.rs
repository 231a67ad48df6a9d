//! A write taken by a follower: to the leader once, answered when the follower has applied it,
//! and never tried again in silence (DESIGN §6; pitfalls 13, 25).

use std::time::Duration;

use quorate_raft::{LogIndex, Message, Term};
use quorate_replica::{PeerMessage, RefusalReason};

use crate::support::{SOON, cluster, forwards, roles, run_until_settled, tap, versions};
use quorate_sim::world::{Asked, HEARTBEAT, Input, Outcome, World};

const LEADER_LOST: &str = "etcdserver: request timed out, possibly due to previous leader failure";

fn block_everything(world: &mut World) {
    for node in 0..world.members.len() {
        let nodes = world.members.len();
        world.network.isolate(node, nodes);
    }
}

fn run_until_answered(world: &mut World, op: usize) {
    world.run_until("an answer", Duration::from_secs(8), |world| {
        world.ops[op].outcome.is_some()
    });
}

#[test]
fn a_follower_forwards_a_write_and_answers_when_it_has_applied_it() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let sent = tap(&mut world, |_, _, _| false);
    let op = world.ask(follower, None, Asked::PutUnique);
    run_until_answered(&mut world, op);
    assert!(world.ops[op].is_acknowledged());
    // In the very event of the answer the follower's own store has it.
    assert_eq!(versions(&world.process(follower).store, "u/"), [1]);
    assert_eq!(forwards(&sent), 1);
    let hops: Vec<_> = sent
        .borrow()
        .iter()
        .filter(|(_, _, message)| matches!(message, PeerMessage::Forward(_)))
        .map(|(from, to, _)| (*from, *to))
        .collect();
    assert_eq!(hops, [(follower, leader)]);
}

#[test]
fn a_write_waits_for_a_leader_and_then_goes_on() {
    let mut world = World::quiet(3);
    block_everything(&mut world);
    let op = world.ask(1, None, Asked::PutUnique);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.ops[op].outcome, None);
    world.network.blocked.clear();
    run_until_answered(&mut world, op);
    assert!(world.ops[op].is_acknowledged());
}

#[test]
fn a_write_that_finds_no_leader_times_out_with_etcds_text() {
    let mut world = World::quiet(3);
    block_everything(&mut world);
    let op = world.ask(1, None, Asked::PutUnique);
    run_until_answered(&mut world, op);
    let error = world.ops[op].error();
    assert_eq!(error.as_deref(), Some("etcdserver: request timed out"));
    let waited = world.now.since(world.ops[op].begun);
    assert!(waited >= Duration::from_secs(6) && waited < Duration::from_millis(6_100));
}

/// The follower's write is forwarded, and it hears no more of what the leader does with it.
fn forwarded_into_silence() -> (World, usize, usize, usize, crate::support::Sent) {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let sent = tap(&mut world, move |from, to, _| {
        from == leader && to == follower
    });
    let op = world.ask(follower, None, Asked::PutUnique);
    world.run_until("it is forwarded", SOON, |_| forwards(&sent) == 1);
    (world, leader, follower, op, sent)
}

fn must_hear_of_the_lost_leader(mut world: World, op: usize, sent: &crate::support::Sent) {
    run_until_answered(&mut world, op);
    assert_eq!(world.ops[op].error().as_deref(), Some(LEADER_LOST));
    let waited = world.now.since(world.ops[op].begun);
    assert!(
        waited < Duration::from_secs(2),
        "at once, not after {waited:?}"
    );
    world.filter = None;
    world.network.blocked.clear();
    world.heal_and_judge();
    assert!(forwards(sent) == 1, "never a silent second try");
}

#[test]
fn a_forwarded_write_whose_link_is_lost_is_answered_so_and_never_sent_again() {
    let (mut world, leader, follower, op, sent) = forwarded_into_silence();
    world.lose_link(follower, leader, Duration::from_millis(1));
    must_hear_of_the_lost_leader(world, op, &sent);
}

#[test]
fn a_forwarded_write_whose_leader_dies_is_answered_so_and_never_sent_again() {
    let (mut world, leader, _, op, sent) = forwarded_into_silence();
    world.kill(leader);
    must_hear_of_the_lost_leader(world, op, &sent);
}

#[test]
fn a_forwarded_write_whose_leader_falls_silent_is_answered_so_and_never_sent_again() {
    let (mut world, leader, _, op, sent) = forwarded_into_silence();
    let nodes = world.members.len();
    world.network.isolate(leader, nodes);
    must_hear_of_the_lost_leader(world, op, &sent);
}

#[test]
fn a_forwarded_write_is_given_up_when_the_same_leader_is_elected_anew() {
    let (mut world, leader, follower, op, _) = forwarded_into_silence();
    let term = world.process(follower).consensus.leadership().term;
    let anew = Message::Append {
        term: Term(term.0 + 1),
        previous_index: LogIndex::ZERO,
        previous_term: Term::ZERO,
        commit: LogIndex::ZERO,
        entries: Vec::new(),
        round: 1,
    };
    let from = world.members[leader].id;
    world.tell(
        follower,
        Input::Received(from, vec![PeerMessage::Raft(anew)]),
    );
    run_until_answered(&mut world, op);
    assert_eq!(world.ops[op].error().as_deref(), Some(LEADER_LOST));
    assert!(world.now.since(world.ops[op].begun) < Duration::from_millis(100));
}

#[test]
fn a_write_goes_to_the_leader_that_was_heard_of_in_the_same_turn_and_not_to_the_old_one() {
    let mut world = cluster(3);
    let (_, follower, other) = roles(&world);
    let sent = tap(&mut world, |_, _, _| true);
    let term = world.process(follower).consensus.leadership().term;
    let news = Message::Append {
        term: Term(term.0 + 1),
        previous_index: LogIndex::ZERO,
        previous_term: Term::ZERO,
        commit: LogIndex::ZERO,
        entries: Vec::new(),
        round: 1,
    };
    world.ask(follower, None, Asked::PutUnique);
    let from = world.members[other].id;
    world.tell(
        follower,
        Input::Received(from, vec![PeerMessage::Raft(news)]),
    );
    world.run_until("it is forwarded", SOON, |_| forwards(&sent) > 0);
    let first = sent.borrow();
    let first = first
        .iter()
        .find(|(_, _, message)| matches!(message, PeerMessage::Forward(_)));
    assert_eq!(
        first.map(|(from, to, _)| (*from, *to)),
        Some((follower, other))
    );
}

#[test]
fn a_refusal_by_a_node_that_is_no_leader_puts_it_back_to_waiting_and_does_not_spin() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let sent = tap(&mut world, |_, _, message| {
        matches!(message, PeerMessage::Forward(_))
    });
    let op = world.ask(follower, None, Asked::PutUnique);
    let begun = world.now;
    let refusals = 5;
    for tried in 1..=refusals {
        world.run_until("it is forwarded", SOON, |_| forwards(&sent) == tried);
        let boot_nonce = world.settings(follower).boot_nonce;
        let refused = PeerMessage::ForwardRefused {
            reason: RefusalReason::NotLeader,
            boot_nonce,
            sequences: vec![1],
        };
        let from = world.members[leader].id;
        world.tell(follower, Input::Received(from, vec![refused]));
    }
    let took = world.now.since(begun);
    assert!(took >= HEARTBEAT * (refusals as u32 - 1), "{took:?}");
    assert_eq!(world.ops[op].outcome, None, "it waits");
    world.filter = None;
    run_until_answered(&mut world, op);
    assert!(world.ops[op].is_acknowledged());
}

#[test]
fn a_definite_refusal_counts_only_from_the_node_that_has_the_write() {
    let (mut world, _, follower, op, _) = forwarded_into_silence();
    let (_, _, stranger) = roles(&world);
    let refused = |reason| PeerMessage::ForwardRefused {
        reason,
        boot_nonce: world.settings(follower).boot_nonce,
        sequences: vec![1],
    };
    let refused = vec![
        refused(RefusalReason::Overloaded),
        refused(RefusalReason::Illegal),
        refused(RefusalReason::NotLeader),
    ];
    let from = world.members[stranger].id;
    world.tell(follower, Input::Received(from, refused));
    world.run_for(Duration::from_millis(10));
    assert_eq!(world.ops[op].outcome, None);
}

#[test]
fn a_duplicated_forward_is_applied_once() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    let sent = tap(&mut world, |_, _, _| false);
    let op = world.ask(follower, None, Asked::PutUnique);
    run_until_answered(&mut world, op);
    let again = sent
        .borrow()
        .iter()
        .find(|(_, _, message)| matches!(message, PeerMessage::Forward(_)))
        .map(|(_, _, message)| message.clone())
        .unwrap();
    let from = world.members[follower].id;
    world.tell(leader, Input::Received(from, vec![again.clone(), again]));
    world.run_until("both were passed over everywhere", SOON, |world| {
        (0..3).all(|node| world.process(node).applier.duplicate_count() == 2)
    });
    for node in 0..3 {
        assert_eq!(versions(&world.process(node).store, "u/"), [1]);
    }
    assert!(matches!(
        world.ops[op].outcome,
        Some(Outcome::Acknowledged(_))
    ));
}

#[test]
fn a_write_waits_for_the_link_to_the_leader_instead_of_being_said_into_nothing() {
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    // The leader's word still arrives, so that the follower goes on following.
    world.network.blocked.insert((follower, leader));
    world.lose_link(follower, leader, Duration::from_millis(1));
    world.run_for(Duration::from_millis(10));
    let sent = tap(&mut world, |_, _, _| false);
    let op = world.ask(follower, None, Asked::PutUnique);
    world.run_for(Duration::from_secs(1));
    assert_eq!((forwards(&sent), world.ops[op].outcome.clone()), (0, None));
    world.network.blocked.clear();
    run_until_answered(&mut world, op);
    assert!(world.ops[op].is_acknowledged());
    assert!(world.now.since(world.ops[op].begun) < Duration::from_secs(2));
    run_until_settled(&mut world);
}
