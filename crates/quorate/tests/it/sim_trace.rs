//! `--trace`: a page or text, of the run that was asked for; and the guide that is made of it.

use std::fs;
use std::path::Path;

use crate::command::{Ran, quorate};

const GUIDE: &str = "../../docs/raft-by-replay.md";

fn sim(words: &[&str]) -> Ran {
    quorate(&[&["sim"], words].concat())
}

#[test]
fn a_page_is_written_where_it_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let runs: [&[&str]; 3] = [
        &["replay", "--seed", "2", "--until", "0.6"],
        &["course", "initial_election"],
        &["run", "--seeds", "1", "--from", "2"],
    ];
    for (number, words) in runs.into_iter().enumerate() {
        let path = directory.path().join(format!("{number}.html"));
        let name = path.to_str().unwrap();
        let ran = sim(&[words, &["--trace", name]].concat());
        assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>"), "{words:?}");
    }
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let ran = sim(&["course", "2A", "--trace", "-"]);
    assert_eq!(ran.code, Some(0));
    let how = "quorate sim course initial_election --seed 1 --trace out.html";
    assert!(ran.stderr.contains(how), "{}", ran.stderr);
    let ran = sim(&["run", "--seeds", "2", "--from", "5", "--trace", "-"]);
    assert_eq!(ran.code, Some(0));
    let how = "quorate sim replay --seed 5 --trace out.html";
    assert!(ran.stderr.contains(how), "{}", ran.stderr);
    for words in [&["replay", "--seed", "2"][..], &["course", "figure_8"]] {
        let times = ["--since", "3", "--until", "1.5", "--trace", "-"];
        let ran = sim(&[words, &times].concat());
        assert_eq!((ran.code, ran.text()), (Some(2), ""), "{words:?}");
        let reason = "--since 3 is after --until 1.5: nothing lies between them";
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
    let ran = sim(&["run", "--seeds", "1", "--json", "--trace", "-"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let ran = sim(&[
        "replay",
        "--seed",
        "2",
        "--until",
        "0.1",
        "--trace",
        "/no/such/place.html",
    ]);
    assert_ne!(ran.code, Some(0));
    assert!(ran.stderr.contains("/no/such/place.html"), "{}", ran.stderr);
}

/// The commands of the guide and what it says that they print.
fn excerpts(guide: &str) -> Vec<(String, String)> {
    let blocks: Vec<&str> = guide.split("```").skip(1).step_by(2).collect();
    let pairs = blocks.chunks(2).map(|pair| {
        let command = pair[0].strip_prefix("sh\n").expect("first the command");
        let text = pair[1].strip_prefix("text\n").expect("then what it prints");
        (command.trim().to_owned(), text.to_owned())
    });
    pairs.collect()
}

#[test]
fn the_guide_shows_what_its_commands_print() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GUIDE);
    let guide = fs::read_to_string(path).unwrap();
    let excerpts = excerpts(&guide);
    assert_eq!(excerpts.len(), 10, "ten replays");
    let commands = excerpts.iter().filter_map(|(command, text)| {
        let words = command.strip_prefix("quorate ")?;
        Some((words.split(' ').collect::<Vec<_>>(), text))
    });
    for (words, text) in commands {
        let ran = quorate(&words);
        let printed: String = ran
            .text()
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        assert!(
            printed.contains(text.as_str()),
            "{words:?} prints something else than docs/raft-by-replay.md shows:\n{printed}"
        );
    }
}
