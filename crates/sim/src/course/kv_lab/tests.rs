//! What must fail a scenario of the store does.

use quorate_checker::{Outcome, RegisterCall};

use super::*;
use crate::course::clerk::Clerk;
use crate::course::suite_3a::check_sizes;

const LIMIT: Duration = Duration::from_secs(20);

fn lab_of(max_raft_state: Option<u64>) -> KvLab {
    let setup = KvSetup {
        is_unreliable: false,
        max_raft_state,
    };
    KvLab::new(3, setup, 1, None)
}

fn run(lab: &KvLab, steps: impl Future<Output = ()> + 'static) {
    lab.run(steps, LIMIT).expect("it ends in time");
}

fn sizes_of(lab: &KvLab) -> Verdict {
    let given = lab.clone();
    let sizes = lab.run(async move { check_sizes(&given).await }, 2 * LIMIT);
    sizes.expect("it ends in time")
}

fn why(verdict: Verdict) -> String {
    let Err(Failed(what)) = verdict else {
        panic!("it should have been found out");
    };
    what
}

#[test]
fn a_piece_that_is_there_twice_is_found_out() {
    let lab = lab_of(None);
    let given = lab.clone();
    run(&lab, async move {
        let mut clerk = Clerk::of_all(&given, 0);
        clerk.append("k", "one ").await;
        let honest = given.history(|history| history.clone());
        clerk.append("k", "one ").await;
        // As if the clerk had asked once.
        given.history(|history| *history = honest);
        clerk.get("k").await;
    });
    let what = why(lab.check_history());
    assert!(what.contains("not linearizable"), "{what}");
}

#[test]
fn a_read_of_what_was_overwritten_is_found_out() {
    let lab = lab_of(None);
    let given = lab.clone();
    run(&lab, async move {
        let mut clerk = Clerk::of_all(&given, 0);
        clerk.put("k", "old").await;
        clerk.put("k", "new").await;
        given.history(|history| {
            let read = history.invoke(9, "k", RegisterCall::Read, 10_000_000_000);
            let told = Outcome::Read(Some("old".into()));
            history.complete(read, told, 10_000_000_001).unwrap();
        });
    });
    let what = why(lab.check_history());
    assert!(what.contains("not linearizable"), "{what}");
}

#[test]
fn a_log_that_is_too_long_and_a_snapshot_that_must_not_be_are_found_out() {
    let lab = lab_of(Some(1_000));
    let given = lab.clone();
    run(&lab, async move {
        let mut clerk = Clerk::of_all(&given, 0);
        for _ in 0..50 {
            clerk.append("k", "some words ").await;
        }
        check_sizes(&given).await.expect("servers take snapshots");
        // One that takes no more of them, as after a restart with another setting.
        given.world(|world| {
            world.plan.snapshot_log_bytes = u64::MAX;
            world.crash(0, Crash::Random(1));
            world.start(0);
        });
        for _ in 0..50 {
            clerk.append("k", "some words ").await;
        }
        given.sleep(Duration::from_secs(1)).await;
    });
    let what = why(sizes_of(&lab));
    assert!(what.contains("after the last snapshot"), "{what}");

    let lab = lab_of(None);
    sizes_of(&lab).expect("there is no snapshot");
    lab.world(|world| world.plan.snapshot_log_bytes = 1_000);
    lab.world(|world| world.crash(0, Crash::Random(1)));
    lab.world(|world| world.start(0));
    let given = lab.clone();
    run(&lab, async move {
        let mut clerk = Clerk::of_all(&given, 0);
        for _ in 0..50 {
            clerk.append("k", "some words ").await;
        }
    });
    let what = why(sizes_of(&lab));
    assert!(what.contains("there is a snapshot"), "{what}");
}

#[test]
fn a_write_whose_answer_was_lost_is_resolved_by_reading_and_done_once() {
    let setup = KvSetup {
        is_unreliable: true,
        max_raft_state: Some(1_000),
    };
    let whole: String = (0..30).map(|number| format!("{number} ")).collect();
    let mut resolved = 0;
    for seed in 1..6 {
        let lab = KvLab::new(3, setup, seed, None);
        let given = lab.clone();
        let work = async move {
            let mut clerk = Clerk::of_all(&given, 0);
            for number in 0..30 {
                clerk.append("k", &format!("{number} ")).await;
            }
            clerk.get("k").await
        };
        let value = lab.run(work, Duration::from_secs(60));
        assert_eq!(value.unwrap(), whole, "seed {seed}");
        lab.check_history().unwrap();
        resolved += lab.shared.resolved.get();
    }
    assert!(
        resolved > 0,
        "no answer was ever lost: nothing has been shown"
    );
}
