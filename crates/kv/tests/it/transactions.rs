//! Transactions.

use quorate_kv::{KvError, Limits, Rules, TXN_DEPTH_MAX, check_txn, is_read_only, is_serializable};
use quorate_proto::etcdserverpb::compare::{CompareResult, TargetUnion};
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest};

use crate::support::*;

fn check(request: &TxnRequest) -> Result<(), KvError> {
    check_txn(request, &Limits::default())
}

fn gets(count: usize) -> Vec<RequestOp> {
    vec![op(get("a")); count]
}

/// "per level: len(compare), len(success), len(failure) each <= max-txn-ops (128) else "etcdserver: too
/// many operations in txn request"."
#[test]
fn a_level_has_at_most_128_of_each() {
    let compares = |count| vec![version_is("a", 0); count];
    assert_eq!(check(&txn(compares(128), gets(128), gets(128))), Ok(()));
    for request in [
        txn(compares(129), [], []),
        txn([], gets(129), []),
        txn([], [], gets(129)),
    ] {
        assert_eq!(check(&request), Err(KvError::TooManyOperations));
    }
}

/// "nested levels get the remaining budget."
#[test]
fn a_nested_level_has_what_the_outer_one_left() {
    let nest = |outer: usize, inner: usize| {
        let mut operations = gets(outer - 1);
        operations.push(op(all(gets(inner))));
        all(operations)
    };
    assert_eq!(check(&nest(28, 100)), Ok(()));
    assert_eq!(check(&nest(28, 101)), Err(KvError::TooManyOperations));
    assert_eq!(check(&nest(128, 0)), Ok(()));
    assert_eq!(check(&nest(128, 1)), Err(KvError::TooManyOperations));
}

#[test]
fn nesting_ends_at_a_depth_that_the_log_can_read_back() {
    let nested = |levels: usize| (1..levels).fold(all([]), |inner, _| all([op(inner)]));
    assert_eq!(check(&nested(TXN_DEPTH_MAX)), Ok(()));
    assert_eq!(
        check(&nested(TXN_DEPTH_MAX + 1)),
        Err(KvError::TooManyOperations)
    );
    let mut member = Member::default();
    assert_eq!(
        member.txn(nested(2 * TXN_DEPTH_MAX)),
        Err(KvError::TooManyOperations)
    );
}

/// "Duplicate/overlapping put vs put/delete (including nested; then/else of one sibling are exclusive)
/// -> "etcdserver: duplicate key given in txn request". Deletes may overlap deletes."
#[test]
fn a_key_is_written_once() {
    let put = |key: &str| op(put(key, ""));
    let delete = |key: &str, end: &str| op(delete(key, end));
    let then = |operation: RequestOp| op(all([operation]));
    let refused = [
        all([put("a"), put("a")]),
        all([put("b"), delete("a", "c")]),
        all([delete("a", "c"), put("b")]),
        all([delete("b", ""), put("b")]),
        all([delete("a", "\0"), put("b")]),
        all([
            delete("a", "b"),
            delete("c", "d"),
            delete("ab", "cc"),
            put("ca"),
        ]),
        all([put("a"), then(put("a"))]),
        all([then(put("a")), then(put("a"))]),
        all([then(delete("a", "")), then(put("a"))]),
        all([then(put("a")), delete("a", "")]),
        all([then(then(delete("a", "z"))), put("b")]),
        txn([], [], [put("a"), put("a")]),
        all([op(txn([], [put("a")], [put("b")])), put("b")]),
    ];
    for request in refused {
        assert_eq!(check(&request), Err(KvError::DuplicateKey), "{request:?}");
        assert_eq!(Member::default().txn(request), Err(KvError::DuplicateKey));
    }
    let allowed = [
        all([put("a"), put("b")]),
        all([put("c"), delete("a", "c")]),
        all([put("a"), delete("b", "\0")]),
        all([delete("c", "a"), put("b")]),
        all([
            delete("a", "c"),
            delete("b", "d"),
            delete("b", ""),
            put("d"),
        ]),
        txn([], [put("a")], [put("a")]),
        all([op(txn([], [put("a")], [put("a")]))]),
        all([op(txn([], [put("a")], [delete("a", "")]))]),
        // etcd holds a put against the deletions before it in the list, not against those after.
        all([then(put("a")), then(delete("a", ""))]),
    ];
    for request in allowed {
        assert_eq!(check(&request), Ok(()), "{request:?}");
        Member::default().txn(request).unwrap();
    }
}

