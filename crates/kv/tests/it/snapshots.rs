//! Snapshots: what is loaded is what was captured, whatever went on while it was scanned.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use quorate_kv::{
    Answer, KEYS_PER_STEP, SNAPSHOT_STEP_BYTES_MAX, SnapshotError, SnapshotScan, Step, Store,
};
use quorate_proto::etcdserverpb::RangeRequest;

use crate::model::Model;
use crate::random::{Action, World, action, assert_leases_as};
use crate::support::*;

/// A snapshot that is being scanned in steps of so many bytes.
struct Scanning {
    scan: SnapshotScan,
    step_bytes: usize,
    bytes: Vec<u8>,
}

impl Scanning {
    fn of(store: &mut Store, step_bytes: usize) -> Scanning {
        Scanning {
            scan: store.capture_snapshot().unwrap(),
            step_bytes,
            bytes: Vec::new(),
        }
    }

    /// Whether there is more.
    fn step(&mut self, store: &Store) -> bool {
        let Some(bytes) = store.scan_snapshot(&mut self.scan, self.step_bytes) else {
            return false;
        };
        assert!(bytes.len() <= self.step_bytes);
        self.bytes.extend_from_slice(&bytes);
        true
    }

    fn finish(mut self, store: &Store) -> Vec<u8> {
        while self.step(store) {}
        store.end_snapshot(self.scan);
        self.bytes
    }
}

/// What `store` answers is what `model` answers, at every revision and beyond.
fn assert_reads_as(store: &Store, model: &Model) {
    assert_eq!(store.revision(), model.revision);
    assert_eq!(store.compacted_revision(), model.compacted);
    assert_leases_as(store, model);
    for revision in 0..=model.revision + 1 {
        let request = RangeRequest {
            revision,
            ..everything()
        };
        assert_eq!(
            store.range(&request),
            model.range(&request),
            "at {revision}"
        );
    }
}

