//! What a process says on standard error when it has to stop.

/// The one line that is not part of the log: it begins with the program's name and is the last.
/// `text` is what the process printed in this life.
pub(crate) fn only_line_of_its_own(text: &str) -> &str {
    let own: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("quorate: "))
        .collect();
    assert_eq!(own.len(), 1, "one line says why it stopped:\n{text}");
    assert_eq!(text.lines().last(), Some(own[0]), "it is the last:\n{text}");
    assert!(!text.contains("panicked"), "a fault is no panic:\n{text}");
    own[0]
}
