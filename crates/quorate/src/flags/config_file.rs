//! Reads etcd's YAML configuration file.
//!
//! The keys are the flags' names, but for TLS and socket options, which have sections. As in etcd:
//! a key without a value is unset; a key that is no flag, or a flag that etcd does not read from a
//! file, is ignored. Unlike etcd we say so in the log, and such a key that asks for something we
//! refuse is refused here too: a certificate under the wrong key must not end in a store served in
//! the clear.

use serde_yaml_ng::Value;

use super::error::FlagError;
use super::kind::Kind;
use super::nearest::nearest;
use super::table::{self, Disposition, FileKey, Flag};

/// What a configuration file says.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Flag and value, in the file's order.
    pub(super) values: Vec<(&'static Flag, String)>,
    /// One line for each key that is not used.
    pub(super) notes: Vec<String>,
}

/// Reads the text of the file at `path`; the path is for error messages only.
pub(super) fn read(path: &str, text: &str) -> Result<Read, FlagError> {
    let error = |why: String| FlagError::File {
        path: path.to_owned(),
        why,
    };
    let document: Value = serde_yaml_ng::from_str(text).map_err(|e| error(e.to_string()))?;
    let mut read = Read::default();
    for (key, value) in entries(&document).map_err(error)? {
        if is_section(&key) {
            let within = entries(&value).map_err(|why| error(format!("{key}: {why}")))?;
            for (inner, value) in within {
                read.take(path, Some(&key), &inner, &value)?;
            }
        } else {
            read.take(path, None, &key, &value)?;
        }
    }
    Ok(read)
}

impl Read {
    fn take(
        &mut self,
        path: &str,
        section: Option<&str>,
        key: &str,
        value: &Value,
    ) -> Result<(), FlagError> {
        let full_key = section.map_or_else(|| key.to_owned(), |section| format!("{section}.{key}"));
        let text = scalar(value).ok_or_else(|| FlagError::File {
            path: path.to_owned(),
            why: format!(
                "{full_key}: the value must be a text, a number, a boolean or a list of them"
            ),
        })?;
        if text.is_empty() {
            return Ok(());
        }
        if let Some(flag) = table::all().find(|flag| stands_at(flag, section, key)) {
            let text = if flag.kind == Kind::Bool {
                plain_bool(&text)
            } else {
                text
            };
            let text = if flag.kind == Kind::Duration {
                with_unit(text)
            } else {
                text
            };
            self.values.push((flag, text));
            return Ok(());
        }
        match table::find(key) {
            Some(flag) if matches!(flag.disposition, Disposition::Refused { .. }) => {
                self.values.push((flag, text));
            }
            _ => self.notes.push(ignored(path, &full_key)),
        }
        Ok(())
    }
}

fn ignored(path: &str, key: &str) -> String {
    if table::find(key).is_some() {
        return format!("{path}: {key} is ignored, since etcd reads it from the command line only");
    }
    let names = table::all()
        .filter(|flag| flag.file_key == FileKey::Name)
        .map(|flag| flag.name);
    let hint = nearest(key, names)
        .map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default();
    format!("{path}: the unknown key {key} is ignored{hint}")
}

fn is_section(key: &str) -> bool {
    table::all().any(|flag| matches!(flag.file_key, FileKey::In(section, _) if section == key))
}

fn stands_at(flag: &Flag, section: Option<&str>, key: &str) -> bool {
    match flag.file_key {
        FileKey::Name => section.is_none() && flag.name == key,
        FileKey::Other(other) => section.is_none() && other == key,
        FileKey::In(its_section, its_key) => section == Some(its_section) && its_key == key,
        FileKey::Nowhere => false,
    }
}

/// The entries of a mapping; nothing at all is an empty one.
fn entries(value: &Value) -> Result<Vec<(String, Value)>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Mapping(mapping) => mapping
            .iter()
            .map(|(key, value)| match key {
                Value::String(key) => Ok((key.clone(), value.clone())),
                other => Err(format!("the key {other:?} is not a text")),
            })
            .collect(),
        _ => Err("expected lines of the form `key: value`".to_owned()),
    }
}

/// A value as the text that a flag would have; a list with commas between.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Sequence(values) => {
            let texts: Option<Vec<String>> = values.iter().map(scalar).collect();
            Some(texts?.join(","))
        }
        Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

/// etcd's YAML is of version 1.1, in which these words are booleans too.
fn plain_bool(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "y" => "true".to_owned(),
        "off" | "no" | "n" => "false".to_owned(),
        _ => text.to_owned(),
    }
}

/// A bare number in a file is a time in nanoseconds.
fn with_unit(text: String) -> String {
    if text.parse::<i64>().is_ok() {
        format!("{text}ns")
    } else {
        text
    }
}
