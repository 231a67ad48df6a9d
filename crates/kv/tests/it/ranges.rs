//! Ranges.

use quorate_kv::{KvError, check_range};
use quorate_proto::etcdserverpb::RangeRequest;
use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};

use crate::support::*;

fn letters() -> Member {
    Member::with_keys(&["a", "b", "c", "d", "e"])
}

/// "empty key -> InvalidArgument "etcdserver: key is not provided"."
#[test]
fn an_empty_key_is_refused() {
    assert_eq!(check_range(&range("", "z")), Err(KvError::KeyNotProvided));
    assert_eq!(
        letters().range(&range("", "z")),
        Err(KvError::KeyNotProvided)
    );
}

/// "range_end empty = single key; "\0" = all >= key; key="\0",range_end="\0" = everything; prefix end =
/// last byte+1 carrying over 0xff."
#[test]
fn a_range_end_is_nothing_or_a_zero_byte_or_a_bound() {
    let mut member = letters();
    assert_eq!(member.keys(&range("b", "")), "b");
    assert_eq!(member.keys(&range("x", "")), "");
    assert_eq!(member.keys(&range("c", "\0")), "c d e");
    assert_eq!(member.keys(&everything()), "a b c d e");
    assert_eq!(member.keys(&range("b", "d")), "b c");
    member.put(put("bb", "")).unwrap();
    assert_eq!(member.keys(&range("b", "c")), "b bb");

    let mut binary = Member::default();
    for key in [
        &b"a\xff"[..],
        b"a\xff\x01",
        b"a\xff\xff",
        b"b",
        b"\xff",
        b"\xff\xff",
    ] {
        let request = quorate_proto::etcdserverpb::PutRequest {
            key: bytes(key),
            ..put("", "")
        };
        binary.put(request).unwrap();
    }
    let count = |key: &[u8], end: &[u8]| {
        let request = RangeRequest {
            key: bytes(key),
            range_end: bytes(end),
            ..get("")
        };
        binary.range(&request).unwrap().count
    };
    assert_eq!(count(b"a\xff", b"b"), 3);
    assert_eq!(count(b"\xff", b"\0"), 2);
}

/// "key>=range_end -> empty result."
#[test]
fn a_range_that_ends_before_it_starts_is_empty() {
    let member = letters();
    for (key, range_end) in [("d", "b"), ("c", "c")] {
        for sort_order in [SortOrder::None, SortOrder::Descend] {
            let request = RangeRequest {
                sort_order: sort_order.into(),
                ..range(key, range_end)
            };
            let response = member.range(&request).unwrap();
            assert_eq!(
                (response.kvs.len(), response.count, response.more),
                (0, 0, false)
            );
        }
    }
}

/// "limit 0 = none; server fetches limit+1 to set `more`; `count` = total in range, ignoring limit &
/// rev filters."
#[test]
fn a_limit_cuts_the_answer_and_says_so_but_counts_all() {
    let member = letters();
    let limited = |limit| {
        let response = member
            .range(&RangeRequest {
                limit,
                ..everything()
            })
            .unwrap();
        (keys(&response), response.more, response.count)
    };
    assert_eq!(limited(0), ("a b c d e".to_owned(), false, 5));
    assert_eq!(limited(2), ("a b".to_owned(), true, 5));
    assert_eq!(limited(5), ("a b c d e".to_owned(), false, 5));
    assert_eq!(limited(-1), ("a b c d e".to_owned(), false, 5));
    assert_eq!(limited(i64::MAX), ("a b c d e".to_owned(), false, 5));

    let filtered = RangeRequest {
        min_mod_revision: 4,
        limit: 2,
        ..everything()
    };
    let response = member.range(&filtered).unwrap();
    assert_eq!(
        (keys(&response).as_str(), response.more, response.count),
        ("c d", true, 5)
    );
}

/// "Sort or rev filters force a full scan then limit."
#[test]
fn filters_and_sorting_come_before_the_limit() {
    let mut member = letters();
    member.put(put("a", "changed")).unwrap(); // revision 7
    let newest_first = RangeRequest {
        sort_order: SortOrder::Descend.into(),
        sort_target: SortTarget::Mod.into(),
        limit: 2,
        ..everything()
    };
    let response = member.range(&newest_first).unwrap();
    assert_eq!((keys(&response).as_str(), response.more), ("a e", true));

    let within = |min_mod, max_mod, min_create, max_create| {
        member.keys(&RangeRequest {
            min_mod_revision: min_mod,
            max_mod_revision: max_mod,
            min_create_revision: min_create,
            max_create_revision: max_create,
            ..everything()
        })
    };
    assert_eq!(within(4, 6, 0, 0), "c d e");
    assert_eq!(within(0, 0, 2, 3), "a b");
    assert_eq!(within(5, 0, 0, 4), "a");
    let oldest = RangeRequest {
        max_mod_revision: 5,
        limit: 2,
        ..newest_first
    };
    assert_eq!(member.keys(&oldest), "d c");
}

