//! A backup as a file: read from front to back, and believed only where checksums say so.
//!
//! Two forms are read (`docs/format-snapshot.md`): what `Maintenance.Snapshot` streams, a snapshot file, zeros and
//! a SHA-256 of both; and the snapshot file alone, copied out of a data directory.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use quorate_replica::{
    HIGHEST_PROTOCOL_VERSION, LoadedSnapshot, SnapshotContentError, check_imported, load_imported,
};
use quorate_wal::snapshot::{SnapshotId, SnapshotImport, export_padding};
use quorate_wal::{Identity, WalError};
use sha2::{Digest, Sha256};

/// Bytes of the hash at the end of an exported snapshot.
const HASH_BYTES: usize = 32;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// What a snapshot of Quorate's begins with.
const MAGIC: &[u8] = b"QUORSNP\n";

/// Where a page of etcd's database says that it is one, and how (bbolt's `meta.magic`).
const BOLT_MAGIC_AT: usize = 16;
const BOLT_MAGIC: [u8; 4] = 0xED0C_DAED_u32.to_le_bytes();

/// Why a backup is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is a database of etcd's.
    #[error(
        "{0} is a snapshot of etcd's, which only etcd can restore; to move its keys to Quorate, start \
         etcd on it and copy them with `etcdctl make-mirror`"
    )]
    Etcd(PathBuf),
    /// It is something else.
    #[error("{0} is no snapshot of Quorate's, or its first bytes are damaged")]
    NoSnapshot(PathBuf),
    /// It is damaged, cut, or of a version that is not known here.
    #[error(transparent)]
    Content(#[from] SnapshotContentError),
    /// What follows the snapshot is no hash of it.
    #[error(
        "{path}: {found} bytes follow the snapshot, which ends at byte {end}, where {wanted} belong (zeros up to a \
         multiple of 512, and a hash): the file was cut, or something was added to it"
    )]
    Tail {
        /// The file.
        path: PathBuf,
        /// Where the snapshot ends.
        end: u64,
        /// Bytes after that.
        found: u64,
        /// Bytes that should be there.
        wanted: u64,
    },
    /// The hash is that of other bytes.
    #[error("{path}: expected sha256 {expected}, got {found}: the file is damaged")]
    Hash {
        /// The file.
        path: PathBuf,
        /// At its end, in hexadecimal.
        expected: String,
        /// Of its bytes.
        found: String,
    },
    /// There is no hash.
    #[error(
        "{0}: snapshot missing hash but --skip-hash-check=false: it was cut, or copied out of a data directory"
    )]
    NoHash(PathBuf),
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupStatus {
    /// A checksum of the content (CRC-32C): equal wherever the content is.
    pub hash: u32,
    /// The newest revision.
    pub revision: i64,
    /// The revision before which nothing can be read; -1 if nothing was ever compacted.
    pub compacted_revision: i64,
    /// Versions of keys, tombstones included, as etcd counts them.
    pub total_keys: u64,
    /// Keys that are there at the newest revision.
    pub live_keys: u64,
    /// Leases.
    pub leases: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Whether a hash of the whole is at its end, and fits.
    pub has_hash: bool,
    /// The index and the term of the log where it was taken.
    pub applied: (u64, u64),
    /// The cluster that it is of.
    pub cluster_id: u64,
    /// The member whose file it is.
    pub member_id: u64,
}

/// Reads a backup and verifies every byte of it; a hash must fit if it is there.
///
/// # Errors
/// When it cannot be restored: see [`BackupError`].
pub fn check_backup(path: &Path) -> Result<BackupStatus, BackupError> {
    let read = read(path, true, |import| {
        check_imported(import, HIGHEST_PROTOCOL_VERSION)
    })?;
    let (_, summary) = read.content;
    Ok(BackupStatus {
        hash: read.id.checksum,
        revision: summary.revision,
        compacted_revision: summary.compacted_revision,
        total_keys: summary.versions,
        live_keys: summary.keys,
        leases: summary.leases,
        file_bytes: read.file_bytes,
        has_hash: read.has_hash,
        applied: (read.id.mark.index, read.id.mark.term),
        cluster_id: read.identity.cluster_id,
        member_id: read.identity.member_id,
    })
}