/// The check for duplicates must not be quadratic: a transaction of the full 1.5 MiB is checked in
/// no more comparisons than sorting takes. Here: it ends at all, at once, where n² would be 10¹⁰.
#[test]
fn a_hundred_thousand_operations_are_checked_quickly() {
    let limits = Limits {
        request_bytes_max: usize::MAX,
        txn_operations_max: 200_000,
    };
    let puts = (0..100_000).map(|n| op(put(&format!("p{n:06}"), "")));
    let deletes = (0..100_000).map(|n| op(delete(&format!("d{n:06}"), &format!("d{n:06}x"))));
    assert_eq!(check_txn(&all(puts.chain(deletes)), &limits), Ok(()));
}

/// "Empty RequestOp -> ErrGRPCKeyNotFound."
#[test]
fn an_operation_that_is_none_is_refused() {
    let request = all([RequestOp { request: None }]);
    assert_eq!(check(&request), Err(KvError::KeyNotFound));
    assert_eq!(Member::default().txn(request), Err(KvError::KeyNotFound));
}

#[test]
fn operations_are_checked_as_if_they_stood_alone() {
    let valued = PutRequest {
        ignore_value: true,
        ..put("a", "1")
    };
    for (request, error) in [
        (all([op(get(""))]), KvError::KeyNotProvided),
        (all([op(put("", ""))]), KvError::KeyNotProvided),
        (all([op(delete("", "z"))]), KvError::KeyNotProvided),
        (txn([version_is("", 1)], [], []), KvError::KeyNotProvided),
        (all([op(valued)]), KvError::ValueProvided),
        (
            all([op(RangeRequest {
                sort_order: 9,
                ..get("a")
            })]),
            KvError::InvalidSortOption,
        ),
        (
            txn([], [], [op(all([op(get(""))]))]),
            KvError::KeyNotProvided,
        ),
    ] {
        assert_eq!(check(&request), Err(error));
    }
}

/// "Compare targets VERSION/CREATE/MOD/VALUE/LEASE, results =,>,<,!=."
#[test]
fn every_target_is_compared_every_way() {
    let mut member = Member::with_keys(&["x", "key"]);
    member.put(put("key", "m")).unwrap(); // created at 3, modified at 4, version 2
    let holds =
        |member: &mut Member, condition| member.txn(txn([condition], [], [])).unwrap().succeeded;
    let value = |text: &str| TargetUnion::Value(bytes(text));
    for (less, equal, greater) in [
        (
            TargetUnion::Version(1),
            TargetUnion::Version(2),
            TargetUnion::Version(3),
        ),
        (
            TargetUnion::CreateRevision(2),
            TargetUnion::CreateRevision(3),
            TargetUnion::CreateRevision(9),
        ),
        (
            TargetUnion::ModRevision(-1),
            TargetUnion::ModRevision(4),
            TargetUnion::ModRevision(5),
        ),
        (
            TargetUnion::Lease(-1),
            TargetUnion::Lease(0),
            TargetUnion::Lease(1),
        ),
        (value("lz"), value("m"), value("m\0")),
    ] {
        for (operand, expected) in [
            (less, [false, true, false, true]),
            (equal, [true, false, false, false]),
            (greater, [false, false, true, true]),
        ] {
            let results = [
                CompareResult::Equal,
                CompareResult::Greater,
                CompareResult::Less,
                CompareResult::NotEqual,
            ];
            for (result, expected) in results.into_iter().zip(expected) {
                let condition = compare("key", result, operand.clone());
                assert_eq!(
                    holds(&mut member, condition.clone()),
                    expected,
                    "{condition:?}"
                );
            }
        }
    }
}

/// "missing key compares as zero-KV, except VALUE on missing key is always false."
#[test]
fn a_missing_key_has_zeros_for_numbers_and_no_value() {
    let mut member = Member::default();
    let mut holds = |condition| member.txn(txn([condition], [], [])).unwrap().succeeded;
    assert!(holds(version_is("no", 0)));
    assert!(holds(compare(
        "no",
        CompareResult::Equal,
        TargetUnion::CreateRevision(0)
    )));
    assert!(holds(compare(
        "no",
        CompareResult::Less,
        TargetUnion::ModRevision(1)
    )));
    assert!(!holds(compare(
        "no",
        CompareResult::Greater,
        TargetUnion::Lease(0)
    )));
    for result in [
        CompareResult::Equal,
        CompareResult::NotEqual,
        CompareResult::Less,
    ] {
        assert!(!holds(compare("no", result, TargetUnion::Value(bytes("")))));
        assert!(!holds(compare(
            "no",
            result,
            TargetUnion::Value(bytes("x"))
        )));
    }
}

