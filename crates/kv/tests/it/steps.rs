//! Bounded steps: nobody holds the store for longer than a step, and no step shows.

use quorate_kv::{Answer, Command, RangeStep, ReadTxnStep, Reply, Step, Store};
use quorate_proto::etcdserverpb::compare::{CompareResult, TargetUnion};
use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_proto::etcdserverpb::{Compare, RangeRequest, RangeResponse};

use crate::support::*;

const KEYS: usize = 1000;

fn thousand() -> Member {
    let mut member = Member::default();
    member
        .txn(all((0..KEYS).map(|n| op(put(&format!("{n:04}"), "value")))))
        .unwrap();
    member
}

/// Applies in steps; returns how many it took.
fn apply_in_steps(
    store: &mut Store,
    index: u64,
    command: Command,
    keys_max: usize,
    mut between: impl FnMut(&Store),
) -> (Reply, usize) {
    let mut application = store.begin(index, command, Answer::Wanted);
    for steps in 1.. {
        match store.advance(&mut application, keys_max) {
            Step::More => between(store),
            Step::Done(result) => return (result.unwrap(), steps),
        }
    }
    unreachable!()
}

fn read_in_steps(store: &Store, request: &RangeRequest, keys_max: usize) -> (RangeResponse, usize) {
    let mut cursor = store.begin_range(request).unwrap();
    for steps in 1.. {
        if let RangeStep::Done(response) = store.advance_range(&mut cursor, keys_max) {
            return (response, steps);
        }
    }
    unreachable!()
}

/// "readers between steps see only the old revision."
#[test]
fn half_a_deletion_is_not_seen() {
    let mut member = thousand();
    let before = member.range(&everything()).unwrap();
    let hash = member.store.state_hash();
    let mut looks = 0;
    let delete = delete("0100", "0900").into();
    let (reply, steps) = apply_in_steps(&mut member.store, 2, delete, 10, |store| {
        looks += 1;
        assert_eq!(
            (store.revision(), store.applied_index(), store.state_hash()),
            (2, 1, hash)
        );
        if looks % 20 == 0 {
            assert_eq!(store.range(&everything()).unwrap(), before);
            assert_eq!(store.range(&get("0100")).unwrap().count, 1);
        }
    });
    assert!(steps >= 80 && looks == steps - 1, "{steps} steps");
    let Reply::DeleteRange(response) = reply else {
        panic!("{reply:?}")
    };
    assert_eq!((response.deleted, revision(&response.header)), (800, 3));
    assert_eq!(member.range(&everything()).unwrap().count, 200);
    assert_eq!(
        (member.store.revision(), member.store.applied_index()),
        (3, 2)
    );
}

/// "no step touches more than max_keys keys": so so many keys take at least so many steps.
#[test]
fn a_range_takes_as_many_steps_as_its_keys_need() {
    let member = thousand();
    for request in [
        everything(),
        RangeRequest {
            sort_order: SortOrder::Descend.into(),
            ..everything()
        },
        RangeRequest {
            sort_order: SortOrder::Descend.into(),
            sort_target: SortTarget::Mod.into(),
            ..everything()
        },
        RangeRequest {
            keys_only: true,
            max_mod_revision: 2,
            ..everything()
        },
    ] {
        for keys_max in [1, 7, 100, 999, 5000] {
            let (response, steps) = read_in_steps(&member.store, &request, keys_max);
            assert_eq!(response, member.range(&request).unwrap());
            assert!(
                steps >= KEYS.div_ceil(keys_max),
                "{steps} steps of {keys_max}"
            );
            assert!(
                steps <= 4 * KEYS.div_ceil(keys_max) + 4,
                "{steps} steps of {keys_max}"
            );
        }
    }
}

