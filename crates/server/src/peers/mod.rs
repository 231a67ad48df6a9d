//! Links between members: one long-lived stream each way.
//!
//! Each member dials every other and speaks on the stream it dialled; what it hears comes on
//! the streams that the others dialled. So the loss of a link is an event at the side that
//! needs to know: whatever it sent last may not have arrived. Messages wait for a link in a
//! queue that is bounded in bytes; a link that is down takes none. Raft repeats what was lost.

mod accept;
mod dial;
mod handshake;
mod hashes;
mod queue;
mod refusals;
mod snapshot_pull;
mod snapshot_source;
mod supervise;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use quorate_raft::NodeId;
use quorate_replica::PeerMessage;

pub(crate) use accept::PeerService;
use dial::dial;
pub(crate) use hashes::ask_hash;
pub(crate) use queue::PeerQueue;
pub(crate) use snapshot_pull::pull;
pub(crate) use snapshot_source::SnapshotSource;
pub(crate) use supervise::{Told, ask_about_strangers, ask_members, supervise};

/// The queues of messages to all peers.
#[derive(Default)]
pub(crate) struct Peers {
    queues: RwLock<BTreeMap<NodeId, Arc<PeerQueue>>>,
}

impl Peers {
    /// Sends a message if the link is up and its queue has room; else it is dropped and counted.
    pub(crate) fn send(&self, peer: NodeId, message: PeerMessage) {
        if let Some(queue) = self.queue(peer) {
            queue.push(message);
        }
    }

    pub(crate) fn queue(&self, peer: NodeId) -> Option<Arc<PeerQueue>> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.get(&peer).map(Arc::clone)
    }

    /// Each peer with its queue.
    pub(crate) fn all(&self) -> Vec<(NodeId, Arc<PeerQueue>)> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let queues = queues
            .iter()
            .map(|(peer, queue)| (*peer, Arc::clone(queue)));
        queues.collect()
    }

    #[cfg(test)]
    pub(crate) fn add_for_tests(&self, peer: NodeId) {
        self.write().insert(peer, Arc::new(PeerQueue::new()));
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<NodeId, Arc<PeerQueue>>> {
        self.queues.write().unwrap_or_else(PoisonError::into_inner)
    }
}
