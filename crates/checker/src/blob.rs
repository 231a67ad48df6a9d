//! Keys and values: bytes that are mostly text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A key or a value. In JSON a string, or `{"hex": "00ff"}` where the bytes are not UTF-8.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Blob(Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Hex { hex: String },
}

impl Blob {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// These bytes followed by `tail`.
    pub(crate) fn joined(&self, tail: &Blob) -> Blob {
        Blob([self.as_bytes(), tail.as_bytes()].concat())
    }
}

impl From<&str> for Blob {
    fn from(text: &str) -> Self {
        Blob(text.as_bytes().to_vec())
    }
}

impl From<String> for Blob {
    fn from(text: String) -> Self {
        Blob(text.into_bytes())
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Blob(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Blob(bytes)
    }
}

impl From<Blob> for Written {
    fn from(blob: Blob) -> Self {
        String::from_utf8(blob.0).map_or_else(
            |error| Written::Hex {
                hex: error
                    .as_bytes()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
            },
            Written::Text,
        )
    }
}

impl TryFrom<Written> for Blob {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Text(text) => Ok(text.into()),
            Written::Hex { hex } => {
                let digits: Option<Vec<u8>> = hex
                    .chars()
                    .map(|digit| {
                        digit
                            .to_digit(16)
                            .and_then(|digit| u8::try_from(digit).ok())
                    })
                    .collect();
                match digits {
                    Some(digits) if digits.len().is_multiple_of(2) => Ok(Blob(
                        digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect(),
                    )),
                    _ => Err(format!("{hex:?} is not pairs of hexadecimal digits")),
                }
            }
        }
    }
}

/// Quoted, with escapes for what is not plain text.
impl fmt::Display for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
