//! "All texts are prefixed "etcdserver: ". Go clients map by MESSAGE STRING, so the text must match byte
//! for byte."

use quorate_kv::{Code, KvError, Limits, check_compaction, check_put, check_txn};

use crate::support::*;

#[test]
fn every_refusal_has_the_text_and_code_of_etcd() {
    for (error, text, code) in [
        (
            KvError::KeyNotProvided,
            "etcdserver: key is not provided",
            Code::InvalidArgument,
        ),
        (
            KvError::KeyNotFound,
            "etcdserver: key not found",
            Code::InvalidArgument,
        ),
        (
            KvError::ValueProvided,
            "etcdserver: value is provided",
            Code::InvalidArgument,
        ),
        (
            KvError::LeaseProvided,
            "etcdserver: lease is provided",
            Code::InvalidArgument,
        ),
        (
            KvError::TooManyOperations,
            "etcdserver: too many operations in txn request",
            Code::InvalidArgument,
        ),
        (
            KvError::DuplicateKey,
            "etcdserver: duplicate key given in txn request",
            Code::InvalidArgument,
        ),
        (
            KvError::InvalidSortOption,
            "etcdserver: invalid sort option",
            Code::InvalidArgument,
        ),
        (
            KvError::RequestTooLarge,
            "etcdserver: request is too large",
            Code::InvalidArgument,
        ),
        (
            KvError::Compacted,
            "etcdserver: mvcc: required revision has been compacted",
            Code::OutOfRange,
        ),
        (
            KvError::FutureRevision,
            "etcdserver: mvcc: required revision is a future revision",
            Code::OutOfRange,
        ),
        (
            KvError::LeaseNotFound,
            "etcdserver: requested lease not found",
            Code::NotFound,
        ),
        (
            KvError::LeaseExists,
            "etcdserver: lease already exists",
            Code::FailedPrecondition,
        ),
        (
            KvError::LeaseTtlTooLarge,
            "etcdserver: too large lease TTL",
            Code::OutOfRange,
        ),
        (
            KvError::NoSpace,
            "etcdserver: mvcc: database space exceeded",
            Code::ResourceExhausted,
        ),
        (
            KvError::Corrupt,
            "etcdserver: corrupt cluster",
            Code::DataLoss,
        ),
        (
            KvError::TooManyAlarms,
            "etcdserver: too many alarms",
            Code::ResourceExhausted,
        ),
    ] {
        assert_eq!((error.to_string().as_str(), error.code()), (text, code));
    }
}

/// ">1.5 MiB request -> InvalidArgument "etcdserver: request is too large"."
#[test]
fn a_write_of_more_than_one_and_a_half_mebibytes_is_refused() {
    let limits = Limits::default();
    assert_eq!(limits.request_bytes_max, 1_572_864);
    // Tag and length take one and three bytes for the value, one and one for the key of one byte.
    let fits = put("a", &"v".repeat(limits.request_bytes_max - 7));
    let too_large = put("a", &"v".repeat(limits.request_bytes_max - 6));
    assert_eq!(check_put(&fits, &limits), Ok(()));
    assert_eq!(
        check_put(&too_large, &limits),
        Err(KvError::RequestTooLarge)
    );
    assert_eq!(
        check_txn(&all([op(too_large)]), &limits),
        Err(KvError::RequestTooLarge)
    );
    assert_eq!(check_compaction(&compact(5), &limits), Ok(()));
    // What only reads is not proposed.
    let long = get(&"k".repeat(limits.request_bytes_max));
    assert_eq!(check_txn(&all([op(long)]), &limits), Ok(()));
}

#[test]
fn a_refused_entry_is_applied_all_the_same() {
    let mut member = Member::with_keys(&["a"]);
    let hash = member.store.state_hash();
    assert_eq!(member.compact(9), Err(KvError::FutureRevision));
    assert_eq!(member.put(put("", "")), Err(KvError::KeyNotProvided));
    assert_eq!(member.store.applied_index(), 3);
    assert_eq!(
        (member.store.revision(), member.store.state_hash()),
        (2, hash)
    );
}
