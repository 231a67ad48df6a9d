//! The table of pitfalls and traps, in `docs/pitfalls.md`, is whole, and what it names exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PITFALLS: u32 = 30;
const TRAPS: u32 = 21;

/// Tests and scripts, as the table writes them: `raft::name_of_a_test`, `raft/name_of_a_script.txt`.
type Names = BTreeSet<String>;

/// A row of the table: what it is for (`pitfall` or `trap`, and its number), and what it names.
struct Row {
    of: (&'static str, u32),
    text: String,
    names: Names,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words in backquotes.
fn quoted(text: &str) -> Names {
    let words = text.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

fn rows(table: &str) -> Vec<Row> {
    let mut kind = None;
    let mut rows = Vec::new();
    for line in table.lines() {
        match line {
            "## Pitfalls" => kind = Some("pitfall"),
            "## Traps" => kind = Some("trap"),
            _ => {}
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (Some(kind), [_, number, _, names, how, _]) = (kind, &cells[..]) else {
            assert!(!line.starts_with('|'), "no row of four cells: {line}");
            continue;
        };
        if let Ok(number) = number.parse() {
            rows.push(Row {
                of: (kind, number),
                text: line.to_owned(),
                names: &quoted(names) | &quoted(how),
            });
        }
    }
    rows
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    };
    paths.flat_map(below).collect()
}

/// The names of the functions that are tests: those with `#[test]` above them. (Other attributes
/// and remarks may stand in between, and the signature may be broken over two lines.)
fn tests_in(source: &str) -> impl Iterator<Item = &str> {
    let pieces = source.split("#[test]\n").skip(1);
    pieces.filter_map(|piece| {
        let mut lines = piece.lines().map(str::trim_start);
        let name = lines.find_map(|line| line.strip_prefix("fn "))?;
        name.split('(').next()
    })
}

/// All that there is, as the table writes it.
fn existing() -> Names {
    let mut names = Names::new();
    for folder in fs::read_dir(root().join("crates")).expect("the crates") {
        let folder = folder.expect("a crate");
        let name = folder.file_name().into_string().expect("a name");
        let parts = ["src", "tests"].map(|part| folder.path().join(part));
        for path in parts
            .iter()
            .filter(|part| part.is_dir())
            .flat_map(|part| sources(part))
        {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("rs") => {
                    let source = read(&path);
                    names.extend(tests_in(&source).map(|test| format!("{name}::{test}")));
                }
                Some("txt")
                    if path
                        .parent()
                        .is_some_and(|at| at.ends_with("tests/scripts")) =>
                {
                    let script = path.file_name().expect("a file").to_string_lossy();
                    names.insert(format!("{name}/{script}"));
                }
                _ => {}
            }
        }
    }
    let real_faults = read(&root().join("crates/quorate/tests/real/rows/mod.rs"));
    let sentences = real_faults.split('"').skip(1).step_by(2);
    names.extend(sentences.map(|sentence| format!("real::{sentence}")));
    names
}

/// The pitfall or trap that a test or script names in its own name: `pitfall_07_…`, `trap_13_…`.
fn named_after(name: &str) -> Option<(&'static str, u32)> {
    let (_, own) = name.split_once([':', '/'])?;
    let own = own.trim_start_matches(':');
    ["pitfall", "trap"].into_iter().find_map(|kind| {
        let rest = own.strip_prefix(kind)?.strip_prefix('_')?;
        Some((kind, rest.split('_').next()?.parse().ok()?))
    })
}

#[test]
fn every_pitfall_and_trap_has_its_tests() {
    let rows = rows(&read(&root().join("docs/pitfalls.md")));
    let numbers: Vec<_> = rows.iter().map(|row| row.of).collect();
    let pitfalls = (1..=PITFALLS).map(|number| ("pitfall", number));
    let traps = (1..=TRAPS).map(|number| ("trap", number));
    assert_eq!(numbers, pitfalls.chain(traps).collect::<Vec<_>>());

    let existing = existing();
    for row in &rows {
        let missing: Vec<_> = row.names.difference(&existing).collect();
        assert!(missing.is_empty(), "{:?} names {missing:?}", row.of);
        let is_open = row.text.contains("Not there yet: ");
        assert!(is_open || !row.names.is_empty(), "{:?} has no test", row.of);
    }

    let by_number: BTreeMap<_, _> = rows.iter().map(|row| (row.of, &row.names)).collect();
    for name in &existing {
        let Some(of) = named_after(name) else {
            continue;
        };
        let listed = by_number.get(&of).is_some_and(|names| names.contains(name));
        assert!(listed, "{name} is not in the row of {of:?}");
    }
}

#[test]
fn tests_and_scripts_are_found_by_their_names() {
    let source = "#[test]\n#[should_panic(expected = \"#[test]\")]\nfn one() {}\n\
                  fn helper() {}\n    #[test]\n    /// Why.\n    fn two()\n    {\n    }\n";
    assert_eq!(tests_in(source).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(named_after("raft/pitfall_07_x.txt"), Some(("pitfall", 7)));
    assert_eq!(named_after("wal::pitfall_9_x"), Some(("pitfall", 9)));
    assert_eq!(named_after("raft::trap_13_x"), Some(("trap", 13)));
    assert_eq!(named_after("raft::a_pitfall_1_x"), None);
    let table =
        "| 1 | `not::this` |\n## Traps\n\n| no. | a | b | c |\n| 2 | w | `x::y` | `z::w` |\n";
    let result = std::panic::catch_unwind(|| rows(table));
    assert!(result.is_err(), "a row of two cells");
    let rows = rows(table.split_once('\n').expect("lines").1);
    let names: Vec<_> = rows[0].names.iter().map(String::as_str).collect();
    assert_eq!(
        (rows.len(), rows[0].of, names),
        (1, ("trap", 2), vec!["x::y", "z::w"])
    );
}
