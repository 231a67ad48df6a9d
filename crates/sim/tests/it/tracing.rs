//! Whoever looks changes nothing.

use quorate_sim::course::{run_scenario, scenarios, trace_scenario};
use quorate_sim::{run_seed, trace_seed};
use quorate_trace::What;

#[test]
fn a_world_that_is_drawn_is_the_same_to_the_last_event() {
    let mut installed = 0;
    for seed in 0..40 {
        let (drawn, trace) = trace_seed(seed, None);
        assert_eq!(drawn.unwrap(), Some(run_seed(seed).unwrap()), "seed {seed}");
        let trace = trace.expect("a world that ran has a trace");
        let is_install = |what: &What| matches!(what, What::SnapshotInstalled { .. });
        installed += trace
            .events
            .iter()
            .filter(|event| is_install(&event.what))
            .count();
    }
    assert!(
        installed > 0,
        "some world among them installs a snapshot, and it is seen"
    );
}

#[test]
fn a_scenario_that_is_drawn_is_the_same_to_the_last_event() {
    for scenario in scenarios() {
        let (drawn, trace) = trace_scenario(scenario, 1);
        assert_eq!(
            drawn.unwrap(),
            run_scenario(scenario, 1).unwrap(),
            "{scenario:?}"
        );
        let trace = trace.expect("a scenario that ran has a trace");
        let leads = |what: &What| {
            matches!(
                what,
                What::Role {
                    role: quorate_trace::Role::Leader,
                    ..
                }
            )
        };
        assert!(
            trace.events.iter().any(|event| leads(&event.what)),
            "{scenario:?}"
        );
    }
}
