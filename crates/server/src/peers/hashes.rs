//! What members ask each other to find out whether they hold the same.

use std::time::Duration;

use quorate_kv::KvHash;
use quorate_proto::peer::{HashRequest, HashResponse};
use quorate_raft::NodeId;
use quorate_replica::RequestError;
use tonic::Status;
use tonic::transport::Endpoint;

use super::handshake;
use super::refusals::shortened;
use crate::core::Core;
use crate::hashing::kv_hash;
use crate::limits::{HASH_PATIENCE, HASH_TIMEOUT, PEER_DIAL_TIMEOUT};
use crate::stubs::peer_client::PeerClient;

/// How often it is looked whether this member has come as far as is asked for.
const REVISION_POLL: Duration = Duration::from_millis(10);

/// Asks a peer for the hash of what it holds up to a revision.
///
/// # Errors
/// Why there is none, in words.
pub(crate) async fn ask_hash(core: &Core, peer: NodeId, revision: i64) -> Result<KvHash, String> {
    let mut last = "no address of it is known".to_owned();
    for url in core.peer_urls(peer) {
        match tokio::time::timeout(HASH_TIMEOUT, ask_at(core, peer, url, revision)).await {
            Ok(Ok(hash)) => return Ok(hash),
            Ok(Err(reason)) => last = reason,
            Err(_) => last = format!("no answer in {HASH_TIMEOUT:?}"),
        }
    }
    Err(last)
}

async fn ask_at(core: &Core, peer: NodeId, url: String, revision: i64) -> Result<KvHash, String> {
    let endpoint = Endpoint::from_shared(url).map_err(|error| error.to_string())?;
    let connected = endpoint.connect_timeout(PEER_DIAL_TIMEOUT).connect().await;
    let channel = connected.map_err(|error| super::dial::describe(&error))?;
    let urls = &core.settings.advertise_client_urls;
    let request = HashRequest {
        handshake: Some(handshake::of(
            &core.identity,
            core.version_in_force(),
            urls,
            peer.0,
            String::new(),
        )),
        revision,
    };
    let answer = PeerClient::new(channel).hash(request).await;
    let answer = answer.map_err(|status| shortened(status.message()).to_owned())?;
    let answer = answer.into_inner();
    Ok(KvHash {
        hash: answer.hash,
        compact_revision: answer.compact_revision,
        hash_revision: answer.hash_revision,
        current_revision: answer.hash_revision,
    })
}

/// The answer to a peer that was let in. A follower may hear the question before it has applied what the leader has:
/// it waits a while.
pub(super) async fn answer(core: &Core, revision: i64) -> Result<HashResponse, Status> {
    let comes = async {
        while core.store().revision() < revision {
            tokio::time::sleep(REVISION_POLL).await;
        }
    };
    // If it does not come in time, the hash is refused.
    let _ = tokio::time::timeout(HASH_PATIENCE, comes).await;
    let hash = kv_hash(core, revision).await.map_err(|error| match error {
        RequestError::Refused(refused) => Status::out_of_range(refused.to_string()),
        other => Status::unavailable(other.to_string()),
    })?;
    Ok(HashResponse {
        hash: hash.hash,
        compact_revision: hash.compact_revision,
        hash_revision: hash.hash_revision,
    })
}
