//! Quorate's write-ahead log: its format on disk, and how it is read back after a crash.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod batch_format;
mod bytes_io;
mod directory;
mod error;
mod limits;
mod log_state;
mod names;
mod open;
mod options;
mod preparer;
mod reader;
mod recovery;
mod scan;
mod segment;
mod segment_header;
mod spares;
mod types;
mod window;
mod writer;

pub use error::{Note, WalError};
pub use limits::*;
pub use open::{Opened, open};
pub use options::Options;
pub use preparer::Preparer;
pub use reader::Reader;
pub use types::{
    Batch, BatchNumber, Entry, HardState, Identity, Recovered, Released, SnapshotMark,
};
pub use writer::Writer;
