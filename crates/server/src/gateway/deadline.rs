//! `Grpc-Timeout`, which etcd's gateway honours: at most eight digits and a unit (gRPC over HTTP/2, "Timeout").

use std::time::Duration;

use axum::http::HeaderMap;
use tonic::Status;

/// How long the caller waits, if the caller says so.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let refused = || Status::invalid_argument(format!("invalid grpc-timeout: {text}"));
    parse(&text).map(Some).ok_or_else(refused)
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

pub(super) fn exceeded() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}
