//! From arguments to the key and range of a request.

use std::ffi::OsString;
use std::num::{IntErrorKind, ParseIntError};

use bytes::Bytes;
use quorate_client::prefix_end;

use super::failure::Failure;
use super::output::go_quote;

/// "The first of all keys", and as a range end "to the last of all keys".
const ZERO: Bytes = Bytes::from_static(&[0]);

/// The bytes of an argument, whatever its encoding.
pub(super) fn bytes(argument: &OsString) -> Bytes {
    Bytes::copy_from_slice(argument.as_encoded_bytes())
}

/// A key, and the end of its range (empty: the key alone).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyRange {
    pub(super) key: Bytes,
    pub(super) range_end: Bytes,
}

/// Reads `<key> [range_end]` under `--prefix` and `--from-key`; `command` is for the message.
pub(super) fn key_range(
    command: &str,
    arguments: &[OsString],
    prefix: bool,
    from_key: bool,
) -> Result<KeyRange, Failure> {
    let (key, end) = match arguments {
        [key] => (bytes(key), None),
        [key, end] => (bytes(key), Some(bytes(end))),
        _ => {
            return Err(Failure::bad_arguments(format!(
                "{command} command needs one argument as key and an optional argument as range_end"
            )));
        }
    };
    if prefix && from_key {
        return Err(Failure::bad_arguments(
            "`--prefix` and `--from-key` cannot be set at the same time, choose one",
        ));
    }
    if end.is_some() && (prefix || from_key) {
        return Err(Failure::bad_arguments(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        ));
    }
    Ok(match (key.is_empty(), end) {
        (_, Some(range_end)) => KeyRange { key, range_end },
        // Every key begins with the empty prefix and is at or after the empty key, which itself is not allowed.
        (true, None) if prefix || from_key => KeyRange {
            key: ZERO,
            range_end: ZERO,
        },
        (false, None) if prefix => KeyRange {
            range_end: prefix_end(&key),
            key,
        },
        (false, None) if from_key => KeyRange {
            key,
            range_end: ZERO,
        },
        (_, None) => KeyRange {
            key,
            range_end: Bytes::new(),
        },
    })
}

/// Reads a lease id, which is written in hexadecimal.
pub(super) fn lease(text: &str) -> Result<i64, Failure> {
    parse_int(text, 16).map_err(|reason| {
        Failure::bad_arguments(format!("bad lease ID ({reason}), expecting ID in Hex"))
    })
}

/// Reads an integer; the error is worded as Go's `strconv` does, which etcdctl passes on.
pub(super) fn parse_int(text: &str, radix: u32) -> Result<i64, String> {
    i64::from_str_radix(text, radix).map_err(|error| gos_words("ParseInt", text, &error))
}

/// Reads a member's id, which is written in hexadecimal; the error is worded as in [`parse_int`].
pub(super) fn parse_id(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|error| gos_words("ParseUint", text, &error))
}

fn gos_words(function: &str, text: &str, error: &ParseIntError) -> String {
    let reason = match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    let text = go_quote(text.as_bytes());
    format!("strconv.{function}: parsing {text}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(arguments: &[&str], prefix: bool, from_key: bool) -> Result<KeyRange, Failure> {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        key_range("get", &arguments, prefix, from_key)
    }

    fn expected(key: &'static str, range_end: &'static str) -> Result<KeyRange, Failure> {
        Ok(KeyRange {
            key: key.into(),
            range_end: range_end.into(),
        })
    }

    #[test]
    fn ranges_are_etcdctls() {
        assert_eq!(range(&["a"], false, false), expected("a", ""));
        assert_eq!(range(&["a", "c"], false, false), expected("a", "c"));
        assert_eq!(range(&["a"], true, false), expected("a", "b"));
        assert_eq!(range(&["a"], false, true), expected("a", "\0"));
        assert_eq!(range(&[""], true, false), expected("\0", "\0"));
        assert_eq!(range(&[""], false, true), expected("\0", "\0"));
        assert_eq!(range(&[""], false, false), expected("", ""));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert!(range(&[], false, false).is_err());
        assert!(range(&["a", "b", "c"], false, false).is_err());
        assert!(range(&["a"], true, true).is_err());
        assert!(range(&["a", "b"], true, false).is_err());
    }

    #[test]
    fn a_lease_is_hexadecimal() {
        assert_eq!(lease("12c8a2076166cc67"), Ok(0x12c8_a207_6166_cc67));
        assert_eq!(
            lease("zz").unwrap_err().to_string(),
            r#"bad lease ID (strconv.ParseInt: parsing "zz": invalid syntax), expecting ID in Hex"#
        );
        assert!(
            lease("ffffffffffffffffff")
                .unwrap_err()
                .to_string()
                .contains("out of range")
        );
    }
}
