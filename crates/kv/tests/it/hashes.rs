//! The running hash of the state, and the hashes that are made of what is held.

use quorate_kv::{Command, HashCursor, KvError, KvHash, Store};
use quorate_proto::etcdserverpb::AlarmType;
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;

use crate::support::*;

#[test]
fn equal_histories_have_equal_hashes_and_any_difference_shows() {
    let base = || Member::with_keys(&["a", "b"]);
    let hash = |member: &Member| member.store.state_hash();
    assert_eq!(hash(&base()), hash(&base()));
    assert_ne!(hash(&base()), hash(&Member::with_keys(&["b", "a"])));
    assert_ne!(hash(&base()), hash(&Member::with_keys(&["a"])));
    assert_eq!(hash(&Member::default()), 0);

    let mut seen = vec![hash(&base())];
    let variants: [fn(&mut Member); 5] = [
        |member| drop(member.put(put("c", "1"))),
        |member| drop(member.put(put("c", "2"))),
        |member| drop(member.put(put("a", "1"))),
        |member| drop(member.delete(delete("a", ""))),
        |member| drop(member.compact(2)),
    ];
    for change in variants {
        let mut member = base();
        change(&mut member);
        seen.push(hash(&member));
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

/// Members free at different times and have different readers: their hashes agree all the same.
#[test]
fn freeing_and_pins_do_not_show() {
    let mut eager = Member::with_keys(&["a", "a", "b"]);
    let mut lazy = Member::with_keys(&["a", "a", "b"]);
    let _pin = lazy.store.pin(2).unwrap();
    for member in [&mut eager, &mut lazy] {
        member.compact(4).unwrap();
    }
    eager.free();
    assert_eq!(eager.store.state_hash(), lazy.store.state_hash());
    assert!(eager.store.memory_bytes() < lazy.store.memory_bytes());
}

fn hash_in_steps(store: &Store, mut cursor: HashCursor, versions_max: usize) -> (KvHash, usize) {
    for steps in 1.. {
        if let Some(hash) = store.advance_hash(&mut cursor, versions_max) {
            return (hash, steps);
        }
    }
    unreachable!()
}

fn hash_kv(member: &Member, revision: i64) -> KvHash {
    let cursor = member.store.begin_hash_kv(revision).unwrap();
    hash_in_steps(&member.store, cursor, 1000).0
}

fn some_member() -> Member {
    let mut member = Member::with_keys(&["a", "b", "a", "c", "a"]); // revisions 2 to 6
    member.delete(delete("b", "")).unwrap(); // 7
    member.put(put("b", "again")).unwrap(); // 8
    member
}

/// "equal on every member at equal revision", whatever each has freed, and however it is asked.
#[test]
fn members_agree_in_the_hash_of_what_they_hold() {
    for compacted in [None, Some(3), Some(5), Some(7), Some(8)] {
        let (mut eager, mut lazy) = (some_member(), some_member());
        for member in [&mut eager, &mut lazy] {
            compacted.map(|revision| member.compact(revision).unwrap());
        }
        eager.free();
        let bytes = snapshot(&mut lazy.store);
        let store = load(&bytes, 100).unwrap();
        let loaded = Member { store, index: 8 };
        for revision in [0, 8, 7, 5] {
            if compacted.is_some_and(|compacted| revision != 0 && revision < compacted) {
                continue;
            }
            let expected = hash_kv(&lazy, revision);
            assert_eq!(expected.compact_revision, compacted.unwrap_or(-1));
            assert_eq!(
                expected.hash_revision,
                if revision == 0 { 8 } else { revision }
            );
            assert_eq!(hash_kv(&eager, revision), expected);
            assert_eq!(hash_kv(&loaded, revision), expected);
            for versions_max in 1..6 {
                let cursor = lazy.store.begin_hash_kv(revision).unwrap();
                let (hash, steps) = hash_in_steps(&lazy.store, cursor, versions_max);
                assert!(hash == expected && steps >= 3 / versions_max);
            }
        }
    }
}

#[test]
fn the_hash_of_what_is_held_sees_every_difference() {
    let mut seen = vec![hash_kv(&some_member(), 0).hash];
    seen.extend((1..8).map(|revision| hash_kv(&some_member(), revision).hash));
    let variants: [fn(&mut Member); 5] = [
        |member| drop(member.put(put("c", "1"))),
        |member| drop(member.put(put("c", "2"))),
        |member| drop(member.delete(delete("a", ""))),
        |member| drop(member.delete(delete("c", ""))),
        |member| drop(member.compact(5)),
    ];
    for change in variants {
        let mut member = some_member();
        change(&mut member);
        seen.push(hash_kv(&member, 0).hash);
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

/// What was written while it was made is not in the hash, and what was compacted still is.
#[test]
fn a_hash_is_of_the_moment_at_which_it_was_begun() {
    let mut member = some_member();
    let expected = hash_kv(&member, 0);
    let mut cursor = member.store.begin_hash_kv(0).unwrap();
    let mut steps = 0;
    let found = loop {
        if let Some(hash) = member.store.advance_hash(&mut cursor, 1) {
            break hash;
        }
        steps += 1;
        member.put(put("a", "later")).unwrap();
        member.put(put(&format!("a{steps}"), "new")).unwrap();
        member.compact(member.store.revision()).unwrap();
        member.free();
    };
    assert_eq!(found, expected);
    let refused = |member: &Member, revision| member.store.begin_hash_kv(revision).err();
    let newest = member.store.revision();
    assert_eq!(refused(&member, newest + 1), Some(KvError::FutureRevision));
    assert_eq!(refused(&member, newest - 1), Some(KvError::Compacted));
    drop(cursor);
    assert_eq!(member.store.oldest_pin(), None);
}

/// Hash, unlike HashKV, is of leases and alarms too.
#[test]
fn the_hash_of_everything_is_of_leases_and_alarms_too() {
    let hash = |member: &Member| {
        let in_steps_of = |versions_max| {
            let cursor = member.store.begin_hash().unwrap();
            hash_in_steps(&member.store, cursor, versions_max).0.hash
        };
        assert_eq!(in_steps_of(1), in_steps_of(1000));
        in_steps_of(3)
    };
    let mut member = some_member();
    let mut seen = vec![hash(&member)];
    let nospace = alarm(AlarmAction::Activate, AlarmType::Nospace, 1);
    let changes: [Command; 3] = [
        grant(i64::MAX, 5).into(),
        grant(1, 6).into(),
        nospace.into(),
    ];
    for change in changes {
        let before = hash_kv(&member, 0);
        member.apply(change).unwrap();
        assert_eq!(hash_kv(&member, 0), before);
        assert!(!seen.contains(&hash(&member)));
        seen.push(hash(&member));
    }
    assert!(seen.iter().all(|hash| *hash != 0));
}
