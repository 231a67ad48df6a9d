//! What a directory holds, to be compared.

use std::fs;
use std::path::{Path, PathBuf};

/// Every file under `directory` with its length and checksum, but for the lock, to see that nothing was touched.
pub(crate) fn contents(directory: &Path) -> Vec<(PathBuf, usize, u32)> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                found.push((path.clone(), 0, 0));
                waiting.push(path);
            // The lock names who tried last.
            } else if path.file_name().is_some_and(|name| name != "lock") {
                let bytes = fs::read(&path).expect("readable");
                found.push((path, bytes.len(), crc32c::crc32c(&bytes)));
            }
        }
    }
    found.sort();
    found
}
