//! What cannot be made from outside, or cannot be seen there.

use std::num::NonZeroI64;
use std::sync::Arc;

use quorate_proto::etcdserverpb::{AlarmType, LeaseGrantRequest};

use super::*;
use crate::command::{Answer, Command};
use crate::hash::StateHash;
use crate::snapshot::output::Output;
use crate::store::Store;
use crate::versions::Version;

fn snapshot(store: &mut Store, step_bytes: usize) -> Vec<u8> {
    let mut scan = store.capture_snapshot().unwrap();
    let mut bytes = Vec::new();
    while let Some(step) = store.scan_snapshot(&mut scan, step_bytes) {
        bytes.extend_from_slice(&step);
        assert!(bytes.len() < 10_000, "a scan of a small store does not end");
    }
    bytes
}

/// Loads, and checks without loading: both must come to the same.
fn load(bytes: &[u8]) -> Result<Store, SnapshotError> {
    let mut loader = SnapshotLoader::new();
    let loaded = loader.feed(bytes).and_then(|()| loader.finish());
    let mut checker = SnapshotChecker::new();
    let checked = checker.feed(bytes).and_then(|()| checker.finish());
    let applied_index = loaded.as_ref().map(Store::applied_index);
    assert_eq!(
        checked.as_ref(),
        applied_index.as_ref().map_err(|error| *error)
    );
    loaded
}

fn write(store: &mut Store, index: u64, key: &str, value: &str, lease: i64) {
    store.open(index);
    store.write_key(key.as_bytes(), |_| (Arc::from(value.as_bytes()), lease));
    store.close();
}

fn grant(store: &mut Store, index: u64, id: i64, ttl: i64) {
    let grant = Command::LeaseGrant(LeaseGrantRequest { ttl, id });
    store.apply(index, &grant, Answer::Discard).unwrap();
}

/// A version's record has a place for any lease, and old versions keep the number of one that is gone.
#[test]
fn leases_are_kept() {
    let mut store = Store::new();
    let leases = [7, 1 << 62, -1];
    for (index, lease) in (1..).zip(leases) {
        grant(&mut store, index, lease, 10);
    }
    for (index, lease) in (4..).zip([0, 7, 1 << 62, -1]) {
        write(&mut store, index, "a", "value", lease);
    }
    let loaded = load(&snapshot(&mut store, 10)).unwrap();
    let versions = loaded.keyspace.get(b"a").unwrap();
    let leases: Vec<i64> = versions.since(0).map(|version| version.lease).collect();
    assert_eq!(leases, [0, 7, 1 << 62, -1]);
    assert_eq!(loaded.lease_keys(-1, b"").collect::<Vec<_>>(), [b"a"]);
    assert_eq!(loaded.lease_key_count(7), 0);
}

/// One transaction may change a key twice, in the order of its operations, and change its keys in any
/// order: the list of changes keeps both.
/// A lease costs a step less than a key does, so that what is left of a step is no whole number of keys.
#[test]
fn a_step_that_begins_with_leases_ends_among_keys() {
    let mut store = Store::new();
    grant(&mut store, 1, 7, 60);
    for index in 0..450 {
        write(&mut store, 2 + index, &format!("k{index}"), "", 0);
    }
    let bytes = snapshot(&mut store, 1 << 20);
    let loaded = load(&bytes).expect("it is whole");
    assert_eq!(loaded.state_hash(), store.state_hash());
    assert_eq!(loaded.key_count(), 450);
}

#[test]
fn the_order_of_changes_within_a_revision_is_kept() {
    let mut store = Store::new();
    write(&mut store, 1, "b", "before", 0);
    store.open(2);
    for key in ["c", "b", "a"] {
        store.write_key(key.as_bytes(), |_| (Arc::from(key.as_bytes()), 0));
    }
    let revision = store.next_revision();
    let Store {
        keyspace,
        changes,
        draft,
        ..
    } = &mut store;
    keyspace.write(b"b", |newest| {
        let tombstone = Version::tombstone(revision);
        draft.record(changes, b"b", newest, &tombstone);
        tombstone
    });
    store.close();
    write(&mut store, 3, "b", "anew", 0);
    for compacted in [-1, 2, 3] {
        store.compacted_revision = compacted;
        for step_bytes in [1, 7, 1000] {
            let loaded = load(&snapshot(&mut store, step_bytes)).unwrap();
            let mut found = Vec::new();
            let mut position = Default::default();
            while let Some((change, next)) = loaded.changes.next(position) {
                found.push((change.revision, change.key.to_vec()));
                position = next;
            }
            let mut expected = vec![(2, b"b".to_vec())];
            expected.extend(["c", "b", "a", "b"].map(|key| (3, key.as_bytes().to_vec())));
            expected.push((4, b"b".to_vec()));
            expected.retain(|(revision, _)| *revision >= compacted);
            assert_eq!(found, expected, "compacted at {compacted}");
            assert_eq!(loaded.keyspace.live_keys(), 3);
            assert!(loaded.live_version(b"b", 3).is_none());
            assert_eq!(loaded.live_version(b"b", 4).unwrap().version, 1);
            loaded.keyspace.check();
        }
    }
}