/// "with range_end: must hold for all keys."
#[test]
fn a_compare_over_a_range_must_hold_for_all_its_keys() {
    let mut member = Member::with_keys(&["a", "b", "c"]);
    member.put(put("b", "again")).unwrap();
    let over = |condition: Compare, end: &str| Compare {
        range_end: bytes(end),
        ..condition
    };
    let mut holds = |condition| member.txn(txn([condition], [], [])).unwrap().succeeded;
    assert!(!holds(over(version_is("a", 1), "c")));
    assert!(holds(over(version_is("a", 1), "b")));
    assert!(!holds(over(version_is("a", 1), "\0")));
    assert!(holds(over(version_is("c", 1), "\0")));
    let existing = compare("a", CompareResult::Greater, TargetUnion::CreateRevision(0));
    assert!(holds(over(existing.clone(), "\0")));
    // Of no key at all: as a missing key.
    assert!(!holds(over(
        Compare {
            key: bytes("x"),
            ..existing
        },
        "z"
    )));
    assert!(holds(over(version_is("x", 0), "z")));
}

/// Operands of the wrong kind count as zero, unknown results hold, as in etcd.
#[test]
fn odd_compares_are_taken_as_etcd_takes_them() {
    let mut member = Member::with_keys(&["a"]);
    let mut holds = |condition| member.txn(txn([condition], [], [])).unwrap().succeeded;
    let no_operand = Compare {
        target_union: None,
        ..version_is("a", 1)
    };
    assert!(!holds(no_operand.clone()));
    assert!(holds(Compare {
        result: CompareResult::Greater.into(),
        ..no_operand.clone()
    }));
    assert!(holds(Compare {
        result: 77,
        ..no_operand.clone()
    }));
    assert!(holds(Compare {
        target: 77,
        ..no_operand
    }));
}

/// "All compares (incl. nested) are evaluated up front against the pre-state."
#[test]
fn nested_compares_do_not_see_what_was_written_before_them() {
    let mut member = Member::default();
    let inner = txn(
        [version_is("a", 0)],
        [op(put("was-absent", ""))],
        [op(put("was-there", ""))],
    );
    member.txn(all([op(put("a", "")), op(inner)])).unwrap();
    assert_eq!(member.keys(&everything()), "a was-absent");
}

/// "Range inside txn sees earlier writes of the txn."
#[test]
fn a_range_inside_sees_what_was_written_before_it() {
    let mut member = Member::with_keys(&["a", "b"]);
    let request = all([
        op(everything()),
        op(put("c", "new")),
        op(delete("a", "")),
        op(everything()),
        op(RangeRequest {
            revision: 3,
            ..everything()
        }),
        op(all([op(everything())])),
    ]);
    let found = texts(&member.txn(request).unwrap().responses);
    assert_eq!(
        found,
        ["[a b]", "put", "1 deleted", "[b c]", "[a b]", "([b c])"]
    );
}

fn texts(responses: &[quorate_proto::etcdserverpb::ResponseOp]) -> Vec<String> {
    let text = |response: &Response| match response {
        Response::ResponseRange(response) => format!("[{}]", keys(response)),
        Response::ResponsePut(_) => "put".to_owned(),
        Response::ResponseDeleteRange(response) => format!("{} deleted", response.deleted),
        Response::ResponseTxn(response) => format!("({})", texts(&response.responses).join(" ")),
    };
    responses
        .iter()
        .map(|response| text(response.response.as_ref().unwrap()))
        .collect()
}

#[test]
fn nested_branches_are_taken_each_by_its_own_compares() {
    let mut member = Member::with_keys(&["a"]);
    let inner = |version, yes: &str, no: &str| {
        op(txn(
            [version_is("a", version)],
            [op(put(yes, ""))],
            [op(put(no, ""))],
        ))
    };
    let request = txn(
        [version_is("a", 1)],
        [
            inner(1, "1-yes", "1-no"),
            inner(2, "2-yes", "2-no"),
            op(put("3", "")),
        ],
        [inner(1, "4-yes", "4-no")],
    );
    let response = member.txn(request).unwrap();
    assert!(response.succeeded);
    assert_eq!(texts(&response.responses), ["(put)", "(put)", "put"]);
    let Some(Response::ResponseTxn(second)) = &response.responses[1].response else {
        panic!()
    };
    assert!(!second.succeeded);
    assert_eq!(member.keys(&everything()), "1-yes 2-no 3 a");
}

