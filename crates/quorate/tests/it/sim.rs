//! `quorate sim`: what it prints, and how it exits.

use crate::command::{Ran, quorate};

fn sim(words: &[&str]) -> Ran {
    quorate(&[&["sim"], words].concat())
}

#[test]
fn a_scenario_prints_the_courses_line_with_gos_beside_it() {
    let ran = sim(&["course", "basic_agreement"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let text = ran.text();
    assert!(text.contains("Test (2B): basic agreement ..."), "{text}");
    let line = text.lines().last().unwrap();
    assert!(line.contains("... Passed --"), "{text}");
    assert!(line.contains("4,290"), "Go's bytes: {text}");
}

#[test]
fn several_suites_and_scenarios_run_in_the_courses_order_each_once() {
    let words = [
        "course",
        "kv_one_partition",
        "2a",
        "initial_election",
        "--json",
    ];
    let ran = sim(&words);
    let json: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!((ran.code, &json["passed"]), (Some(0), &true.into()));
    let ran = json["scenarios"].as_array().unwrap();
    let suites: Vec<&str> = ran.iter().filter_map(|one| one["suite"].as_str()).collect();
    assert_eq!(suites, ["2A", "2A", "2A", "3A"]);
}

#[test]
fn a_scenario_that_no_one_knows_is_answered_with_those_there_are() {
    let ran = sim(&["course", "figure_9"]);
    assert_eq!(ran.code, Some(2));
    for words in [
        "there is no suite or scenario \"figure_9\"; did you mean figure_8?\n",
        "\n2A\n  initial_election\n",
        "\n3B\n",
        "\n  figure_8_unreliable\n",
    ] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let longest = ran.stderr.lines().map(|line| line.chars().count()).max();
    assert!(longest.unwrap() <= 100, "{}", ran.stderr);
    let listed = sim(&["course", "list"]);
    assert_eq!(listed.code, Some(0));
    assert!(
        ran.stderr.ends_with(listed.text()),
        "the same list, asked for"
    );
}

#[test]
fn a_suite_runs_as_often_as_it_is_told_and_says_so_in_json() {
    let ran = sim(&["course", "2a", "--repeat", "7", "--json"]);
    let json: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!((ran.code, &json["passed"]), (Some(0), &true.into()));
    let scenarios = json["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 3);
    for scenario in scenarios {
        assert_eq!(scenario["runs"], 7);
        assert!(scenario["rpcs"].as_u64().unwrap() > 10, "{scenario}");
    }
}

#[test]
fn a_run_tells_of_its_worlds_faults_and_rare_states() {
    let ran = sim(&["run", "--seeds", "10", "--from", "5"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let text = ran.text();
    for words in [
        "10 worlds",
        "simulated seconds per core-second",
        "faults injected:",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let ran = sim(&["run", "--seeds", "10", "--json"]);
    let json: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!(
        (&json["worlds"], &json["passed"]),
        (&10.into(), &true.into())
    );
    assert!(json["faults"]["process killed"].as_u64().unwrap() > 0);
    assert!(json["rare_states"]["leader changed"].as_u64().unwrap() > 0);
}

#[test]
fn a_replay_prints_the_plan_and_then_what_happens_and_ends_as_the_run_did() {
    let whole = sim(&["replay", "--seed", "3"]);
    assert_eq!((whole.code, whole.stderr.as_str()), (Some(0), ""));
    let text = whole.text();
    assert!(
        text.starts_with("seed 3\n       nodes  3, and 3 that may become members; "),
        "{text:.200}"
    );
    for subject in [
        "clients",
        "faults",
        "network",
        "disks",
        "store",
        "snapshots",
        "elections",
        "log",
    ] {
        let is_of = |line: &str| line.trim_start().starts_with(&format!("{subject}  "));
        assert!(text.lines().take(20).any(is_of), "{subject}: {text:.1500}");
    }
    for words in ["fault, n", "asks for votes in term 1", "everything heals"] {
        assert!(text.contains(words), "{words} is not in the replay");
    }
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("all is well after "), "{last}");
    assert_eq!(sim(&["replay", "--seed", "3"]).text(), text, "and again");
    let part = sim(&["replay", "--seed", "3", "--until", "1.5"]);
    let (part, stopped) = part.text().trim_end().rsplit_once('\n').unwrap();
    assert_eq!(stopped, "stopped at 1.5s");
    assert!(text.starts_with(part), "the beginning of the same");
}

#[test]
fn seeds_that_are_no_numbers_are_refused() {
    for words in [
        &["run", "--seeds", "0"][..],
        &["run", "--minutes", "-1"],
        &["run", "--from", "x"],
        &["run", "--trace", "/no/such/place.html"],
        &["course", "--seed", "first"],
        &["replay", "--seed", "x"],
        &["replay", "--seed", "1", "--until", "soon"],
        &["replay"],
    ] {
        let ran = sim(words);
        assert_eq!((ran.code, ran.text()), (Some(2), ""), "{words:?}");
        assert!(!ran.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn a_mistyped_change_of_a_world_is_answered_with_the_one_that_was_meant() {
    let ran = sim(&["replay", "--seed", "17:no-los"]);
    assert_eq!((ran.code, ran.text()), (Some(2), ""));
    let words = "\"no-los\" changes nothing; did you mean no-loss?";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    let longest = ran.stderr.lines().map(|line| line.chars().count()).max();
    assert!(longest.unwrap() <= 100, "{}", ran.stderr);
}