/// The bytes are what members of different versions exchange: they must never change.
#[test]
fn the_bytes_of_a_fixed_store_are_fixed() {
    let mut store = Store::new();
    write(&mut store, 3, "foo", "1", 0);
    write(&mut store, 4, "foo", "two", 0);
    write(&mut store, 5, "foobar", "", 0);
    store.compacted_revision = 3;
    store.hash = StateHash::continued_from(0x0807_0605_0403_0201);
    let expected: &[&[u8]] = &[
        &[1, 5, 4, 4, 1, 2, 3, 4, 5, 6, 7, 8],
        &[3, 0, 3, b'f', b'o', b'o', 3, 1, 2, 3, b't', b'w', b'o'],
        &[3, 3, 3, b'b', b'a', b'r', 4, 0],
        &[0],
        &[3, 0, 3, b'f', b'o', b'o'],
        &[3, 3, 3, b'b', b'a', b'r'],
        &[0],
    ];
    assert_fixed(&mut store, expected, "3cf11805eaece696");
}

/// The same of a store with an alarm and leases, version 2.
#[test]
fn the_bytes_of_a_fixed_store_with_leases_are_fixed() {
    let mut store = Store::new();
    grant(&mut store, 1, 9, 60);
    grant(&mut store, 2, -1, 10);
    write(&mut store, 3, "foo", "1", 9);
    let mut times = store.leases.times(9).unwrap();
    times.remaining_ttl_seconds = 5;
    store.leases.set(9, times);
    store.alarms.insert(AlarmType::Nospace, 300);
    store.hash = StateHash::continued_from(0x0807_0605_0403_0201);
    let expected: &[&[u8]] = &[
        &[2, 3, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8],
        &[1, 1, 0xac, 2],
        &[1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 10, 0],
        &[1, 9, 60, 5],
        &[0],
        &[11, 0, 3, b'f', b'o', b'o', 2, 9, 1, b'1'],
        &[0],
        &[3, 0, 3, b'f', b'o', b'o'],
        &[0],
    ];
    assert_fixed(&mut store, expected, "ed8aebea9be6e950");
    let loaded = load(&snapshot(&mut store, 1000)).unwrap();
    assert_eq!(loaded.lease(9), store.lease(9));
    assert_eq!(loaded.alarms(None), store.alarms(None));
}

fn assert_fixed(store: &mut Store, expected: &[&[u8]], expected_hash: &str) {
    let bytes = snapshot(store, 1000);
    let (content, hash) = bytes.split_last_chunk::<8>().unwrap();
    assert_eq!(content, expected.concat());
    let hash = format!("{:016x}", u64::from_le_bytes(*hash));
    assert_eq!(hash, expected_hash);
}

/// What is wrong with leases and alarms.
#[test]
fn leases_and_alarms_that_cannot_be_are_named() {
    let head = |rest: &[u8]| [&[2, 9, 3, 9], [0; 8].as_slice(), rest].concat();
    let cases: [(&[u8], &str); 10] = [
        (&[0, 0], "version 2 without a lease or an alarm"),
        (&[0, 2], "no lease"),
        (
            &[0, 1, 0, 5, 0],
            "a lease that does not come after the last",
        ),
        (
            &[0, 1, 7, 5, 0, 1, 6, 5, 0],
            "a lease that does not come after the last",
        ),
        (&[0, 1, 7, 0, 0], "a lease of a time that none has"),
        (&[0, 1, 7, 5, 5], "a lease of a time that none has"),
        (&[1, 3, 1], "an alarm of a kind that is none"),
        (
            &[2, 1, 5, 1, 5],
            "an alarm that does not come after the last",
        ),
        (&[0x81, 2, 1], "more alarms than there may be"),
        (
            &[0, 1, 7, 5, 0, 0, 11, 0, 1, b'b', 5, 6, 1, b'v', 0],
            "a key before this that hangs on no lease there is",
        ),
    ];
    for (rest, expected) in cases {
        let Err(SnapshotError::Damaged { what, .. }) = load(&head(rest)) else {
            panic!("{rest:?} was believed, {expected}");
        };
        assert_eq!(what, expected);
    }
}

