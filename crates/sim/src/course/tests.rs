//! The harness itself: what must fail a scenario does.

use super::lab::{Lab, Retry, T, Verdict, command};
use super::scenario::{Passed, Scenario, ScenarioFailure, Script, Steps, Suite, run_scenario};

fn run(steps: fn(Lab) -> Steps) -> Result<Passed, Box<ScenarioFailure>> {
    let scenario = Scenario {
        suite: Suite::Election2A,
        title: "a test's own",
        name: "a_tests_own",
        servers: 3,
        baseline: None,
        script: Script::Raft(steps),
    };
    run_scenario(&scenario, 1)
}

/// What the failed scenario says.
fn failure(steps: fn(Lab) -> Steps) -> String {
    run(steps).expect_err("it must fail").what
}

async fn without_majority(lab: Lab) -> Verdict {
    lab.one(command(1), 3, Retry::No).await?;
    lab.disconnect(0);
    lab.disconnect(1);
    lab.one(command(2), 1, Retry::Yes).await?;
    Ok(())
}

#[test]
fn nothing_is_agreed_upon_without_a_majority() {
    let what = failure(|lab| Box::pin(without_majority(lab)));
    assert!(what.contains("failed to reach agreement in 10s"), "{what}");
}

#[test]
fn a_leader_that_should_not_be_there_is_seen() {
    let what = failure(|lab| {
        Box::pin(async move {
            lab.check_one_leader().await?;
            lab.check_no_leader()
        })
    });
    assert!(what.contains("expected no leader"), "{what}");
}

#[test]
fn a_leader_that_should_be_there_is_missed() {
    let what = failure(|lab| {
        Box::pin(async move {
            lab.disconnect(0);
            lab.disconnect(1);
            lab.check_one_leader().await.map(|_| ())
        })
    });
    assert_eq!(what, "expected one leader, got none");
}

#[test]
fn a_scenario_does_not_take_for_ever() {
    let what = failure(|lab| {
        Box::pin(async move {
            lab.sleep(T * 121).await;
            Ok(())
        })
    });
    assert_eq!(what, "took longer than 120s");
}

#[test]
fn a_panic_of_the_core_is_a_failure_that_is_told() {
    let what = failure(|_| Box::pin(async { panic!("a broken invariant") }));
    assert_eq!(what, "a broken invariant");
}

/// Two servers agree with the third, lose their disks, and agree upon something else.
async fn amnesia(lab: Lab) -> Verdict {
    lab.one(command(1), 3, Retry::No).await?;
    lab.one(command(2), 3, Retry::No).await?;
    lab.disconnect(2);
    for server in 0..2 {
        lab.crash(server);
        lab.empty_disk(server);
        lab.restart_and_connect(server);
    }
    lab.one(command(3), 2, Retry::Yes).await?;
    Ok(())
}

#[test]
fn servers_that_forget_what_they_acknowledged_are_found_out() {
    let what = failure(|lab| Box::pin(amnesia(lab)));
    assert!(what.contains("where another server applied"), "{what}");
}
