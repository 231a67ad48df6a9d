//! A small real file system of a test's own, on a loop device.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{is_root, real_directory, run, skip};

/// A mounted ext4; unmounted when dropped.
pub(crate) struct SmallDisk {
    scratch: tempfile::TempDir,
}

impl SmallDisk {
    /// Makes one of so many bytes. Needs root and loop devices; a test without them says that it is skipped.
    pub(crate) fn mount(bytes: u64) -> Option<SmallDisk> {
        if !is_root() {
            skip("only root may mount a small disk");
            return None;
        }
        let disk = SmallDisk {
            scratch: real_directory(),
        };
        let image = disk.scratch.path().join("image");
        File::create(&image)
            .and_then(|file| file.set_len(bytes))
            .expect("an image");
        fs::create_dir(disk.path()).expect("a mount point");
        let mut format = Command::new("mkfs.ext4");
        let formatted = run(format.args(["-q", "-F", "-m", "0"]).arg(&image), "");
        assert_eq!(formatted.code, Some(0), "{formatted:?}");
        let mounted = run(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(disk.path()),
            "",
        );
        if mounted.code != Some(0) {
            skip(&format!("no loop device: {}", mounted.error.trim()));
            return None;
        }
        Some(disk)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.scratch.path().join("mount")
    }

    /// Takes all space but `left` bytes; gives the file to remove when space is wanted again.
    pub(crate) fn fill_up_to(&self, left: u64) -> PathBuf {
        let space = rustix::fs::statvfs(self.path()).expect("it is mounted");
        let bytes = (space.f_bavail * space.f_frsize).saturating_sub(left);
        let path = self.path().join("ballast");
        let file = File::create(&path).expect("a file");
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes).expect("space");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

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