/// Lets `during` happen while three members scan a snapshot each, loads it, and lets the same happen
/// to the loaded store.
fn check_snapshot(world: &mut World, during: &[Action], step_bytes: usize, piece_bytes: usize) {
    let (model, index) = (world.model.clone(), world.index);
    let (hash, key_count) = (world.whole.state_hash(), world.whole.key_count());
    let mut scans = [
        Scanning::of(&mut world.whole, step_bytes),
        Scanning::of(&mut world.stepwise, step_bytes / 2 + 1),
        Scanning::of(&mut world.pinned, step_bytes * 2),
    ];
    for action in during {
        world.act(action);
        let stores = [&world.whole, &world.stepwise, &world.pinned];
        for (scan, store) in scans.iter_mut().zip(stores) {
            scan.step(store);
        }
    }
    let [whole, stepwise, pinned] = scans;
    let bytes = whole.finish(&world.whole);
    assert_eq!(stepwise.finish(&world.stepwise), bytes);
    assert_eq!(pinned.finish(&world.pinned), bytes);

    let mut loaded = load(&bytes, piece_bytes).unwrap();
    assert_eq!(loaded.applied_index(), index);
    assert_eq!(loaded.state_hash(), hash);
    assert_eq!(loaded.key_count(), key_count);
    assert!(!loaded.has_more_to_free());
    assert_reads_as(&loaded, &model);
    for action in during {
        if let Action::Read(request) = action {
            assert_eq!(loaded.range(request), model.range(request));
        }
    }
    assert!(
        snapshot(&mut loaded) == bytes,
        "another snapshot of the same"
    );

    for (index, (command, expected)) in (1..).zip(&world.log).skip(index as usize) {
        assert_eq!(loaded.apply(index, command, Answer::Wanted), *expected);
        if index % 3 == 0 {
            loaded.free_step(7);
        }
    }
    assert_eq!(loaded.state_hash(), world.whole.state_hash());
    assert_eq!(loaded.key_count(), world.whole.key_count());
    assert_reads_as(&loaded, &world.model);
    assert!(
        snapshot(&mut loaded) == snapshot(&mut world.whole),
        "the loaded store went on otherwise"
    );
    while loaded.free_step(10) {}
    assert_reads_as(&loaded, &world.model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_on_meanwhile_what_is_loaded_is_what_was_captured(
        before in vec(action(12), 0..60),
        during in vec(action(12), 0..60),
        step_bytes in prop_oneof![1..80_usize, 80..2000_usize],
        piece_bytes in prop_oneof![1..8_usize, 8..4000_usize],
    ) {
        let mut world = World::new();
        for action in &before {
            world.act(action);
        }
        check_snapshot(&mut world, &during, step_bytes, piece_bytes);
        world.read_all_history();
    }
}

/// Enough keys for many leaves, enough writes for long histories; the same every time.
#[test]
fn snapshots_along_a_long_history_are_what_was_captured() {
    let mut runner = TestRunner::deterministic();
    let mut world = World::new();
    for round in 0..6 {
        let mut actions = || -> Vec<Action> {
            let action = || action(300).new_tree(&mut runner).unwrap().current();
            std::iter::repeat_with(action).take(120).collect()
        };
        for action in actions() {
            world.act(&action);
        }
        check_snapshot(&mut world, &actions(), 150 + 40 * round, 1000);
    }
}

/// A member that never frees, one that frees at once, and one that was itself loaded give the same
/// bytes: that is what lets a fetch that was begun at one of them be finished at another.
#[test]
fn the_same_state_gives_the_same_bytes_however_it_came_about() {
    let history = |free: bool| {
        let mut member = Member::default();
        for n in 0..400 {
            member
                .put(put(&format!("key{:03}", n % 90), &n.to_string()))
                .unwrap();
            if n % 70 == 69 {
                member.delete(delete("key02", "key05")).unwrap();
                member.compact(member.store.revision() - 20).unwrap();
            }
            if free {
                member.free();
            }
        }
        member
    };
    let (mut eager, mut lazy) = (history(true), history(false));
    let bytes = snapshot(&mut eager.store);
    assert!(lazy.store.has_more_to_free() && !eager.store.has_more_to_free());
    assert_eq!(snapshot(&mut lazy.store), bytes);
    assert_eq!(snapshot(&mut load(&bytes, 64).unwrap()), bytes);
    eager.put(put("one more", "")).unwrap();
    assert_ne!(snapshot(&mut eager.store), bytes);
}

#[test]
fn an_empty_store_has_a_snapshot_too() {
    let mut member = Member::default();
    let bytes = snapshot(&mut member.store);
    assert!(bytes.len() < 24, "{} bytes", bytes.len());
    let mut loaded = Member {
        store: load(&bytes, 1).unwrap(),
        index: 0,
    };
    assert_eq!((loaded.store.revision(), loaded.store.key_count()), (1, 0));
    loaded.put(put("a", "1")).unwrap();
    member.put(put("a", "1")).unwrap();
    assert_eq!(loaded.store.state_hash(), member.store.state_hash());
}

/// Small state, small snapshot: the course allows 500 bytes for one key that was written 400 times.
#[test]
fn of_a_compacted_history_only_the_last_version_is_kept() {
    let mut member = Member::default();
    for n in 0..400 {
        member.put(put("x", &(n % 2).to_string())).unwrap();
    }
    assert!(snapshot(&mut member.store).len() > 2000);
    member.compact(member.store.revision()).unwrap();
    let bytes = snapshot(&mut member.store);
    assert!(bytes.len() < 50, "{} bytes", bytes.len());
}

/// What is deleted at the compacted revision can be watched from there, so it must be there.
#[test]
fn a_tombstone_at_the_compacted_revision_is_in_the_snapshot() {
    let compacted_at = |revision| {
        let mut member = Member::with_keys(&["a"]); // revision 2
        member.delete(delete("a", "")).unwrap(); // revision 3
        member.put(put("b", "b")).unwrap(); // revision 4
        member.compact(revision).unwrap();
        snapshot(&mut member.store)
    };
    let holds_a = |bytes: &[u8]| bytes.contains(&b'a');
    assert!(holds_a(&compacted_at(3)));
    assert!(!holds_a(&compacted_at(4)));
    let mut loaded = load(&compacted_at(3), 100).unwrap();
    assert_eq!(loaded.key_count(), 1);
    assert_eq!(snapshot(&mut loaded), compacted_at(3));
}

#[test]
fn the_part_of_a_change_that_is_being_applied_is_not_in_the_snapshot() {
    let mut member = Member::with_keys(&["a", "b", "c", "d"]);
    let before = snapshot(&mut member.store);
    let deletion = delete("\0", "\0").into();
    let mut application = member.store.begin(5, deletion, Answer::Wanted);
    assert!(matches!(
        member.store.advance(&mut application, 2),
        Step::More
    ));
    assert_eq!(snapshot(&mut member.store), before);
    let scanning = Scanning::of(&mut member.store, 7);
    while matches!(member.store.advance(&mut application, 1), Step::More) {}
    assert_eq!(member.store.key_count(), 0);
    assert_eq!(scanning.finish(&member.store), before);
}

/// "A later compaction is visible at once; only the freeing of versions waits."
#[test]
fn a_compaction_during_the_scan_is_seen_at_once_and_frees_nothing_that_is_needed() {
    let mut member = Member::default();
    for n in 0..50 {
        member.put(put("a", &format!("{n}").repeat(1000))).unwrap();
    }
    let before = snapshot(&mut member.store);
    let scanning = Scanning::of(&mut member.store, 100);
    member.compact(51).unwrap();
    let full = member.store.memory_bytes();
    member.free();
    let at = |revision| RangeRequest {
        revision,
        ..get("a")
    };
    assert_eq!(member.range(&at(50)), Err(quorate_kv::KvError::Compacted));
    assert_eq!(member.store.memory_bytes(), full);
    assert_eq!(scanning.finish(&member.store), before);
    assert!(member.store.has_more_to_free());
    member.free();
    assert!(member.store.memory_bytes() < full / 5);
}

#[test]
fn one_snapshot_is_scanned_at_a_time() {
    let mut member = Member::with_keys(&["a"]);
    let scan = member.store.capture_snapshot().unwrap();
    assert_eq!((scan.applied_index(), scan.revision()), (1, 2));
    assert_eq!(
        member.store.capture_snapshot().err(),
        Some(SnapshotError::UnderWay)
    );
    member.store.end_snapshot(scan);
    let scan = member.store.capture_snapshot().unwrap();
    drop(scan);
    assert!(member.store.capture_snapshot().is_ok());
    assert_eq!(member.store.oldest_pin(), None);
}

#[test]
#[should_panic(
    expected = "a snapshot at index 1 is scanned from the store that it was captured from"
)]
fn a_scan_does_not_go_on_in_a_store_that_has_taken_the_place_of_its_own() {
    let mut member = Member::with_keys(&["a"]);
    let mut scan = member.store.capture_snapshot().unwrap();
    let _ = Store::new().scan_snapshot(&mut scan, 100);
}

