//! Links between members: one long-lived stream each way.
//!
//! Each member dials every other and speaks on the stream it dialled; what it hears comes on
//! the streams that the others dialled. So the loss of a link is an event at the side that
//! needs to know: whatever it sent last may not have arrived. Messages wait for a link in a
//! queue that is bounded in bytes; a link that is down takes none. Raft repeats what was lost.

mod accept;
mod dial;
mod handshake;
mod queue;
mod refusals;
mod snapshot_pull;
mod snapshot_source;

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_raft::NodeId;
use quorate_replica::PeerMessage;

pub(crate) use accept::PeerService;
pub(crate) use dial::dial;
pub(crate) use queue::PeerQueue;
pub(crate) use snapshot_pull::pull;
pub(crate) use snapshot_source::SnapshotSource;

/// The queues of messages to all peers.
pub(crate) struct Peers {
    queues: BTreeMap<NodeId, Arc<PeerQueue>>,
}

impl Peers {
    pub(crate) fn new(peers: impl IntoIterator<Item = NodeId>) -> Peers {
        let queues = peers
            .into_iter()
            .map(|peer| (peer, Arc::new(PeerQueue::new())));
        Peers {
            queues: queues.collect(),
        }
    }

    /// Sends a message if the link is up and its queue has room; else it is dropped and counted.
    pub(crate) fn send(&self, peer: NodeId, message: PeerMessage) {
        if let Some(queue) = self.queues.get(&peer) {
            queue.push(message);
        }
    }

    pub(crate) fn queue(&self, peer: NodeId) -> Option<&Arc<PeerQueue>> {
        self.queues.get(&peer)
    }

    /// Each peer with its queue.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &PeerQueue)> {
        self.queues
            .iter()
            .map(|(peer, queue)| (*peer, queue.as_ref()))
    }
}
