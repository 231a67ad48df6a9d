//! `quorate check` on files.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::command::{Ran, quorate};

const RIGHT: &str = r#"{"format":"quorate-history","version":1}
{"type":"invoke","op":1,"client":1,"time":1,"call":"write","key":"x","value":"a"}
{"type":"ok","op":1,"time":2}
{"type":"invoke","op":2,"client":2,"time":3,"call":"read","key":"x"}
{"type":"ok","op":2,"time":4,"value":"a"}
"#;

fn check(content: &str, flags: &[&str]) -> (Ran, TempDir) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("history.jsonl");
    std::fs::write(&file, content).unwrap();
    let arguments = [&["check", file.to_str().unwrap()], flags].concat();
    (quorate(&arguments), directory)
}

/// The read finds nothing, though the write was done.
fn wrong() -> String {
    RIGHT.replace(r#""time":4,"value":"a""#, r#""time":4,"value":null"#)
}

#[test]
fn a_linearizable_history_exits_with_0() {
    let (ran, _directory) = check(RIGHT, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.text().ends_with("\nLINEARIZABLE\n"), "{}", ran.text());
}

#[test]
fn a_violation_exits_with_1_and_shows_the_operations() {
    let (ran, _directory) = check(&wrong(), &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let text = ran.text();
    assert!(text.ends_with("\nNOT LINEARIZABLE\n"), "{text}");
    assert!(
        text.contains("op 1    client 1    write \"a\"  →  done"),
        "{text}"
    );
    assert!(text.contains("read  →  nothing"), "{text}");
}

#[test]
fn json_is_one_object() {
    let (ran, _directory) = check(&wrong(), &["--json"]);
    assert_eq!(ran.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(ran.text()).expect("one JSON object");
    assert_eq!(json["verdict"], "violation");
    assert_eq!(json["violation"]["operations"].as_array().unwrap().len(), 2);
    assert_eq!(json["violation"]["key"], "x");
    let numbers = [0, 1].map(|i| json["violation"]["operations"][i]["op"].clone());
    assert_eq!(numbers, [1, 2], "as the file calls them");
}

#[test]
fn the_budget_can_run_out() {
    let (ran, _directory) = check(RIGHT, &["--budget", "1"]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    assert!(ran.text().contains("UNDECIDED"), "{}", ran.text());
}

#[test]
fn what_cannot_be_read_exits_with_2_and_says_where() {
    let (ran, _directory) = check(&format!("{RIGHT}nonsense\n"), &[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("line 6"), "{}", ran.stderr);
    let ran = quorate(&["check", "/nowhere/at/all"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.starts_with("quorate check: /nowhere/at/all: "));
    let (ran, _directory) = check("", &[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("\n  a Jepsen log: "), "{}", ran.stderr);
    assert_eq!(quorate(&["check"]).code, Some(2));
}

#[test]
fn the_page_is_one_file_and_safe_from_what_is_in_the_history() {
    let directory = TempDir::new().unwrap();
    let page: PathBuf = directory.path().join("out.html");
    let nasty = wrong().replace(r#""key":"x""#, r#""key":"</script><script>alert(1)//""#);
    let (ran, _directory) = check(&nasty, &["--html", page.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains(r#""verdict":"violation""#));
    assert_eq!(
        html.matches("</script>").count(),
        1,
        "a key must not end the script"
    );
    assert!(
        !html.contains("src=") && !html.contains("@import"),
        "it needs no other file"
    );
}