/// Of all things that can be many: keys, versions of one key, changes, keys that are too new to be in
/// the snapshot, changes that are too old; and of values that are long.
#[test]
fn no_step_is_longer_than_it_may_be() {
    let mut member = Member::default();
    for n in 0..3000 {
        member.put(put("many versions", "v")).unwrap();
        member.put(put(&format!("old{n}"), "")).unwrap();
    }
    member.delete(delete("old", "ole")).unwrap();
    member.compact(member.store.revision() - 2000).unwrap();
    member
        .put(put("long", &"0123456789".repeat(300_000)))
        .unwrap();
    let whole = snapshot(&mut member.store);
    let scanning = |member: &mut Member, step_bytes| {
        let mut scanning = Scanning::of(&mut member.store, step_bytes);
        for n in 0..3000 {
            member.put(put(&format!("new{n}"), "")).unwrap();
        }
        let (mut steps, mut empty) = (0, 0);
        loop {
            let before = scanning.bytes.len();
            if !scanning.step(&member.store) {
                break;
            }
            steps += 1;
            empty += usize::from(scanning.bytes.len() == before);
        }
        assert!(scanning.bytes == whole);
        (steps, empty)
    };
    let versions = 2000 + 3000 + 3000;
    let (steps, empty) = scanning(&mut member, SNAPSHOT_STEP_BYTES_MAX);
    assert!(steps > versions / KEYS_PER_STEP, "{steps} steps");
    assert!(
        empty > 3000 / KEYS_PER_STEP,
        "{empty} of them found nothing"
    );
    assert!(steps < 60, "{steps} steps");

    member.compact(member.store.revision()).unwrap();
    member.free();
    let whole = snapshot(&mut member.store);
    let mut scanning = Scanning::of(&mut member.store, usize::MAX);
    let mut longest = 0;
    loop {
        let before = scanning.bytes.len();
        if !scanning.step(&member.store) {
            break;
        }
        longest = longest.max(scanning.bytes.len() - before);
    }
    assert_eq!(longest, SNAPSHOT_STEP_BYTES_MAX);
    assert!(scanning.bytes == whole);
}
