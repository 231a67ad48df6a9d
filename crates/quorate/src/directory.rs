//! Directories that one process alone uses: made durably, locked while it lives.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The file whose lock says that a process uses the directory; it holds that process's id.
pub(crate) const LOCK_FILE: &str = "lock";

/// How long a lock is waited for. A process that has just ended, or one that was forked from the
/// holder and has not begun its own program yet, lets go within moments.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// This process holds it.
    Held(String),
    /// The operating system refuses.
    Io(io::Error),
}

/// Makes the directory, with mode 0700, and the missing ones above it, and syncs each into the one
/// above: a directory whose name a power cut can take back holds nothing safely.
pub(crate) fn make_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    make_durably(above)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => File::open(above)?.sync_all(),
        // Another process was faster; the lock will tell which of us stays.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(e),
    }
}

/// Whether nothing is there, but perhaps a lock file.
pub(crate) fn is_empty(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(entries) => {
            for entry in entries {
                if entry?.file_name() != LOCK_FILE {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e),
    }
}

/// Locks a directory for this process until the file returned is closed, be it by the kernel.
pub(crate) fn lock(directory: &Path) -> Result<File, Refusal> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(LOCK_FILE))
        .map_err(Refusal::Io)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(Refusal::Held(owner(&mut file))),
            Err(TryLockError::Error(e)) => return Err(Refusal::Io(e)),
        }
    }
    file.set_len(0).map_err(Refusal::Io)?;
    writeln!(file, "{}", std::process::id()).map_err(Refusal::Io)?;
    Ok(file)
}

/// Who holds a lock, by the id in the file: the holder writes it right after it has the lock.
fn owner(file: &mut File) -> String {
    let mut text = String::new();
    // An id has at most ten digits; what is longer was not written by us.
    let _ = file.take(64).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(process) => format!("process {process}"),
        Err(_) => "another process".to_owned(),
    }
}
