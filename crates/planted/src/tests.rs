use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// The names that the sources of a crate ask for.
fn asked_in(crate_name: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut directories = vec![root.join(crate_name).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let text = std::fs::read_to_string(path).unwrap();
                let asked = text.split("planted::bug(\"").skip(1);
                names.extend(asked.map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    names
}

#[test]
fn every_bug_of_the_table_is_in_its_crate_and_no_other_is() {
    for crate_name in ["raft", "wal", "kv", "replica"] {
        let of_crate = BUGS.iter().filter(|bug| bug.crate_name == crate_name);
        let told: BTreeSet<String> = of_crate.map(|bug| bug.name.to_owned()).collect();
        assert_eq!(asked_in(crate_name), told, "{crate_name}");
    }
}

#[test]
fn the_page_about_them_has_each_of_them() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/planted-bugs.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let here: BTreeSet<&str> = BUGS.iter().map(|bug| bug.name).collect();
    assert_eq!(told, here);
}

#[test]
fn no_name_stands_for_two_bugs() {
    let names: BTreeSet<&str> = BUGS.iter().map(|bug| bug.name).collect();
    assert_eq!(names.len(), BUGS.len());
}

#[test]
fn a_bug_is_there_only_where_it_was_chosen() {
    let name = BUGS[0].name;
    choose(Some(name));
    assert_eq!(bug(name), ARE_HERE);
    assert!(!bug(BUGS[1].name));
    let elsewhere = std::thread::spawn(move || bug(name));
    assert!(!elsewhere.join().unwrap());
    choose(None);
    assert!(!bug(name));
}
