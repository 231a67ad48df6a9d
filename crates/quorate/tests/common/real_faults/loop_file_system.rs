//! An ext4 file system in an image file, whose power can be cut.
//!
//! `xfs_io -x -c shutdown` stops the file system at once, without flushing its journal or any
//! dirty page: whatever nobody has synced is gone, and every later write or sync fails with EIO.
//! Unmounting and mounting again replays the journal, as after a real power cut. What it cannot
//! show is a disk that lies about its own write cache: the image is an ordinary file of the
//! machine, which keeps its power.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::cluster::{DIRECTORY_PREFIX, parent_of_directories, real_directory};

/// What [`LoopFileSystem`] runs.
pub(crate) const PROGRAMS: [&str; 5] = ["losetup", "mkfs.ext4", "mount", "umount", "xfs_io"];

/// A temporary directory for images and mount points. Clears away those of test processes that
/// were killed and could not do so themselves.
pub(crate) fn directory_for_mounts() -> TempDir {
    clear_away_directories(|process| !is_alive(process));
    real_directory()
}

/// Whether a process with this id runs. One that has ended and was not waited for holds nothing
/// any more (proc_pid_stat(5), the field behind the name).
pub(crate) fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Unmounts and removes what the tests of processes that are gone have left behind.
pub(crate) fn clear_away_directories(is_gone: impl Fn(u32) -> bool) {
    let entries = fs::read_dir(parent_of_directories()).expect("a directory");
    for entry in entries.flatten() {
        let owner = owner(&entry.file_name().to_string_lossy());
        if owner.is_some_and(&is_gone) {
            clear_away(&entry.path());
        }
    }
}

/// The process that made a directory of this name.
fn owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(DIRECTORY_PREFIX)?;
    rest.split('-').next()?.parse().ok()
}

/// Another test process may be at the same work, so that any of these steps may find nothing.
fn clear_away(directory: &Path) {
    for mount_point in mount_points_below(directory) {
        if run(Command::new("umount").arg(&mount_point)).is_err() {
            // Lazily, then: the kernel does it once nobody uses it any more.
            let _ = run(Command::new("umount").arg("-l").arg(&mount_point));
        }
    }
    if mount_points_below(directory).is_empty() {
        let _ = fs::remove_dir_all(directory);
    } else {
        eprintln!("left behind, and in use: {}", directory.display());
    }
}

/// What is mounted below `directory` (proc_pid_mountinfo(5), the fifth field).
fn mount_points_below(directory: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let paths = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    paths
        .map(PathBuf::from)
        .filter(|path| path.starts_with(directory))
        .collect()
}

/// A file system of its own, mounted below a directory of the test. Unmounted, and its image
/// removed, when dropped, be it by a panic.
#[derive(Debug)]
pub(crate) struct LoopFileSystem {
    image: PathBuf,
    mount_point: PathBuf,
    mounted: bool,
}

impl LoopFileSystem {
    /// Makes `directory/name.ext4` with room for about `bytes`, and mounts it at
    /// `directory/name`.
    pub(crate) fn make(directory: &Path, name: &str, bytes: u64) -> LoopFileSystem {
        let mut made = LoopFileSystem {
            image: directory.join(format!("{name}.ext4")),
            mount_point: directory.join(name),
            mounted: false,
        };
        let image = File::create(&made.image).expect("the image file");
        image.set_len(bytes).expect("a sparse image file");
        fs::create_dir(&made.mount_point).expect("the mount point");
        run(Command::new("mkfs.ext4")
            .arg("-q")
            .arg("-F")
            .arg(&made.image))
        .expect("mkfs.ext4");
        made.mount();
        made
    }

    /// Where its files are.
    pub(crate) fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Cuts the power: what is not synced is lost, and nothing can be written any more.
    pub(crate) fn cut_power(&self) {
        run(Command::new("xfs_io")
            .args(["-x", "-c", "shutdown"])
            .arg(&self.mount_point))
        .expect("xfs_io shutdown");
    }

    /// Mounts it again after [`cut_power`](Self::cut_power). No process may have a file open.
    pub(crate) fn restore_power(&mut self) {
        self.unmount().expect("unmounted: nobody uses it any more");
        self.mount();
    }

    fn mount(&mut self) {
        // The kernel frees the loop device by itself once the file system is unmounted.
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", "loop"])
            .args([&self.image, &self.mount_point]))
        .expect("mount");
        self.mounted = true;
    }

    fn unmount(&mut self) -> io::Result<()> {
        if self.mounted {
            run(Command::new("umount").arg(&self.mount_point))?;
            self.mounted = false;
        }
        Ok(())
    }
}

impl Drop for LoopFileSystem {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            eprintln!("{error}; unmounting it as soon as nobody uses it any more");
            clean_up(&self.mount_point, &self.image);
        }
        for (what, removed) in [
            ("image", fs::remove_file(&self.image)),
            ("mount point", fs::remove_dir(&self.mount_point)),
        ] {
            if let Err(error) = removed {
                eprintln!(
                    "the {what} of {} stays: {error}",
                    self.mount_point.display()
                );
            }
        }
    }
}

/// The last resort: a lazy unmount, and the loop device freed as soon as that is through.
fn clean_up(mount_point: &Path, image: &Path) {
    if let Err(error) = run(Command::new("umount").arg("-l").arg(mount_point)) {
        eprintln!("a mounted file system is left behind: {error}");
    }
    let devices = Command::new("losetup")
        .args(["-n", "-O", "NAME", "-j"])
        .arg(image)
        .output();
    let devices = devices.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    for device in devices.unwrap_or_default().split_whitespace() {
        if let Err(error) = run(Command::new("losetup").args(["-d", device])) {
            eprintln!("a loop device is left behind: {error}");
        }
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {}", said.trim())))
}
