//! The commands, in the order of the log. They must stay as they are, since the programs that wrote the golden text
//! are no more; what else is worth a line goes into a list of its own.

use bytes::Bytes;
use quorate_kv::Command;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp,
};

use crate::support::{
    all, bytes, compact, compare, delete, everything, get, op, put, range, txn, version_is,
};

pub(crate) fn commands() -> Vec<Command> {
    let parts = [
        puts(),
        deletions(),
        compares(),
        compares_of_ranges_and_odd_ones(),
        transactions(),
        transactions_that_fail_their_checks(),
        ranges_at_revisions(),
        ranges_in_any_order(),
        compactions(),
    ];
    parts.into_iter().flatten().collect()
}

fn ignoring_value(key: &str) -> PutRequest {
    PutRequest {
        ignore_value: true,
        ..put(key, "")
    }
}

fn ignoring_lease(key: &str, value: &str) -> PutRequest {
    PutRequest {
        ignore_lease: true,
        ..put(key, value)
    }
}

fn telling(request: PutRequest) -> PutRequest {
    PutRequest {
        prev_kv: true,
        ..request
    }
}

fn with_lease(request: PutRequest) -> PutRequest {
    PutRequest {
        lease: 7,
        ..request
    }
}

fn puts() -> Vec<Command> {
    let binary = PutRequest {
        key: Bytes::from_static(b"\x00\xff"),
        value: Bytes::from_static(b"\xff\x00"),
        ..PutRequest::default()
    };
    vec![
        put("a", "1").into(),
        put("b", "1").into(),
        put("c", "").into(),
        telling(put("a", "2")).into(),
        telling(put("new", "1")).into(),
        ignoring_value("a").into(),
        ignoring_lease("a", "3").into(),
        telling(PutRequest {
            ignore_value: true,
            ..ignoring_lease("a", "")
        })
        .into(),
        binary.into(),
        put("long", &"x".repeat(2000)).into(),
        // Refused.
        put("", "no key").into(),
        ignoring_value("missing").into(),
        ignoring_lease("missing", "1").into(),
        PutRequest {
            ignore_value: true,
            ..put("a", "value")
        }
        .into(),
        with_lease(ignoring_lease("a", "1")).into(),
        with_lease(put("a", "1")).into(),
        with_lease(ignoring_value("missing")).into(),
        PutRequest {
            lease: -1,
            ..put("a", "1")
        }
        .into(),
    ]
}

fn telling_all(request: DeleteRangeRequest) -> DeleteRangeRequest {
    DeleteRangeRequest {
        prev_kv: true,
        ..request
    }
}

fn deletions() -> Vec<Command> {
    let mut commands: Vec<Command> = vec![
        delete("b", "").into(),
        delete("b", "").into(),
        ignoring_value("b").into(),
        put("b", "again").into(),
        telling_all(delete("c", "")).into(),
        delete("long", "").into(),
        delete("missing", "").into(),
        delete("", "").into(),
        delete("", "\0").into(),
        delete("b", "a").into(),
        delete("b", "b").into(),
    ];
    for number in 0..20 {
        commands.push(put(&format!("k{number:02}"), &number.to_string()).into());
    }
    commands.extend([
        Command::from(delete("k03", "k07")),
        delete("k03", "k07").into(),
        telling_all(delete("k00", "k10")).into(),
        telling_all(delete("k15", "\0")).into(),
        delete("\0", "\0").into(),
        put("a", "1").into(),
        put("a", "2").into(),
        put("b", "1").into(),
    ]);
    commands
}

/// The outcome is written, so that the hash of the state tells it.
fn told(conditions: impl IntoIterator<Item = Compare>) -> Command {
    txn(
        conditions,
        [op(put("holds", "yes"))],
        [op(put("holds", "no"))],
    )
    .into()
}

const RESULTS: [CompareResult; 4] = [
    CompareResult::Equal,
    CompareResult::Greater,
    CompareResult::Less,
    CompareResult::NotEqual,
];

/// Of each kind, below, at and above what is there: a key written twice, and one that is not there.
fn compares() -> Vec<Command> {
    let mut commands = Vec::new();
    for key in ["twice", "missing"] {
        let written = [put("twice", "x"), put("twice", "y")];
        let kinds: [fn(i64) -> TargetUnion; 3] = [
            TargetUnion::Version,
            TargetUnion::CreateRevision,
            TargetUnion::Lease,
        ];
        commands.push(delete("twice", "").into());
        commands.extend(written.map(Command::from));
        for result in RESULTS {
            for kind in kinds {
                for number in [-1, 0, 2, 1000] {
                    commands.push(told([compare(key, result, kind(number))]));
                }
            }
            for revision in [0, 40, 1000] {
                let operand = TargetUnion::ModRevision(revision);
                commands.push(told([compare(key, result, operand)]));
            }
            for value in ["", "x", "y", "z"] {
                let operand = TargetUnion::Value(bytes(value));
                commands.push(told([compare(key, result, operand)]));
            }
        }
    }
    commands
}

