//! Worlds drawn from seeds: whatever goes wrong, no acknowledged write is lost, nothing is applied
//! twice, no read is stale, every client hears something, and all is well soon after healing.
//!
//! A failure names its seed; `quorate sim replay --seed <seed>` shows it, `QUORATE_SEED=<seed>` runs
//! that one alone here, `QUORATE_SEEDS=<count>` that many.

use quorate_sim::{RunReport, run_seed};

const SEEDS: u64 = 800;

fn run(seed: u64) -> RunReport {
    run_seed(seed).unwrap_or_else(|failure| {
        panic!("{failure}\nsee it: quorate sim replay --seed {seed}");
    })
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
            println!("{:#?}", run(seed));
        }
        return;
    }
    let seeds = number("QUORATE_SEEDS").unwrap_or(SEEDS);
    let (mut worlds, mut events, mut acknowledged, mut reads) = (0, 0, 0, 0);
    for seed in (0..seeds).filter(|seed| seed % parts == part) {
        let report = run(seed);
        worlds += 1;
        events += report.events;
        acknowledged += report.acknowledged_writes;
        reads += report.reads;
    }
    println!("{worlds} worlds, {events} events, {acknowledged} acknowledged writes, {reads} reads");
    assert!(
        seeds < parts || acknowledged > 10 * worlds && reads > 5 * worlds,
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
        assert_eq!(one, two, "seed {seed}");
        hashes.insert(one.hash);
    }
    assert_eq!(hashes.len(), 10, "and another seed another one");
}
