//! A backup as the beginning of a new cluster: a snapshot and an empty log after it, for one of its founders.
//!
//! What is kept of the old cluster is its keys and their history, its leases, its log time, the cluster version, and
//! where its log was: index and term go on from there, so that they never fall for those who watch them. All that
//! says who its members were is replaced: membership and members are the founders', the windows of duplicates are
//! empty (they are by member), alarms end and leases have all their time again
//! ([`Store::begin_anew`](quorate_kv::Store::begin_anew)).
//!
//! Every founder is given the same snapshot of the same file, and so they begin as members that have all loaded one
//! and released the log before. That is why the content must be a function of the backup and the founders alone: no
//! id of whoever restores is in it.
//!
//! To others this disk is that of a member that never acknowledged anything: its cluster has no records yet. So it
//! does not count as one that went back in time.

use std::num::NonZeroU64;

use bytes::Bytes;
use quorate_disk::Disk;
use quorate_kv::BumpError;
use quorate_wal::snapshot::{SnapshotFiles, SnapshotId};
use quorate_wal::{Batch, HardState, Identity, Options, SnapshotMark, WalError};

use super::LoadedSnapshot;
use super::taker::{Capture, SnapshotTaker};
use crate::duplicates::Duplicates;
use crate::error::SnapshotContentError;
use crate::members::MemberTable;
use crate::wire::GROUP_ID;

/// Who begins anew, and how.
#[derive(Clone, Debug)]
pub struct RestoreSettings {
    /// The new cluster.
    pub cluster_id: u64,
    /// The member whose disk is written; one of the founders.
    pub member_id: u64,
    /// All members that the new cluster begins with.
    pub founders: MemberTable,
    /// Drawn for this disk ([`Options::salt`]).
    pub salt: u64,
    /// By how much to raise the revision; everything before is compacted then.
    pub bump_revision: Option<NonZeroU64>,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoredSnapshot {
    /// The snapshot. Of all founders that were restored from one backup alike it is the same.
    pub id: SnapshotId,
    /// The store's revision.
    pub revision: i64,
    /// Keys that are there.
    pub keys: usize,
    /// Leases that are there.
    pub leases: usize,
    /// A number made of the content and the history behind it, greater than 1: founders with different ones began
    /// with different states, and must not make one cluster.
    pub began_with: u64,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The new snapshot, or its log, cannot be written.
    #[error(transparent)]
    Log(#[from] WalError),
    /// Nothing could be loaded from what was written.
    #[error("what was restored could not be loaded: {0}; please report it")]
    Content(SnapshotContentError),
    /// The revision cannot be raised so far.
    #[error(transparent)]
    Bump(#[from] BumpError),
    /// There is a log already.
    #[error("there is a log already, and it would be void; restore to an empty directory")]
    NotEmpty,
}

impl RestoreError {
    fn of_content(error: SnapshotContentError) -> RestoreError {
        match error {
            SnapshotContentError::File(error) => RestoreError::Log(error),
            error => RestoreError::Content(error),
        }
    }
}

/// How far the terms of two clusters that are restored from one backup lie apart, at most.
const TERMS_SKIPPED_MAX: u64 = 1 << 20;

/// Writes what a founder of a new cluster begins with to an empty disk; it is durable when this returns.
///
/// # Errors
/// When the disk is not empty or fails, or the revision cannot be raised.
pub fn restore<D: Disk>(
    disk: D,
    loaded: LoadedSnapshot,
    settings: &RestoreSettings,
) -> Result<RestoredSnapshot, RestoreError> {
    let RestoreSettings {
        cluster_id,
        member_id,
        ref founders,
        salt,
        bump_revision,
    } = *settings;
    assert!(
        founders.get(member_id).is_some(),
        "member {member_id:x} does not found the cluster that it begins"
    );
    let LoadedSnapshot {
        mut head,
        mut store,
        ..
    } = loaded;
    store.begin_anew(bump_revision)?;
    head.membership = founders.membership();
    head.members = founders.clone();
    head.duplicates = Duplicates::default();
    let identity = Identity {
        cluster_id,
        member_id,
        group_id: GROUP_ID,
    };
    let mut options = Options::new(identity);
    options.salt = salt;
    let mut log = quorate_wal::open(disk.clone(), options)?;
    if !log.recovered.is_new {
        return Err(RestoreError::NotEmpty);
    }
    let meta = head.meta();
    let mark = SnapshotMark {
        index: meta.index.0,
        term: meta.term.0,
    };
    let scan = store
        .capture_snapshot()
        .expect("nobody else scans a store that was just loaded");
    let files = SnapshotFiles::new(disk, identity, salt);
    let head: Bytes = head.encode();
    let mut taker = SnapshotTaker::begin(&files, Capture { meta, head, scan })?;
    while let Some(piece) = taker.scan(&store) {
        taker.write(&piece).map_err(RestoreError::of_content)?;
    }
    taker.finish().map_err(RestoreError::of_content)?;
    let id = files.read(mark)?.id();
    // File before mark, as ever. Somebody may restore a backup twice with the same flags, and start a member of the
    // first attempt among those of the second: entries that the two clusters wrote at one index must not pass for the
    // same, so they write in terms that are most likely different. Members of one cluster may begin in different terms.
    log.writer.append(&Batch {
        hard_state: Some(HardState {
            term: mark.term + salt % TERMS_SKIPPED_MAX,
            vote: 0,
            refilling: false,
        }),
        snapshot: Some(mark),
        ..Batch::default()
    })?;
    log.writer.sync()?;
    log.writer.cover()?;
    Ok(RestoredSnapshot {
        id,
        revision: store.revision(),
        keys: store.key_count(),
        leases: store.lease_count(),
        began_with: (store.state_hash() ^ u64::from(id.checksum)).max(2),
    })
}

#[cfg(test)]
mod tests;
