//! Golden scripts: `tests/scripts/*.txt`, one behaviour each, named as a sentence.
//!
//! A script is comments (`#`), commands (`>`), and below each command the trace of what it made
//! the nodes do. The test runs the commands and compares the traces. After a change of behaviour
//!
//! ```text
//! REGENERATE_GOLDEN=1 cargo test -p quorate-raft scripts
//! ```
//!
//! writes the new traces; then read the difference as you would read code, and keep it only if
//! you understand every line of it. What commands there are: see `cluster.rs`.

mod cluster;
mod print;
mod words;

use std::path::Path;

use cluster::Cluster;

/// The script with its traces made anew.
fn run(script: &str) -> String {
    let mut cluster = Cluster::default();
    let mut output = String::new();
    for (number, line) in script.lines().enumerate() {
        if let Some(command) = line.strip_prefix("> ") {
            output.push_str(line);
            output.push('\n');
            match cluster.run(command) {
                Ok(trace) => trace.iter().for_each(|line| {
                    output.push_str(line);
                    output.push('\n');
                }),
                Err(error) => panic!("line {}: `{command}`: {error}", number + 1),
            }
        } else if line.is_empty() || line.starts_with('#') {
            output.push_str(line);
            output.push('\n');
        }
    }
    output
}

/// The first line that differs, for the failure message.
fn first_difference(expected: &str, actual: &str) -> String {
    let mut lines = expected.lines().zip(actual.lines()).enumerate();
    match lines.find(|(_, (expected, actual))| expected != actual) {
        Some((number, (expected, actual))) => {
            format!(
                "line {}:\n  expected {expected}\n  but got  {actual}",
                number + 1
            )
        }
        None => "one is longer than the other".to_owned(),
    }
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "reads and writes the golden files"
)]
fn scripts_do_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let regenerate = std::env::var_os("REGENERATE_GOLDEN").is_some();
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts found");
    let mut failures = Vec::new();
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let result = std::panic::catch_unwind(|| run(&script));
        let Ok(actual) = result else {
            failures.push(format!("{name}: panicked, see above"));
            continue;
        };
        if regenerate {
            std::fs::write(&path, actual).unwrap();
        } else if actual != script {
            failures.push(format!("{name}: {}", first_difference(&script, &actual)));
        }
    }
    assert!(
        failures.is_empty(),
        "{}\nIf this is meant: REGENERATE_GOLDEN=1 cargo test -p quorate-raft scripts, then review \
         the difference.",
        failures.join("\n")
    );
}
