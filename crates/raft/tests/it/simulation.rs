//! Random worlds: a few nodes, a network that loses, repeats, reorders and cuts, disks that are
//! slow, crashes that lose what was not yet durable. Everything is drawn from a seed, and after
//! every step the promises of Raft are checked. Then the world is healed, and it must get on.
//!
//! A failure names its seed; `QUORATE_SEED=17 cargo test -p quorate-raft one_seed` runs that
//! world alone.

mod judge;
mod world;

use world::{Seen, World};

/// How many worlds of each kind a normal test run visits.
const WORLDS: u64 = 100;

/// How many to visit: `QUORATE_WORLDS` asks for more of each kind.
fn worlds(usual: u64) -> u64 {
    let given = std::env::var_os("QUORATE_WORLDS");
    let given = given.and_then(|worlds| worlds.to_string_lossy().parse().ok());
    given.unwrap_or(usual).min(10_000)
}

/// Says which world it was, if a test fails in it.
struct Visited(u64);

impl Drop for Visited {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("in the world of QUORATE_SEED={}", self.0);
        }
    }
}

fn visit(seed: u64, nodes: u64) -> Seen {
    let _visited = Visited(seed);
    let mut world = World::new(seed, nodes);
    world.run_with_faults();
    world.heal_and_expect_progress();
    world.seen
}

#[test]
fn three_nodes_keep_their_promises() {
    for seed in 0..worlds(WORLDS) {
        visit(seed, 3);
    }
}

#[test]
fn five_nodes_keep_their_promises() {
    for seed in 10_000..10_000 + worlds(WORLDS) {
        visit(seed, 5);
    }
}

#[test]
fn one_and_two_nodes_keep_their_promises() {
    for seed in 20_000..20_000 + worlds(WORLDS / 5) {
        visit(seed, 1);
        visit(seed, 2);
    }
}

/// One to five members and three nodes that may join, under all the faults.
fn visit_changing(seed: u64) -> Seen {
    let _visited = Visited(seed);
    let mut world = World::with_spares(seed, 1 + seed % 5, 3);
    world.run_with_faults();
    world.heal_and_expect_progress();
    world.seen
}

#[test]
fn members_come_and_go_and_every_promise_is_kept() {
    let mut seen = Seen::default();
    for seed in 30_000..30_000 + worlds(2 * WORLDS) {
        seen.add(&visit_changing(seed));
    }
    let missing = seen.missing();
    assert!(missing.is_empty(), "never {missing:?}: {seen:?}");
}

/// Nothing but what a lease could go wrong by: leaders cut off at the worst moment, voters that
/// start anew, clocks that drift, processes that stand still; and reads, all the time.
fn visit_with_leases(seed: u64) -> Seen {
    let _visited = Visited(seed);
    let mut world = World::with_leases(seed, 3 + 2 * (seed % 2));
    world.run_with_faults();
    world.heal_and_expect_progress();
    world.seen
}

#[test]
fn no_read_on_a_lease_is_stale() {
    let mut seen = Seen::default();
    for seed in 40_000..40_000 + worlds(2 * WORLDS) {
        seen.add(&visit_with_leases(seed));
    }
    assert!(
        seen.count("granted a read on a lease") > 10_000,
        "too tame: {seen:?}"
    );
}

/// Crashes leave damaged entries behind, each with a good copy somewhere.
fn visit_with_rot(seed: u64) -> Seen {
    let _visited = Visited(seed);
    let mut world = World::with_rot(seed, 3 + 2 * (seed % 2));
    world.run_with_faults();
    world.heal_and_expect_progress();
    world.seen
}

#[test]
fn damaged_entries_are_never_lost_and_always_repaired() {
    let mut seen = Seen::default();
    for seed in 50_000..50_000 + worlds(2 * WORLDS) {
        seen.add(&visit_with_rot(seed));
    }
    let missing = seen.missing_with_rot();
    assert!(missing.is_empty(), "never {missing:?}: {seen:?}");
}

/// Disks of nodes that are down are put back to earlier states, or emptied.
fn visit_with_swaps(seed: u64) -> Seen {
    let _visited = Visited(seed);
    let mut world = World::with_swaps(seed, 3 + seed % 3);
    world.run_with_faults();
    world.heal_and_expect_progress();
    world.seen
}

#[test]
fn what_a_lost_disk_had_promised_is_kept() {
    let mut seen = Seen::default();
    for seed in 60_000..60_000 + worlds(2 * WORLDS) {
        seen.add(&visit_with_swaps(seed));
    }
    let missing = seen.missing_with_swaps();
    assert!(missing.is_empty(), "never {missing:?}: {seen:?}");
}

#[test]
fn one_seed() {
    let Some(seed) = std::env::var_os("QUORATE_SEED") else {
        return;
    };
    let seed: u64 = seed
        .to_string_lossy()
        .parse()
        .expect("QUORATE_SEED is a number");
    if seed >= 60_000 {
        visit_with_swaps(seed);
        return;
    }
    if seed >= 50_000 {
        visit_with_rot(seed);
        return;
    }
    if seed >= 40_000 {
        visit_with_leases(seed);
        return;
    }
    if seed >= 30_000 {
        visit_changing(seed);
        return;
    }
    let nodes = if seed >= 20_000 {
        1 + seed % 2
    } else if seed >= 10_000 {
        5
    } else {
        3
    };
    visit(seed, nodes);
}

#[test]
fn a_world_is_the_same_every_time() {
    let fingerprint = |seed| {
        let mut world = World::new(seed, 3);
        world.run_with_faults();
        world.fingerprint()
    };
    assert_eq!(fingerprint(5), fingerprint(5));
    assert_ne!(fingerprint(5), fingerprint(6));
}