/// "A range of 10 keys in a million must not scan the rest", in either direction, nor does a count look
/// at each key.
#[test]
fn a_short_answer_is_short_work() {
    let member = thousand();
    let page = RangeRequest {
        limit: 10,
        ..everything()
    };
    let last = RangeRequest {
        sort_order: SortOrder::Descend.into(),
        ..page.clone()
    };
    let count = RangeRequest {
        count_only: true,
        ..everything()
    };
    for request in [&page, &last, &count] {
        let (response, steps) = read_in_steps(&member.store, request, 1);
        assert_eq!(response.count, KEYS as i64);
        assert!(
            steps < 150,
            "{steps} keys or leaves were touched for {request:?}"
        );
    }
    assert_eq!(member.range(&last).unwrap().kvs[0].key, "0999");
}

#[test]
fn a_transaction_takes_steps_in_all_its_parts() {
    let mut member = thousand();
    let mut whole = thousand();
    let everywhere = Compare {
        range_end: bytes("\0"),
        ..version_is("\0", 1)
    };
    let request = txn(
        [everywhere.clone()],
        [
            op(everything()),
            op(txn([everywhere], [op(delete("0500", "\0"))], [])),
            op(put("0000", "changed")),
            op(everything()),
        ],
        [],
    );
    let before = member.range(&everything()).unwrap();
    let (reply, steps) =
        apply_in_steps(&mut member.store, 2, request.clone().into(), 10, |store| {
            assert_eq!(store.revision(), 2);
            assert_eq!(store.range(&get("0000")).unwrap().kvs[0], before.kvs[0]);
        });
    // Two compares of 1000 keys, a range of 1000, a deletion of 500, a range of 500.
    assert!((400..900).contains(&steps), "{steps} steps");
    assert_eq!(reply, whole.apply(request).unwrap());
    assert_eq!(member.store.state_hash(), whole.store.state_hash());
}

/// Its compares, its ranges and the older revisions that its ranges name: all stay as they were.
#[test]
fn a_reading_transaction_in_steps_keeps_its_view() {
    let mut member = thousand();
    for n in 0..20 {
        member.put(put(&format!("{:04}", n * 50), "newer")).unwrap();
    }
    let newest = TargetUnion::ModRevision(member.store.revision() + 1);
    let all_are_old = Compare {
        range_end: bytes("\0"),
        ..compare("\0", CompareResult::Less, newest)
    };
    let past = RangeRequest {
        revision: 2,
        ..range("0500", "0600")
    };
    let request = txn([all_are_old], [op(everything()), op(past)], []);
    let whole = member.store.read_only_txn(&request).unwrap();
    assert!(whole.succeeded);
    let mut cursor = member.store.begin_read_only_txn(&request).unwrap();
    for step in 0.. {
        if step % 10 == 3 {
            let n = 999 - step * 7 % 1000;
            member.delete(delete(&format!("{n:04}"), "")).unwrap();
            member.put(put(&format!("{n:04}"), "")).unwrap();
            member.compact(member.store.revision()).unwrap();
            member.free();
        }
        if let ReadTxnStep::Done(result) = member.store.advance_read_only_txn(&mut cursor, 20) {
            assert_eq!(result.unwrap(), whole);
            assert!(step > 50, "{step} steps");
            return;
        }
    }
}

/// Nobody waits for the answer: the state is the same, only the answer is short.
#[test]
fn an_answer_that_nobody_wants_is_not_built() {
    let request = Command::from(all([op(everything()), op(put("0000", "changed"))]));
    let (mut one, mut other) = (thousand(), thousand());
    one.store.apply(2, &request, Answer::Wanted).unwrap();
    let Reply::Txn(response) = other.store.apply(2, &request, Answer::Discard).unwrap() else {
        panic!("a transaction answers as one");
    };
    assert_eq!(response.responses.len(), 1);
    assert_eq!(one.store.state_hash(), other.store.state_hash());
}

#[test]
#[should_panic(expected = "entry 3 cannot be applied while entry Some(2) is unfinished")]
fn an_application_is_carried_to_its_end() {
    let mut member = thousand();
    let mut application = member
        .store
        .begin(2, delete("\0", "\0").into(), Answer::Wanted);
    assert!(matches!(
        member.store.advance(&mut application, 10),
        Step::More
    ));
    drop(application);
    member.store.skip(3);
}