fn over(range_end: &str, condition: Compare) -> Compare {
    Compare {
        range_end: bytes(range_end),
        ..condition
    }
}

fn compares_of_ranges_and_odd_ones() -> Vec<Command> {
    let version = |key, result, number| compare(key, result, TargetUnion::Version(number));
    let (equal, greater) = (CompareResult::Equal, CompareResult::Greater);
    let value_is_empty = compare("a", equal, TargetUnion::Value(Bytes::new()));
    vec![
        put("r1", "x").into(),
        put("r2", "x").into(),
        put("r2", "x").into(),
        told([over("r3", version("r1", greater, 0))]),
        told([over("r3", version("r1", greater, 1))]),
        told([over("r3", version("r1", equal, 1))]),
        told([over("\0", version("r1", greater, 0))]),
        told([over("nobody2", version("nobody", equal, 0))]),
        told([over("nobody2", version("nobody", greater, 0))]),
        told([over("a", version("b", equal, 0))]),
        told([over(
            "r3",
            compare("r1", equal, TargetUnion::Value(bytes("x"))),
        )]),
        told([over(
            "nobody2",
            compare(
                "nobody",
                CompareResult::NotEqual,
                TargetUnion::Value(bytes("x")),
            ),
        )]),
        // Several: all must hold.
        told([version("a", greater, 0), version("b", greater, 0)]),
        told([version("a", greater, 0), version("b", equal, 0)]),
        told([]),
        // An operand of another kind, none, and numbers that mean nothing.
        told([Compare {
            target: CompareTarget::Mod.into(),
            ..version("a", greater, 1000)
        }]),
        told([Compare {
            target_union: None,
            ..version("a", greater, 1000)
        }]),
        told([Compare {
            target_union: None,
            ..value_is_empty
        }]),
        told([Compare {
            target: 9,
            ..version("a", greater, 0)
        }]),
        told([Compare {
            target: 9,
            ..version("a", equal, 0)
        }]),
        told([Compare {
            target: 9,
            ..version("missing", equal, 0)
        }]),
        told([Compare {
            result: 9,
            ..version("a", equal, 1000)
        }]),
        told([version("", equal, 0)]),
    ]
}

fn transactions() -> Vec<Command> {
    let is_new = |key| version_is(key, 0);
    let (nested, deeper) = (
        txn(
            [is_new("t1")],
            [op(put("t2", "new"))],
            [op(put("t2", "old"))],
        ),
        txn(
            [is_new("nothing")],
            [
                op(put("t4", "1")),
                op(txn([is_new("t4")], [op(get("t4")), op(put("t5", "1"))], [])),
            ],
            [],
        ),
    );
    vec![
        txn([], [], []).into(),
        all([op(get("a"))]).into(),
        all([op(delete("missing", ""))]).into(),
        // What comes later sees what came before; compares see what was there before all of it.
        all([
            op(get("t1")),
            op(put("t1", "1")),
            op(get("t1")),
            op(nested.clone()),
            op(range("t", "u")),
            op(deeper),
            op(telling(put("t3", "1"))),
            op(telling_all(delete("t1", "t3"))),
            op(range("t", "u")),
        ])
        .into(),
        txn([version_is("t4", 9)], [], [op(nested)]).into(),
        all([op(delete("t", "u")), op(get("t4"))]).into(),
        all([
            op(delete("a", "")),
            op(put("b", "2")),
            op(ignoring_value("holds")),
        ])
        .into(),
        all([op(telling(ignoring_lease("b", "3")))]).into(),
        all([op(put("a", "3")), op(range("a", "c")), op(delete("d", "e"))]).into(),
    ]
}

