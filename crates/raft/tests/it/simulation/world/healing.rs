//! What a world must do once nothing breaks any more.

use quorate_raft::NodeId;

use super::{Event, MILLISECOND, World};

/// Within what time a healed world must elect, commit and answer.
const HEALED_NANOS: u64 = 20 * 150 * MILLISECOND;

impl World {
    pub(in super::super) fn scan_heal(&mut self) -> String {
        let start = self.now;
        self.heal_and_expect_progress();
        format!(
            "{:.2} pv {} cq {} lr {}",
            (self.now - start) as f64 / (150 * MILLISECOND) as f64,
            self.config.pre_vote,
            self.config.check_quorum,
            self.config.lease_reads
        )
    }
    /// Mends everything; then a leader must be elected, proposals committed everywhere, and
    /// reads granted on every node, in bounded time.
    pub(in super::super) fn heal_and_expect_progress(&mut self) {
        self.healed = true;
        if std::env::var_os("TRACE").is_some() {
            println!(
                "TRACE CONFIG {:?} nature cq {}",
                self.config,
                self.now / 1000
            );
        }
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
        let deadline = self.now
            + HEALED_NANOS * std::env::var("HEAL_TIMES").map_or(1, |w| w.parse::<u64>().unwrap());
        self.run_until(deadline, |world| {
            world.judge.committed.len() > proposals_before + 50
                && world.granted > granted_before + 20
                && world.everyone_is_at(proposals_before + 50)
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
