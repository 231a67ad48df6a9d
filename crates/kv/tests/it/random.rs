//! Random histories: three stores that apply and free in different ways, against each other and
//! against the model.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use quorate_kv::{
    Answer, Command, KvError, LeaseInfo, Limits, Pin, RangeStep, Reply, Step, Store, check_txn,
};
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::compare::{CompareResult, TargetUnion};
use quorate_proto::etcdserverpb::{
    AlarmType, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp,
    TxnRequest,
};

use crate::model::Model;
use crate::support::{alarm, checkpoint, compact, compare, everything, grant, op, revoke, txn};

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Apply(Command),
    /// A compaction so many revisions back.
    Compact(i64),
    Read(RangeRequest),
    /// Let the third store free a little.
    Free(usize),
    /// Let the third store pin so many revisions back, or let go of a pin.
    Pin(i64),
    Unpin,
}

fn key(keys: u16) -> impl Strategy<Value = Bytes> {
    (0..keys).prop_map(|n| match n % 5 {
        0 => Bytes::from(format!("{n:03}, a key too long to be kept inline")),
        _ => Bytes::from(format!("{n:03}")),
    })
}

fn range_end(keys: u16) -> impl Strategy<Value = Bytes> {
    prop_oneof![
        2 => Just(Bytes::new()),
        1 => Just(Bytes::from_static(b"\0")),
        3 => key(keys),
    ]
}

/// Small revisions, so that some are compacted, some in the future, and most in between.
fn past() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 2 => 1..60_i64]
}

prop_compose! {
    fn put(keys: u16)(
        key in key(keys),
        value in "[a-c]{0,2}",
        long in weighted(0.05, Just(())),
        prev_kv: bool,
        kind in 0..12,
    ) -> PutRequest {
        let value = if long.is_some() { value.repeat(400) } else { value };
        PutRequest {
            key,
            value: if kind == 0 { Bytes::new() } else { Bytes::from(value) },
            lease: match kind {
                2..6 => i64::from(kind - 2),
                _ => 0,
            },
            prev_kv,
            ignore_value: kind == 0,
            ignore_lease: kind == 1,
        }
    }
}

prop_compose! {
    fn delete(keys: u16)(
        key in key(keys),
        range_end in range_end(keys),
        prev_kv: bool,
    ) -> DeleteRangeRequest {
        DeleteRangeRequest { key, range_end, prev_kv }
    }
}

prop_compose! {
    fn range(keys: u16)(
        key in key(keys),
        range_end in range_end(keys),
        limit in -1..6_i64,
        revision in past(),
        (sort_order, sort_target) in (0..3, 0..5),
        (keys_only, count_only) in (any::<bool>(), weighted(0.2, Just(()))),
        filters in weighted(0.3, [past(), past(), past(), past()]),
    ) -> RangeRequest {
        let [min_mod, max_mod, min_create, max_create] = filters.unwrap_or_default();
        RangeRequest {
            key, range_end, limit, revision, sort_order, sort_target, keys_only,
            serializable: false,
            count_only: count_only.is_some(),
            min_mod_revision: min_mod,
            max_mod_revision: max_mod,
            min_create_revision: min_create,
            max_create_revision: max_create,
        }
    }
}

fn condition(keys: u16) -> impl Strategy<Value = Compare> {
    let operand = prop_oneof![
        (0..4_i64).prop_map(TargetUnion::Version),
        past().prop_map(TargetUnion::CreateRevision),
        past().prop_map(TargetUnion::ModRevision),
        "[a-c]{0,2}".prop_map(|value| TargetUnion::Value(Bytes::from(value))),
        (0..4_i64).prop_map(TargetUnion::Lease),
    ];
    let result = (0..4).prop_map(|result| CompareResult::try_from(result).unwrap());
    (key(keys), weighted(0.3, range_end(keys)), result, operand).prop_map(
        |(key, end, result, operand)| Compare {
            key,
            range_end: end.unwrap_or_default(),
            ..compare("", result, operand)
        },
    )
}

