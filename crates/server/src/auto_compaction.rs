//! Compacts without being asked, by the rule of [`AutoCompactor`]: here are only the clock and the log.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use quorate_kv::KvError;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::CompactionRequest;
use quorate_raft::Role;
use quorate_replica::{AutoCompaction, AutoCompactor, RequestError, StoreLevel};

use crate::core::Core;

/// Every member looks, so that a new leader knows how old revisions are; the leader compacts. Ends when nothing
/// is ever to be compacted.
pub(crate) async fn compact_by_itself(core: Arc<Core>) {
    let mut compactor = AutoCompactor::new(core.settings.auto_compaction, core.clock.now());
    while let Some(at) = compactor.deadline() {
        tokio::time::sleep(at.since(core.clock.now())).await;
        // While another store is being loaded there is nothing to look at, and nothing to compact.
        let Some(level) = level(&core) else {
            tokio::time::sleep(crate::limits::CATCH_UP_PAUSE).await;
            continue;
        };
        let Some(revision) = compactor.look(core.clock.now(), &level) else {
            continue;
        };
        if core.leadership().role == Role::Leader && compact(&core, &level, revision).await {
            compactor.compacted(core.clock.now());
        }
    }
}

fn level(core: &Core) -> Option<StoreLevel> {
    let (store, _) = core.readable_store().ok()?;
    Some(StoreLevel {
        revision: store.revision(),
        compacted_revision: store.compacted_revision(),
        used_bytes: store.memory_bytes() as u64,
        quota_bytes: core.quota.limit_bytes().map(|bytes| bytes as u64),
    })
}

/// Whether it is compacted now.
async fn compact(core: &Core, level: &StoreLevel, revision: i64) -> bool {
    let request = CompactionRequest {
        revision,
        physical: false,
    };
    let body = Bytes::from(request.encode_to_vec());
    match core.write(CommandKind::Compact, body).await {
        Ok(_) => {
            announce(core.settings.auto_compaction, level, revision);
            true
        }
        Err(RequestError::Refused(KvError::Compacted)) => true,
        Err(error) => {
            tracing::warn!(revision, %error, "automatic compaction failed, and is tried again");
            false
        }
    }
}

fn announce(rule: AutoCompaction, level: &StoreLevel, revision: i64) {
    match rule {
        AutoCompaction::WhenFull { retention, .. } => tracing::warn!(
            revision,
            used_bytes = level.used_bytes,
            quota_bytes = level.quota_bytes,
            "four fifths of the quota are used: versions older than {retention:?} were compacted; \
             --auto-compaction-retention sets a rule of your own, and 0 none"
        ),
        _ => tracing::info!(revision, "compacted by itself"),
    }
}

#[cfg(test)]
mod tests;
