//! The search, on worlds that are only pretended.

use super::*;

/// Fails when two certain faults happen and there are two clients at least, on a network that loses.
fn run(recipe: &Recipe) -> Option<Failing> {
    let ms = recipe.chaos_ms.unwrap_or(9_000);
    let has_both = recipe.has_fault(3) && recipe.has_fault(17);
    let clients = recipe.clients.unwrap_or(5);
    let fails = has_both && clients >= 2 && ms > 2_000 && !recipe.without.contains(&Without::Loss);
    fails.then(|| Failing {
        what: format!("term {} has two leaders\nand more", ms / 7),
        at: Duration::from_millis(2_000),
        faults: 40,
        nodes: recipe.nodes.unwrap_or(5),
        clients,
    })
}

#[test]
fn only_what_the_failure_needs_is_left() {
    let shrunk = shrink(Recipe::from(9), 10_000, run).unwrap();
    let expected = "9:nodes=1,clients=2,chaos-ms=2001,faults=3+17,no-duplication,no-reordering,\
                    no-slow-disks,no-slow-appliers,no-snapshots,no-steps,no-changes,no-sites,no-leases";
    assert_eq!(shrunk.recipe.to_string(), expected);
    assert_eq!(shrunk.failing, run(&shrunk.recipe).unwrap());
}

#[test]
fn the_search_ends_when_its_runs_are_used_up() {
    let mut runs = 0;
    let shrunk = shrink(Recipe::from(9), 12, |recipe| {
        runs += 1;
        run(recipe)
    });
    assert_eq!((runs, shrunk.unwrap().runs), (12, 12));
}

#[test]
fn a_world_that_does_not_fail_is_not_shrunk() {
    assert_eq!(shrink(Recipe::from(9), 100, |_| None), None);
}

#[test]
fn a_smaller_world_that_fails_in_another_way_is_not_taken() {
    let other = |recipe: &Recipe| {
        let mut failing = run(&Recipe::from(1)).unwrap();
        if recipe != &Recipe::from(9) {
            failing.what = "a read went back".to_owned();
        }
        Some(failing)
    };
    let shrunk = shrink(Recipe::from(9), 10_000, other).unwrap();
    assert_eq!(shrunk.recipe, Recipe::from(9));
}

#[test]
fn a_failure_that_hides_in_the_usual_course_is_found_in_another() {
    let timed = |recipe: &Recipe| {
        let lucky = recipe == &Recipe::from(9) || recipe.salt % 4 == 2;
        run(recipe).filter(|_| lucky)
    };
    let shrunk = shrink(Recipe::from(9), 10_000, timed).unwrap();
    assert_eq!(shrunk.recipe.faults, Some([3, 17].into()));
}
