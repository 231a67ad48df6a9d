//! The judges, put to the test: a read that is stale, a write that is lost.
//!
//! A node that is cut off still answers serializable reads, with what it knows. Recorded as if they
//! were linearizable, they must be found out; so must an answer that names a write that never was,
//! one that is shown before it began, and one that was done twice.

use std::time::Duration;

use quorate_client::Client;
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};

use crate::check::linearizable;
use crate::cluster::{Cluster, PATIENCE, Plan, runtime};
use crate::history::{Action, History, Operation, Outcome, Value, Version};
use crate::judge::{as_the_store_remembers, revisions_in_order};
use crate::network::{Loss, Network, Way};
use crate::trial::{ALL, Trial, others};
use crate::workload::client;

const ROUNDS: u64 = 1;
const KEY: &str = "one";

pub(super) fn run(trial: &mut Trial) {
    while trial.next_round(ROUNDS).is_some() {
        find_out(trial);
    }
}

/// On a store of its own: a history begins with an empty one.
fn find_out(trial: &mut Trial) {
    let network = Network::make(3);
    let cluster = Plan::of(3)
        .places(&network.places())
        .launchers(&network.launchers())
        .start();
    cluster.wait_until_equal();
    let leader = cluster.wait_for_leader();
    let [cut_off, _] = others(leader);
    let stale = read_stale(&network, &cluster, leader, cut_off);
    network.set(&[]);
    trial.count("stale reads, found out");
    assert!(revisions_in_order(&stale).is_err(), "{stale:#?}");
    assert!(linearizable(&stale).is_err(), "{stale:#?}");

    let workload = trial.work(&cluster);
    workload.wait_for_progress(&cluster, &ALL);
    let sound = trial.judge(&cluster, workload);
    find_changes_out(trial, &cluster, &sound);
}

/// Two puts at the leader, and between and after them a read at a node that hears of the first.
fn read_stale(
    network: &Network,
    cluster: &Cluster,
    leader: usize,
    cut_off: usize,
) -> Vec<Operation> {
    let history = History::new();
    runtime().block_on(async {
        let writer = client(&cluster.endpoint(leader), PATIENCE);
        let reader = client(&cluster.endpoint(cut_off), PATIENCE);
        put(&history, &writer, Value(1)).await;
        get(&history, &reader, false).await;
        network.set(&others(cut_off).map(|from| Way {
            from,
            to: cut_off,
            loss: Loss::All,
        }));
        put(&history, &writer, Value(2)).await;
        get(&history, &reader, true).await;
    });
    history.operations()
}

async fn put(history: &History, client: &Client, value: Value) {
    let called = history.now();
    let request = PutRequest {
        key: KEY.into(),
        value: value.bytes(),
        ..Default::default()
    };
    let answer = client.put(request).await.expect("a majority is there");
    let revision = answer.header.expect("a header").revision;
    record(
        history,
        called,
        Action::Put(value),
        Outcome::Written { revision },
    );
}

async fn get(history: &History, client: &Client, serializable: bool) {
    let called = history.now();
    let request = RangeRequest {
        key: KEY.into(),
        serializable,
        ..Default::default()
    };
    let answer = client.range(request).await.expect("an answer");
    let revision = answer.header.expect("a header").revision;
    let version = answer.kvs.first().map(|pair| Version {
        value: Value::of(&pair.value).expect("a value of ours"),
        mod_revision: pair.mod_revision,
    });
    record(
        history,
        called,
        Action::Get,
        Outcome::Found { revision, version },
    );
}

fn record(history: &History, called: Duration, action: Action, outcome: Outcome) {
    history.record(Operation {
        client: 0,
        key: KEY.to_owned(),
        action,
        outcome,
        called,
        returned: history.now(),
    });
}

/// Changes a history that may stand, in one place each time; the judge for it must see that.
fn find_changes_out(trial: &mut Trial, cluster: &Cluster, sound: &[Operation]) {
    let endpoint = cluster.endpoint(0);
    let position = |is_it: fn(&Operation) -> bool| sound.iter().position(is_it).expect("one");
    let put =
        position(|operation| operation.is_written() && matches!(operation.action, Action::Put(_)));
    let read =
        position(|operation| operation.action == Action::Get && operation.version().is_some());

    let mut lost = sound.to_vec();
    lost[put].action = Action::Put(Value(u64::MAX));
    assert!(as_the_store_remembers(&endpoint, &lost).is_err());
    trial.count("lost writes, found out");

    let mut too_early = sound.to_vec();
    too_early[read].called = Duration::ZERO;
    too_early[read].returned = Duration::from_nanos(1);
    assert!(revisions_in_order(&too_early).is_err());
    assert!(linearizable(&too_early).is_err());
    trial.count("reads before their writes, found out");

    let mut twice = sound.to_vec();
    twice.push(seen_again(sound, put));
    assert!(revisions_in_order(&twice).is_err());
    assert!(as_the_store_remembers(&endpoint, &twice).is_err());
    trial.count("writes done twice, found out");
}

/// A read after all others that finds a write at a revision that is not its own.
fn seen_again(sound: &[Operation], put: usize) -> Operation {
    let last = sound.iter().filter_map(Operation::revision).max();
    let revision = last.expect("there are answers");
    let written = sound[put].version().expect("it was written");
    Operation {
        action: Action::Get,
        outcome: Outcome::Found {
            revision,
            version: Some(Version {
                mod_revision: revision,
                ..written
            }),
        },
        called: Duration::MAX,
        returned: Duration::MAX,
        ..sound[put].clone()
    }
}
