//! Texts as Go writes them: quoted for people (`strconv.Quote`), and as strings of JSON (`encoding/json`).

use std::fmt::Write as _;

/// A byte as Go's JSON errors show it: in single quotes, and as if it were a character of its own.
pub(super) fn quoted_byte(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        _ => {
            let mut out = "'".to_owned();
            push_escaped(&mut out, char::from(byte));
            out + "'"
        }
    }
}

/// Bytes in double quotes; what is no UTF-8 among them byte by byte.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut out = "\"".to_owned();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => out.push_str("\\\""),
                _ => push_escaped(&mut out, letter),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out + "\""
}

fn push_escaped(out: &mut String, letter: char) {
    // Writing to a string cannot fail.
    let _ = match letter {
        '\\' => write!(out, "\\\\"),
        '\x07' => write!(out, "\\a"),
        '\x08' => write!(out, "\\b"),
        '\x0c' => write!(out, "\\f"),
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        '\x0b' => write!(out, "\\v"),
        '\0'..' ' | '\x7f' => write!(out, "\\x{:02x}", u32::from(letter)),
        _ if is_printable(letter) => write!(out, "{letter}"),
        '\0'..='\u{ffff}' => write!(out, "\\u{:04x}", u32::from(letter)),
        _ => write!(out, "\\U{:08x}", u32::from(letter)),
    };
}

/// Whether it leaves a mark, or is the space; nearly Go's `unicode.IsPrint`.
fn is_printable(letter: char) -> bool {
    letter == ' '
        || !letter.is_whitespace() && letter.escape_debug().len() == 1
        || matches!(letter, '\'' | '"')
}

/// Appends a string of JSON. As in Go, also what HTML would take for its own is escaped.
pub(super) fn push_json_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for letter in text.chars() {
        match letter {
            '"' => out.extend(b"\\\""),
            '\\' => out.extend(b"\\\\"),
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            '\0'..' ' | '<' | '>' | '&' => {
                let code = letter as usize;
                out.extend(b"\\u00");
                out.extend([HEX[code >> 4], HEX[code & 15]]);
            }
            '\u{2028}' => out.extend(b"\\u2028"),
            '\u{2029}' => out.extend(b"\\u2029"),
            _ => out.extend(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
