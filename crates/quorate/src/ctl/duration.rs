//! Durations as Go writes them: `5s`, `1m30s`, `1.5h`, `250ms`.

use std::time::Duration;

const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration; every number needs its unit, as for Go's flags. A bare `0` is allowed.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration; write 5s, 500ms or 1m30s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let number_end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|&end| end > 0);
        let (number, tail) = rest.split_at(number_end.ok_or_else(bad)?);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(bad)?
            .1;
        nanoseconds += number.parse::<f64>().map_err(|_| bad())? * scale as f64;
        rest = tail;
    }
    if text.is_empty() || nanoseconds > i64::MAX as f64 {
        return Err(bad());
    }
    Ok(Duration::from_nanos(nanoseconds as u64))
}

/// Writes a duration: the largest unit that gives a whole number first, no trailing zeros.
pub(super) fn format(duration: Duration) -> String {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(nanoseconds, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(nanoseconds, 1_000_000)),
        _ => {
            let minutes = nanoseconds / 60_000_000_000;
            let seconds = fraction(nanoseconds % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

fn fraction(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let text = format!("{whole}.{rest:0digits$}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(parse("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        for bad in ["", "5", "s", "5 s", "-1s", "5x", "1..2s", "9999999999999h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let written = |nanoseconds| format(Duration::from_nanos(nanoseconds));
        assert_eq!(written(0), "0s");
        assert_eq!(written(999), "999ns");
        assert_eq!(written(1_500), "1.5µs");
        assert_eq!(written(1_942_860), "1.94286ms");
        assert_eq!(written(1_001_174_383), "1.001174383s");
        assert_eq!(written(60_000_000_000), "1m0s");
        assert_eq!(written(3_723_000_000_000), "1h2m3s");
    }
}
