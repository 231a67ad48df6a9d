//! Recipes are read as they are written.

use super::*;

#[test]
fn a_seed_alone_is_a_recipe() {
    let recipe: Recipe = "17".parse().unwrap();
    assert_eq!(recipe, Recipe::from(17));
    assert_eq!(recipe.to_string(), "17");
}

#[test]
fn what_is_printed_is_read_back_the_same() {
    let text = "17:salt=2,nodes=3,clients=1,chaos-ms=2500,faults=3+9,no-loss,no-snapshots";
    let recipe: Recipe = text.parse().unwrap();
    assert_eq!(recipe.to_string(), text);
    let every: Vec<&str> = Without::ALL.iter().map(|one| one.name()).collect();
    let text = format!("5:faults=,{}", every.join(","));
    let recipe: Recipe = text.parse().unwrap();
    assert_eq!(recipe.to_string(), text);
    assert!(!recipe.has_fault(0), "no fault is named, so none happens");
}

#[test]
fn what_is_no_recipe_is_refused_with_what_there_is() {
    let unknown = "17:no-rain".parse::<Recipe>().unwrap_err();
    for name in ["no-rain", "no-loss", "faults="] {
        assert!(unknown.to_string().contains(name), "{unknown}");
    }
    let cases = ["", "x", "-1", "18446744073709551616", "1:clients=x"];
    let more = ["1:nodes=10", "1:faults=1+x", "1:clients"];
    for text in cases.into_iter().chain(more) {
        assert!(text.parse::<Recipe>().is_err(), "{text:?}");
    }
    assert_eq!(
        "1".repeat(MAX_CHARS + 1).parse::<Recipe>(),
        Err(RecipeError::TooLong)
    );
}

#[test]
fn a_plan_is_changed_where_the_recipe_says_so_and_nowhere_else() {
    let mut plan = Plan::quiet(5);
    plan.loss_percent = 7;
    plan.duplication_percent = 3;
    let recipe: Recipe = "1:nodes=3,clients=2,no-loss".parse().unwrap();
    recipe.change(&mut plan);
    let changed = (plan.nodes, plan.clients, plan.loss_percent);
    assert_eq!(changed, (3, 2, 0));
    assert_eq!(plan.duplication_percent, 3);
}
