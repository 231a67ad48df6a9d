//! Jepsen's log of one register.
//!
//! `:ok` says that it happened, `:fail` of a compare-and-swap that the comparison did not hold, `:fail` of anything
//! else that it did not happen, `:info` that nobody knows.

use std::collections::BTreeMap;

use super::{bad_line, numbered};
use crate::blob::Blob;
use crate::error::HistoryError;
use crate::history::{ClientId, History, OpId, Outcome, RegisterCall};

/// The register's name: the log has none.
const REGISTER: &str = "register";

pub(super) fn read(text: &str) -> Result<History, HistoryError> {
    let mut history = History::new();
    let mut open: BTreeMap<ClientId, OpId> = BTreeMap::new();
    for (number, line) in numbered(text) {
        // Other lines of Jepsen's log are not about operations.
        let Some((_, event)) = line.split_once("jepsen.util - ") else {
            continue;
        };
        let bad = |what: &str| bad_line(number, format!("{what}: {line:?}"));
        let mut rest = event;
        let mut word = || {
            let (word, after) = rest.trim_start().split_once(char::is_whitespace)?;
            rest = after;
            Some(word)
        };
        let (Some(process), Some(kind), Some(what)) = (word(), word(), word()) else {
            return Err(bad("expected process, type, function and value"));
        };
        let value = rest.trim();
        let client = process.parse().map_err(|_| bad("no process number"))?;
        if kind == ":invoke" {
            let call = call(what, value).ok_or_else(|| bad("no known operation"))?;
            let op = history.invoke(client, REGISTER, call, number as u64);
            history
                .set_number(op, number as u64)
                .map_err(|error| bad_line(number, error.to_string()))?;
            if open.insert(client, op).is_some() {
                return Err(bad("a process has two operations at once"));
            }
        } else {
            let op = open
                .remove(&client)
                .ok_or_else(|| bad("the end of an operation that did not begin"))?;
            let outcome = outcome(kind, what, value).ok_or_else(|| bad("no known outcome"))?;
            history
                .complete(op, outcome, number as u64)
                .map_err(|error| bad_line(number, error.to_string()))?;
        }
    }
    Ok(history)
}

fn call(what: &str, value: &str) -> Option<RegisterCall> {
    match what {
        ":read" => Some(RegisterCall::Read),
        ":write" => Some(RegisterCall::Write(read_value(value)?)),
        ":cas" => {
            let pair = value.strip_prefix('[')?.strip_suffix(']')?;
            let (expected, new) = pair.split_once(' ')?;
            Some(RegisterCall::CompareAndSwap {
                expected: read_value(expected)?,
                new: read_value(new)?,
            })
        }
        _ => None,
    }
}

/// `nil`, or a number.
fn read_value(word: &str) -> Option<Option<Blob>> {
    if word == "nil" {
        return Some(None);
    }
    let number: i64 = word.parse().ok()?;
    Some(Some(number.to_string().into()))
}

fn outcome(kind: &str, what: &str, value: &str) -> Option<Outcome> {
    match (kind, what) {
        (":ok", ":read") => Some(Outcome::Read(read_value(value)?)),
        (":ok", ":write") => Some(Outcome::Written),
        (":ok", ":cas") => Some(Outcome::Swapped(true)),
        (":fail", ":cas") if value.starts_with('[') => Some(Outcome::Swapped(false)),
        (":fail", ":read" | ":write" | ":cas") => Some(Outcome::Failed),
        (":info", _) => Some(Outcome::Unknown),
        _ => None,
    }
}
