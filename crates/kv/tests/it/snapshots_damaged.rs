//! Snapshots that are not what was written: refused with a reason, never believed, never a panic.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use quorate_kv::{Answer, SnapshotError, SnapshotLoader, Store};
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::{AlarmType, RangeRequest};

use crate::support::*;

/// Short and long keys, histories, tombstones, an empty value, changes of several keys in one revision,
/// something before the compacted revision and something at it.
fn some_store() -> Store {
    let mut member = Member::with_keys(&["a", "ab", "b", "a", "gone"]);
    member.delete(delete("gone", "")).unwrap();
    member
        .put(put("a key too long to be kept inline", ""))
        .unwrap();
    member.delete(delete("ab", "")).unwrap();
    member.compact(9).unwrap();
    member
        .txn(all([
            op(put("z", "1")),
            op(put("b", "2")),
            op(put("y", "3")),
        ]))
        .unwrap();
    member.delete(delete("a", "b")).unwrap();
    member.put(put("ab", "again")).unwrap();
    member.put(put("ab", &"more".repeat(50))).unwrap();
    member.store
}

/// The same, with alarms and leases.
fn some_store_with_leases() -> Store {
    let store = some_store();
    let index = store.applied_index();
    let mut member = Member { store, index };
    for (id, ttl) in [(7, 60), (-1, 9_000_000_000), (300, 1)] {
        member.apply(grant(id, ttl)).unwrap();
    }
    member.apply(checkpoint([(7, 31)])).unwrap();
    member.put(leased("ab", "leased", 7)).unwrap();
    for kind in [AlarmType::Nospace, AlarmType::Corrupt] {
        member
            .apply(alarm(AlarmAction::Activate, kind, 300))
            .unwrap();
    }
    member.store
}

#[test]
fn a_snapshot_that_ends_at_any_byte_is_refused() {
    let bytes = snapshot(&mut some_store_with_leases());
    for length in 0..bytes.len() {
        let expected = SnapshotError::Truncated {
            bytes: length as u64,
        };
        assert_eq!(load(&bytes[..length], 16).err(), Some(expected));
    }
    assert!(load(&bytes, 16).is_ok());
}

#[test]
fn a_snapshot_with_any_bit_flipped_is_refused() {
    let bytes = snapshot(&mut some_store_with_leases());
    let mut mismatches = 0;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match load(&flipped, usize::MAX) {
            Ok(_) => panic!("bit {bit} does not matter"),
            Err(SnapshotError::HashMismatch { expected, found }) => {
                assert_ne!(expected, found);
                mismatches += 1;
            }
            Err(SnapshotError::Damaged { offset, .. }) => {
                assert!(offset < bytes.len() as u64, "bit {bit} at {offset}");
            }
            Err(SnapshotError::UnknownVersion { .. }) => assert!(bit < 8),
            Err(SnapshotError::Truncated { .. }) => {}
            Err(SnapshotError::UnderWay) => panic!("nothing is scanned"),
        }
    }
    assert!(mismatches > 1000, "the values are only in the hash");
}

#[test]
fn the_running_hash_is_covered_by_the_snapshots_own() {
    let mut store = some_store();
    let bytes = snapshot(&mut store);
    let hash = store.state_hash().to_le_bytes();
    let at = bytes.windows(8).position(|window| window == hash).unwrap();
    let mut forged = bytes.clone();
    forged[at] ^= 1;
    let error = load(&forged, 100).err().unwrap();
    let SnapshotError::HashMismatch { expected, found } = error else {
        panic!("{error}");
    };
    let last = bytes.last_chunk().unwrap();
    assert_eq!(expected, u64::from_le_bytes(*last));
    let text = error.to_string();
    assert!(
        text.contains(&format!("{expected:016x}")) && text.contains(&format!("{found:016x}")),
        "{text}"
    );
}

#[test]
fn a_version_of_another_time_is_named() {
    let mut bytes = snapshot(&mut some_store());
    bytes[0] = 3;
    assert_eq!(
        load(&bytes, 100).err(),
        Some(SnapshotError::UnknownVersion { found: 3 })
    );
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = snapshot(&mut some_store());
    bytes.push(0);
    let expected = SnapshotError::Damaged {
        offset: bytes.len() as u64 - 1,
        what: "bytes after the end",
    };
    assert_eq!(load(&bytes, usize::MAX).err(), Some(expected.clone()));
    assert_eq!(load(&bytes, 1).err(), Some(expected));
}

#[test]
fn after_an_error_there_is_no_going_on() {
    let bytes = snapshot(&mut some_store());
    let mut loader = SnapshotLoader::new();
    let error = loader.feed(&[9]).unwrap_err();
    assert_eq!(loader.feed(&bytes), Err(error.clone()));
    assert_eq!(loader.finish().err(), Some(error));
}

