//! Walks over JSON that is known to be well formed ([`super::scanner`]).
//!
//! An array or object is stepped over without a look at what is in it: where each ends is found beforehand, once for
//! the whole text. So however deep values are nested, each byte is looked at a few times.

use std::ops::Deref;

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

/// Where the arrays and objects of a text begin and end, in the order of their beginnings.
pub(super) struct Ends(Vec<(usize, usize)>);

impl Ends {
    pub(super) fn of(text: &[u8]) -> Ends {
        let mut ends = Vec::new();
        let mut open = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' => {
                    at = after_string(text, at);
                    continue;
                }
                b'{' | b'[' => {
                    open.push(ends.len());
                    ends.push((at, at));
                }
                b'}' | b']' => {
                    let place: usize = open.pop().expect("the scanner has seen its beginning");
                    ends[place].1 = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        Ends(ends)
    }

    fn of_value_at(&self, start: usize) -> usize {
        let place = self.0.binary_search_by_key(&start, |(start, _)| *start);
        self.0[place.expect("an array or object begins there")].1
    }
}

/// A value where it stands in its text.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    text: &'a [u8],
    ends: &'a Ends,
    start: usize,
    end: usize,
}

impl<'a> Value<'a> {
    /// All of `text`, whose `ends` are given.
    pub(super) fn whole(text: &'a [u8], ends: &'a Ends) -> Value<'a> {
        Value {
            text,
            ends,
            start: 0,
            end: text.len(),
        }
    }
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.text[self.start..self.end]
    }
}

/// The members of an object, or the elements of an array, as they are written.
pub(super) struct Items<'a> {
    within: Value<'a>,
    at: usize,
    has_keys: bool,
}

impl<'a> Items<'a> {
    /// Of an object: key and value; keys with their quotes.
    pub(super) fn of_object(value: Value<'a>) -> Items<'a> {
        Items {
            within: value,
            at: value.start + 1,
            has_keys: true,
        }
    }

    /// Of an array; its elements have no keys.
    pub(super) fn of_array(value: Value<'a>) -> Items<'a> {
        Items {
            has_keys: false,
            ..Items::of_object(value)
        }
    }

    /// Goes on to what is no space, and tells what it is.
    fn skip_space(&mut self) -> u8 {
        let text = self.within.text;
        while text[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
        text[self.at]
    }

    fn take_value(&mut self) -> Value<'a> {
        let first = self.skip_space();
        let (text, start) = (self.within.text, self.at);
        self.at = match first {
            b'"' => after_string(text, start),
            b'{' | b'[' => self.within.ends.of_value_at(start),
            _ => after_word(text, start),
        };
        Value {
            start,
            end: self.at,
            ..self.within
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = (Option<Value<'a>>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self.skip_space() {
            b',' => self.at += 1,
            b'}' | b']' => return None,
            _ => {}
        }
        let key = self.has_keys.then(|| {
            let key = self.take_value();
            self.skip_space();
            self.at += 1; // The colon.
            key
        });
        Some((key, self.take_value()))
    }
}

/// Where the number, or the word, that begins at `at` is over.
fn after_word(text: &[u8], at: usize) -> usize {
    let is_over =
        |byte: &u8| matches!(byte, b',' | b'}' | b']' | b':') || byte.is_ascii_whitespace();
    let length = text[at..].iter().position(is_over);
    length.map_or(text.len(), |length| at + length)
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
