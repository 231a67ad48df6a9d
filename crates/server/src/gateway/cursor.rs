//! Walks over JSON that is known to be well formed ([`super::scanner`]).

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Object,
    Array,
    Text,
    Bool,
    Null,
    Number,
}

impl Form {
    pub(super) fn of(value: &[u8]) -> Form {
        match value.first() {
            Some(b'{') => Form::Object,
            Some(b'[') => Form::Array,
            Some(b'"') => Form::Text,
            Some(b't' | b'f') => Form::Bool,
            Some(b'n') => Form::Null,
            _ => Form::Number,
        }
    }

    /// Its name in Go's errors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Form::Object => "object",
            Form::Array => "array",
            Form::Text => "string",
            Form::Bool => "bool",
            Form::Null => "null",
            Form::Number => "number",
        }
    }
}

/// The members of an object, or the elements of an array, as they are written.
pub(super) struct Items<'a> {
    rest: &'a [u8],
    has_keys: bool,
}

impl<'a> Items<'a> {
    /// Of an object: key and value; keys with their quotes.
    pub(super) fn of_object(value: &'a [u8]) -> Items<'a> {
        Items {
            rest: &value[1..],
            has_keys: true,
        }
    }

    /// Of an array; keys are empty.
    pub(super) fn of_array(value: &'a [u8]) -> Items<'a> {
        Items {
            rest: &value[1..],
            has_keys: false,
        }
    }

    fn take_value(&mut self) -> &'a [u8] {
        self.rest = trimmed_start(self.rest);
        let (value, rest) = self.rest.split_at(length(self.rest));
        self.rest = trimmed_start(rest);
        value
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.rest = trimmed_start(self.rest);
        if self.rest[0] == b',' {
            self.rest = &self.rest[1..];
        } else if matches!(self.rest[0], b'}' | b']') {
            return None;
        }
        let mut key: &[u8] = &[];
        if self.has_keys {
            key = self.take_value();
            self.rest = &self.rest[1..]; // The colon.
        }
        Some((key, self.take_value()))
    }
}

pub(super) fn trimmed_start(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// The length of the value that `text` begins with.
fn length(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match text[at] {
            b'"' => at = after_string(text, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            _ if depth == 0 => {
                let is_over = |byte: &u8| {
                    matches!(byte, b',' | b'}' | b']' | b':') || byte.is_ascii_whitespace()
                };
                let end = text[at..].iter().position(is_over);
                return end.map_or(text.len(), |end| at + end);
            }
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
}

/// Where the string that begins at `at` is over.
fn after_string(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// What a string says. As in Go, halves of surrogate pairs and what is no UTF-8 become U+FFFD.
pub(super) fn text(value: &[u8]) -> String {
    let inner = &value[1..value.len() - 1];
    if !inner.contains(&b'\\') {
        return String::from_utf8_lossy(inner).into_owned();
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let escape = rest[0];
        rest = &rest[1..];
        let letter = match escape {
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => unit(&mut rest),
            other => char::from(other),
        };
        out.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The character behind `\u`, of one or two units of UTF-16.
fn unit(rest: &mut &[u8]) -> char {
    let first = hex(&rest[..4]);
    *rest = &rest[4..];
    if (0xd800..0xdc00).contains(&first) && rest.starts_with(b"\\u") {
        let second = hex(&rest[2..6]);
        if (0xdc00..0xe000).contains(&second) {
            *rest = &rest[6..];
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
    }
    char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn hex(digits: &[u8]) -> u32 {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default();
    digits.iter().fold(0, |sum, byte| sum << 4 | digit(byte))
}
