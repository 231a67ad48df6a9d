//! What a disk that fails in use does to its node, and what the cluster makes of it.

use std::time::Duration;

use quorate_disk::{Crash, Effect, ErrorKind, Fault, Operation};
use quorate_sim::world::{Asked, World};
use quorate_sim::{Fault as Injected, Rare, run_seed};

const SOON: Duration = Duration::from_secs(5);

fn write(world: &mut World, node: usize) -> usize {
    let op = world.ask(node, None, Asked::PutUnique);
    world.run_until("a write", SOON, |world| world.ops[op].outcome.is_some());
    op
}

/// The page cache keeps what the failed sync should have written, and a second sync of it succeeds
/// without writing anything: so the next start has to write it again.
#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_written_again_before_it_counts() {
    let mut world = World::quiet(1);
    let first = write(&mut world, 0);
    assert!(world.ops[first].is_acknowledged());
    world.members[0].disk.inject(Fault {
        operation: Operation::Sync,
        after: 0,
        effect: Effect::Fail(ErrorKind::Io),
    });
    let in_doubt = write(&mut world, 0);
    assert!(!world.ops[in_doubt].is_acknowledged(), "it was not durable");
    assert_eq!(world.tally.rare(Rare::StoppedAfterFailedSync), 1);
    world.run_for(2 * SOON);
    let after = write(&mut world, 0);
    assert!(world.ops[after].is_acknowledged());
    world.crash(0, Crash::LoseUnsynced);
    world.heal_and_judge();
    world.judge_history();
}

#[test]
fn a_node_whose_disk_is_full_stops_and_comes_back_when_there_is_room() {
    let mut world = World::quiet(3);
    write(&mut world, 0);
    let disk = world.members[2].disk.clone();
    disk.set_capacity(Some(disk.used_bytes()));
    let mut asked = 0;
    while world.tally.rare(Rare::StoppedForWantOfRoom) == 0 {
        assert!(asked < 2_000, "its segments must be full by now");
        asked += 1;
        world.ask(0, None, Asked::PutUnique);
        world.run_for(Duration::from_millis(5));
    }
    world.run_for(SOON);
    let op = write(&mut world, 0);
    assert!(world.ops[op].is_acknowledged(), "two of three go on");
    assert!(
        world.tally.rare(Rare::StartRefused) > 0,
        "nor is there room to start"
    );
    world.heal_and_judge();
    world.judge_history();
}

/// What a hundred worlds do by chance, so that no fault is planned and never happens.
#[test]
fn every_fault_of_disks_happens_in_some_world() {
    let mut tally = quorate_sim::Tally::default();
    for seed in 500..600 {
        tally.add(&run_seed(seed).unwrap().tally);
    }
    for fault in [
        Injected::WriteFailed,
        Injected::SyncFailed,
        Injected::ReadFailed,
        Injected::DiskFull,
        Injected::SnapshotRot,
        Injected::FrameDamaged,
        Injected::MessageForged,
    ] {
        assert!(tally.fault(fault) > 0, "{fault:?}");
    }
}
