//! The little language of `txn`: one compare or one operation a line.

use bytes::Bytes;
use clap::{Parser, Subcommand};
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::{Compare, RequestOp, request_op};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::del::DelArgs;
use super::failure::Failure;
use super::get::GetArgs;
use super::keys::parse_int;
use super::output::{go_quote, go_unquote};
use super::put::PutArgs;

#[derive(Parser, Debug)]
#[command(multicall = true)]
struct OperationLine {
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Subcommand, Debug)]
enum Operation {
    Get(GetArgs),
    Put(PutArgs),
    Del(DelArgs),
}

/// Reads `TARGET("key") OP "value"`.
pub(super) fn parse_compare(line: &str) -> Result<Compare, Failure> {
    let malformed =
        |more: &str| Failure::invalid_input(format!("malformed comparison: {line}{more}"));
    let (target, rest) = line.split_once('(').ok_or_else(|| malformed(""))?;
    let parts = CompareParts::read(rest);
    let CompareParts {
        key: Some(key),
        operator: Some(operator),
        value: Some(value),
    } = parts
    else {
        return Err(malformed(&format!("; got {target}{parts}")));
    };
    let number = |radix| {
        std::str::from_utf8(&value)
            .map_err(|error| error.to_string())
            .and_then(|text| parse_int(text, radix))
            .map_err(|_| Failure::invalid_input(format!("invalid txn compare request: {line}")))
    };
    let (target, union) = match target {
        "ver" | "version" => (CompareTarget::Version, TargetUnion::Version(number(10)?)),
        "c" | "create" => (
            CompareTarget::Create,
            TargetUnion::CreateRevision(number(10)?),
        ),
        "m" | "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number(10)?)),
        "val" | "value" => (CompareTarget::Value, TargetUnion::Value(value)),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number(16)?)),
        _ => return Err(malformed(&format!(" (unknown target {target})"))),
    };
    let result = match operator {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        "<" => CompareResult::Less,
        ">" => CompareResult::Greater,
        _ => return Err(malformed(&format!(" (unknown operator {operator})"))),
    };
    Ok(Compare {
        result: result.into(),
        target: target.into(),
        key,
        target_union: Some(union),
        range_end: Bytes::new(),
    })
}

/// As much of `"key") OP "value"` as could be read.
struct CompareParts<'a> {
    key: Option<Bytes>,
    operator: Option<&'a str>,
    value: Option<Bytes>,
}

impl<'a> CompareParts<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = Self {
            key: None,
            operator: None,
            value: None,
        };
        let Some((key, rest)) = go_unquote(text) else {
            return parts;
        };
        parts.key = Some(key);
        // A space on either side of the operator is needed, as etcdctl needs it.
        let Some(rest) = rest
            .strip_prefix(')')
            .filter(|rest| rest.starts_with([' ', '\t']))
        else {
            return parts;
        };
        let rest = rest.trim_start();
        let (operator, rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        parts.operator = Some(operator);
        parts.value = go_unquote(rest.trim_start()).map(|(value, _)| value);
        parts
    }
}

impl std::fmt::Display for CompareParts<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quoted = |part: &Option<Bytes>| go_quote(part.as_deref().unwrap_or_default());
        let operator = self.operator.unwrap_or_default();
        write!(
            formatter,
            "({}) {operator} {}",
            quoted(&self.key),
            quoted(&self.value)
        )
    }
}

/// Reads `get …`, `put …` or `del …`.
pub(super) fn parse_operation(line: &str) -> Result<RequestOp, Failure> {
    let words = split_words(line)
        .ok_or_else(|| Failure::invalid_input(format!("invalid txn request: {line}")))?;
    if words.len() < 2 {
        return Err(Failure::invalid_input(format!(
            "invalid txn compare request: {line}"
        )));
    }
    let parsed = OperationLine::try_parse_from(words)
        .map_err(|_| Failure::invalid_input(format!("invalid txn request: {line}")))?;
    let request = match parsed.operation {
        Operation::Get(args) => request_op::Request::RequestRange(args.request()?),
        // Standard input is the script; a value must be on its line.
        Operation::Put(args) => {
            request_op::Request::RequestPut(args.request(&mut std::io::empty())?)
        }
        Operation::Del(args) => request_op::Request::RequestDeleteRange(args.request()?),
    };
    Ok(RequestOp {
        request: Some(request),
    })
}

/// Words between blanks; `"…"` with Go's escapes and `'…'` as it stands are one word each.
fn split_words(line: &str) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, tail) = if rest.starts_with('"') {
            let (word, tail) = go_unquote(rest)?;
            (word.to_vec(), tail)
        } else if let Some(quoted) = rest.strip_prefix('\'') {
            let (word, tail) = quoted.split_once('\'')?;
            (word.as_bytes().to_vec(), tail)
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            (word.as_bytes().to_vec(), tail)
        };
        words.push(OsString::from_vec(word));
        rest = tail.trim_start();
    }
    Some(words)
}

#[cfg(test)]
#[path = "txn_script_tests.rs"]
mod tests;
