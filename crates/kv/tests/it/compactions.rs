//! Compaction and pins.

use quorate_kv::{KvError, RangeStep};
use quorate_proto::etcdserverpb::{CompactionRequest, RangeRequest};

use crate::support::*;

/// "rev <= compacted -> ErrCompacted; > current -> ErrFutureRev."
#[test]
fn a_compaction_goes_forward_and_not_beyond_now() {
    let mut member = Member::with_keys(&["a", "b", "c"]); // current revision 4
    assert_eq!(member.compact(5), Err(KvError::FutureRevision));
    assert_eq!(member.compact(-1), Err(KvError::Compacted));
    member.compact(0).unwrap();
    member.compact(3).unwrap();
    assert_eq!(member.store.compacted_revision(), 3);
    assert_eq!(member.compact(3), Err(KvError::Compacted));
    assert_eq!(member.compact(2), Err(KvError::Compacted));
    member.compact(4).unwrap();
    assert_eq!(
        (member.store.compacted_revision(), member.store.revision()),
        (4, 4)
    );
}

/// What is newest at the compacted revision stays, what came before goes: of two keys with four versions
/// each, two of either.
#[test]
fn the_newest_version_up_to_the_compacted_revision_is_kept() {
    let mut member = Member::default();
    for value in ["2", "3", "4", "5"] {
        member.put(put("a", &value.repeat(1000))).unwrap();
        member.put(put("other", &value.repeat(1000))).unwrap();
    }
    let full = member.store.memory_bytes();
    member.compact(7).unwrap();
    member.free();
    let freed = full - member.store.memory_bytes();
    assert!((4000..5000).contains(&freed), "{freed} bytes were freed");
    assert_eq!(member.pair_at("a", 7).unwrap().value[0], b'4');
    assert_eq!(member.pair_at("other", 7).unwrap().value[0], b'4');
    assert_eq!(member.pair_at("a", 8).unwrap().value[0], b'5');
    let pair = member.pair("a").unwrap();
    assert_eq!((pair.create_revision, pair.version), (2, 4));
}

/// A key whose deletion lies before the compacted revision leaves nothing at all.
#[test]
fn deleted_and_compacted_keys_give_their_memory_back() {
    let mut member = Member::default();
    let empty = member.store.memory_bytes();
    for n in 0..5000 {
        member.put(put(&format!("key{n}"), "some value")).unwrap();
    }
    member.delete(delete("\0", "\0")).unwrap();
    member.put(put("last", "")).unwrap();
    member.compact(member.store.revision()).unwrap();
    let full = member.store.memory_bytes();
    member.free();
    let left = member.store.memory_bytes();
    assert!(
        left < empty + 20_000 && full > 500_000,
        "{empty} empty, {full} full, {left} left"
    );
    assert_eq!(member.keys(&everything()), "last");
}

/// "The tombstone AT the compaction revision must be kept (bug 19179)": it and its revision are freed
/// by the next compaction only. Seen from outside: the memory for it stays until then.
#[test]
fn the_tombstone_at_the_compacted_revision_waits_for_the_next_compaction() {
    let compacted_at = |revision: i64| {
        let mut member = Member::default();
        member.put(put(&"long".repeat(100), "")).unwrap(); // revision 2
        member.delete(delete(&"long".repeat(100), "")).unwrap(); // revision 3
        member.put(put("a", "")).unwrap(); // revision 4
        member.compact(revision).unwrap();
        member.free();
        member
    };
    let mut at_tombstone = compacted_at(3);
    let kept = at_tombstone.store.memory_bytes();
    assert!(kept > compacted_at(4).store.memory_bytes() + 400);
    assert_eq!(at_tombstone.pair_at(&"long".repeat(100), 3), None);
    at_tombstone.compact(4).unwrap();
    at_tombstone.free();
    assert_eq!(
        at_tombstone.store.memory_bytes(),
        compacted_at(4).store.memory_bytes()
    );
}

/// "physical=true waits until done": the store says when.
#[test]
fn the_store_tells_when_everything_is_freed() {
    let mut member = Member::with_keys(&["a"; 100]);
    assert!(!member.store.has_more_to_free());
    member
        .apply(CompactionRequest {
            revision: 90,
            physical: true,
        })
        .unwrap();
    assert!(member.store.has_more_to_free());
    let mut steps = 0;
    while member.store.free_step(10) {
        steps += 1;
        assert!(member.store.has_more_to_free());
    }
    assert!(!member.store.has_more_to_free());
    assert!(
        (8..=9).contains(&steps),
        "89 changes in steps of ten took {steps}"
    );
}

/// A pinned view stays whole through compactions and freeing; new reads there are refused at once.
#[test]
fn a_pin_holds_back_the_freeing_and_nothing_else() {
    let mut member = Member::with_keys(&["a", "b", "c"]);
    let request = RangeRequest {
        revision: 3,
        ..everything()
    };
    let mut cursor = member.store.begin_range(&request).unwrap();
    member.delete(delete("a", "")).unwrap();
    member.put(put("b", "changed")).unwrap();
    member.compact(6).unwrap();
    member.free();
    assert_eq!(member.range(&request), Err(KvError::Compacted));
    assert_eq!(
        member.store.begin_range(&request).err(),
        Some(KvError::Compacted)
    );
    assert_eq!(member.store.pin(3).err(), Some(KvError::Compacted));
    assert_eq!(member.store.oldest_pin(), Some(3));
    let held = member.store.memory_bytes();

    let response = loop {
        if let RangeStep::Done(response) = member.store.advance_range(&mut cursor, 1) {
            break response;
        }
    };
    let values: Vec<_> = response.kvs.iter().map(|pair| &pair.value[..]).collect();
    assert_eq!(values, [b"a", b"b"]);
    drop(cursor);
    assert_eq!(member.store.oldest_pin(), None);
    assert!(member.store.has_more_to_free());
    member.free();
    assert!(member.store.memory_bytes() < held);
}

#[test]
fn only_a_readable_revision_can_be_pinned() {
    let mut member = Member::with_keys(&["a", "b"]);
    member.compact(2).unwrap();
    assert_eq!(member.store.pin(1).err(), Some(KvError::Compacted));
    assert_eq!(member.store.pin(4).err(), Some(KvError::FutureRevision));
    let pins = [member.store.pin(2).unwrap(), member.store.pin(3).unwrap()];
    assert_eq!(member.store.oldest_pin(), Some(2));
    pins.into_iter().for_each(|pin| member.store.unpin(pin));
    assert_eq!(member.store.oldest_pin(), None);
}
