//! Worlds drawn from seeds: whatever goes wrong, no acknowledged write is lost, nothing is applied
//! twice, no read is stale, every client hears something, and all is well soon after healing.
//!
//! A failure names its seed; `QUORATE_SEED=<seed>` runs that one alone, `QUORATE_SEEDS=<count>`
//! that many.

use std::time::Duration;

use crate::world::World;

const SEEDS: u64 = 800;

/// Names the seed if the world it made ends badly.
struct Naming(u64);

impl Drop for Naming {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the world of seed {0} failed; run it alone: QUORATE_SEED={0} cargo test \
                 -p quorate-replica --test it random_worlds",
                self.0
            );
        }
    }
}

fn run(seed: u64) -> World {
    let _naming = Naming(seed);
    let mut world = World::from_seed(seed);
    world.run_for(Duration::from_millis(world.plan.chaos_ms));
    world.heal_and_judge();
    world
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person repeats a failure by it"
)]
fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}

/// The seeds of one of `parts` tests, so that they share the cores.
fn run_part(part: u64, parts: u64) {
    if let Some(seed) = number("QUORATE_SEED") {
        if seed % parts == part {
            let world = run(seed);
            println!("{}{} events", world.describe(), world.events);
        }
        return;
    }
    let seeds = number("QUORATE_SEEDS").unwrap_or(SEEDS);
    let (mut worlds, mut events, mut acknowledged, mut reads) = (0, 0, 0, 0);
    for seed in (0..seeds).filter(|seed| seed % parts == part) {
        let world = run(seed);
        worlds += 1;
        events += world.events;
        acknowledged += world.ops.iter().filter(|op| op.is_acknowledged()).count();
        reads += world.ops.iter().filter(|op| op.was_read()).count();
    }
    println!("{worlds} worlds, {events} events, {acknowledged} acknowledged writes, {reads} reads");
    assert!(
        seeds < parts || acknowledged as u64 > 10 * worlds && reads as u64 > 5 * worlds,
        "the worlds are too bad for anything to happen in them"
    );
}

#[test]
fn whatever_goes_wrong_nothing_acknowledged_is_lost_first_part() {
    run_part(0, 2);
}

#[test]
fn whatever_goes_wrong_nothing_acknowledged_is_lost_second_part() {
    run_part(1, 2);
}

#[test]
fn the_same_seed_makes_the_same_world() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 1_000..1_010 {
        let (one, two) = (run(seed), run(seed));
        assert_eq!(
            (one.events, one.hash),
            (two.events, two.hash),
            "seed {seed}"
        );
        hashes.insert(one.hash);
    }
    assert_eq!(hashes.len(), 10, "and another seed another one");
}
