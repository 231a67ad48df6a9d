//! Compares members: whether they hold the same, bit by bit.
//!
//! The leader hashes what it holds up to its newest revision, asks the others for theirs of the same revision,
//! and raises the CORRUPT alarm for whoever differs from the majority ([`corrupt_members`]); from there on the
//! cluster answers nothing but questions about its state. A member that does not answer, is too far behind, has
//! compacted to another revision, or is of a version that does not know the question, is passed over.

use std::sync::Arc;

use quorate_proto::etcdserverpb::AlarmType;
use quorate_raft::{NodeId, Role};
use quorate_replica::{MemberHash, UNKNOWN_MEMBER, corrupt_members};
use tokio::task::JoinSet;

use crate::core::Core;
use crate::error::ServerError;
use crate::hashing::kv_hash;
use crate::limits::INITIAL_CHECK_PATIENCE;
use crate::peers::ask_hash;
use crate::quota;

/// Compares whenever it is time, and this member leads, until the task is dropped.
pub(crate) async fn compare_members(core: Arc<Core>) {
    let Some(every) = core.settings.corrupt_check_interval else {
        return;
    };
    loop {
        tokio::time::sleep(every).await;
        if core.leadership().role == Role::Leader {
            compare(&core).await;
        }
    }
}

async fn compare(core: &Arc<Core>) {
    let hashes = match hashes(core).await {
        Ok(hashes) => hashes,
        Err(error) => {
            tracing::warn!(%error, "the members could not be compared");
            return;
        }
    };
    let voters = core.members.applied();
    let voters = voters
        .iter()
        .filter(|(_, member)| !member.is_learner)
        .count();
    let others = hashes.len() - 1;
    core.metrics.members_compared.inc_by(others as u64);
    tracing::debug!(others, "compared the members");
    for member in corrupt_members(&hashes, voters) {
        if quota::raise(core, AlarmType::Corrupt, member).await == Ok(true) {
            let who = match member {
                UNKNOWN_MEMBER => "nobody can say which".to_owned(),
                member => core.member_name(NodeId(member)),
            };
            tracing::error!(
                member = who,
                ?hashes,
                "members differ: the alarm CORRUPT is raised, and reads and writes are refused until it is disarmed"
            );
        }
    }
}

/// What this member says, first, and all others that answer.
async fn hashes(core: &Arc<Core>) -> Result<Vec<MemberHash>, quorate_replica::RequestError> {
    let own = kv_hash(core, 0).await?;
    let table = core.members.applied();
    let votes = |id| table.get(id).is_none_or(|member| !member.is_learner);
    let said = |member, hash: quorate_kv::KvHash| MemberHash {
        member,
        votes: votes(member),
        hash: hash.hash,
        hash_revision: hash.hash_revision,
        compact_revision: hash.compact_revision,
    };
    let mut hashes = vec![said(core.identity.member_id, own)];
    let mut asked = JoinSet::new();
    for peer in core.members.peers().into_keys() {
        let core = Arc::clone(core);
        asked.spawn(async move { (peer, ask_hash(&core, peer, own.hash_revision).await) });
    }
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok((peer, Ok(hash))) => hashes.push(said(peer.0, hash)),
            Ok((peer, Err(reason))) => {
                let peer = core.member_name(peer);
                tracing::info!(peer, reason, "a member was not compared");
            }
            Err(_) => {}
        }
    }
    Ok(hashes)
}

/// Before the first client is served: whether this member holds what the others do. Members that cannot be asked
/// are passed over, as in etcd, and so is the whole comparison if this one does not catch up in time.
///
/// # Errors
/// When another member differs.
pub(crate) async fn check_before_serving(core: &Arc<Core>) -> Result<(), ServerError> {
    let caught_up = tokio::time::timeout(INITIAL_CHECK_PATIENCE, core.catch_up()).await;
    let (Ok(()), Ok(hashes)) = (caught_up, hashes(core).await) else {
        tracing::warn!(
            "this member serves without having been compared: it did not catch up in time"
        );
        return Ok(());
    };
    // Of all pairs only those with this member: who is right is not asked.
    let is_different = |other: &&MemberHash| !corrupt_members(&[hashes[0], **other], 1).is_empty();
    match hashes.iter().skip(1).find(is_different) {
        Some(other) => Err(ServerError::Differs {
            peer: core.member_name(NodeId(other.member)),
            revision: other.hash_revision,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
