//! Which links there are: they come and go with the members.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_proto::peer::MembersRequest;
use quorate_raft::NodeId;
use quorate_replica::MemberTable;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use super::{PeerQueue, dial};
use crate::core::{ConsensusInput, Core};
use crate::limits::{PEER_DIAL_TIMEOUT, TOLD_EVERY};
use crate::stubs::peer_client::PeerClient;

struct Dialled {
    urls: Vec<String>,
    task: tokio::task::AbortHandle,
    /// Set when it is no member any more: it is still told the log for a while, so that it
    /// learns of its removal.
    leaves_at: Option<Instant>,
}

/// Dials whoever is a member, as long as it is one, until the task is dropped.
pub(crate) async fn supervise(core: Arc<Core>) {
    let mut dialled: BTreeMap<NodeId, Dialled> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut changes = core.members.watch();
    let linger = 2 * core.settings.election_timeout;
    loop {
        changes.mark_unchanged();
        let wanted = core.members.peers();
        let now = Instant::now();
        for (peer, link) in &mut dialled {
            match wanted.get(peer) {
                Some(_) => link.leaves_at = None,
                None => {
                    link.leaves_at.get_or_insert(now + linger);
                }
            }
        }
        let ended: Vec<NodeId> = dialled
            .iter()
            .filter(|(peer, link)| {
                let moved = wanted.get(peer).is_some_and(|urls| *urls != link.urls);
                moved || link.leaves_at.is_some_and(|at| at <= now)
            })
            .map(|(peer, _)| *peer)
            .collect();
        for peer in ended {
            if let Some(link) = dialled.remove(&peer) {
                link.task.abort();
            }
            core.peers.remove(peer);
            core.consensus.push(ConsensusInput::LinkLost { peer });
        }
        for (peer, urls) in wanted {
            if dialled.contains_key(&peer) || urls.is_empty() {
                continue;
            }
            let queue = core.peers.add(peer);
            let task = tasks.spawn(dial(Arc::clone(&core), peer, queue, urls.clone()));
            let link = Dialled {
                urls,
                task,
                leaves_at: None,
            };
            dialled.insert(peer, link);
        }
        let next = dialled.values().filter_map(|link| link.leaves_at).min();
        let pause = next.map_or(Duration::from_secs(3600), |at| {
            at.saturating_duration_since(Instant::now())
        });
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

/// Asks the other members who is one whenever somebody unknown has claimed to be: this node may
/// have been away while it came, and it may lead now. The stranger's own word is not taken.
pub(crate) async fn ask_about_strangers(core: Arc<Core>) {
    loop {
        core.strangers.notified().await;
        for urls in core.members.peers().into_values() {
            if let Some(told) = ask_members(&urls, false).await
                && told.cluster_id == core.identity.cluster_id
                // Whoever answers may be further behind than this node.
                && told.applied_index > core.applied_index()
            {
                core.members.set_told(told.members);
            }
        }
        tokio::time::sleep(TOLD_EVERY).await;
    }
}

/// The cluster, as another member knows it.
pub(crate) struct Told {
    pub(crate) cluster_id: u64,
    pub(crate) founders: MemberTable,
    pub(crate) members: MemberTable,
    /// How far the other member has applied the log.
    pub(crate) applied_index: u64,
    /// The protocol version in force there.
    pub(crate) cluster_version: u32,
}

/// What whoever answers at one of these URLs tells. If it is to be `linearizable`, it is at least as
/// new as this question, and whoever does not reach the leader tells nothing.
pub(crate) async fn ask_members(urls: &[String], linearizable: bool) -> Option<Told> {
    for url in urls {
        let Ok(endpoint) = Endpoint::from_shared(url.clone()) else {
            continue;
        };
        let endpoint = endpoint.connect_timeout(PEER_DIAL_TIMEOUT);
        let Ok(channel) = endpoint.connect().await else {
            continue;
        };
        let mut client = PeerClient::new(channel);
        let asked = client.members(MembersRequest { linearizable });
        let Ok(Ok(answer)) = tokio::time::timeout(PEER_DIAL_TIMEOUT, asked).await else {
            continue;
        };
        let answer = answer.into_inner();
        if linearizable && !answer.linearizable {
            continue;
        }
        let founders = MemberTable::from_wire(&answer.founders.unwrap_or_default());
        let members = MemberTable::from_wire(&answer.members.unwrap_or_default());
        if let (Some(founders), Some(members)) = (founders, members) {
            return Some(Told {
                cluster_id: answer.cluster_id,
                founders,
                members,
                applied_index: answer.applied_index,
                cluster_version: answer.cluster_version,
            });
        }
    }
    None
}

impl super::Peers {
    /// A queue for a peer that there was none for.
    fn add(&self, peer: NodeId) -> Arc<PeerQueue> {
        let queue = Arc::new(PeerQueue::new());
        self.write().insert(peer, Arc::clone(&queue));
        queue
    }

    fn remove(&self, peer: NodeId) {
        let queue = self.write().remove(&peer);
        if let Some(queue) = queue {
            queue.link_lost();
        }
    }
}
