//! What is drawn of a world before it begins: what goes wrong in it, and how its nodes are set up.

use std::time::Duration;

use quorate_raft::NodeId;

use super::{ELECTION_TIMEOUT, World};

/// What this world is like.
#[derive(Clone, Copy)]
pub(super) struct Nature {
    pub(super) loss_percent: u64,
    pub(super) repeat_percent: u64,
    pub(super) slow_percent: u64,
    pub(super) stall_percent: u64,
    /// After how many entries a node takes a snapshot.
    pub(super) snapshot_every: Option<u64>,
    /// Nodes that are there to join, and so whether the membership changes.
    pub(super) spares: u64,
    /// How often a crash leaves damaged entries behind.
    pub(super) rot_percent: u64,
    /// Whether disks are put back to earlier states.
    pub(super) swaps: bool,
    /// Whether leaders hold leases, and everything is arranged so that they ought not to.
    pub(super) leases: bool,
}
impl World {
    /// Draws what goes wrong in this world, and how its nodes are set up.
    pub(super) fn draw_nature(&mut self) {
        self.nature = Nature {
            loss_percent: [0, 0, 5, 20][self.below(4) as usize],
            repeat_percent: [0, 0, 10][self.below(3) as usize],
            slow_percent: [0, 5, 30][self.below(3) as usize],
            stall_percent: [0, 2, 10][self.below(3) as usize],
            snapshot_every: [None, Some(3), Some(20), Some(100)][self.below(4) as usize],
            ..self.nature
        };
        self.config.election_timeout = ELECTION_TIMEOUT;
        self.config.heartbeat_interval = Duration::from_millis(30);
        self.config.check_quorum = self.below(4) > 0;
        self.config.pre_vote = self.config.check_quorum && self.below(4) > 0;
        if self.config.check_quorum && self.below(3) == 0 {
            self.config.lease_reads = true;
            self.config.doubt_leader_on_lost_link = false;
        }
        self.config.empty_entry_on_election = self.below(5) > 0;
        if self.below(2) == 0 {
            self.config.max_append_bytes = 300;
            self.config.max_inflight_bytes = 1000;
            self.config.max_inflight_appends = 3;
            self.config.max_uncommitted_bytes = 4000;
            self.config.max_committed_bytes_per_ready = 500;
            self.config.max_unapplied_bytes = 1500;
            self.config.max_pending_reads = 10;
        }
        if self.below(2) == 0 {
            self.config.max_memory_log_bytes = 500;
        }
    }

    /// Disks rot here.
    pub(in super::super) fn with_rot(seed: u64, count: u64) -> World {
        let mut world = World::new(seed, count);
        world.nature.rot_percent = 60;
        world
    }

    /// Disks are put back to earlier states here.
    pub(in super::super) fn with_swaps(seed: u64, count: u64) -> World {
        let mut world = World::with_spares(seed, count, 0);
        world.nature.swaps = true;
        world.config.record_interval = Duration::from_millis(60);
        let ids: Vec<NodeId> = world.nodes.keys().copied().collect();
        for id in ids {
            world.start(id);
        }
        world
    }

    /// Leaders hold leases here, in the worst of circumstances: see `clocks.rs`.
    pub(in super::super) fn with_leases(seed: u64, count: u64) -> World {
        let mut world = World::with_spares(seed, count, 0);
        world.nature.leases = true;
        world.nature.stall_percent = 0;
        world.nature.loss_percent = 0;
        world.config.check_quorum = true;
        world.config.lease_reads = true;
        world.config.doubt_leader_on_lost_link = false;
        let ids: Vec<NodeId> = world.nodes.keys().copied().collect();
        for id in ids {
            world.start(id);
        }
        world
    }
}
