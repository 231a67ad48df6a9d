//! Reads a command line the way Go's `flag` package does.
//!
//! `-name` and `--name` are the same; a value follows behind `=` or as the next word, except that a
//! boolean takes one only behind `=`; the last of several wins; `--` or a word without a dash ends
//! the flags (and since `serve` takes nothing but flags, such a word is an error).

use super::error::FlagError;
use super::kind::Kind;
use super::nearest::nearest;
use super::table::{self, Flag};

/// The flags of a command line, in its order, without a look at their values.
pub(super) fn parse(words: &[String]) -> Result<Vec<(&'static Flag, String)>, FlagError> {
    let mut flags = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(body) = body(word) else {
            // After `--` there must be nothing.
            match if word == "--" {
                words.next()
            } else {
                Some(word)
            } {
                None => break,
                Some(word) => return Err(not_a_flag(word, flags.last())),
            }
        };
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let flag = lookup(name)?;
        let value = match value {
            Some(value) => value,
            None if flag.kind == Kind::Bool => "true".to_owned(),
            None => words.next().cloned().ok_or(FlagError::NoValue {
                name: flag.name,
                placeholder: flag.kind.placeholder(),
            })?,
        };
        flags.push((flag, value));
    }
    Ok(flags)
}

/// What stands behind the dash or the two, if the word is a flag.
fn body(word: &str) -> Option<&str> {
    let body = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    (!body.is_empty()).then_some(body)
}

fn lookup(name: &str) -> Result<&'static Flag, FlagError> {
    let name = if name == "h" { "help" } else { name };
    table::find(name).ok_or_else(|| FlagError::Unknown {
        name: name.to_owned(),
        nearest: nearest(name, table::all().map(|flag| flag.name)),
    })
}

fn not_a_flag(word: &str, before: Option<&(&'static Flag, String)>) -> FlagError {
    let hint = match before {
        Some((flag, _)) if flag.kind == Kind::Bool => {
            format!(
                "a boolean takes its value behind an equals sign: --{}={word}",
                flag.name
            )
        }
        _ if matches!(word, "gateway" | "grpc-proxy") => {
            "Quorate has no such mode; send clients to the members themselves".to_owned()
        }
        _ => "`serve` takes flags only, written --name=value".to_owned(),
    };
    FlagError::NotAFlag {
        word: word.to_owned(),
        hint,
    }
}
