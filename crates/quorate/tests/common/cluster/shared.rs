//! The data that tests share with other projects: books, and what is known of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::skip;

/// The directory of shared data: `$QUORATE_SHARED`, or `shared` beside the project. A test without it says that it
/// is skipped.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let root = match std::env::var_os("QUORATE_SHARED") {
        Some(given) => PathBuf::from(given),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let data = root.join("data");
    if data.join("books").is_dir() {
        return Some(data);
    }
    skip(&format!(
        "{} has no books; set QUORATE_SHARED",
        data.display()
    ));
    None
}

/// The words of the eight books with their counts, counted here and compared with what is expected. A word is a
/// longest run of letters.
pub(crate) fn word_counts(data: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for book in fs::read_dir(data.join("books")).expect("the books") {
        let path = book.expect("a book").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let text = fs::read_to_string(&path).expect("a book is text");
            let words = text.split(|letter: char| !letter.is_alphabetic());
            for word in words.filter(|word| !word.is_empty()) {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
        }
    }
    let expected = fs::read_to_string(data.join("expected/expected-wc.txt")).expect("the counts");
    let expected: BTreeMap<String, u64> = expected
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(word, count)| (word.to_owned(), count.parse().expect("a count")))
        .collect();
    assert_eq!(counts, expected, "the books are not the ones expected");
    let pair = |(word, count): (String, u64)| (word.into_bytes(), count.to_string().into_bytes());
    counts.into_iter().map(pair).collect()
}
