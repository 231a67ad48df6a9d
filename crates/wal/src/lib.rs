//! Quorate's write-ahead log: its format on disk, and how it is read back after a crash.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
