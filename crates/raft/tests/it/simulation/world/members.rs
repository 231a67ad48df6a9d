//! Members that come and go, and what is judged of it.

use bytes::Bytes;
use quorate_raft::{
    LogIndex, Membership, MembershipChange, Message, MessageError, NodeId, Ready, Role,
};

use super::swaps::disks;
use super::{Event, MILLISECOND, World};

impl World {
    /// Somebody asks a leader, or one that believes to be one, for a change.
    pub(super) fn change_membership(&mut self) {
        if self.healed {
            return;
        }
        let pause = 20 + self.below(250);
        self.schedule(pause * MILLISECOND, Event::Change);
        let leads = |world: &World, id: NodeId| {
            let raft = world.nodes[&id].raft.as_ref();
            raft.is_some_and(|raft| raft.status().role == Role::Leader) && !world.is_paused(id)
        };
        let leaders: Vec<NodeId> = self.nodes.keys().copied().collect();
        let leaders: Vec<NodeId> = leaders.into_iter().filter(|id| leads(self, *id)).collect();
        if leaders.is_empty() {
            return;
        }
        let leader = leaders[self.below(leaders.len() as u64) as usize];
        let before = self.machine(leader).status();
        let change = self.draw_change(leader, &before.membership);
        let promotes = matches!(change, MembershipChange::Promote(_));
        let now = self.local(leader);
        let context = Bytes::from_static(b"why");
        match self.machine(leader).change_membership(now, change, context) {
            Ok(accepted) => {
                self.seen.note("began a change");
                if promotes {
                    self.seen.note("promoted a learner");
                }
                assert_eq!(accepted.first, before.last_index.next());
                assert_eq!(
                    (accepted.last, accepted.term),
                    (accepted.first, before.term)
                );
                assert!(before.membership_index <= before.commit && !before.membership.is_joint());
            }
            Err(quorate_raft::ChangeError::NotCaughtUp { .. }) => {
                self.seen.note("refused a learner that was not caught up");
            }
            Err(_) => {
                let after = self.machine(leader).status();
                assert_eq!(
                    after.membership, before.membership,
                    "a refusal had an effect"
                );
            }
        }
        self.carry_out(leader);
    }

    fn draw_change(&mut self, leader: NodeId, current: &Membership) -> MembershipChange {
        let count = self.nodes.len() as u64;
        let any = NodeId(1 + self.below(count));
        let members = current.members();
        let member = members[self.below(members.len() as u64) as usize];
        match self.below(8) {
            0 => MembershipChange::AddLearner(any),
            1 => MembershipChange::AddVoter(any),
            2 | 3 => {
                let learners = current.learners.len() as u64;
                let learner = self.below(learners.max(1)) as usize;
                MembershipChange::Promote(*current.learners.get(learner).unwrap_or(&any))
            }
            4 => MembershipChange::Remove(member),
            5 => MembershipChange::Remove(leader),
            6 => {
                // Nobody stays: of two majorities that share no one, neither may decide alone.
                let others = (1..=count).map(NodeId).filter(|id| !members.contains(id));
                MembershipChange::Replace {
                    voters: others.take(1 + self.below(3) as usize).collect(),
                    learners: Vec::new(),
                }
            }
            _ => {
                let (votes, learns) = (self.random(), self.random());
                let has = |set: u64| move |id: &NodeId| (set >> (8 + id.0)) & 1 == 1;
                let all = (1..=count).map(NodeId);
                let voters: Vec<NodeId> = all.clone().filter(has(votes)).collect();
                let learners = all.filter(|id| !has(votes)(id) && has(learns)(id));
                MembershipChange::Replace {
                    learners: learners.filter(|id| !current.is_voter(*id)).collect(),
                    voters,
                }
            }
        }
    }

    /// What a leader has just committed must be on a quorum of disks.
    pub(super) fn judge_commit(&mut self, id: NodeId) {
        let status = self.machine(id).status();
        if status.role != Role::Leader {
            return;
        }
        let disks = disks(&self.nodes);
        self.judge.leader_commits(
            (id, status.term),
            &status.membership,
            status.commit,
            &self.nodes[&id].memory,
            &disks,
        );
        if std::mem::take(&mut self.judge.completed_by_another) > 0 {
            self.seen.note("completed a change of another leader");
        }
    }