/// Bytes that a hostile writer made fit in everything but what they say.
#[test]
fn what_cannot_be_in_a_store_is_named() {
    let head = |compacted: u8, revision: u8| {
        let mut head = vec![1, 9, compacted + 1, revision];
        head.extend([0; 8]);
        head
    };
    let put = |tag: u8, key: u8, revision: u8| vec![tag, 0, 1, key, revision, 1, b'v'];
    let cases: [(Vec<u8>, &str); 12] = [
        (head(5, 4), "a compacted revision after the current one"),
        ([head(2, 9), vec![1, 3]].concat(), "a version of no key"),
        ([head(2, 9), vec![32]].concat(), "no version of a key"),
        ([head(2, 9), vec![3, 0, 0]].concat(), "an empty key"),
        (
            [head(2, 9), put(3, b'b', 5), put(3, b'a', 6)].concat(),
            "a key that does not come after the last",
        ),
        (
            [head(2, 9), put(3, b'b', 5), vec![3, 0, 2, b'b', b'c']].concat(),
            "a key that shares less than it could with the one before",
        ),
        (
            [head(2, 9), put(3, b'b', 10)].concat(),
            "a revision that is not of this snapshot",
        ),
        (
            [head(2, 9), vec![7, 0, 1, b'b', 5]].concat(),
            "a tombstone of what never was",
        ),
        (
            [head(2, 9), put(3, b'b', 5), vec![1, 4]].concat(),
            "a version before the one before it",
        ),
        (
            [head(2, 9), put(3, b'b', 5), vec![5, 6], vec![5, 7]].concat(),
            "a tombstone of a tombstone",
        ),
        (
            [head(2, 9), vec![3, 0, 1, b'b', 2, 0x81, 0x00]].concat(),
            "a number in more bytes than it needs",
        ),
        (
            [head(2, 4), put(3, b'b', 4), vec![0], vec![3, 0, 1, b'a']].concat(),
            "a list of changes that ends too early",
        ),
    ];
    for (mut bytes, expected) in cases {
        bytes.push(0);
        let Err(SnapshotError::Damaged { what, .. }) = load(&bytes) else {
            panic!("{bytes:?} was believed, {expected}");
        };
        assert_eq!(what, expected);
    }
    let listed_otherwise = [
        &head(3, 4)[..],
        &[3, 0, 1, b'b', 3, 0, 1, 1, b'v'],
        &put(3, b'c', 4),
        &[0, 3, 0, 1, b'c', 3, 0, 1, b'b', 0],
    ];
    let expected = "a list of changes that does not fit the keys";
    let Err(SnapshotError::Damaged { what, .. }) = load(&listed_otherwise.concat()) else {
        panic!("it was believed");
    };
    assert_eq!(what, expected);
}

#[test]
fn what_does_not_fit_a_step_waits_for_the_next_in_order_and_long_values_are_not_copied() {
    let value: Arc<[u8]> = (0..100).collect();
    for bytes_max in 1..130 {
        let mut output = Output::default();
        let mut found = Vec::new();
        output.begin(bytes_max);
        output.buffer().extend_from_slice(b"a header");
        output.push_value(&value);
        loop {
            let step = output.finish();
            assert!(step.len() <= bytes_max);
            assert!(found.is_empty() || !step.is_empty());
            found.extend_from_slice(&step);
            if output.is_empty() {
                break;
            }
            output.begin(bytes_max);
        }
        assert_eq!(found, [b"a header".as_slice(), &value].concat());
        assert_eq!(Arc::strong_count(&value), 1, "nothing is held on to");
    }
    let mut output = Output::default();
    output.begin(10);
    output.push_value(&value);
    drop(output.finish());
    output.begin(20);
    let slice = output.finish();
    assert_eq!(slice.as_ptr(), value[10..].as_ptr());
}

#[test]
fn a_loaded_store_has_freed_what_was_compacted() {
    let mut store = Store::new();
    for index in 1..50 {
        write(&mut store, index, "a", "value", 0);
    }
    store.compacted_revision = 40;
    let mut loaded = load(&snapshot(&mut store, 1000)).unwrap();
    assert!(store.has_more_to_free() && !loaded.has_more_to_free());
    assert!(!loaded.free_step(10));
    while store.free_step(10) {}
    let revisions = |store: &Store| store.keyspace.get(b"a").unwrap().revisions();
    assert_eq!(revisions(&loaded), revisions(&store));
    assert_eq!(
        NonZeroI64::new(40),
        Some(loaded.keyspace.get(b"a").unwrap().oldest().0.mod_revision)
    );
}