fn transaction(keys: u16) -> impl Strategy<Value = TxnRequest> {
    let leaf = prop_oneof![
        4 => put(keys).prop_map(op),
        2 => delete(keys).prop_map(op),
        2 => range(keys).prop_map(op),
    ];
    let operation = leaf.prop_recursive(3, 12, 3, move |inner| branches(keys, inner).prop_map(op));
    branches(keys, operation)
}

fn branches(
    keys: u16,
    operation: impl Strategy<Value = RequestOp> + Clone,
) -> impl Strategy<Value = TxnRequest> {
    (
        vec(condition(keys), 0..2),
        vec(operation.clone(), 0..4),
        vec(operation, 0..4),
    )
        .prop_map(|(compares, success, failure)| txn(compares, success, failure))
}

/// Leases 1 to 3, so that they come and go, and times that are too short, right and too long.
fn lease_command() -> impl Strategy<Value = Command> {
    let ttl = prop_oneof![Just(-1), 1..100_i64, 9_000_000_000..9_000_000_002_i64];
    prop_oneof![
        4 => (0..4_i64, ttl).prop_map(|(id, ttl)| grant(id, ttl).into()),
        2 => (1..4_i64).prop_map(|id| revoke(id).into()),
        1 => vec((1..4_i64, -1..100_i64), 0..4).prop_map(|leases| checkpoint(leases).into()),
    ]
}

/// Few, and mostly to end them, or nothing else would happen.
fn alarm_command() -> impl Strategy<Value = Command> {
    let action = prop_oneof![
        1 => Just(AlarmAction::Get),
        1 => Just(AlarmAction::Activate),
        3 => Just(AlarmAction::Deactivate),
    ];
    let kind = prop_oneof![
        1 => Just(AlarmType::None),
        3 => Just(AlarmType::Nospace),
        1 => Just(AlarmType::Corrupt),
    ];
    (action, kind, 1..3_u64).prop_map(|(action, kind, member)| alarm(action, kind, member).into())
}

pub(crate) fn action(keys: u16) -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => put(keys).prop_map(|request| Action::Apply(request.into())),
        3 => delete(keys).prop_map(|request| Action::Apply(request.into())),
        6 => transaction(keys).prop_map(|request| Action::Apply(request.into())),
        3 => lease_command().prop_map(Action::Apply),
        1 => alarm_command().prop_map(Action::Apply),
        1 => (-1..30_i64).prop_map(Action::Compact),
        8 => range(keys).prop_map(Action::Read),
        2 => (0..20_usize).prop_map(Action::Free),
        1 => (0..10_i64).prop_map(Action::Pin),
        1 => Just(Action::Unpin),
    ]
}

