//! Lines of Clojure maps: put, get and append on keys that hold the empty text at first.

use std::collections::BTreeMap;

use super::{bad_line, numbered};
use crate::blob::Blob;
use crate::error::HistoryError;
use crate::history::{ClientId, History, OpId, Outcome, RegisterCall};

pub(super) fn read(text: &str) -> Result<History, HistoryError> {
    let mut history = History::new().with_initial_value(Some(Blob::default()));
    let mut open: BTreeMap<ClientId, OpId> = BTreeMap::new();
    for (number, line) in numbered(text) {
        let bad = |what: &str| bad_line(number, format!("{what}: {line:?}"));
        let fields = fields(line).ok_or_else(|| bad("not a map of words, numbers and texts"))?;
        let field = |name: &str| {
            let value = fields.get(name).map(String::as_str);
            value.ok_or_else(|| bad(&format!("no {name}")))
        };
        let client = field(":process")?
            .parse()
            .map_err(|_| bad("no process number"))?;
        let (kind, what, value) = (field(":type")?, field(":f")?, field(":value")?);
        if kind == ":invoke" {
            let call = match what {
                ":get" => RegisterCall::Read,
                ":put" => RegisterCall::Write(Some(value.into())),
                ":append" => RegisterCall::Append(value.into()),
                _ => return Err(bad("no known operation")),
            };
            let op = history.invoke(client, field(":key")?, call, number as u64);
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
            let outcome = match (kind, what) {
                (":ok", ":get") => Outcome::Read(Some(value.into())),
                (":ok", ":put" | ":append") => Outcome::Written,
                (":fail", _) => Outcome::Failed,
                (":info", _) => Outcome::Unknown,
                _ => return Err(bad("no known outcome")),
            };
            history
                .complete(op, outcome, number as u64)
                .map_err(|error| bad_line(number, error.to_string()))?;
        }
    }
    Ok(history)
}

/// The fields of a flat map: keywords to keywords, numbers, `nil` (all as they stand) or texts (unquoted).
fn fields(line: &str) -> Option<BTreeMap<&str, String>> {
    let mut rest = line.strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut fields = BTreeMap::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once(char::is_whitespace)?;
        let after = after.trim_start();
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            unquoted(quoted)?
        } else {
            let end = after.find([',', ' ']).unwrap_or(after.len());
            (after[..end].to_owned(), &after[end..])
        };
        fields.insert(name, value);
        rest = after.trim_start_matches([',', ' ']);
    }
    Some(fields)
}

/// The text until the closing quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            _ => value.push(letter),
        }
    }
    None
}
