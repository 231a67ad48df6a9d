//! Base64 as clients write it (RFC 4648): both alphabets, with or without padding, line breaks ignored.
//!
//! etcd 3.5 takes the first alphabet with its padding alone, 3.6 all of them. What neither takes is refused with the
//! place that Go's decoder names.

/// Decodes; the error is the place of the first byte that does not belong there.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        at += 1;
        let Some(six) = value(byte) else {
            match byte {
                b'\n' | b'\r' => continue,
                b'=' => {
                    check_padding(text, at, count)?;
                    break;
                }
                _ => return Err(at - 1),
            }
        };
        bits = bits << 6 | u32::from(six);
        count += 1;
        if count == 4 {
            out.extend(&bits.to_be_bytes()[1..]);
            (bits, count) = (0, 0);
        }
    }
    match count {
        1 => return Err(text.len() - 1),
        2 => out.push((bits >> 4) as u8),
        3 => out.extend([(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
    Ok(out)
}

/// That behind the first `=`, which stands before `at` and behind `count` letters, is what belongs there.
fn check_padding(text: &[u8], at: usize, count: usize) -> Result<(), usize> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let skip = |at: usize| at + text[at..].iter().take_while(|byte| is_break(byte)).count();
    let mut end = at;
    match count {
        0 | 1 => return Err(at - 1),
        2 => {
            end = skip(end);
            match text.get(end) {
                None => return Err(text.len()),
                Some(b'=') => end += 1,
                Some(_) => return Err(end - 1),
            }
        }
        _ => {}
    }
    end = skip(end);
    if end < text.len() { Err(end) } else { Ok(()) }
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}