/// "sort_order NONE with sort_target != KEY means ASCEND. KEY+ASCEND = natural."
#[test]
fn every_order_and_target_sorts() {
    let mut member = Member::with_keys(&["c", "a", "b"]); // created at 2, 3, 4
    member.put(put("c", "1")).unwrap(); // version 2, modified at 5
    let sorted = |order: SortOrder, target: SortTarget| {
        member.keys(&RangeRequest {
            sort_order: order.into(),
            sort_target: target.into(),
            ..everything()
        })
    };
    for (target, ascending, descending) in [
        (SortTarget::Key, "a b c", "c b a"),
        (SortTarget::Version, "a b c", "c a b"),
        (SortTarget::Create, "c a b", "b a c"),
        (SortTarget::Mod, "a b c", "c b a"),
        (SortTarget::Value, "c a b", "b a c"),
    ] {
        assert_eq!(sorted(SortOrder::None, target), ascending, "{target:?}");
        assert_eq!(sorted(SortOrder::Ascend, target), ascending, "{target:?}");
        assert_eq!(sorted(SortOrder::Descend, target), descending, "{target:?}");
    }
}

/// etcd 3.5: with no order named, the limit takes the first keys, and those are sorted.
#[test]
fn a_target_without_an_order_sorts_only_what_the_limit_took() {
    let member = Member::with_keys(&["c", "b", "a"]);
    let target = SortTarget::Create.into();
    let request = RangeRequest {
        sort_target: target,
        limit: 1,
        ..everything()
    };
    let response = member.range(&request).unwrap();
    assert_eq!((keys(&response).as_str(), response.more), ("b", true));
    let ascending = RangeRequest {
        sort_order: SortOrder::Ascend.into(),
        ..request
    };
    assert_eq!(member.keys(&ascending), "c");
}

/// "Invalid enum -> "etcdserver: invalid sort option"."
#[test]
fn an_unknown_order_or_target_is_refused() {
    let member = letters();
    for request in [
        RangeRequest {
            sort_order: 3,
            ..everything()
        },
        RangeRequest {
            sort_target: 5,
            ..everything()
        },
        RangeRequest {
            sort_order: -1,
            ..everything()
        },
    ] {
        assert_eq!(check_range(&request), Err(KvError::InvalidSortOption));
        assert_eq!(member.range(&request), Err(KvError::InvalidSortOption));
    }
}

/// "revision<=0 = newest; > current -> OutOfRange "etcdserver: mvcc: required revision is a future
/// revision"; < compact rev -> OutOfRange "etcdserver: mvcc: required revision has been compacted"
/// (reading AT the compacted revision is allowed)."
#[test]
fn a_revision_is_readable_from_the_compacted_to_the_current_one() {
    let mut member = letters();
    let at = |member: &Member, revision| {
        member
            .range(&RangeRequest {
                revision,
                ..everything()
            })
            .map(|found| keys(&found))
    };
    assert_eq!(at(&member, 0).unwrap(), "a b c d e");
    assert_eq!(at(&member, -7).unwrap(), "a b c d e");
    assert_eq!(at(&member, 1).unwrap(), "");
    assert_eq!(at(&member, 3).unwrap(), "a b");
    assert_eq!(at(&member, 6).unwrap(), "a b c d e");
    assert_eq!(at(&member, 7), Err(KvError::FutureRevision));
    member.compact(4).unwrap();
    for freed in [false, true] {
        assert_eq!(at(&member, 3), Err(KvError::Compacted), "freed: {freed}");
        assert_eq!(at(&member, 4).unwrap(), "a b c", "freed: {freed}");
        member.free();
    }
}

/// "count_only returns no kvs; keys_only blanks values."
#[test]
fn counts_come_alone_and_keys_without_values() {
    let member = letters();
    let counted = member
        .range(&RangeRequest {
            count_only: true,
            limit: 1,
            ..everything()
        })
        .unwrap();
    assert_eq!(
        (counted.kvs.len(), counted.count, counted.more),
        (0, 5, false)
    );
    let single = member
        .range(&RangeRequest {
            count_only: true,
            ..get("a")
        })
        .unwrap();
    assert_eq!((single.kvs.len(), single.count), (0, 1));

    for sort_target in [SortTarget::Key, SortTarget::Value] {
        let sort_target = sort_target.into();
        let request = RangeRequest {
            keys_only: true,
            sort_target,
            ..everything()
        };
        let response = member.range(&request).unwrap();
        assert_eq!(keys(&response), "a b c d e");
        assert!(
            response
                .kvs
                .iter()
                .all(|pair| pair.value.is_empty() && pair.mod_revision > 0)
        );
    }
    let single = member
        .range(&RangeRequest {
            keys_only: true,
            ..get("a")
        })
        .unwrap();
    assert!(single.kvs[0].value.is_empty());
}

/// Long and short keys and values come back as they went in, whatever way the store keeps them.
#[test]
fn keys_and_values_of_all_lengths_come_back() {
    let mut member = Member::default();
    for length in [1, 21, 22, 23, 24, 511, 512, 513, 100_000] {
        let (key, value) = ("k".repeat(length), "v".repeat(length));
        member.put(put(&key, &value)).unwrap();
        let pair = member.pair(&key).unwrap();
        assert_eq!(
            (&pair.key[..], &pair.value[..]),
            (key.as_bytes(), value.as_bytes())
        );
    }
    member.put(put("empty", "")).unwrap();
    assert_eq!(member.pair("empty").unwrap().value.len(), 0);
}