/// Nothing of them happens, however far they came.
fn transactions_that_fail_their_checks() -> Vec<Command> {
    let nothing = || RequestOp { request: None };
    let mut deep = all([op(put("deep", "1"))]);
    let mut deeper = Vec::new();
    for _ in 0..34 {
        deep = all([op(deep)]);
        deeper.push(Command::from(deep.clone()));
    }
    let unsorted = RangeRequest {
        sort_order: 9,
        ..get("a")
    };
    let mut commands = vec![
        all([op(put("f", "1")), op(put("f", "2"))]).into(),
        all([op(put("f", "1")), op(delete("e", "g"))]).into(),
        all([op(put("f", "1")), op(all([op(put("f", "2"))]))]).into(),
        txn([], [], [op(put("f", "1")), op(put("f", "2"))]).into(),
        all([op(put("f", "1")), op(put("", "2"))]).into(),
        all([op(put("f", "1")), op(get(""))]).into(),
        all([op(put("f", "1")), op(delete("", ""))]).into(),
        all([op(put("f", "1")), nothing()]).into(),
        all([op(put("f", "1")), op(unsorted)]).into(),
        all([op(put("f", "1")), op(ignoring_value("missing"))]).into(),
        all([op(put("f", "1")), op(ignoring_value("f"))]).into(),
        all([op(put("f", "1")), op(with_lease(put("g", "1")))]).into(),
        all([op(put("f", "1")), op(with_lease(ignoring_value("missing")))]).into(),
        all([op(put("f", "1")), op(with_lease(ignoring_lease("a", "1")))]).into(),
        all([op(put("f", "1")), op(at(1000, get("a")))]).into(),
        all([op(at(1000, get("a"))), op(ignoring_value("missing"))]).into(),
        all([
            op(put("f", "1")),
            op(all([op(ignoring_lease("missing", "1"))])),
        ])
        .into(),
        // On the branch that is not taken only the form is looked at.
        txn([], [op(put("f", "1"))], [op(ignoring_value("missing"))]).into(),
        txn([], [op(put("f", "2"))], [op(at(1000, get("a")))]).into(),
        txn([], [op(put("f", "3"))], [op(put("", ""))]).into(),
    ];
    commands.extend(deeper.into_iter().skip(28));
    commands
}

fn at(revision: i64, request: RangeRequest) -> RangeRequest {
    RangeRequest {
        revision,
        ..request
    }
}

/// Each with a write, so that the hash tells whether it was refused. The first are before any compaction.
fn ranges_at_revisions() -> Vec<Command> {
    let mut commands = Vec::new();
    for revision in [None, Some(60)] {
        commands.extend(revision.map(|revision| Command::from(compact(revision))));
        for revision in [i64::MIN, -2, -1, 0, 1, 2, 59, 60, 61, 100, 10_000, i64::MAX] {
            let read = at(revision, range("a", "c"));
            commands.push(all([op(put("seen", "1")), op(read.clone())]).into());
            commands.push(all([op(read)]).into());
        }
    }
    // The revision that the transaction itself writes is a future one.
    commands.push(all([op(put("seen", "2")), op(at(1_000, everything()))]).into());
    commands
}

fn ranges_in_any_order() -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for (key, value) in [("s1", "c"), ("s2", "a"), ("s3", "b"), ("s2", "b")] {
        commands.push(put(key, value).into());
    }
    for sort_order in 0..3 {
        for sort_target in 0..5 {
            for limit in [0, 2] {
                let read = RangeRequest {
                    sort_order,
                    sort_target,
                    limit,
                    ..range("s", "t")
                };
                commands.push(all([op(read)]).into());
            }
        }
    }
    let of = |request| Command::from(all([op(request)]));
    commands.extend([
        of(RangeRequest {
            keys_only: true,
            ..range("s", "t")
        }),
        of(RangeRequest {
            count_only: true,
            ..range("s", "t")
        }),
        of(RangeRequest {
            limit: -1,
            ..range("s", "t")
        }),
        of(RangeRequest {
            min_mod_revision: 290,
            max_mod_revision: 310,
            ..everything()
        }),
        of(RangeRequest {
            min_create_revision: 60,
            max_create_revision: 120,
            ..everything()
        }),
    ]);
    commands
}

fn compactions() -> Vec<Command> {
    vec![
        compact(-1).into(),
        compact(0).into(),
        compact(59).into(),
        compact(60).into(),
        compact(10_000).into(),
        compact(i64::MAX).into(),
        compact(i64::MIN).into(),
        delete("s2", "").into(),
        put("z", "1").into(),
        compact(220).into(),
        compact(220).into(),
        compact(219).into(),
        all([op(put("seen", "3")), op(at(219, get("a")))]).into(),
        all([op(put("seen", "3")), op(at(-1, get("a")))]).into(),
        all([op(put("seen", "3")), op(at(220, get("a")))]).into(),
        put("z", "2").into(),
        delete("z", "").into(),
    ]
}
