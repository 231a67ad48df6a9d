//! Real worlds shrink: what they are to still show here is not a fault of the core, of which there are
//! none, but a rare state.

use std::time::Duration;

use quorate_sim::world::Plan;
use quorate_sim::{Failing, Rare, Recipe, run_seed, shrink};

/// "Fails" if some node installs the snapshot of another.
fn installs(recipe: &Recipe) -> Option<Failing> {
    let report = run_seed(recipe.clone()).expect("the core has no fault");
    let plan = Plan::of(recipe);
    (report.tally.rare(Rare::SnapshotInstalled) > 0).then(|| Failing {
        what: "a snapshot was installed".to_owned(),
        at: report.simulated,
        faults: report.faults,
        nodes: plan.nodes,
        clients: plan.clients,
    })
}

#[test]
fn a_world_that_installs_a_snapshot_shrinks_to_one_that_does_little_else() {
    let seed = (0..).find(|seed| installs(&Recipe::from(*seed)).is_some_and(|it| it.faults > 10));
    let recipe = Recipe::from(seed.unwrap());
    let before = installs(&recipe).unwrap();
    let shrunk = shrink(recipe, 400, installs).unwrap();
    let faults = shrunk.recipe.faults.as_ref().unwrap().len() as u64;
    assert!(
        faults <= 3 && shrunk.failing.at < before.at,
        "{before:?} has become {shrunk:?}"
    );
    let again = installs(&shrunk.recipe.to_string().parse().unwrap());
    assert_eq!(
        again,
        Some(shrunk.failing),
        "what is printed makes the same world"
    );
}

#[test]
fn to_leave_one_fault_out_moves_no_other() {
    let all = run_seed(7).unwrap();
    let none: Recipe = "7:faults=".parse().unwrap();
    let without = run_seed(none).unwrap();
    assert_eq!(without.faults, all.faults, "as many fall due");
    assert_eq!(without.tally.fault(quorate_sim::Fault::Partition), 0);
    assert!(without.simulated >= Duration::from_secs(3));
}
