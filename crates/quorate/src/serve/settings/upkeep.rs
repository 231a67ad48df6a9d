//! How large the store may grow, how much history it keeps, and how often members are compared. The rules are etcd's
//! (`embed/config.go`).

use std::time::Duration;

use quorate_server::AutoCompaction;

use super::Reader;
use crate::flags::{FlagError, parse_nanoseconds};

const RETENTION: &str = "auto-compaction-retention";
const COMPARED_EVERY: &str = "experimental-corrupt-check-time";

pub(super) fn quota_backend_bytes(reader: &Reader<'_>) -> Result<i64, FlagError> {
    const FLAG: &str = "quota-backend-bytes";
    let bad = |_| reader.bad(FLAG, "it must be a whole number, in digits");
    reader.text(FLAG).parse().map_err(bad)
}

/// Nothing given is our own rule; zero in whatever form is none at all.
pub(super) fn auto_compaction(reader: &Reader<'_>) -> Result<AutoCompaction, FlagError> {
    if !reader.is_given(RETENTION) {
        return Ok(AutoCompaction::when_full());
    }
    let text = reader.text(RETENTION);
    let number: Option<u32> = text.parse().ok();
    if reader.text("auto-compaction-mode") == "revision" {
        return match text.parse::<i64>() {
            Ok(0) => Ok(AutoCompaction::Off),
            Ok(retention) if retention > 0 => Ok(AutoCompaction::revisions(retention)),
            _ => Err(reader.bad(
                RETENTION,
                "with --auto-compaction-mode=revision it must be a number of revisions",
            )),
        };
    }
    let retention = match (number, parse_nanoseconds(&text)) {
        (Some(hours), _) => Some(Duration::from_secs(3_600 * u64::from(hours))),
        (None, Some(nanoseconds)) => u64::try_from(nanoseconds).ok().map(Duration::from_nanos),
        (None, None) => None,
    };
    match retention {
        Some(Duration::ZERO) => Ok(AutoCompaction::Off),
        Some(retention) => Ok(AutoCompaction::Periodic { retention }),
        None => Err(reader.bad(RETENTION, "it must be hours, or a duration such as 30m")),
    }
}

pub(super) fn corrupt_check_interval(reader: &Reader<'_>) -> Result<Option<Duration>, FlagError> {
    let nanoseconds = parse_nanoseconds(&reader.text(COMPARED_EVERY)).unwrap_or(0);
    match u64::try_from(nanoseconds) {
        Ok(0) => Ok(None),
        Ok(nanoseconds) => Ok(Some(Duration::from_nanos(nanoseconds))),
        Err(_) => Err(reader.bad(COMPARED_EVERY, "it must not be negative")),
    }
}
