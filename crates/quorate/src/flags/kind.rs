//! What the value of a flag may look like, and the check that it does.
//!
//! The check comes before a value is used, accepted or refused, so that `--snapshot-count=many` is
//! an error here as it is in etcd, although the flag has no effect. The forms are those of Go's
//! `flag` and `time` packages.

/// The form of a flag's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A path of a file or directory.
    Path,
    /// URLs, separated by commas.
    Urls,
    /// Texts, separated by commas.
    List,
    /// `true` or `false`, in any of Go's spellings.
    Bool,
    /// A whole number from 0.
    Unsigned,
    /// A whole number.
    Signed,
    /// A time such as `1h30m`, `100ms` or `0`; in a YAML file also whole nanoseconds.
    Duration,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// A word for the value in help and documents.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Kind::Text => "TEXT",
            Kind::Path => "PATH",
            Kind::Urls => "URL,…",
            Kind::List => "TEXT,…",
            Kind::Bool => "true|false",
            Kind::Unsigned | Kind::Signed => "NUMBER",
            Kind::Duration => "DURATION",
            Kind::Choice(_) => "WORD",
        }
    }

    /// Says what is wrong with a value, if something is. The URLs are looked at more closely where
    /// they are used.
    pub(crate) fn check(self, value: &str) -> Result<(), String> {
        match self {
            Kind::Text | Kind::Path | Kind::Urls | Kind::List => Ok(()),
            Kind::Bool => parse_bool(value)
                .map(drop)
                .ok_or_else(|| "it must be true or false".into()),
            Kind::Unsigned => value
                .parse::<u64>()
                .map(drop)
                .map_err(|_| "it must be a whole number from 0, in digits".into()),
            Kind::Signed => value
                .parse::<i64>()
                .map(drop)
                .map_err(|_| "it must be a whole number, in digits".into()),
            Kind::Duration => parse_nanoseconds(value)
                .map(drop)
                .ok_or_else(|| "it must be a time such as 100ms, 5s or 1h30m".into()),
            Kind::Choice(words) if words.contains(&value) => Ok(()),
            Kind::Choice(words) => Err(format!("it must be one of {}", words.join(", "))),
        }
    }

    /// Whether two values that passed [`Kind::check`] say the same (`T` and `true`, `60s` and `1m`).
    pub(crate) fn same(self, one: &str, other: &str) -> bool {
        match self {
            Kind::Bool => parse_bool(one) == parse_bool(other),
            Kind::Duration => parse_nanoseconds(one) == parse_nanoseconds(other),
            Kind::Unsigned => one.parse::<u64>().ok() == other.parse::<u64>().ok(),
            Kind::Signed => one.parse::<i64>().ok() == other.parse::<i64>().ok(),
            Kind::Text | Kind::Path | Kind::Urls | Kind::List | Kind::Choice(_) => one == other,
        }
    }
}

/// A boolean in one of the spellings of Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A duration in the form of Go's `time.ParseDuration`, in nanoseconds: numbers with units one after
/// the other, or `0`.
pub(crate) fn parse_nanoseconds(value: &str) -> Option<i128> {
    let (negative, mut rest) = match value.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_ends);
        sum = sum.checked_add(scaled(number, unit)?)?;
        rest = next;
    }
    Some(if negative { -sum } else { sum })
}

/// A decimal number times its unit, in nanoseconds; what is finer than that is dropped, as in Go.
fn scaled(number: &str, unit: &str) -> Option<i128> {
    let nanoseconds: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // 18 digits keep every product far below 2^127; a longer number is no time anyone means.
    if whole.len() > 18 || fraction.len() > 18 || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let digits = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse::<i128>().ok()
        }
    };
    let power = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(digits(whole)? * nanoseconds + digits(fraction)? * nanoseconds / power)
}