/// A length is believed when the bytes are there, not before.
#[test]
fn a_length_beyond_reason_is_refused_where_it_stands() {
    let head = [1, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let of_key = [&head[..], &[3, 0], &longest].concat();
    let of_value = [&head[..], &[3, 0, 1, b'k', 2], &longest].concat();
    let of_shared = [&head[..], &[3], &longest].concat();
    for bytes in [of_key, of_value, of_shared] {
        let Err(SnapshotError::Damaged { offset, .. }) = load(&bytes, 3) else {
            panic!("{bytes:?} was believed");
        };
        assert_eq!(offset as usize, bytes.len() - 10);
    }
}

/// A snapshot that someone changed and gave a fitting hash. If it is consistent in itself it is loaded;
/// then it is a store like any other.
fn check_forged(mut bytes: Vec<u8>, piece_bytes: usize) -> bool {
    if let Err(SnapshotError::HashMismatch { found, .. }) = load(&bytes, piece_bytes) {
        let at = bytes.len() - 8;
        bytes[at..].copy_from_slice(&found.to_le_bytes());
    }
    let Ok(mut store) = load(&bytes, piece_bytes) else {
        return false;
    };
    assert_eq!(
        snapshot(&mut store),
        bytes,
        "there is one encoding of a store"
    );
    let (first, last) = (store.compacted_revision().max(1), store.revision());
    for revision in (first..=last).take(50) {
        let request = RangeRequest {
            revision,
            ..everything()
        };
        let count = store.range(&request).unwrap().count;
        let keys_only = RangeRequest {
            count_only: true,
            ..request
        };
        assert_eq!(store.range(&keys_only).unwrap().count, count);
    }
    let index = store.applied_index();
    let mut member = Member { store, index };
    member.put(put("ab", "after all")).unwrap();
    member.delete(delete("a", "z")).unwrap();
    member.compact(member.store.revision()).unwrap();
    member.free();
    let key_count = member.store.key_count() as i64;
    assert_eq!(member.range(&everything()).unwrap().count, key_count);
    true
}

#[test]
fn a_forged_value_with_a_fitting_hash_is_loaded_like_any_other() {
    let bytes = snapshot(&mut some_store());
    let at = bytes
        .windows(5)
        .position(|window| window == b"again")
        .unwrap();
    let mut forged = bytes.clone();
    forged[at] = b'A';
    assert!(check_forged(forged, 50));
}

#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Remove(Index, Index),
    Insert(Index, Vec<u8>),
    Copy(Index, Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        3 => (place(), prop_oneof![0..16_u8, any::<u8>()]).prop_map(|(at, byte)| Damage::Set(at, byte)),
        3 => (place(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => (place(), place()).prop_map(|(from, to)| Damage::Remove(from, to)),
        1 => (place(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (place(), place(), place()).prop_map(|(from, to, at)| Damage::Copy(from, to, at)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        let ordered = |a: &Index, b: &Index| {
            let (a, b) = (a.index(length), b.index(length));
            a.min(b)..a.max(b).min(a.min(b) + 40)
        };
        match damage {
            Damage::Set(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Damage::Remove(from, to) => drop(bytes.drain(ordered(from, to))),
            Damage::Insert(at, more) => {
                let at = at.index(length);
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Copy(from, to, at) => {
                let copy = bytes[ordered(from, to)].to_vec();
                let at = at.index(length);
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_done_to_the_bytes_they_are_refused_or_make_a_sound_store(
        damages in vec(damage(), 1..4),
        piece_bytes in 1..300_usize,
    ) {
        let bytes = snapshot(&mut some_store());
        let damaged = damaged(bytes.clone(), &damages);
        if damaged != bytes {
            assert!(load(&damaged, piece_bytes).is_err());
            check_forged(damaged, piece_bytes);
        }
    }

    #[test]
    fn bytes_that_never_were_a_snapshot_are_refused(bytes in vec(any::<u8>(), 0..400)) {
        assert!(load(&bytes, 7).is_err());
        let mut headed = vec![1, 3, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8];
        headed.extend(bytes);
        assert!(load(&headed, 7).is_err());
    }
}

/// The store goes on from what it loaded: a compaction frees exactly what it frees elsewhere.
#[test]
fn a_loaded_store_frees_what_the_captured_one_frees() {
    let (mut captured, mut loaded) = (some_store(), load(&snapshot(&mut some_store()), 9).unwrap());
    for store in [&mut captured, &mut loaded] {
        let index = store.applied_index() + 1;
        let compaction = compact(store.revision()).into();
        store.apply(index, &compaction, Answer::Wanted).unwrap();
        while store.free_step(3) {}
    }
    assert_eq!(captured.memory_bytes(), loaded.memory_bytes());
    assert_eq!(snapshot(&mut captured), snapshot(&mut loaded));
}
