//! Finds where a JSON value ends, byte by byte, and refuses what is no JSON in the words of Go's `encoding/json`.
//!
//! etcd's gateway is written in Go, and what it says about a body that it cannot read reaches people's logs; so the
//! words are the same here. It takes bytes as they come, because a stream of messages comes in pieces: every byte is
//! looked at once, whatever the pieces.
//!
//! The grammar is RFC 8259's. As in Go, what stands behind the first value is not looked at, and values may be nested
//! ten thousand deep.

use super::go_text::quoted_byte;

/// How deep arrays and objects may be nested (Go: `maxNestingDepth`).
const MAX_DEPTH: usize = 10_000;

/// What a byte means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Space before the value.
    Before,
    /// A byte of the value.
    Within,
    /// The last byte of the value.
    Last,
    /// The value has ended before this byte.
    After,
}

/// What an open array or object waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Key,
    Value,
    Element,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    /// After `[`.
    ValueOrEnd,
    Key,
    /// After `{`.
    KeyOrEnd,
    AfterValue,
    InString,
    Escaped,
    /// So many hexadecimal digits are still to come.
    Hex(u8),
    /// After `-`.
    Minus,
    /// After a leading 0.
    Zero,
    Digits,
    Point,
    Decimals,
    Exponent,
    ExponentSign,
    ExponentDigits,
    /// So many bytes of the word have come.
    Word(&'static str, usize),
}

/// Reads one value.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    open: Vec<Open>,
    has_begun: bool,
}

impl Scanner {
    pub(super) fn new() -> Scanner {
        Scanner {
            state: State::Value,
            open: Vec::new(),
            has_begun: false,
        }
    }

    /// Takes the next byte. Not to be called again after [`Step::Last`], [`Step::After`] or an error.
    pub(super) fn push(&mut self, byte: u8) -> Result<Step, String> {
        let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.state {
            State::Value | State::ValueOrEnd | State::Key | State::KeyOrEnd if is_space => {
                return Ok(if self.has_begun {
                    Step::Within
                } else {
                    Step::Before
                });
            }
            State::ValueOrEnd if byte == b']' => return self.close(),
            State::Value | State::ValueOrEnd => self.begin(byte)?,
            State::KeyOrEnd if byte == b'}' => return self.close(),
            State::Key | State::KeyOrEnd => match byte {
                b'"' => self.state = State::InString,
                _ => return refused(byte, "looking for beginning of object key string"),
            },
            State::AfterValue if self.open.is_empty() => return Ok(Step::After),
            State::AfterValue if is_space => {}
            State::AfterValue => return self.after_value(byte),
            State::InString | State::Escaped | State::Hex(_) => self.in_string(byte)?,
            State::Word(word, come) if word.as_bytes()[come] == byte => {
                let has_ended = come + 1 == word.len();
                self.state = if has_ended {
                    State::AfterValue
                } else {
                    State::Word(word, come + 1)
                };
            }
            State::Word(word, come) => {
                let expected = char::from(word.as_bytes()[come]);
                let place = format!("in literal {word} (expecting '{expected}')");
                return refused(byte, &place);
            }
            _ => return self.in_number(byte),
        }
        Ok(Step::Within)
    }

    /// Whether what has come is a whole value, now that no more comes; the error is of a byte of space behind it.
    pub(super) fn is_whole(&mut self) -> Result<bool, String> {
        Ok(self.has_begun && self.push(b' ')? == Step::After)
    }

    fn begin(&mut self, byte: u8) -> Result<(), String> {
        self.has_begun = true;
        self.state = match byte {
            b'{' => return self.nest(byte, Open::Key, State::KeyOrEnd),
            b'[' => return self.nest(byte, Open::Element, State::ValueOrEnd),
            b'"' => State::InString,
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Digits,
            b't' => State::Word("true", 1),
            b'f' => State::Word("false", 1),
            b'n' => State::Word("null", 1),
            _ => return refused(byte, "looking for beginning of value"),
        };
        Ok(())
    }

