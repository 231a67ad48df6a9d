//! What a world must do once nothing breaks any more.

use quorate_raft::NodeId;

use super::{Event, MILLISECOND, World};

/// Within what time a healed world must elect, commit and answer: 20 election timeouts. Of 4,000
/// worlds of changing members half needed at most 3.6, 99 in 100 at most 7.4, the worst 9.6. What
/// may take longest is an election in which a voter of the past is in the way of the only node that
/// can win: 4 on average, more than 20 with a chance of 1 in 2,000 (`make_way_for`, `election.rs`).
const HEALED_NANOS: u64 = 20 * 150 * MILLISECOND;

impl World {
    /// Mends everything; then a leader must be elected, proposals committed everywhere, and
    /// reads granted on every node, in bounded time.
    pub(in super::super) fn heal_and_expect_progress(&mut self) {
        self.healed = true;
        self.cut.clear();
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in &ids {
            self.nodes.get_mut(id).unwrap().paused_until = self.now;
            if !self.is_up(*id, None) {
                self.start(*id);
            }
        }
        if self.nature.spares > 0 && !self.config.check_quorum {
            // Without it nothing keeps a node that was removed from disturbing.
            self.schedule(1, Event::Sweep);
        }
        let proposals_before = self.judge.committed.len();
        let granted_before = self.granted;
        let deadline = self.now + HEALED_NANOS;
        self.run_until(deadline, |world| {
            world.judge.committed.len() > proposals_before + 50
                && world.granted > granted_before + 20
                && world.everyone_is_at(proposals_before + 50)
                && world.everyone_is_sound()
        });
        assert!(
            self.now < deadline,
            "no progress after healing: {:#?}",
            self.nodes
                .values()
                .filter_map(|node| Some(node.raft.as_ref()?.status()))
                .collect::<Vec<_>>()
        );
    }
}
