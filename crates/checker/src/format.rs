//! Histories as text. Three formats, told apart by their first line that is not empty:
//!
//! - our own JSON lines (`docs/check.md`), which say everything that a [`History`] can hold;
//! - logs of Jepsen's test of a single register: `INFO  jepsen.util - 3 :invoke :write 4`;
//! - lines of Clojure maps on a key-value store with append:
//!   `{:process 0, :type :invoke, :f :append, :key "0", :value "x"}`.
//!
//! The last two have no clock: the number of the line is the time.

mod json_lines;
mod maps;
mod process_log;

pub use json_lines::write_json_lines;

use crate::error::HistoryError;
use crate::history::History;
use crate::limits::OPERATIONS_MAX;

/// In which format a history is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Ours.
    JsonLines,
    /// Jepsen's log of a register.
    JepsenLog,
    /// Lines of Clojure maps.
    Maps,
}

impl Format {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Format::JsonLines => "JSON lines",
            Format::JepsenLog => "Jepsen register log",
            Format::Maps => "key-value maps",
        }
    }

    /// The format of `text`, by its first line.
    pub fn of(text: &str) -> Option<Format> {
        let first = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        if first.contains("jepsen.util") {
            Some(Format::JepsenLog)
        } else if first.starts_with("{:") {
            Some(Format::Maps)
        } else if first.starts_with('{') {
            Some(Format::JsonLines)
        } else {
            None
        }
    }
}

/// Reads a history in any of the formats.
///
/// # Errors
/// The format is none of them, or a line cannot be understood or contradicts one before it: named with its number.
pub fn read_history(text: &str) -> Result<(Format, History), HistoryError> {
    let format = Format::of(text).ok_or(HistoryError::UnknownFormat)?;
    let history = match format {
        Format::JsonLines => json_lines::read(text),
        Format::JepsenLog => process_log::read(text),
        Format::Maps => maps::read(text),
    }?;
    if history.operations().len() > OPERATIONS_MAX {
        return Err(HistoryError::Line {
            line: 0,
            what: format!("more than {OPERATIONS_MAX} operations; cut the run into several"),
        });
    }
    Ok((format, history))
}

/// The lines that are not empty, with their numbers from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate();
    numbered
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty())
}

fn bad_line(line: usize, what: impl Into<String>) -> HistoryError {
    HistoryError::Line {
        line,
        what: what.into(),
    }
}
