//! What the simulated disk promises to the tests that stand on it.

use std::collections::BTreeSet;

use super::*;
use crate::Effect;

fn file_with(disk: &SimDisk, name: &str, bytes: &[u8]) -> SimFile {
    let file = disk.create(name).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_directory().unwrap();
    file
}

/// All states a crash can leave, as the contents of `name` (`None`: no such file).
fn outcomes(disk: &SimDisk, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    disk.crash_states()
        .map(|state| state.contents(name))
        .collect()
}

#[test]
fn what_was_synced_survives_every_crash() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[1; 1024]);
    assert_eq!(disk.unsynced_operations(), 0);
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([Some(vec![1; 1024])]));
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(disk.contents("a"), Some(vec![1; 1024]));
    let stale = file.write_at(0, &[2]).unwrap_err();
    assert_eq!(stale.kind, ErrorKind::Io);
}

#[test]
fn an_unsynced_write_tears_at_every_sector() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[0; 1024]);
    file.write_at(0, &[7; 1024]).unwrap();
    let mut expected = BTreeSet::new();
    for (left, right) in [(0, 0), (0, 7), (7, 0), (7, 7)] {
        expected.insert(Some([[left; 512], [right; 512]].concat()));
    }
    assert_eq!(outcomes(&disk, "a"), expected);
}

#[test]
fn a_sector_written_twice_may_hold_any_of_its_three_versions() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[0; 512]);
    file.write_at(0, &[1; 100]).unwrap();
    file.write_at(100, &[2; 100]).unwrap();
    let held: BTreeSet<(u8, u8)> = outcomes(&disk, "a")
        .into_iter()
        .map(|contents| contents.unwrap())
        .map(|contents| (contents[0], contents[100]))
        .collect();
    // Never the second write without the first: they share a sector of the page cache.
    assert_eq!(held, BTreeSet::from([(0, 0), (1, 0), (1, 2)]));
}

#[test]
fn a_name_is_durable_only_after_the_directory_was_synced() {
    let disk = SimDisk::new();
    let file = disk.create("a").unwrap();
    file.write_at(0, &[3; 10]).unwrap();
    file.sync().unwrap();
    assert_eq!(
        outcomes(&disk, "a"),
        BTreeSet::from([None, Some(vec![3; 10])])
    );
    disk.sync_directory().unwrap();
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([Some(vec![3; 10])]));
}

#[test]
fn a_rename_is_lost_or_kept_as_a_whole() {
    let disk = SimDisk::new();
    file_with(&disk, "new", &[2; 4]);
    file_with(&disk, "old", &[1; 4]);
    disk.rename("new", "old").unwrap();
    let states: BTreeSet<_> = disk
        .crash_states()
        .map(|state| (state.contents("new"), state.contents("old")))
        .collect();
    let lost = (Some(vec![2; 4]), Some(vec![1; 4]));
    let kept = (None, Some(vec![2; 4]));
    assert_eq!(states, BTreeSet::from([lost, kept]));
}

#[test]
fn a_rename_of_a_file_whose_creation_was_lost_is_lost_too() {
    let disk = SimDisk::new();
    let file = disk.create("part").unwrap();
    file.sync().unwrap();
    disk.rename("part", "whole").unwrap();
    let states: BTreeSet<_> = disk
        .crash_states()
        .map(|state| state.list().unwrap())
        .collect();
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        states,
        BTreeSet::from([names(&[]), names(&["part"]), names(&["whole"])])
    );
}

#[test]
fn lengths_and_contents_survive_independently() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[1; 512]);
    file.write_at(512, &[2; 512]).unwrap();
    let expected = [
        vec![1; 512],
        [[1; 512], [0; 512]].concat(),
        [[1; 512], [2; 512]].concat(),
    ];
    assert_eq!(
        outcomes(&disk, "a"),
        expected.into_iter().map(Some).collect()
    );
    file.sync().unwrap();
    file.truncate(100).unwrap();
    assert!(outcomes(&disk, "a").contains(&Some(vec![1; 100])));
}