/// Loads a backup, and tells of which cluster it is. Its hash must be there and fit, unless that is not to be looked at; the checksums of its
/// content must fit in any case.
pub(crate) fn load_backup(
    path: &Path,
    skip_hash_check: bool,
) -> Result<(LoadedSnapshot, u64), BackupError> {
    let read = read(path, !skip_hash_check, |import| {
        load_imported(import, HIGHEST_PROTOCOL_VERSION)
    })?;
    if !read.has_hash && !skip_hash_check {
        return Err(BackupError::NoHash(path.to_owned()));
    }
    Ok((read.content, read.identity.cluster_id))
}

/// A backup that was read to its end.
struct Backup<T> {
    content: T,
    id: SnapshotId,
    identity: Identity,
    file_bytes: u64,
    has_hash: bool,
}

type Import = SnapshotImport<Hashing<BufReader<File>>>;

fn read<T>(
    path: &Path,
    checks_hash: bool,
    take: impl FnOnce(&mut Import) -> Result<T, SnapshotContentError>,
) -> Result<Backup<T>, BackupError> {
    let io = |source| BackupError::Io {
        path: path.to_owned(),
        source,
    };
    look_at_kind(path)?;
    let file = File::open(path).map_err(io)?;
    let file_bytes = file.metadata().map_err(io)?.len();
    let source = Hashing {
        source: BufReader::with_capacity(READ_BYTES, file),
        hash: Sha256::new(),
    };
    let name = path.display().to_string();
    let content_error = |error: WalError| BackupError::Content(error.into());
    let mut import = SnapshotImport::open(source, &name).map_err(content_error)?;
    let content = take(&mut import)?;
    let id = import.id().expect("its content was read to its end");
    let (identity, end) = (import.identity(), import.offset());
    let mut source = import.into_source();
    let (found, wanted) = (
        file_bytes.saturating_sub(end),
        export_padding(end) + HASH_BYTES as u64,
    );
    if found != 0 && found != wanted {
        return Err(BackupError::Tail {
            path: path.to_owned(),
            end,
            found,
            wanted,
        });
    }
    let has_hash = found == wanted;
    if has_hash && checks_hash {
        let mut padding = vec![0; export_padding(end) as usize];
        source.read_exact(&mut padding).map_err(io)?;
        let digest = source.hash.clone().finalize();
        let mut hash = [0; HASH_BYTES];
        source.read_exact(&mut hash).map_err(io)?;
        if hash != digest[..] {
            return Err(BackupError::Hash {
                path: path.to_owned(),
                expected: hexadecimal(&hash),
                found: hexadecimal(&digest),
            });
        }
    }
    Ok(Backup {
        content,
        id,
        identity,
        file_bytes,
        has_hash,
    })
}

/// Says so if the file is of another kind altogether.
fn look_at_kind(path: &Path) -> Result<(), BackupError> {
    let mut first = Vec::new();
    let read = File::open(path).and_then(|file| {
        let beginning = BOLT_MAGIC_AT + BOLT_MAGIC.len();
        file.take(beginning as u64).read_to_end(&mut first)
    });
    read.map_err(|source| BackupError::Io {
        path: path.to_owned(),
        source,
    })?;
    if first.get(BOLT_MAGIC_AT..) == Some(&BOLT_MAGIC) {
        return Err(BackupError::Etcd(path.to_owned()));
    }
    match first.starts_with(MAGIC) {
        true => Ok(()),
        false => Err(BackupError::NoSnapshot(path.to_owned())),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Hashes what is read.
struct Hashing<R> {
    source: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}
