//! Proof that a power cut was one.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::LoopFileSystem;

const BLOCK_BYTES: usize = 4096;
const OLD: [u8; BLOCK_BYTES] = [b'o'; BLOCK_BYTES];
const NEW: [u8; BLOCK_BYTES] = [b'n'; BLOCK_BYTES];

/// A file of two blocks, both overwritten in place, as the log overwrites its prepared segments;
/// the first was synced afterwards and the second was not. Without it, a cut that cuts nothing
/// would pass for a node that syncs everything.
#[derive(Debug)]
pub(crate) struct Witness {
    path: PathBuf,
}

impl Witness {
    /// Writes it, just before the cut.
    pub(crate) fn plant(file_system: &LoopFileSystem) -> Witness {
        let path = file_system.path().join("witness");
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let file = options
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path)?;
            file.write_all_at(&OLD, 0)?;
            file.write_all_at(&OLD, BLOCK_BYTES as u64)?;
            file.sync_all()?;
            file.write_all_at(&NEW, 0)?;
            file.sync_data()?;
            file.write_all_at(&NEW, BLOCK_BYTES as u64)
        };
        write().expect("a witness");
        Witness { path }
    }

    /// After the cut: what was synced is there, and what was not is gone.
    pub(crate) fn testify(self) {
        let blocks = fs::read(&self.path).expect("the witness was synced");
        assert_eq!(blocks.len(), 2 * BLOCK_BYTES, "a synced length was lost");
        let (first, second) = blocks.split_at(BLOCK_BYTES);
        assert!(first == NEW, "a synced block was lost");
        assert!(
            second == OLD,
            "a block that nobody synced outlived the cut, so the cut was none"
        );
    }
}
