//! Texts as Go writes and reads them, since etcdctl's output is made by Go's library.

use std::fmt::Write;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{AlarmMember, AlarmType};

/// Quotes bytes as Go's `%q` does: invalid UTF-8 as `\xff`, what cannot be printed as `\u200b`.
pub(crate) fn go_quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| quote_char(c, &mut out));
        for byte in chunk.invalid() {
            push(&mut out, format_args!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

fn quote_char(c: char, out: &mut String) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if is_printable(c) => out.push(c),
        c if c.is_ascii() => push(out, format_args!("\\x{:02x}", u32::from(c))),
        c if u32::from(c) < 0x1_0000 => push(out, format_args!("\\u{:04x}", u32::from(c))),
        c => push(out, format_args!("\\U{:08x}", u32::from(c))),
    }
}

/// Letters, marks, numbers, punctuation, symbols and the plain space, as near as the standard library knows them.
fn is_printable(c: char) -> bool {
    // A letter before it, because a combining mark alone at the start of a string would be escaped.
    let text: String = ['a', c].iter().collect();
    let escaped = text.escape_debug().count() > 2 && !matches!(c, '"' | '\'' | '\\');
    !escaped && (c == ' ' || !c.is_whitespace())
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments)
        .expect("writing to a string cannot fail");
}

/// Reads a quoted string at the start of `text`, double-quoted with Go's escapes or back-quoted as it stands; gives
/// its bytes and what comes after it.
pub(crate) fn go_unquote(text: &str) -> Option<(Bytes, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        let (content, rest) = raw.split_once('`')?;
        return Some((Bytes::copy_from_slice(content.as_bytes()), rest));
    }
    let mut rest = text.strip_prefix('"')?;
    let mut out = Vec::new();
    loop {
        let c = rest.chars().next()?;
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return Some((out.into(), rest)),
            '\\' => rest = unescape(rest, &mut out)?,
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Reads what stands after a backslash.
fn unescape<'a>(text: &'a str, out: &mut Vec<u8>) -> Option<&'a str> {
    let kind = *text.as_bytes().first()?;
    let simple = match kind {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'"' => kind,
        b'0'..=b'7' => {
            out.push(u8::from_str_radix(text.get(..3)?, 8).ok()?);
            return text.get(3..);
        }
        b'x' | b'u' | b'U' => {
            let end = 1 + match kind {
                b'x' => 2,
                b'u' => 4,
                _ => 8,
            };
            let value = u32::from_str_radix(text.get(1..end)?, 16).ok()?;
            if kind == b'x' {
                out.push(u8::try_from(value).ok()?);
            } else {
                let c = char::from_u32(value)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            return text.get(end..);
        }
        _ => return None,
    };
    out.push(simple);
    text.get(1..)
}

/// `\x61\x62`.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4);
    for byte in bytes {
        push(&mut out, format_args!("\\x{byte:02x}"));
    }
    out
}

/// A size in bytes with a decimal unit: `25 kB`, `1.5 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let exponent = bytes.ilog(1000) as usize;
    let value = bytes as f64 / 1000_f64.powi(i32::try_from(exponent).unwrap_or(0));
    let rounded = (value * 10.0 + 0.5).floor() / 10.0;
    let unit = UNITS[exponent];
    if rounded < 10.0 {
        format!("{rounded:.1} {unit}")
    } else {
        format!("{rounded:.0} {unit}")
    }
}

/// An alarm as Go prints it: fields that are zero are left out, and each is followed by a space.
pub(super) fn alarm(alarm: &AlarmMember) -> String {
    let mut text = String::new();
    if alarm.member_id != 0 {
        text += &format!("memberID:{} ", alarm.member_id);
    }
    if alarm.alarm() != AlarmType::None {
        text += &format!("alarm:{} ", alarm.alarm().as_str_name());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_gos() {
        assert_eq!(go_quote(b"plain text"), r#""plain text""#);
        assert_eq!(
            go_quote(b"a\nb\x01\xff\"\xc3\xa9<>&\\"),
            r#""a\nb\x01\xff\"é<>&\\""#
        );
        // From etcdctl 3.4: zero-width space, delete, combining acute, an emoji, no-break space, soft hyphen.
        assert_eq!(
            go_quote("é\u{200b}\u{7f}\u{301}😀\u{a0}\u{ad}".as_bytes()),
            "\"é\\u200b\\x7f\u{301}😀\\u00a0\\u00ad\""
        );
        assert_eq!(go_quote(b"it's"), r#""it's""#);
    }

    #[test]
    fn unquoting_reads_what_quoting_writes() {
        let all: Vec<u8> = (0..=255).collect();
        let quoted = go_quote(&all) + " rest";
        assert_eq!(go_unquote(&quoted), Some((Bytes::from(all), " rest")));
        assert_eq!(
            go_unquote(r#""\u00e9\U0001F600\101""#),
            Some(("é😀A".into(), ""))
        );
        assert_eq!(go_unquote("`a\\n` b"), Some(("a\\n".into(), " b")));
        for bad in [
            "",
            "x",
            "\"open",
            r#""\q""#,
            r#""\x4""#,
            r#""\ud800""#,
            "\"\\xé\"",
        ] {
            assert_eq!(go_unquote(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_have_decimal_units() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_000), "1.0 kB");
        assert_eq!(size(24_576), "25 kB");
        assert_eq!(size(1_540_000), "1.5 MB");
        assert_eq!(size(u64::MAX), "18 EB");
    }
}