    fn nest(&mut self, byte: u8, open: Open, state: State) -> Result<(), String> {
        if self.open.len() == MAX_DEPTH {
            return refused(byte, "exceeded max depth");
        }
        self.open.push(open);
        self.state = state;
        Ok(())
    }

    fn close(&mut self) -> Result<Step, String> {
        self.open.pop();
        self.state = State::AfterValue;
        Ok(if self.open.is_empty() {
            Step::Last
        } else {
            Step::Within
        })
    }

    /// A byte behind a value within an array or object; for a key too, which is a string.
    fn after_value(&mut self, byte: u8) -> Result<Step, String> {
        let Some(open) = self.open.last_mut() else {
            return Ok(Step::After);
        };
        match (*open, byte) {
            (Open::Key, b':') => {
                *open = Open::Value;
                self.state = State::Value;
            }
            (Open::Value, b',') => {
                *open = Open::Key;
                self.state = State::Key;
            }
            (Open::Element, b',') => self.state = State::Value,
            (Open::Value, b'}') | (Open::Element, b']') => return self.close(),
            (Open::Key, _) => return refused(byte, "after object key"),
            (Open::Value, _) => return refused(byte, "after object key:value pair"),
            (Open::Element, _) => return refused(byte, "after array element"),
        }
        Ok(Step::Within)
    }

    fn in_string(&mut self, byte: u8) -> Result<(), String> {
        self.state = match (self.state, byte) {
            (State::InString, b'"') => State::AfterValue,
            (State::InString, b'\\') => State::Escaped,
            (State::InString, 0..0x20) => return refused(byte, "in string literal"),
            (State::InString, _) => State::InString,
            (State::Hex(left), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => match left {
                1 => State::InString,
                _ => State::Hex(left - 1),
            },
            (State::Hex(_), _) => {
                return refused(byte, "in \\u hexadecimal character escape");
            }
            (_, b'u') => State::Hex(4),
            (_, b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => State::InString,
            _ => return refused(byte, "in string escape code"),
        };
        Ok(())
    }

    fn in_number(&mut self, byte: u8) -> Result<Step, String> {
        self.state = match (self.state, byte) {
            (State::Minus, b'0') => State::Zero,
            (State::Minus, b'1'..=b'9') | (State::Digits, b'0'..=b'9') => State::Digits,
            (State::Minus, _) => return refused(byte, "in numeric literal"),
            (State::Zero | State::Digits, b'.') => State::Point,
            (State::Zero | State::Digits | State::Decimals, b'e' | b'E') => State::Exponent,
            (State::Point | State::Decimals, b'0'..=b'9') => State::Decimals,
            (State::Point, _) => {
                return refused(byte, "after decimal point in numeric literal");
            }
            (State::Exponent, b'+' | b'-') => State::ExponentSign,
            (State::Exponent | State::ExponentSign | State::ExponentDigits, b'0'..=b'9') => {
                State::ExponentDigits
            }
            (State::Exponent | State::ExponentSign, _) => {
                return refused(byte, "in exponent of numeric literal");
            }
            // The number has ended before this byte.
            _ => {
                self.state = State::AfterValue;
                return self.push(byte);
            }
        };
        Ok(Step::Within)
    }
}

/// That `text` is one JSON value, perhaps with space around it.
pub(super) fn check_whole(text: &[u8]) -> Result<(), String> {
    let mut scanner = Scanner::new();
    let mut rest = text.iter();
    for byte in rest.by_ref() {
        match scanner.push(*byte)? {
            Step::Before | Step::Within => {}
            Step::Last => break,
            Step::After if byte.is_ascii_whitespace() => break,
            Step::After => return refused(*byte, "after top-level value"),
        }
    }
    if let Some(byte) = rest.find(|byte| !byte.is_ascii_whitespace()) {
        return refused(*byte, "after top-level value");
    }
    if scanner.open.is_empty() && scanner.state == State::AfterValue || scanner.is_whole()? {
        return Ok(());
    }
    Err("unexpected end of JSON input".to_owned())
}

fn refused<T>(byte: u8, place: &str) -> Result<T, String> {
    Err(format!("invalid character {} {place}", quoted_byte(byte)))
}