    /// Only voters ask for votes, and those that go and do not know yet that they have gone.
    pub(super) fn judge_candidacy(&mut self, id: NodeId, ready: &Ready) {
        let mut said = ready.send_now.iter().chain(&ready.send_after);
        let campaigns = ready
            .state
            .is_some_and(|state| matches!(state.role, Role::PreCandidate | Role::Candidate));
        if campaigns && said.any(|sent| matches!(sent.message, Message::RequestVote { .. })) {
            let status = self.machine(id).status();
            let goes = status.membership_index > status.commit && !status.membership.contains(id);
            assert!(
                status.membership.is_voter(id) || goes && !status.membership.voters.is_empty(),
                "{id} campaigns: {status:?}"
            );
        }
        let status = self.machine(id).status();
        let left = ready
            .state
            .is_some_and(|state| state.role == Role::Follower)
            && ready.state.is_some_and(|state| state.leader.is_none())
            && !status.membership.is_voter(id)
            && status.membership_index == status.commit
            && ready
                .send_now
                .iter()
                .any(|sent| matches!(sent.message, Message::Append { .. }));
        if left {
            self.seen.note("left office when removed");
        }
    }

    pub(super) fn note_membership(&mut self, id: NodeId, membership: &Membership) {
        let status = self.machine(id).status();
        assert_eq!(
            *membership, status.membership,
            "told another than is in force"
        );
        let newest = self.nodes[&id].membership_index;
        if status.membership_index < newest {
            self.seen.note("undid a change that was cut off");
        }
        self.nodes.get_mut(&id).unwrap().membership_index = status.membership_index;
    }

    /// Nothing that comes from a correct node is refused, except what strangers may not say.
    pub(super) fn judge_refusal(
        &mut self,
        to: NodeId,
        from: NodeId,
        message: &Message,
        result: &Result<(), MessageError>,
    ) {
        if let Err(MessageError::UnknownSender { .. }) = result
            && self.nature.spares > 0
        {
            let membership = self.machine(to).status().membership;
            assert!(
                !membership.contains(from),
                "{to} knows {from} by {membership:?}"
            );
            let from_anyone = matches!(
                message,
                Message::Append { .. }
                    | Message::SnapshotOffer { .. }
                    | Message::TimeoutNow { .. }
                    | Message::RequestVote { .. }
            );
            assert!(!from_anyone, "{to} refuses to hear {message:?} of {from}");
            self.seen.note("refused a stranger");
            return;
        }
        assert_eq!(*result, Ok(()), "{to} refuses {message:?} of {from}");
    }

    /// The membership of the newest leader, if it is settled and committed.
    fn settled_membership(&self) -> Option<Membership> {
        let statuses = self
            .nodes
            .values()
            .filter_map(|node| Some(node.raft.as_ref()?.status()));
        let leader = statuses
            .filter(|status| status.role == Role::Leader)
            .max_by_key(|status| status.term)?;
        let is_settled = leader.membership_index <= leader.commit && !leader.membership.is_joint();
        is_settled.then_some(leader.membership)
    }

    /// Any node; but of a healed world, in which it matters that answers come, a member.
    pub(super) fn draw_node_to_ask(&mut self) -> NodeId {
        let members = match self.settled_membership() {
            Some(membership) if self.healed => membership.members(),
            _ => self.nodes.keys().copied().collect(),
        };
        members[self.below(members.len() as u64) as usize]
    }

    /// Switches off the nodes that are not members.
    pub(super) fn sweep(&mut self) {
        self.schedule(30 * MILLISECOND, Event::Sweep);
        if let Some(membership) = self.settled_membership() {
            let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
            for id in ids {
                if !membership.contains(id) && self.is_up(id, None) {
                    self.crash(id);
                }
            }
        }
    }

    /// Whether all members, learners too, were handed entries through `index`.
    pub(super) fn everyone_is_at(&self, index: usize) -> bool {
        let index = LogIndex(index as u64);
        self.settled_membership().is_some_and(|membership| {
            let mut members = membership.members().into_iter();
            members.all(|id| self.nodes[&id].handed_out >= index)
        })
    }
}