#[test]
fn after_a_failed_sync_the_data_is_readable_and_yet_lost() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[0; 512]);
    file.write_at(0, &[5; 512]).unwrap();
    disk.inject(Fault {
        operation: Operation::Sync,
        after: 0,
        effect: Effect::Fail(ErrorKind::Io),
    });
    assert_eq!(file.sync().unwrap_err().kind, ErrorKind::Io);
    assert_eq!(disk.contents("a"), Some(vec![5; 512]));
    // Trying again succeeds, and saves nothing.
    file.sync().unwrap();
    disk.crash(Crash::KeepAll);
    assert_eq!(disk.contents("a"), Some(vec![0; 512]));
}

#[test]
fn the_nth_operation_of_a_kind_fails_once() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[0; 8]);
    let effect = Effect::FailHalfway(ErrorKind::NoSpace);
    disk.inject(Fault {
        operation: Operation::Write,
        after: 1,
        effect,
    });
    file.write_at(0, &[1; 8]).unwrap();
    assert_eq!(
        file.write_at(0, &[2; 8]).unwrap_err().kind,
        ErrorKind::NoSpace
    );
    assert_eq!(disk.contents("a"), Some(vec![2, 2, 2, 2, 1, 1, 1, 1]));
    file.write_at(0, &[3; 8]).unwrap();
    assert_eq!(disk.count(Operation::Write), 4);

    disk.inject(Fault {
        operation: Operation::Read,
        after: 0,
        effect: Effect::ShortRead,
    });
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(0, &mut buffer).unwrap(), 4);
    assert_eq!(file.read_at(0, &mut buffer).unwrap(), 8);
}

#[test]
fn a_full_disk_refuses_growth_and_takes_overwrites() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[0; 512]);
    disk.set_capacity(Some(600));
    assert_eq!(
        file.write_at(512, &[1; 100]).unwrap_err().kind,
        ErrorKind::NoSpace
    );
    file.write_at(0, &[1; 512]).unwrap();
    disk.set_capacity(None);
    file.write_at(512, &[1; 100]).unwrap();
}

#[test]
fn power_goes_after_so_many_changes_and_comes_back_with_the_crash() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[0; 4]);
    disk.power_off_after(1);
    file.write_at(0, &[1; 4]).unwrap();
    assert!(file.sync().is_err());
    assert!(disk.power_is_off());
    assert!(disk.open("a").is_err());
    disk.crash(Crash::Random(1));
    assert!(disk.open("a").is_ok());
}

#[test]
fn a_killed_process_leaves_the_page_cache_behind() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[0; 4]);
    file.write_at(0, &[1; 4]).unwrap();
    disk.kill_process();
    assert!(file.sync().is_err());
    assert_eq!(disk.contents("a"), Some(vec![1; 4]));
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(disk.contents("a"), Some(vec![0; 4]));
}

#[test]
fn rot_is_on_the_medium() {
    let disk = SimDisk::new();
    file_with(&disk, "a", &[0; 4]);
    assert!(disk.flip_bit("a", 2, 3));
    assert!(!disk.flip_bit("a", 4, 3));
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(disk.contents("a"), Some(vec![0, 0, 8, 0]));
}

#[test]
fn the_same_seed_gives_the_same_crash_and_seeds_differ() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[0; 4096]);
    file.write_at(0, &[1; 4096]).unwrap();
    let crashed = |seed| {
        let state = disk.fork();
        state.crash(Crash::Random(seed));
        state.contents("a").unwrap()
    };
    let seen: BTreeSet<_> = (0..50).map(crashed).collect();
    assert!(
        seen.len() > 10,
        "only {} different states from 50 seeds",
        seen.len()
    );
    assert_eq!(crashed(7), crashed(7));
}

#[test]
fn a_removed_file_stays_readable_through_its_handle() {
    let disk = SimDisk::new();
    let file = file_with(&disk, "a", &[9; 4]);
    disk.remove("a").unwrap();
    disk.sync_directory().unwrap();
    let mut buffer = [0; 4];
    assert_eq!(file.read_at(0, &mut buffer).unwrap(), 4);
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
}