/// "Whole txn is checked first (leases, revisions), then applied; failure midway must crash, not
/// half-apply." And pitfall 12: "txn errors applied asymmetrically (#18667: range at compacted rev in
/// txn)".
#[test]
fn a_transaction_with_one_fault_anywhere_leaves_nothing_behind() {
    let mut member = Member::with_keys(&["a", "b", "c"]);
    member.compact(3).unwrap();
    let before = (member.store.revision(), member.store.state_hash());
    let at = |revision| {
        op(RangeRequest {
            revision,
            ..get("a")
        })
    };
    let leased = op(PutRequest {
        lease: 1,
        ..put("z", "")
    });
    let keeping = op(PutRequest {
        ignore_value: true,
        ..put("missing", "")
    });
    for (fault, error) in [
        (at(2), KvError::Compacted),
        // In a transaction, and only there, this is not the newest.
        (at(-1), KvError::Compacted),
        (at(5), KvError::FutureRevision),
        (leased.clone(), KvError::LeaseNotFound),
        (keeping, KvError::KeyNotFound),
    ] {
        for request in [
            all([op(put("new", "")), fault.clone()]),
            all([
                op(put("new", "")),
                op(all([op(delete("a", "")), fault.clone()])),
            ]),
            txn(
                [version_is("a", 7)],
                [],
                [op(put("new", "")), fault.clone()],
            ),
        ] {
            assert_eq!(member.txn(request), Err(error));
            assert_eq!((member.store.revision(), member.store.state_hash()), before);
        }
        // On the branch not taken it does no harm.
        member
            .txn(txn([version_is("a", 1)], [op(get("a"))], [fault]))
            .unwrap();
    }
    // Puts are checked before ranges.
    assert_eq!(
        member.txn(all([at(2), leased])),
        Err(KvError::LeaseNotFound)
    );
}

/// "Read-only txn does not go through raft; all-serializable txn is local."
#[test]
fn what_only_reads_is_recognized() {
    let serializable = || {
        op(RangeRequest {
            serializable: true,
            ..get("a")
        })
    };
    let reading = txn([version_is("a", 1)], [op(get("a"))], [serializable()]);
    assert!(is_read_only(&reading) && !is_serializable(&reading));
    let local = txn([], [serializable()], [serializable()]);
    assert!(is_read_only(&local) && is_serializable(&local));
    assert!(is_read_only(&all([])) && is_serializable(&all([])));
    for writing in [
        op(put("a", "")),
        op(delete("a", "")),
        op(all([op(get("a"))])),
    ] {
        let writing = txn([], [], [writing]);
        assert!(!is_read_only(&writing) && !is_serializable(&writing));
    }
}

#[test]
fn a_transaction_that_only_reads_answers_from_one_revision() {
    let member = Member::with_keys(&["a", "b"]);
    let request = txn(
        [version_is("a", 1)],
        [
            op(everything()),
            op(RangeRequest {
                revision: 2,
                ..everything()
            }),
        ],
        [],
    );
    let response = member.store.read_only_txn(&request).unwrap();
    assert!(response.succeeded);
    assert_eq!(texts(&response.responses), ["[a b]", "[a]"]);
    let future = all([op(RangeRequest {
        revision: 4,
        ..get("a")
    })]);
    assert_eq!(
        member.store.read_only_txn(&future),
        Err(KvError::FutureRevision)
    );
}

/// Members of two programs apply a log alike: what a program does otherwise than the one before it does from a version
/// of the protocol on.
#[test]
fn a_range_below_zero_is_refused_from_version_2_on_and_read_at_the_newest_revision_before() {
    let below = || {
        let range = RangeRequest {
            revision: -5,
            ..get("a")
        };
        all([op(put("b", "")), op(range)])
    };
    let mut member = Member::default();
    member.store.go_by(Rules::of_version(1));
    member.put(put("a", "1")).unwrap();
    assert!(member.txn(below()).is_ok());
    assert_eq!(member.store.revision(), 3);
    member.store.go_by(Rules::of_version(2));
    assert_eq!(member.txn(below()), Err(KvError::Compacted));
    assert_eq!(member.store.revision(), 3);
}
