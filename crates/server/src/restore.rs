//! Restores a backup to a new data directory: that of a founder of a new cluster.
//!
//! The directory is built beside its place and renamed into it when everything in it is durable, so that half a
//! restore never looks like a data directory. Nothing that exists is touched.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use quorate_replica::{MemberTable, RestoreError, RestoreSettings};

use crate::backup::{BackupError, load_backup};
use crate::data_dir::{self, Origin};
use crate::error::ServerError;
use crate::real_disk::RealDisk;
use crate::settings::Member;
use crate::start::founding;

/// What to restore, and as whom.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The backup.
    pub snapshot: PathBuf,
    /// The data directory to make; it may exist if it is empty.
    pub data_dir: PathBuf,
    /// The member's name, one of `members`.
    pub name: String,
    /// All members of the new cluster, this one included.
    pub members: Vec<Member>,
    /// The new cluster's token.
    pub cluster_token: String,
    /// Whether the hash at the backup's end need not be there, nor fit.
    pub skip_hash_check: bool,
    /// By how much to raise the revision; everything before is compacted then.
    pub bump_revision: Option<NonZeroU64>,
}

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new cluster's id.
    pub cluster_id: u64,
    /// The member's.
    pub member_id: u64,
    /// The store's revision.
    pub revision: i64,
    /// Keys.
    pub keys: usize,
    /// Leases.
    pub leases: usize,
    /// The new cluster has the old one's id, which is made of the token and the members' peer URLs.
    pub has_old_id: bool,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreFailure {
    /// The backup is of no use.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// There is something where the directory shall be.
    #[error(
        "data-dir {0:?} not empty or could not be read: a restore makes a new one, and touches none that exists"
    )]
    NotEmpty(PathBuf),
    /// A file system of its own is mounted there.
    #[error(
        "{0} is a mount point: a directory that was built beside it could not take its place; name one inside it"
    )]
    MountPoint(PathBuf),
    /// Another restore to the same place was interrupted, or is under way.
    #[error(
        "{0} is what a restore works in: if none is under way, one was interrupted; remove it, and start again"
    )]
    UnderWay(PathBuf),
    /// The file system refuses.
    #[error("{path}: cannot {what}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The members make no sense, or the directory cannot be made.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The new log cannot be written, or the revision not raised.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Restores a backup.
///
/// # Errors
/// When nothing was restored; then nothing is left of the attempt, as far as the file system lets it be removed.
pub fn restore_backup(options: &RestoreOptions) -> Result<Restored, RestoreFailure> {
    let RestoreOptions { name, members, .. } = options;
    let (cluster_id, member_id, founders) = founding(&options.cluster_token, members, name)?;
    check_free(&options.data_dir)?;
    check_no_mount_point(&options.data_dir)?;
    let beside = beside(&options.data_dir)?;
    if fs::symlink_metadata(&beside).is_ok() {
        return Err(RestoreFailure::UnderWay(beside));
    }
    let (loaded, old_cluster_id) = load_backup(&options.snapshot, options.skip_hash_check)?;
    let settings = RestoreSettings {
        cluster_id,
        member_id,
        founders: founders.clone(),
        // The standard library seeds this from the system's randomness.
        salt: RandomState::new().build_hasher().finish(),
        bump_revision: options.bump_revision,
    };
    let build = || -> Result<Restored, RestoreFailure> {
        let origin = Origin {
            founders,
            contacts: MemberTable::default(),
        };
        let log = data_dir::open(&beside, cluster_id, member_id, name, &origin)?;
        let restored = quorate_replica::restore(RealDisk::new(&log), loaded, &settings)?;
        data_dir::note_restored(&beside, restored.began_with)?;
        data_dir::note_log(&beside)?;
        give_its_name(&beside, &options.data_dir)?;
        Ok(Restored {
            cluster_id,
            member_id,
            revision: restored.revision,
            keys: restored.keys,
            leases: restored.leases,
            has_old_id: cluster_id == old_cluster_id,
        })
    };
    let built = build();
    if built.is_err() {
        // Ours alone: it was not there before.
        let _ = fs::remove_dir_all(&beside);
    }
    built
}

/// Whether nothing is there, or an empty directory.
fn check_free(path: &Path) -> Result<(), RestoreFailure> {
    let is_free = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    match is_free {
        true => Ok(()),
        false => Err(RestoreFailure::NotEmpty(path.to_owned())),
    }
}

/// What is mounted is on another device than the directory it is mounted in.
fn check_no_mount_point(path: &Path) -> Result<(), RestoreFailure> {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev());
    match (device(path), device(above(path))) {
        (Ok(own), Ok(above)) if own != above => Err(RestoreFailure::MountPoint(path.to_owned())),
        // Not there, or not to be looked at: then it cannot be built either, which says why.
        _ => Ok(()),
    }
}

fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}

/// Where a directory is built.
fn beside(path: &Path) -> Result<PathBuf, RestoreFailure> {
    let Some(name) = path.file_name() else {
        return Err(RestoreFailure::NotEmpty(path.to_owned()));
    };
    let mut name = name.to_owned();
    name.push(".restoring");
    Ok(path.with_file_name(name))
}

fn give_its_name(from: &Path, to: &Path) -> Result<(), RestoreFailure> {
    let failed = |what| {
        move |source| RestoreFailure::Io {
            path: to.to_owned(),
            what,
            source,
        }
    };
    File::open(from)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("sync what was built for it"))?;
    fs::rename(from, to).map_err(failed("give the directory its name"))?;
    File::open(above(to))
        .and_then(|directory| directory.sync_all())
        .map_err(failed("sync the directory above"))
}
