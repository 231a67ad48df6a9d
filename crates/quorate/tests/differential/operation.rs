//! What is done to both servers: one line of text each.

use std::fmt;

use prost_reflect::DynamicMessage;

use crate::calls::{self, Method};
use crate::messages;

/// One operation.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// One question, one answer: `put key: "a" value: "b"`.
    Call(&'static Method, DynamicMessage),
    /// Grants a lease that may be short, or whose id the server chooses, and revokes it at once: `grant_briefly TTL: 1`.
    GrantBriefly(DynamicMessage),
    /// Renews a lease: `keep_alive ID: 7`.
    KeepAlive(DynamicMessage),
    /// A put of so many bytes, which would be a long line: `large_put 1600000`.
    LargePut(usize),
    /// Opens a watch on one of some streams: `watch 1 key: "a"`.
    Watch(usize, DynamicMessage),
    /// Cancels a watch: `cancel 1 0`.
    Cancel(usize, i64),
    /// Asks a stream how far it has told: `progress 1`.
    Progress(usize),
    /// Ends a stream, and so its watches: `close 1`.
    Close(usize),
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match self {
            Operation::Call(method, message) => {
                format!("{} {}", method.word, messages::text(message))
            }
            Operation::GrantBriefly(message) => {
                format!("grant_briefly {}", messages::text(message))
            }
            Operation::KeepAlive(message) => format!("keep_alive {}", messages::text(message)),
            Operation::LargePut(bytes) => format!("large_put {bytes}"),
            Operation::Watch(stream, message) => {
                format!("watch {stream} {}", messages::text(message))
            }
            Operation::Cancel(stream, watch_id) => format!("cancel {stream} {watch_id}"),
            Operation::Progress(stream) => format!("progress {stream}"),
            Operation::Close(stream) => format!("close {stream}"),
        };
        formatter.write_str(line.trim_end())
    }
}

impl Operation {
    fn parse(line: &str) -> Result<Operation, String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = |text: &str| -> Result<usize, String> {
            text.parse().map_err(|_| format!("no number: {line}"))
        };
        Ok(match word {
            "grant_briefly" => Operation::GrantBriefly(messages::parse("LeaseGrantRequest", rest)?),
            "keep_alive" => Operation::KeepAlive(messages::parse("LeaseKeepAliveRequest", rest)?),
            "large_put" => Operation::LargePut(number(rest)?),
            "watch" => {
                let (stream, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let request = messages::parse("WatchCreateRequest", rest)?;
                Operation::Watch(stream_number(number(stream)?)?, request)
            }
            "cancel" => {
                let (stream, id) = rest.split_once(' ').unwrap_or((rest, ""));
                let id = id.parse().map_err(|_| format!("no watch: {line}"))?;
                Operation::Cancel(stream_number(number(stream)?)?, id)
            }
            "progress" => Operation::Progress(stream_number(number(rest)?)?),
            "close" => Operation::Close(stream_number(number(rest)?)?),
            _ => {
                let method = calls::METHODS.iter().find(|method| method.word == word);
                let method = method.ok_or_else(|| format!("no operation: {line}"))?;
                Operation::Call(method, messages::parse(method.request, rest)?)
            }
        })
    }
}

/// How many streams of watches there are.
pub(crate) const STREAMS: usize = 3;

fn stream_number(number: usize) -> Result<usize, String> {
    match number < STREAMS {
        true => Ok(number),
        false => Err(format!("streams are 0 to {}, not {number}", STREAMS - 1)),
    }
}

/// A sequence as text; lines that begin with `#` are for the reader.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Operation>, String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Operation::parse)
        .collect()
}

/// What [`parse_all`] reads.
pub(crate) fn print_all(operations: &[Operation]) -> String {
    operations
        .iter()
        .map(|operation| format!("{operation}\n"))
        .collect()
}