pub(crate) struct World {
    pub(crate) model: Model,
    /// Applies whole and frees at once.
    pub(crate) whole: Store,
    /// Applies key by key and never frees.
    pub(crate) stepwise: Store,
    /// Applies in steps of three without building answers, frees now and then, and has pins.
    pub(crate) pinned: Store,
    pins: Vec<Pin>,
    pub(crate) index: u64,
    /// What was applied, the entry at index 1 first, and what came of it.
    pub(crate) log: Vec<(Command, Result<Reply, KvError>)>,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            model: Model::new(),
            whole: Store::new(),
            stepwise: Store::new(),
            pinned: Store::new(),
            pins: Vec::new(),
            index: 0,
            log: Vec::new(),
        }
    }

    pub(crate) fn act(&mut self, action: &Action) {
        match action {
            Action::Apply(command) => self.apply(command),
            Action::Compact(back) => self.apply(&compact(self.model.revision - back).into()),
            Action::Read(request) => self.read(request),
            Action::Free(changes_max) => drop(self.pinned.free_step(*changes_max)),
            Action::Pin(back) => {
                let revision = self.model.revision - back;
                let readable = revision >= self.model.compacted;
                let pin = self.pinned.pin(revision);
                assert_eq!(pin.is_ok(), readable);
                self.pins.extend(pin);
            }
            Action::Unpin => drop(self.pins.pop()),
        }
    }

    fn apply(&mut self, command: &Command) {
        self.index += 1;
        let expected = match command {
            Command::Txn(request) => check_txn(request, &Limits::default())
                .and_then(|()| self.model.clone().apply(command)),
            _ => self.model.clone().apply(command),
        };
        let before = self.model.range(&everything());
        let whole = self.whole.apply(self.index, command, Answer::Wanted);
        assert_eq!(whole, expected, "{command:?}");
        while self.whole.free_step(usize::MAX) {}
        let stepwise = self.apply_in_steps(command, &before);
        assert_eq!(stepwise, expected, "{command:?}");
        let mut application = self
            .pinned
            .begin(self.index, command.clone(), Answer::Discard);
        let discarded = loop {
            if let Step::Done(result) = self.pinned.advance(&mut application, 3) {
                break result;
            }
        };
        assert_eq!(discarded.as_ref().err(), expected.as_ref().err());
        if expected.is_ok() {
            self.model.apply(command).unwrap();
        }
        self.log.push((command.clone(), expected));
        for store in [&self.whole, &self.stepwise, &self.pinned] {
            assert_eq!(store.state_hash(), self.whole.state_hash());
            assert_eq!(store.revision(), self.model.revision);
            assert_eq!(store.compacted_revision(), self.model.compacted);
            assert_eq!(store.applied_index(), self.index);
        }
        assert_leases_as(&self.pinned, &self.model);
    }

    /// Between any two steps a reader sees what was there before the first.
    fn apply_in_steps(
        &mut self,
        command: &Command,
        before: &Result<RangeResponse, KvError>,
    ) -> Result<Reply, KvError> {
        let mut application = self
            .stepwise
            .begin(self.index, command.clone(), Answer::Wanted);
        loop {
            match self.stepwise.advance(&mut application, 1) {
                Step::Done(result) => return result,
                Step::More => assert_eq!(self.stepwise.range(&everything()), *before),
            }
        }
    }

    fn read(&self, request: &RangeRequest) {
        let expected = self.model.range(request);
        for store in [&self.whole, &self.stepwise, &self.pinned] {
            assert_eq!(store.range(request), expected, "{request:?}");
        }
        let in_steps = self.pinned.begin_range(request).map(|mut cursor| {
            loop {
                if let RangeStep::Done(response) = self.pinned.advance_range(&mut cursor, 2) {
                    return response;
                }
            }
        });
        assert_eq!(in_steps, expected, "{request:?} in steps");
    }

    /// Every revision that can be read, everywhere; and the same when all is freed.
    pub(crate) fn read_all_history(&mut self) {
        self.pins.clear();
        while self.pinned.free_step(3) {}
        while self.whole.free_step(usize::MAX) {}
        for revision in self.model.compacted.max(1)..=self.model.revision {
            self.read(&RangeRequest {
                revision,
                ..everything()
            });
        }
        assert_eq!(self.whole.memory_bytes(), self.pinned.memory_bytes());
        assert_eq!(self.whole.key_count(), self.stepwise.key_count());
    }
}

/// The leases, their keys and the alarms are those of the model.
pub(crate) fn assert_leases_as(store: &Store, model: &Model) {
    let times = |lease: LeaseInfo| {
        let remaining = lease.remaining_ttl_seconds.unwrap_or(0);
        (lease.id, (lease.granted_ttl_seconds, remaining))
    };
    let leases = store.leases(i64::MIN).map(times);
    assert_eq!(leases.collect::<BTreeMap<_, _>>(), model.leases);
    assert_eq!(store.lease_count(), model.leases.len());
    for id in 0..4 {
        let keys: Vec<&[u8]> = store.lease_keys(id, b"").collect();
        let expected = if id == 0 {
            Vec::new()
        } else {
            model.lease_keys(id)
        };
        assert_eq!(keys, expected, "lease {id}");
        assert_eq!(store.lease_key_count(id), keys.len());
    }
    assert_eq!(store.alarms(None), model.alarms(AlarmType::None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_history_gives_what_the_model_gives(actions in vec(action(12), 1..80)) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.read_all_history();
    }
}

/// Enough keys for many leaves, enough writes for long histories; the same every time.
#[test]
fn a_long_history_gives_what_the_model_gives() {
    let mut runner = TestRunner::deterministic();
    let mut world = World::new();
    for _ in 0..1500 {
        let action = action(400).new_tree(&mut runner).unwrap().current();
        world.act(&action);
    }
    world.read_all_history();
}
