//! Directories where a sync means something.

use std::fs;
use std::path::Path;

use rustix::fs::statfs;

/// File systems that live in memory, by the numbers of statfs(2).
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
/// One that lives on others.
const OVERLAY: u64 = 0x794c_7630;

/// The names of temporary directories begin with this and go on with the process id, so that those of processes that
/// were killed can be told from those in use.
pub(crate) const DIRECTORY_PREFIX: &str = "of-process-";

/// Where temporary directories are: in cargo's target directory.
pub(crate) fn parent_of_directories() -> &'static Path {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(parent).expect("cargo's directory for tests");
    parent
}

/// A temporary directory on a real disk.
pub(crate) fn real_directory() -> tempfile::TempDir {
    let parent = parent_of_directories();
    refuse_memory(parent);
    let prefix = format!("{DIRECTORY_PREFIX}{}-", std::process::id());
    let mut builder = tempfile::Builder::new();
    builder
        .prefix(&prefix)
        .tempdir_in(parent)
        .expect("a temporary directory")
}

/// Fails the test if `path` lies in memory: what it would say of durability would be worth nothing.
pub(crate) fn refuse_memory(path: &Path) {
    let what = kind(path);
    let in_memory = match what {
        TMPFS | RAMFS => true,
        // The upper directory is where the bytes go; from inside a container it may be out of sight.
        OVERLAY => upper_directories().iter().any(|upper| {
            let upper = Path::new(upper);
            upper.exists() && matches!(kind(upper), TMPFS | RAMFS)
        }),
        _ => false,
    };
    assert!(
        !in_memory,
        "{} is on a file system in memory (type {what:#x}); set CARGO_TARGET_DIR to a directory on a real disk",
        path.display()
    );
}

fn kind(path: &Path) -> u64 {
    let what = statfs(path).unwrap_or_else(|error| panic!("statfs {}: {error}", path.display()));
    what.f_type as u64
}

/// The `upperdir=` of every overlay that is mounted (proc_pid_mountinfo(5)).
fn upper_directories() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .flat_map(|line| line.split([',', ' ']))
        .filter_map(|word| word.strip_prefix("upperdir="))
        .map(str::to_owned)
        .collect()
}
