//! The last lines of a node's log.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// How far back the lines are looked for, in bytes.
const BYTES_MAX: u64 = 16 << 10;

/// At most `count` lines from the end of the log, but none from before `from` bytes: what an earlier
/// run left says nothing about this one. An unreadable file has none.
pub(super) fn last_lines(log: &Path, from: u64, count: usize) -> Vec<String> {
    let text = tail(log, from).unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let first = lines.len().saturating_sub(count);
    lines[first..]
        .iter()
        .map(|line| line.replace(|c: char| c.is_control() && c != '\t', ""))
        .collect()
}

fn tail(log: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(BYTES_MAX).max(from.min(length));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
