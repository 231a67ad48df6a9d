//! What holds inside, after any history.

use quorate_proto::etcdserverpb::{LeaseGrantRequest, PutRequest};

use super::*;
use crate::command::{Answer, Command};

/// The bytes of a long key are there once, however many hold it.
#[test]
fn a_lease_shares_the_bytes_of_its_long_keys() {
    let mut store = Store::new();
    let grant = LeaseGrantRequest { ttl: 10, id: 7 };
    let grant = Command::LeaseGrant(grant);
    store.apply(1, &grant, Answer::Wanted).unwrap();
    for index in 2..5_u64 {
        let key = format!("a key too long to be kept inline, {index}");
        let put = PutRequest {
            key: key.clone().into(),
            lease: 7,
            ..PutRequest::default()
        };
        let put = Command::Put(put);
        store.apply(index, &put, Answer::Wanted).unwrap();
        let attached = store.leases.by_id[&7].keys.from(key.as_bytes()).next();
        let kept = &store.keyspace.entry(key.as_bytes()).unwrap().key;
        assert_eq!(
            attached.unwrap().as_slice().as_ptr(),
            kept.as_slice().as_ptr()
        );
    }
}

/// A snapshot sees each lease as it was when it was captured, whatever becomes of it meanwhile.
#[test]
fn what_changes_during_a_scan_is_scanned_as_it_was() {
    let times = |granted_ttl_seconds| LeaseTimes {
        granted_ttl_seconds,
        remaining_ttl_seconds: 0,
    };
    let mut leases = Leases::default();
    for id in [-3, 1, 5, 9] {
        leases.set(id, times(100));
    }
    leases.begin_scan();
    for id in [-3, 5, 6, 9] {
        leases.remember(id, true);
    }
    leases.set(-3, times(1));
    leases.set(6, times(1));
    leases.remove(5);
    leases.remove(9);
    leases.remember(9, true);
    leases.set(9, times(2));
    let mut found = Vec::new();
    let mut from = i64::MIN;
    while let Some((id, times)) = leases.scanned_from(from) {
        found.extend(times.map(|times| (id, times.granted_ttl_seconds)));
        from = id + 1;
    }
    assert_eq!(found, [(-3, 100), (1, 100), (5, 100), (9, 100)]);
    leases.begin_scan();
    assert_eq!(leases.scanned_from(5), Some((6, Some(times(1)))));
}
