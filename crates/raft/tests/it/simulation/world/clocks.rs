//! Clocks that do not agree, and processes that stand still.
//!
//! Each node has a clock of its own, which runs up to five in a hundred slow or fast: the most that
//! a lease allows for. A process that stands still handles nothing; what was for it waits.

use quorate_raft::{Instant, NodeId, Role};

use super::{Event, MILLISECOND, World};

const MAX_DRIFT_PER_MILLION: u64 = 50_000;

impl World {
    pub(super) fn draw_clocks(&mut self) {
        if self.below(2) == 0 {
            return;
        }
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            // The extremes are what matters most.
            let drift = match self.below(3) {
                0 => 0,
                1 => 2 * MAX_DRIFT_PER_MILLION,
                _ => self.below(2 * MAX_DRIFT_PER_MILLION),
            };
            self.nodes.get_mut(&id).unwrap().clock_per_million =
                1_000_000 - MAX_DRIFT_PER_MILLION + drift;
        }
    }

    /// What a node's clock shows now.
    pub(super) fn local(&self, id: NodeId) -> Instant {
        let shown = u128::from(self.now) * u128::from(self.nodes[&id].clock_per_million);
        Instant::from_nanos((shown / 1_000_000) as u64)
    }

    /// When a node is to be woken next, in true time.
    pub(super) fn next_timer(&self) -> Option<(u64, NodeId)> {
        let due = |(id, node): (&NodeId, &super::Node)| {
            let shown = node.raft.as_ref()?.deadline()?.as_nanos();
            let per_million = u128::from(node.clock_per_million);
            let at = (u128::from(shown) * 1_000_000).div_ceil(per_million) as u64;
            Some((at.max(node.paused_until), *id))
        };
        self.nodes.iter().filter_map(due).min()
    }

    /// The way to two leaders, if votes are given too early. The leader is cut from one node, which
    /// will want to be elected; then from the others, which have heard it a moment ago, and which
    /// a restart makes forget that. Where clocks drift, the rest need not even forget.
    pub(super) fn lay_ambush(&mut self) {
        let leads = |node: &&super::Node| {
            let raft = node.raft.as_ref();
            raft.is_some_and(|raft| raft.status().role == Role::Leader)
        };
        let mut nodes = self.nodes.iter();
        let Some((leader, _)) = nodes.find(|(_, node)| leads(node)) else {
            return;
        };
        let leader = *leader;
        let spared = NodeId(1 + self.below(self.nodes.len() as u64));
        self.cut.insert((leader, spared));
        self.cut.insert((spared, leader));
        let after = self.below(400) * MILLISECOND;
        self.schedule(after, Event::Ambush { leader, spared });
    }

    pub(super) fn spring_ambush(&mut self, leader: NodeId, spared: NodeId) {
        if self.healed {
            return;
        }
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let restarts = self.below(2) == 0;
        for id in ids {
            if id == leader || id == spared {
                continue;
            }
            self.cut.insert((leader, id));
            self.cut.insert((id, leader));
            if restarts && self.is_up(id, None) {
                self.crash(id);
                self.start(id);
            }
        }
    }

    /// A node stands still for up to four election timeouts.
    pub(super) fn pause(&mut self, id: NodeId) {
        let until = self.now + self.below(600) * MILLISECOND;
        self.nodes.get_mut(&id).unwrap().paused_until = until;
    }

    /// Puts an event off while the node that it is for stands still.
    pub(super) fn put_off(&mut self, event: Event) -> Option<Event> {
        let of = match &event {
            Event::Deliver { to: node, .. }
            | Event::LinkLost { node, .. }
            | Event::WriteDone { node, .. }
            | Event::Fetched { node, .. }
            | Event::Applied { node, .. }
            | Event::SnapshotTaken { node, .. }
            | Event::Pulled { node, .. } => *node,
            _ => return Some(event),
        };
        let until = self.nodes[&of].paused_until;
        if until <= self.now {
            return Some(event);
        }
        self.schedule(until - self.now, event);
        None
    }

    /// Whether it has stood still until just now, and its timers may not have been handled yet.
    pub(super) fn is_waking(&self, id: NodeId) -> bool {
        self.nodes[&id].paused_until >= self.now
    }

    /// An election timeout by the slowest clock.
    pub(super) fn election_timeout_at_most(&self) -> u64 {
        let shown = super::ELECTION_TIMEOUT.as_nanos() as u64;
        1 + shown * 1_000_000 / (1_000_000 - MAX_DRIFT_PER_MILLION)
    }

    pub(super) fn is_paused(&self, id: NodeId) -> bool {
        self.nodes[&id].paused_until > self.now
    }
}
