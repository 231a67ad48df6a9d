//! Alarms, and the quota that raises one.

use quorate_kv::{ALARMS_MAX, Command, KvError, Reply};
use quorate_proto::etcdserverpb::alarm_request::AlarmAction::{Activate, Deactivate, Get};
use quorate_proto::etcdserverpb::{AlarmMember, AlarmType};

use crate::support::*;

fn alarms_of(reply: Reply) -> Vec<(u64, AlarmType)> {
    let Reply::Alarm(response) = reply else {
        panic!("{reply:?}");
    };
    let pair = |alarm: &AlarmMember| (alarm.member_id, alarm.alarm());
    response.alarms.iter().map(pair).collect()
}

/// "Alarm NONE+GET lists all."
#[test]
fn alarms_are_raised_listed_and_ended_by_commands() {
    use AlarmType::{Corrupt, None, Nospace};
    let mut member = Member::default();
    let mut ask = |action, kind, id| alarms_of(member.apply(alarm(action, kind, id)).unwrap());
    assert_eq!(ask(Get, None, 0), []);
    for _twice in 0..2 {
        assert_eq!(ask(Activate, Nospace, 5), [(5, Nospace)]);
    }
    assert_eq!(ask(Activate, Corrupt, 4), [(4, Corrupt)]);
    assert_eq!(ask(Activate, None, 4), []);
    assert_eq!(ask(Get, None, 0), [(5, Nospace), (4, Corrupt)]);
    assert_eq!(ask(Get, Corrupt, 0), [(4, Corrupt)]);
    assert_eq!(ask(Deactivate, Nospace, 4), []);
    assert_eq!(ask(Deactivate, Nospace, 5), [(5, Nospace)]);
    assert_eq!(ask(Get, None, 0), [(4, Corrupt)]);
    assert_eq!(member.store.alarms(Some(Nospace)), []);
    assert_eq!(member.store.revision(), 1);
}

/// "NOSPACE: Put, Txn with puts and LeaseGrant fail with ResourceExhausted … until disarmed."
#[test]
fn without_space_only_what_takes_none_goes_on() {
    let mut member = Member::with_keys(&["a", "b", "c"]);
    member.apply(grant(7, 60)).unwrap();
    let nospace = |action| alarm(action, AlarmType::Nospace, 1);
    member.apply(nospace(Activate)).unwrap();
    let nested = all([op(txn([version_is("a", 9)], [], [op(put("x", ""))]))]);
    let refused: [Command; 4] = [
        put("x", "").into(),
        all([op(get("a")), op(put("x", ""))]).into(),
        nested.into(),
        grant(8, 60).into(),
    ];
    for command in refused {
        assert_eq!(member.apply(command), Err(KvError::NoSpace));
    }
    member.delete(delete("a", "")).unwrap();
    member
        .txn(all([op(delete("b", "")), op(get("c"))]))
        .unwrap();
    member.compact(member.store.revision()).unwrap();
    member.apply(checkpoint([(7, 5)])).unwrap();
    member.apply(revoke(7)).unwrap();
    assert_eq!(member.keys(&everything()), "c");
    member.apply(nospace(Deactivate)).unwrap();
    member.put(put("x", "")).unwrap();
}

/// "CORRUPT: everything fails DataLoss "etcdserver: corrupt cluster"."
#[test]
fn a_corrupt_cluster_answers_nothing() {
    let mut member = Member::with_keys(&["a"]);
    for kind in [AlarmType::Nospace, AlarmType::Corrupt] {
        member.apply(alarm(Activate, kind, 1)).unwrap();
    }
    let refused: [Command; 6] = [
        put("x", "").into(),
        delete("a", "").into(),
        all([op(get("a"))]).into(),
        compact(1).into(),
        grant(8, 60).into(),
        revoke(8).into(),
    ];
    for command in refused {
        assert_eq!(member.apply(command), Err(KvError::Corrupt));
    }
    assert_eq!(member.range(&get("a")), Err(KvError::Corrupt));
    let read = member.store.begin_range(&get("a"));
    assert_eq!(read.err(), Some(KvError::Corrupt));
    let read = member.store.read_only_txn(&all([op(get("a"))]));
    assert_eq!(read, Err(KvError::Corrupt));
    member
        .apply(alarm(Deactivate, AlarmType::Corrupt, 1))
        .unwrap();
    assert_eq!(member.put(put("x", "")), Err(KvError::NoSpace));
    assert_eq!(member.keys(&get("a")), "a");
}

#[test]
fn a_client_cannot_fill_the_store_with_alarms() {
    let mut member = Member::default();
    for id in 0..ALARMS_MAX as u64 {
        member
            .apply(alarm(Activate, AlarmType::Nospace, id))
            .unwrap();
    }
    let one_more = alarm(Activate, AlarmType::Corrupt, 1);
    assert_eq!(member.apply(one_more), Err(KvError::TooManyAlarms));
    let on_already = alarm(Activate, AlarmType::Nospace, 1);
    assert!(member.apply(on_already).is_ok());
    assert!(member.range(&everything()).is_ok());
}

/// What a member holds against its own quota. That decides nothing that is applied.
#[test]
fn the_quota_counts_what_a_command_may_add() {
    let put_1000 = || put("k", &"v".repeat(999));
    for (command, cost) in [
        (Command::from(put_1000()), 1256),
        (all([op(put_1000()), op(put_1000())]).into(), 2512),
        (txn([], [op(put_1000())], [op(put("k", ""))]).into(), 1256),
        (grant(1, 5).into(), 64),
        (delete("a", "").into(), 0),
        (all([op(get("a"))]).into(), 0),
        (compact(1).into(), 0),
    ] {
        assert_eq!(command.cost_bytes(), cost, "{command:?}");
    }
}
