//! Whether to print in colours.

use std::ffi::OsStr;

/// For a terminal, unless its user asked every program for none (<https://no-color.org>).
pub(crate) fn are_wanted(is_terminal: bool) -> bool {
    decide(is_terminal, std::env::var_os("NO_COLOR").as_deref())
}

fn decide(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_means_none_unless_it_is_empty() {
        let cases = [None, Some(""), Some("1"), Some("0")];
        let in_terminal = cases.map(|value| decide(true, value.map(OsStr::new)));
        assert_eq!(in_terminal, [true, true, false, false]);
        assert!(!decide(false, None));
    }
}
