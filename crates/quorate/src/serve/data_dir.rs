//! The data directory at start: is it ours to use?
//!
//! Refused: a path that is no directory, etcd's own data, and a directory that another process holds. Made: what is missing, durably and
//! with mode 0700. What is inside (identity, format versions) is checked by who reads it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::directory::{self, Refusal};

#[cfg(test)]
mod tests;

/// Why a data directory is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// The path names something else.
    #[error("data directory {0}: it is not a directory; name another with --data-dir")]
    NotADirectory(String),
    /// It is etcd's.
    #[error(
        "data directory {0} belongs to etcd, whose files Quorate does not read; nothing was changed. To migrate, \
         start Quorate with another --data-dir and other ports beside the running etcd, copy the keys with \
         `etcdctl --endpoints=ETCD:2379 make-mirror QUORATE:2379` (it runs until you stop it; revisions start anew, \
         leases are not copied), then move the clients"
    )]
    Etcd(String),
    /// Another process holds it.
    #[error("data directory {path} is in use by {owner}; stop it, or name another with --data-dir")]
    InUse {
        /// The directory.
        path: String,
        /// The process, as far as it is known.
        owner: String,
    },
    /// The operating system refuses.
    #[error("data directory {path}: cannot {what}: {source}")]
    Io {
        /// The directory.
        path: String,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// A data directory that this process alone uses, as long as the value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Its lock goes when the file is closed, be it by the kernel.
    _lock: File,
}

impl DataDir {
    /// Checks, makes and locks the directory. Returns lines for the log with it.
    pub(crate) fn open(path: &Path) -> Result<(DataDir, Vec<String>), DataDirError> {
        let shown = path.display().to_string();
        let failed = |what| {
            let path = shown.clone();
            move |source| DataDirError::Io { path, what, source }
        };
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => return Err(DataDirError::NotADirectory(shown)),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("look at it")(e)),
        }
        if ["snap", "wal"]
            .iter()
            .any(|part| path.join("member").join(part).exists())
        {
            return Err(DataDirError::Etcd(shown));
        }
        directory::make_durably(path).map_err(failed("make it"))?;
        let notes = open_to_others(path).map_err(failed("look at its mode"))?;
        let lock = directory::lock(path).map_err(|refusal| match refusal {
            Refusal::Held(owner) => DataDirError::InUse {
                path: shown.clone(),
                owner,
            },
            Refusal::Io(source) => failed("lock it")(source),
        })?;
        Ok((
            DataDir {
                path: path.to_owned(),
                _lock: lock,
            },
            notes,
        ))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// A warning if others than the owner can enter. Not refused: systemd's `StateDirectory=` makes
/// directories of mode 0755 unless told otherwise.
fn open_to_others(path: &Path) -> io::Result<Vec<String>> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "data directory {} has mode {mode:04o}, so other users can enter it: `chmod 0700` it (under systemd, \
         StateDirectoryMode=0700)",
        path.display()
    )])
}
