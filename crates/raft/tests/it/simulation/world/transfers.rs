//! Transfers of leadership: each that is begun has one outcome, in time.

use quorate_raft::{NodeId, Role, TransferOutcome};

use super::World;

impl World {
    /// Whoever leads is asked to hand over to some node.
    pub(super) fn transfer(&mut self) {
        let to = NodeId(1 + self.below(self.nodes.len() as u64));
        let leads = |raft: &quorate_raft::Raft| raft.status().role == Role::Leader;
        let leader = self
            .nodes
            .iter()
            .find(|(id, node)| node.raft.as_ref().is_some_and(leads) && !self.is_paused(**id));
        let Some((id, _)) = leader else { return };
        let (id, now) = (*id, self.local(*id));
        if self.machine(id).transfer(now, to).is_ok() {
            let node = self.nodes.get_mut(&id).unwrap();
            assert_eq!(node.transfer, None, "two transfers at once");
            node.transfer = Some((to, self.now));
        }
        self.carry_out(id);
    }

    /// A transfer has ended.
    pub(super) fn transferred(&mut self, id: NodeId, outcome: TransferOutcome) {
        let node = self.nodes.get_mut(&id).unwrap();
        let (begun, at) = node.transfer.take().expect("a transfer that was begun");
        assert!(
            self.is_waking(id) || self.now <= at + self.election_timeout_at_most(),
            "a transfer begun at {at} ends at {}",
            self.now
        );
        match outcome {
            TransferOutcome::Done { to } => {
                assert_eq!(begun, to);
                self.seen.note("handed leadership over");
            }
            TransferOutcome::Elsewhere { to, leader } => {
                assert!(begun == to && leader != to);
            }
            TransferOutcome::TimedOut { to, .. } => assert_eq!(begun, to),
        }
    }
}
