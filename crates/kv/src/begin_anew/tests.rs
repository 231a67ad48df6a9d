use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, DeleteRangeRequest, LeaseCheckpoint,
    LeaseCheckpointRequest, LeaseGrantRequest, PutRequest, RangeRequest,
};

use super::*;
use crate::command::{Answer, Command};
use crate::error::KvError;
use crate::snapshot::{SnapshotChecker, SnapshotLoader};

fn apply(store: &mut Store, command: impl std::borrow::Borrow<Command>) {
    let index = store.applied_index() + 1;
    store
        .apply(index, command.borrow(), Answer::Discard)
        .unwrap();
}

fn put(key: &str, value: &str, lease: i64) -> Command {
    Command::Put(PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        lease,
        ..PutRequest::default()
    })
}

/// At revision 6: `a` written twice, `b` on a lease that has 3 of 60 seconds left, `c` deleted.
fn busy() -> Store {
    let mut store = Store::new();
    apply(
        &mut store,
        Command::LeaseGrant(LeaseGrantRequest { ttl: 60, id: 7 }),
    );
    apply(&mut store, put("a", "1", 0));
    apply(&mut store, put("b", "1", 7));
    apply(&mut store, put("a", "2", 0));
    apply(&mut store, put("c", "1", 0));
    apply(
        &mut store,
        Command::DeleteRange(DeleteRangeRequest {
            key: "c".into(),
            ..DeleteRangeRequest::default()
        }),
    );
    let checkpoints = vec![LeaseCheckpoint {
        id: 7,
        remaining_ttl: 3,
    }];
    apply(
        &mut store,
        Command::LeaseCheckpoint(LeaseCheckpointRequest { checkpoints }),
    );
    apply(
        &mut store,
        Command::Alarm(AlarmRequest {
            action: AlarmAction::Activate.into(),
            member_id: 1,
            alarm: AlarmType::Nospace.into(),
        }),
    );
    store
}

fn through_a_file(store: &mut Store) -> Store {
    let mut scan = store.capture_snapshot().unwrap();
    let mut loader = SnapshotLoader::new();
    let mut checker = SnapshotChecker::new();
    while let Some(bytes) = store.scan_snapshot(&mut scan, 1 << 20) {
        loader.feed(&bytes).unwrap();
        checker.feed(&bytes).unwrap();
    }
    checker.finish().unwrap();
    loader.finish().unwrap()
}

fn read(store: &Store, revision: i64) -> Result<Vec<(String, String, i64)>, KvError> {
    let all = RangeRequest {
        key: "\0".into(),
        range_end: "\0".into(),
        revision,
        ..RangeRequest::default()
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let kvs = store.range(&all)?.kvs.into_iter();
    Ok(kvs
        .map(|kv| (text(&kv.key), text(&kv.value), kv.mod_revision))
        .collect())
}

#[test]
fn alarms_end_and_leases_have_all_their_time_and_nothing_else_changes() {
    let mut store = busy();
    let before = read(&store, 3).unwrap();
    store.begin_anew(None).unwrap();
    let mut store = through_a_file(&mut store);
    assert_eq!((store.revision(), store.compacted_revision()), (6, -1));
    assert_eq!(store.alarms(None), []);
    let lease = store.lease(7).unwrap();
    assert_eq!(
        (lease.granted_ttl_seconds, lease.remaining_ttl_seconds),
        (60, None)
    );
    assert_eq!(read(&store, 3).unwrap(), before);
    apply(&mut store, put("d", "1", 0));
    assert_eq!(store.revision(), 7);
}

#[test]
fn a_bumped_store_keeps_its_keys_and_refuses_every_revision_before() {
    let mut store = busy();
    let now = read(&store, 0).unwrap();
    store.begin_anew(NonZeroU64::new(1000)).unwrap();
    for mut store in [through_a_file(&mut store), store] {
        let places = (store.revision(), store.compacted_revision());
        assert_eq!(places, (1006, 1006));
        assert_eq!(read(&store, 0).unwrap(), now);
        assert_eq!(read(&store, 1006).unwrap(), now);
        assert_eq!(read(&store, 1005), Err(KvError::Compacted));
        assert_eq!(store.lease_keys(7, &[]).count(), 1);
        // And it goes on as any store does.
        apply(&mut store, put("a", "3", 0));
        apply(&mut store, put("d", "1", 7));
        assert_eq!(store.revision(), 1008);
        assert_eq!(read(&store, 1006).unwrap(), now);
        // No change is at the revision that it was bumped to, which is still the compacted one.
        let again = through_a_file(&mut store);
        assert_eq!(again.state_hash(), store.state_hash());
        assert_eq!(read(&again, 0).unwrap(), read(&store, 0).unwrap());
        assert_eq!(read(&again, 1006).unwrap(), now);
        apply(
            &mut store,
            Command::Compact(CompactionRequest {
                revision: 1007,
                physical: false,
            }),
        );
        while store.free_step(1) {}
        let again = through_a_file(&mut store);
        assert_eq!(read(&again, 0).unwrap(), read(&store, 0).unwrap());
        assert_eq!(read(&again, 1006), Err(KvError::Compacted));
    }
}

#[test]
fn a_store_that_was_compacted_at_its_end_is_bumped_too() {
    let mut store = busy();
    apply(
        &mut store,
        Command::Compact(CompactionRequest {
            revision: 6,
            physical: false,
        }),
    );
    let now = read(&store, 0).unwrap();
    store.begin_anew(NonZeroU64::new(1)).unwrap();
    let store = through_a_file(&mut store);
    assert_eq!((store.revision(), read(&store, 0).unwrap()), (7, now));
}

#[test]
fn equal_states_begin_anew_as_equal_states() {
    let hash = |bump| {
        let mut store = busy();
        store.begin_anew(NonZeroU64::new(bump)).unwrap();
        store.state_hash()
    };
    assert_eq!(hash(5), hash(5));
    assert_ne!(hash(5), hash(6));
    assert_ne!(hash(0), busy().state_hash());
}

#[test]
fn a_revision_has_an_end() {
    let mut store = busy();
    let refused = store.begin_anew(NonZeroU64::new(u64::MAX)).unwrap_err();
    assert_eq!((refused.revision, store.revision()), (6, 6));
    assert!(store.begin_anew(NonZeroU64::new(1 << 62)).is_err());
    // Where it may be bumped to, there is room for as many changes again as any store has seen.
    let most = BUMPED_REVISION_MAX - 6;
    assert!(store.begin_anew(NonZeroU64::new(most + 1)).is_err());
    store.begin_anew(NonZeroU64::new(most)).unwrap();
    apply(&mut store, put("a", "3", 0));
    apply(&mut store, put("a", "4", 0));
    let again = through_a_file(&mut store);
    assert_eq!(again.revision(), BUMPED_REVISION_MAX.cast_signed() + 2);
}
