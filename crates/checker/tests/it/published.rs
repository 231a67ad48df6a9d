//! Published histories with known verdicts.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_checker::{BUDGET_STEPS_DEFAULT, Verdict, check_registers, read_history};

/// The histories: in `$QUORATE_SHARED`, or `shared` beside the project. A test without them says that it is skipped.
fn histories() -> Option<PathBuf> {
    let root = match std::env::var_os("QUORATE_SHARED") {
        Some(given) => PathBuf::from(given),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let histories = root.join("data/histories");
    if histories.is_dir() {
        return Some(histories);
    }
    // Into the terminal even where the test runner keeps output back.
    use std::io::Write;
    let reason = format!(
        "skipped: {} is not there; set QUORATE_SHARED",
        histories.display()
    );
    let _ = writeln!(std::io::stderr(), "{reason}");
    None
}

#[test]
fn every_published_verdict_is_right() {
    let Some(histories) = histories() else { return };
    let verdicts = fs::read_to_string(histories.join("verdicts.tsv")).unwrap();
    let mut judged = 0;
    for line in verdicts.lines() {
        let (name, published) = line.split_once('\t').unwrap();
        let text = fs::read_to_string(histories.join(name)).unwrap();
        let (_, history) = read_history(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let verdict = check_registers(&history, BUDGET_STEPS_DEFAULT);
        let word = match &verdict {
            Verdict::Linearizable(_) => "linearizable",
            Verdict::Violation(_) => "not-linearizable",
            Verdict::Undecided(_) => "undecided",
        };
        assert_eq!(word, published, "{name}: {verdict}");
        judged += 1;
    }
    assert_eq!(judged, 55, "verdicts.tsv has 55 histories");
}
