//! Random worlds: a few nodes, a network that loses, repeats, reorders and cuts, disks that are
//! slow, crashes that lose what was not yet durable. Everything is drawn from a seed, and after
//! every step the promises of Raft are checked. Then the world is healed, and it must get on.
//!
//! A failure names its seed; `QUORATE_SEED=17 cargo test -p quorate-raft one_seed` runs that
//! world alone.

mod judge;
mod world;

use world::World;

/// How many worlds of each kind a normal test run visits.
const WORLDS: u64 = 100;

/// `QUORATE_WORLDS` visits so many instead.
fn worlds() -> u64 {
    let given = std::env::var_os("QUORATE_WORLDS");
    let given = given.and_then(|worlds| worlds.to_string_lossy().parse().ok());
    given.unwrap_or(WORLDS).min(10_000)
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

/// Gives how often rare things happened.
fn visit(seed: u64, nodes: u64) -> [u64; 4] {
    let _visited = Visited(seed);
    let mut world = World::new(seed, nodes);
    world.run_with_faults();
    world.heal_and_expect_progress();
    world.rare_things()
}

/// Visits a world for each of these seeds; all kinds of things must have happened in some.
fn visit_all(seeds: std::ops::Range<u64>, nodes: u64) {
    let mut sums = [0; 4];
    for seed in seeds {
        for (sum, count) in sums.iter_mut().zip(visit(seed, nodes)) {
            *sum += count;
        }
    }
    let [taken, installed, restored, transferred] = sums;
    println!(
        "{taken} snapshots taken, {installed} installed, {restored} restored from; {transferred} \
         transfers of leadership"
    );
    assert!(taken > 1000 && installed > 50 && restored > 50 && transferred > 20);
}

#[test]
fn three_nodes_keep_their_promises() {
    visit_all(0..worlds(), 3);
}

#[test]
fn five_nodes_keep_their_promises() {
    visit_all(10_000..10_000 + worlds(), 5);
}

#[test]
fn one_and_two_nodes_keep_their_promises() {
    for seed in 20_000..20_000 + WORLDS / 5 {
        visit(seed, 1);
        visit(seed, 2);
    }
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
