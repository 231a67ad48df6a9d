//! Watchers of a quiet world; and the judge finds it when what they are told is not what happened.

use std::time::Duration;

use super::Watchers;
use crate::Random;
use crate::world::{Asked, World};

/// Three nodes, each of which is written to, and watched.
fn world_with_writes() -> World {
    let mut world = World::quiet(3);
    world.watchers = Watchers::new(Random::new(1));
    for number in 0..60 {
        let asked = match number % 3 {
            0 => Asked::PutShared(0),
            1 => Asked::PutUnique,
            _ => Asked::DeleteShared(0),
        };
        let op = world.ask(number % 3, None, asked);
        world.run_until("a write", Duration::from_secs(3), |world| {
            world.ops[op].is_acknowledged()
        });
    }
    assert!(world.watchers.watchers.iter().any(|one| one.next > 1));
    world
}

/// Lets each watcher go on from the first revision, as if it had been told of nothing.
fn begin_anew(world: &mut World) {
    for node in 0..3 {
        world.lose_watchers(node);
    }
    for watcher in &mut world.watchers.watchers {
        watcher.next = 1;
    }
}

#[test]
fn watchers_are_told_of_everything() {
    let mut world = world_with_writes();
    world.heal_and_judge();
    let last = world.process(0).store.revision();
    assert!(
        world
            .watchers
            .watchers
            .iter()
            .all(|one| one.next == last + 1)
    );
    begin_anew(&mut world);
    world.judge_watchers();
}

#[test]
#[should_panic(expected = "was told of None in place of")]
fn an_event_that_is_not_told_is_missed() {
    let mut world = world_with_writes();
    let history = &mut world.watchers.model.history;
    let event = history[2].first().cloned().expect("a put");
    history.last_mut().expect("the history").push(event);
    begin_anew(&mut world);
    world.judge_watchers();
}

#[test]
#[should_panic(expected = "which did not happen then")]
fn an_event_that_did_not_happen_is_found() {
    let mut world = world_with_writes();
    world.watchers.model.history.fill(Vec::new());
    begin_anew(&mut world);
    world.judge_watchers();
}

#[test]
#[should_panic(expected = "in place of")]
fn events_out_of_order_are_found() {
    let mut world = world_with_writes();
    world.watchers.model.history.swap(2, 5);
    begin_anew(&mut world);
    world.judge_watchers();
}
