//! Leases: "Keys attached to a lease go when it expires." Times are the leader's; here is what the log
//! decides.

use quorate_kv::{
    Answer, Command, KvError, LEASE_CHECKPOINTS_MAX, LeaseEvent, LeaseEvents, LeaseInfo, Reply,
    Step, check_lease_grant,
};
use quorate_proto::etcdserverpb::PutRequest;

use crate::support::*;

/// A member with leases 7 and 8, and these keys on them.
fn with_leases(keys: &[(&str, i64)]) -> Member {
    let mut member = Member::default();
    for id in [7, 8] {
        member.apply(grant(id, 60)).unwrap();
    }
    for (key, lease) in keys {
        member.put(leased(key, "value", *lease)).unwrap();
    }
    member
}

/// "max 9,000,000,000 -> OutOfRange "etcdserver: too large lease TTL"; dup -> FailedPrecondition
/// "etcdserver: lease already exists"."
#[test]
fn a_grant_is_refused_as_etcd_refuses_it() {
    let mut member = Member::default();
    let refused = [
        (grant(1, 9_000_000_001), KvError::LeaseTtlTooLarge),
        (grant(0, 5), KvError::LeaseNotFound),
    ];
    for (request, error) in refused {
        assert_eq!(member.apply(request), Err(error));
    }
    assert_eq!(
        check_lease_grant(&grant(0, 9_000_000_001)),
        Err(KvError::LeaseTtlTooLarge)
    );
    assert_eq!(check_lease_grant(&grant(0, 9_000_000_000)), Ok(()));
    let Reply::LeaseGrant(granted) = member.apply(grant(1, 9_000_000_000)).unwrap() else {
        panic!("another answer");
    };
    assert_eq!((granted.id, granted.ttl), (1, 9_000_000_000));
    // "LeaseGrant … do not bump it."
    assert_eq!(revision(&granted.header), 1);
    assert_eq!(member.apply(grant(1, 5)), Err(KvError::LeaseExists));
    assert_eq!(
        member.store.lease(1).unwrap().granted_ttl_seconds,
        9_000_000_000
    );
    assert_eq!(member.apply(revoke(2)), Err(KvError::LeaseNotFound));
    assert_eq!((member.store.lease(2), member.store.revision()), (None, 1));
}

/// "A put without lease detaches the old lease."
#[test]
fn a_key_hangs_on_the_lease_that_its_last_put_named() {
    let mut member = with_leases(&[("b", 7), ("a", 7), ("c", 8)]);
    assert_eq!(member.lease_keys(7), "a b");
    assert_eq!(member.pair("a").unwrap().lease, 7);
    member.put(leased("a", "moved", 8)).unwrap();
    assert_eq!(
        (&*member.lease_keys(7), &*member.lease_keys(8)),
        ("b", "a c")
    );
    member.put(put("c", "let go")).unwrap();
    member.delete(delete("b", "")).unwrap();
    assert_eq!((&*member.lease_keys(7), &*member.lease_keys(8)), ("", "a"));
    let kept = PutRequest {
        ignore_lease: true,
        ..put("a", "new")
    };
    member.put(kept).unwrap();
    assert_eq!(member.pair("a").unwrap().lease, 8);
    member.delete(delete("\0", "\0")).unwrap();
    assert_eq!(member.store.lease_key_count(8), 0);
    // What was let go stays when the lease goes.
    member.put(put("a", "again")).unwrap();
    member.apply(revoke(8)).unwrap();
    assert_eq!(member.keys(&everything()), "a");
}

/// "Whole txn is checked first (leases, revisions), then applied."
#[test]
fn an_unknown_lease_in_a_transaction_is_refused_before_anything_is_written() {
    let mut member = with_leases(&[("a", 7)]);
    let before = (member.store.revision(), member.store.state_hash());
    let request = all([
        op(put("x", "")),
        op(delete("a", "")),
        op(txn([], [op(leased("y", "", 9))], [])),
    ]);
    assert_eq!(member.txn(request), Err(KvError::LeaseNotFound));
    assert_eq!((member.store.revision(), member.store.state_hash()), before);
    assert_eq!(member.lease_keys(7), "a");
    let request = all([op(leased("y", "", 7)), op(delete("a", ""))]);
    member.txn(request).unwrap();
    assert_eq!(member.lease_keys(7), "y");
}

/// "Revoke deletes keys in sorted order in ONE txn, atomically with the lease record."
#[test]
fn a_revocation_takes_one_revision_however_many_keys_and_steps_it_has() {
    let mut member = with_leases(&[("kept", 8)]);
    let puts = (0..500).map(|n| op(leased(&format!("{:03}", 499 - n), "", 7)));
    member.txn(all(puts)).unwrap();
    let before = member.store.revision();
    member.index += 1;
    let command = Command::LeaseRevoke(revoke(7));
    let mut application = member.store.begin(member.index, command, Answer::Wanted);
    let mut steps = 1;
    let reply = loop {
        match member.store.advance(&mut application, 10) {
            Step::Done(result) => break result.unwrap(),
            Step::More => steps += 1,
        }
        let all = member.range(&everything()).unwrap();
        assert_eq!((all.count, member.store.revision()), (501, before));
        assert!(member.store.lease(7).is_some(), "the lease goes last");
    };
    assert!(steps >= 50, "{steps} steps");
    let Reply::LeaseRevoke(response) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(revision(&response.header), before + 1);
    assert_eq!(member.keys(&everything()), "kept");
    assert_eq!(
        (member.store.lease(7), member.store.lease_count()),
        (None, 1)
    );
    let mut cursor = quorate_kv::HistoryCursor::new(&bytes("\0"), &bytes("\0"), before + 1, false);
    let step = member.store.read_history(&mut cursor, 1000, usize::MAX);
    let events = step.unwrap().events;
    assert!(events.is_sorted_by_key(|event| event.key().clone()));
    assert_eq!(events.len(), 500);
    // One without keys takes no revision.
    member.delete(delete("kept", "")).unwrap();
    let before = member.store.revision();
    member.apply(revoke(8)).unwrap();
    assert_eq!(member.store.revision(), before);
}

