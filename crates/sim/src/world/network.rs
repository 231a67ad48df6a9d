//! Links between members, one each way: dialled, up, lost; and what the network does to frames.

use std::collections::{BTreeMap, BTreeSet};

use quorate_raft::Instant;
use quorate_replica::PeerMessage;

/// One direction between two members: `from` dialled and speaks.
#[derive(Default)]
pub(crate) struct Link {
    pub(crate) up: bool,
    /// Counts links; what was sent on an earlier one is not sent on a later one.
    pub(crate) number: u64,
    /// Messages that wait until the transport takes a frame.
    pub(crate) waiting: Vec<PeerMessage>,
    pub(crate) flush_due: bool,
    /// When the last frame arrives: the next one does not overtake it.
    pub(crate) last_arrival: Instant,
}

/// All links between members, and what does not pass.
#[derive(Default)]
pub struct Network {
    pub(crate) links: BTreeMap<(usize, usize), Link>,
    /// Directions in which nothing passes.
    pub blocked: BTreeSet<(usize, usize)>,
    /// Frames that arrived twice: what a refusal says is then no longer certain.
    pub(crate) duplicated: u64,
}

impl Network {
    pub(crate) fn link(&mut self, from: usize, to: usize) -> &mut Link {
        self.links.entry((from, to)).or_default()
    }

    pub(crate) fn passes(&self, from: usize, to: usize) -> bool {
        !self.blocked.contains(&(from, to))
    }

    /// Cuts `node` off, one of so many, in both directions.
    pub fn isolate(&mut self, node: usize, nodes: usize) {
        for other in (0..nodes).filter(|other| *other != node) {
            self.blocked.insert((node, other));
            self.blocked.insert((other, node));
        }
    }
}
