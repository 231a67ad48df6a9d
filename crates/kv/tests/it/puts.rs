//! Puts and deletions.

use quorate_kv::{KvError, Limits, check_delete, check_put};
use quorate_proto::etcdserverpb::{DeleteRangeRequest, PutRequest};

use crate::support::*;

/// "ignore_value with a value -> "etcdserver: value is provided"; ignore_lease with a lease -> "…lease
/// is provided"."
#[test]
fn what_is_to_be_kept_must_not_be_given() {
    let limits = Limits::default();
    let value = PutRequest {
        ignore_value: true,
        ..put("a", "1")
    };
    assert_eq!(check_put(&value, &limits), Err(KvError::ValueProvided));
    let lease = PutRequest {
        ignore_lease: true,
        lease: 1,
        ..put("a", "1")
    };
    assert_eq!(check_put(&lease, &limits), Err(KvError::LeaseProvided));
    let both = PutRequest {
        ignore_lease: true,
        ..value
    };
    assert_eq!(check_put(&both, &limits), Err(KvError::ValueProvided));
    assert_eq!(
        check_put(&put("", "1"), &limits),
        Err(KvError::KeyNotProvided)
    );
    assert_eq!(
        check_delete(&delete("", "z"), &limits),
        Err(KvError::KeyNotProvided)
    );
    // What a server's checks keep out, a store that is handed it all the same refuses too.
    assert_eq!(Member::default().put(lease), Err(KvError::LeaseProvided));
}

/// "either on a missing key -> InvalidArgument "etcdserver: key not found"."
#[test]
fn nothing_can_be_kept_of_a_missing_key() {
    let mut member = Member::with_keys(&["gone"]);
    member.delete(delete("gone", "")).unwrap();
    for key in ["never", "gone"] {
        let value = PutRequest {
            ignore_value: true,
            ..put(key, "")
        };
        assert_eq!(member.put(value), Err(KvError::KeyNotFound));
        let lease = PutRequest {
            ignore_lease: true,
            ..put(key, "1")
        };
        assert_eq!(member.put(lease), Err(KvError::KeyNotFound));
    }
    assert_eq!(member.store.revision(), 3);
}

#[test]
fn a_kept_value_stays_and_is_a_new_version() {
    let mut member = Member::with_keys(&["a"]);
    member
        .put(PutRequest {
            ignore_value: true,
            ..put("a", "")
        })
        .unwrap();
    let pair = member.pair("a").unwrap();
    assert_eq!(
        (&pair.value[..], pair.version, pair.mod_revision),
        (&b"a"[..], 2, 3)
    );
    member
        .put(PutRequest {
            ignore_lease: true,
            ..put("a", "new")
        })
        .unwrap();
    assert_eq!(member.pair("a").unwrap().value, "new");
}

/// "Unknown lease -> NotFound "etcdserver: requested lease not found"."
#[test]
fn an_unknown_lease_is_refused() {
    let mut member = Member::with_keys(&["a"]);
    let leased = PutRequest {
        lease: 7,
        ..put("a", "")
    };
    assert_eq!(member.put(leased.clone()), Err(KvError::LeaseNotFound));
    assert_eq!(
        member.txn(all([op(leased.clone())])),
        Err(KvError::LeaseNotFound)
    );
    // Alone, the lease is looked at first; in a transaction, what is to be kept.
    let missing = PutRequest {
        ignore_value: true,
        ..leased
    };
    let missing = PutRequest {
        key: bytes("b"),
        ..missing
    };
    assert_eq!(member.put(missing.clone()), Err(KvError::LeaseNotFound));
    assert_eq!(member.txn(all([op(missing)])), Err(KvError::KeyNotFound));
    assert_eq!(member.store.revision(), 2);
}

/// "create_revision kept until delete; version restarts at 1 after delete."
#[test]
fn a_key_counts_its_versions_from_its_creation() {
    let mut member = Member::default();
    let numbers = |member: &Member| {
        member
            .pair("a")
            .map(|pair| (pair.create_revision, pair.mod_revision, pair.version))
    };
    member.put(put("a", "1")).unwrap();
    assert_eq!(numbers(&member), Some((2, 2, 1)));
    member.put(put("a", "2")).unwrap();
    assert_eq!(numbers(&member), Some((2, 3, 2)));
    member.delete(delete("a", "")).unwrap();
    assert_eq!(numbers(&member), None);
    member.put(put("a", "3")).unwrap();
    assert_eq!(numbers(&member), Some((5, 5, 1)));
    assert_eq!(member.pair_at("a", 3).unwrap().value, "2");
    assert_eq!(member.pair_at("a", 4), None);
}

/// "prev_kv(s) on request only."
#[test]
fn previous_pairs_come_on_request_only() {
    let mut member = Member::with_keys(&["a", "b", "c"]);
    assert_eq!(member.put(put("a", "2")).unwrap().prev_kv, None);
    let asking = PutRequest {
        prev_kv: true,
        ..put("a", "3")
    };
    let previous = member.put(asking).unwrap().prev_kv.unwrap();
    assert_eq!(
        (previous.value, previous.version, previous.mod_revision),
        (bytes("2"), 2, 5)
    );
    let new = PutRequest {
        prev_kv: true,
        ..put("new", "")
    };
    assert_eq!(member.put(new).unwrap().prev_kv, None);

    assert_eq!(member.delete(delete("new", "")).unwrap().prev_kvs, []);
    let asking = DeleteRangeRequest {
        prev_kv: true,
        ..delete("a", "c")
    };
    let response = member.delete(asking).unwrap();
    let previous: Vec<_> = response
        .prev_kvs
        .iter()
        .map(|p| (&p.key[..], &p.value[..]))
        .collect();
    assert_eq!(previous, [(&b"a"[..], &b"3"[..]), (b"b", b"b")]);
    assert_eq!(response.deleted, 2);
}

#[test]
fn a_deletion_takes_one_key_or_a_range_or_all_from_a_key_on() {
    let mut member = Member::with_keys(&["a", "b", "c", "d", "e"]);
    assert_eq!(member.delete(delete("b", "")).unwrap().deleted, 1);
    assert_eq!(member.keys(&everything()), "a c d e");
    assert_eq!(member.delete(delete("b", "d")).unwrap().deleted, 1);
    assert_eq!(member.delete(delete("z", "a")).unwrap().deleted, 0);
    assert_eq!(member.keys(&everything()), "a d e");
    assert_eq!(member.delete(delete("d", "\0")).unwrap().deleted, 2);
    assert_eq!(member.keys(&everything()), "a");
    assert_eq!(member.store.key_count(), 1);
}