#[test]
fn a_checkpoint_says_what_is_left_until_the_lease_is_renewed() {
    let mut member = with_leases(&[]);
    let info = |remaining_ttl_seconds| LeaseInfo {
        id: 7,
        granted_ttl_seconds: 60,
        remaining_ttl_seconds,
    };
    assert_eq!(member.store.lease(7), Some(info(None)));
    // Lease 9 is gone: whoever took note of it could not know.
    member.apply(checkpoint([(9, 5), (7, 31)])).unwrap();
    assert_eq!(member.store.lease(7), Some(info(Some(31))));
    for all_of_it in [0, -5, 60, 70] {
        member.apply(checkpoint([(7, 31)])).unwrap();
        member.apply(checkpoint([(7, all_of_it)])).unwrap();
        assert_eq!(member.store.lease(7), Some(info(None)));
    }
    let leases = || (0..).map(|id| (id, 5));
    assert_eq!(
        member.apply(checkpoint(leases().take(LEASE_CHECKPOINTS_MAX + 1))),
        Err(KvError::RequestTooLarge)
    );
    member
        .apply(checkpoint(leases().take(LEASE_CHECKPOINTS_MAX)))
        .unwrap();
    assert_eq!(
        member.store.lease(8).unwrap().remaining_ttl_seconds,
        Some(5)
    );
}

#[test]
fn whoever_follows_the_leases_is_told_each_change_once() {
    let mut member = with_leases(&[("a", 7)]);
    assert_eq!(member.store.take_lease_events(), LeaseEvents::All(vec![]));
    member.store.follow_leases(true);
    member.apply(grant(9, 0)).unwrap();
    member.apply(grant(9, 5)).unwrap_err();
    member.apply(checkpoint([(7, 31), (1, 1), (8, 0)])).unwrap();
    member.apply(revoke(7)).unwrap();
    let checkpointed = |id, remaining_ttl_seconds| LeaseEvent::Checkpointed {
        id,
        remaining_ttl_seconds,
    };
    let expected = vec![
        LeaseEvent::Granted {
            id: 9,
            ttl_seconds: 1,
        },
        checkpointed(7, Some(31)),
        checkpointed(8, None),
        LeaseEvent::Revoked { id: 7 },
    ];
    assert_eq!(member.store.take_lease_events(), LeaseEvents::All(expected));
    assert_eq!(member.store.take_lease_events(), LeaseEvents::All(vec![]));
    for _ in 0..11 {
        let many = (0..1000).map(|_| (8, 1));
        member.apply(checkpoint(many)).unwrap();
    }
    assert_eq!(member.store.take_lease_events(), LeaseEvents::Lost);
    member.apply(revoke(8)).unwrap();
    let expected = vec![LeaseEvent::Revoked { id: 8 }];
    assert_eq!(member.store.take_lease_events(), LeaseEvents::All(expected));
}

/// Change of leases does not take a revision, so only the hash tells members apart that differ in them.
#[test]
fn leases_are_in_the_state_hash() {
    let mut seen = vec![with_leases(&[]).store.state_hash()];
    let changes: [Command; 5] = [
        grant(9, 5).into(),
        grant(9, 6).into(),
        grant(10, 5).into(),
        checkpoint([(7, 5)]).into(),
        revoke(7).into(),
    ];
    for change in changes {
        let mut member = with_leases(&[]);
        member.apply(change).unwrap();
        assert_eq!(member.store.revision(), 1);
        seen.push(member.store.state_hash());
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

/// A million keys on one lease, or a key on each of many: about fifty bytes a key beside the key itself.
#[test]
fn the_memory_of_leases_is_counted_and_given_back() {
    let mut member = with_leases(&[]);
    for n in 0..1000 {
        member.put(put(&format!("{n:04}"), "value")).unwrap();
    }
    let before = member.store.memory_bytes();
    let pairs: Vec<_> = (0..1000).map(|n| format!("{n:04}")).collect();
    for key in &pairs {
        member.put(leased(key, "value", 7)).unwrap();
    }
    member.compact(member.store.revision()).unwrap();
    member.free();
    let with_lease = member.store.memory_bytes();
    assert!((before + 24_000..before + 60_000).contains(&with_lease));
    for key in &pairs {
        member.put(put(key, "value")).unwrap();
    }
    member.compact(member.store.revision()).unwrap();
    member.free();
    assert!(member.store.memory_bytes() < with_lease - 24_000);
}
