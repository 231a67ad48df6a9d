//! Every single and every double placement of a damaged batch over three nodes with short logs
//! (pitfall 21; the matrix of "Protocol-Aware Recovery for Consensus-Based Storage", FAST '18).
//!
//! A damaged entry is recovered wherever a good copy exists. Where none does, the cluster refuses:
//! nobody leads without it, and it says what is missing. Nothing is ever silently lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_disk::{Disk, SimDisk};
use quorate_replica::HIGHEST_PROTOCOL_VERSION;
use quorate_sim::world::{Asked, World};
use quorate_wal::{Identity, Options};

use crate::support::{SOON, cluster, roles, versions};

const SECTOR: usize = 512;

/// A place of a member's log that a bit is flipped at.
#[derive(Clone, Debug)]
struct Spot {
    node: usize,
    file: String,
    offset: u64,
}

/// Three disks, and what must be on them.
struct Logs {
    disks: Vec<SimDisk>,
    /// The entries of each.
    ends: Vec<u64>,
    writes: usize,
}

/// A cluster with a few writes, all durable and covered, of which the last `behind` did not reach
/// the third of its nodes.
fn logs(behind: usize) -> Logs {
    let mut world = cluster(3);
    let (leader, _, third) = roles(&world);
    let all = 4;
    for count in 0..all {
        if count == all - behind {
            world.run_for(Duration::from_secs(1));
            world.kill(third);
        }
        let op = world.ask(leader, None, Asked::PutUnique);
        world.run_until("the write", SOON, |world| world.ops[op].is_acknowledged());
    }
    // Until followers have it too, and everything is named durable.
    world.run_for(Duration::from_secs(1));
    for node in (0..3).filter(|node| *node != third || behind == 0) {
        world.kill(node);
    }
    let disks: Vec<SimDisk> = world.members.iter().map(|one| one.disk.fork()).collect();
    let ends = (0..3).map(|node| look(&disks[node], node).unwrap().0);
    Logs {
        ends: ends.collect(),
        disks,
        writes: all,
    }
}

/// The end of a log, and what of it is damaged; `None` if the log refuses.
fn look(disk: &SimDisk, node: usize) -> Option<(u64, BTreeSet<u64>)> {
    let mut options = Options::new(Identity {
        cluster_id: World::quiet(1).settings(0).cluster_id,
        member_id: node as u64 + 1,
        group_id: 0,
    });
    options.segment_bytes = 64 << 10;
    options.tolerate_damage = true;
    let recovered = quorate_wal::open(disk.fork(), options).ok()?.recovered;
    let damaged = recovered.damaged.iter();
    let lost = damaged.flat_map(|damage| damage.first_index..=damage.last_index);
    Some((recovered.last_index, lost.collect()))
}

/// Each sector of a log in which a flipped bit costs something: one bit at the sector's start, where
/// a batch has its header, and one further on, where it has its entries.
fn spots(logs: &Logs) -> Vec<Spot> {
    let mut spots = Vec::new();
    for (node, disk) in logs.disks.iter().enumerate() {
        for file in disk.list().unwrap() {
            if !file.ends_with(".wal") {
                continue;
            }
            let bytes = disk.contents(&file).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            for sector in 8..=used / SECTOR {
                for within in [8, 140] {
                    let offset = (sector * SECTOR + within) as u64;
                    let rotten = disk.fork();
                    rotten.flip_bit(&file, offset, 3);
                    let costs = match look(&rotten, node) {
                        // The log says that it cannot tell, and refuses.
                        None => true,
                        Some((end, lost)) => {
                            assert_eq!(end, logs.ends[node], "{file} {offset} cuts the log");
                            !lost.is_empty()
                        }
                    };
                    if costs {
                        let file = file.clone();
                        spots.push(Spot { node, file, offset });
                    }
                }
            }
        }
    }
    spots
}

/// Starts three nodes on copies of the disks with these spots damaged. `true` if all is well soon,
/// as it must be wherever a good copy of everything exists; else nobody may lead.
fn run(logs: &Logs, spots: &[&Spot]) -> bool {
    let mut lost: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    let mut world = World::quiet(3);
    for node in 0..3 {
        world.kill(node);
        world.members[node].disk = logs.disks[node].fork();
    }
    for spot in spots {
        world.members[spot.node]
            .disk
            .flip_bit(&spot.file, spot.offset, 3);
    }
    for node in spots.iter().map(|spot| spot.node) {
        match look(&world.members[node].disk, node) {
            Some((_, of)) => drop(lost.insert(node, of)),
            None => drop(refused.insert(node)),
        }
    }
    let up: Vec<usize> = (0..3).filter(|node| !refused.contains(node)).collect();
    for node in &up {
        world.start(*node);
    }
    let end = logs.ends.iter().max().copied().unwrap();
    let has = |node: &usize, index: u64| {
        let damaged = lost.get(node).is_some_and(|lost| lost.contains(&index));
        index <= logs.ends[*node] && !damaged
    };
    let copies = (1..=end).all(|index| up.iter().any(|node| has(node, index)));
    let well = |world: &World| {
        let first = world.process(up[0]).store.applied_index();
        up.iter().all(|node| {
            let process = world.process(*node);
            let status = process.consensus.status();
            let agreed = status.cluster_version == HIGHEST_PROTOCOL_VERSION;
            let whole = status.raft.damaged_entries == 0 && agreed;
            whole && process.store.applied_index() == first && first > end
        })
    };
    let until = world.now + Duration::from_secs(6);
    while world.now < until && !(up.len() >= 2 && well(&world)) {
        world.run_for(Duration::from_millis(50));
        if !copies {
            assert_eq!(
                world.leader(),
                None,
                "leads without what is lost: {spots:?}"
            );
        }
    }
    let is_well = up.len() >= 2 && well(&world);
    if is_well {
        for node in up {
            let process = world.process(node);
            let found = versions(&process.store, "u/");
            assert_eq!(found.len(), logs.writes, "{spots:?}");
            // And on the disk it is whole for good.
            assert_eq!(
                look(&world.members[node].disk, node).unwrap().1,
                BTreeSet::new()
            );
        }
    } else if copies {
        assert!(
            up.len() < 2,
            "not recovered: {spots:?}\n{}",
            world.describe()
        );
    } else {
        let says = |node: &usize| world.process(*node).consensus.status().raft.damaged_entries > 0;
        assert!(up.iter().any(says), "nobody says what is lost: {spots:?}");
    }
    is_well
}

fn matrix(behind: usize) {
    let logs = logs(behind);
    let spots = spots(&logs);
    let (mut recovered, mut refused) = (0, 0);
    let mut count = |well: bool| *(if well { &mut recovered } else { &mut refused }) += 1;
    for (at, one) in spots.iter().enumerate() {
        let well = run(&logs, &[one]);
        assert!(
            well || behind > 0,
            "two good copies, and not recovered: {one:?}"
        );
        count(well);
        for other in &spots[at + 1..] {
            count(run(&logs, &[one, other]));
        }
    }
    println!(
        "{} spots, {recovered} placements recovered, {refused} refused",
        spots.len()
    );
    let some = refused > 0;
    assert!(spots.len() >= 18 && recovered > 100 && some == (behind > 0));
}

#[test]
fn every_damaged_entry_is_recovered_where_a_good_copy_exists_and_none_is_lost() {
    matrix(0);
}

#[test]
fn what_only_two_had_and_both_lost_is_waited_for() {
    matrix(1);
}
