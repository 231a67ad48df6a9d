//! Members that run an older program than others: who talks with whom, what nobody may be told, and a
//! cluster that is upgraded one member after the other, under load, while things go wrong.
//!
//! An older program is this one, told to speak less: it says so in its handshakes, and stops at what it
//! would not know. That a world of mixed members goes on at all is the proof that nobody was given
//! such a thing: an applier that meets an entry beyond its version is the end of the world, as is a
//! message.

use std::time::Duration;

use quorate_proto::envelope::CommandKind;
use quorate_replica::{HIGHEST_PROTOCOL_VERSION, LOWEST_PROTOCOL_VERSION, PeerMessage};

use super::{Op, Plan, World};
use crate::Recipe;

/// The least that members of a cluster that is upgraded are.
const LEAST_NODES: usize = 3;

/// Time between two steps of an upgrade.
const STEP: Duration = Duration::from_millis(1_500);

impl World {
    /// A cluster of members that all run the older program, with the faults and the load of this seed, and
    /// clients that ask for leases, which it does not know.
    pub fn of_the_older_version(seed: u64) -> World {
        let recipe = Recipe::from(seed);
        let mut plan = Plan::of(&recipe);
        plan.nodes = plan.nodes.max(LEAST_NODES);
        plan.lease_clients = plan.lease_clients.max(1);
        // Who is to hold the version back must stay a member.
        plan.newcomers = 0;
        plan.chaos_ms = STEP.as_millis() as u64 * (2 * plan.nodes as u64 + 4);
        World::with_programs(plan, &recipe, true, None, LOWEST_PROTOCOL_VERSION)
    }

    /// From now on the program that runs on this node speaks at most this version: it is stopped as by
    /// `kill -9` and started anew, unless it is down and will be started anyway.
    pub fn replace_program(&mut self, node: usize, speaks: u32) {
        self.members[node].speaks = speaks;
        if self.members[node].process.is_some() {
            self.kill(node);
            self.on_restart(node);
        }
        self.note(|_| format!("n{} is to speak version {speaks}", node + 1));
    }

    /// The programs are replaced one after the other while the load goes on and faults strike; halfway one
    /// goes back to the older program, and forward again. In the end all is well, nothing was lost,
    /// and what clients were told is linearizable.
    pub fn upgrade_and_judge(&mut self) {
        let positions = self.members.len();
        let last = positions - 1;
        for node in 0..last {
            self.run_for(STEP);
            self.replace_program(node, HIGHEST_PROTOCOL_VERSION);
            if node == last / 2 {
                self.run_for(STEP);
                self.replace_program(node, LOWEST_PROTOCOL_VERSION);
                self.run_for(STEP);
                self.replace_program(node, HIGHEST_PROTOCOL_VERSION);
            }
        }
        self.run_for(STEP);
        let early = self.ops.iter().filter(|op| is_lease_granted(op)).count();
        assert_eq!(early, 0, "leases while a member does not know them");
        self.replace_program(last, HIGHEST_PROTOCOL_VERSION);
        let end = Duration::from_millis(self.plan.chaos_ms);
        self.run_for(end.saturating_sub(self.now.since(quorate_raft::Instant::ZERO)));
        self.heal_and_judge();
        self.judge_history();
    }

    /// How many leases clients were granted.
    pub fn granted_leases(&self) -> usize {
        self.ops.iter().filter(|op| is_lease_granted(op)).count()
    }

    /// Whether two that run take part in one cluster: who speaks less than the version in force is turned
    /// away, as in the server's handshake.
    pub(super) fn versions_meet(&self, one: usize, other: usize) -> bool {
        let process = |node: usize| self.members[node].process.as_ref();
        let (Some(one), Some(other)) = (process(one), process(other)) else {
            return true;
        };
        one.applied.cluster_version <= other.speaks && other.applied.cluster_version <= one.speaks
    }

    /// Nobody is told what its program does not know.
    pub(super) fn judge_versions(&self, to: usize, messages: &[PeerMessage]) {
        let speaks = self.process(to).speaks;
        let is_beyond = |message: &&PeerMessage| needed(message) > speaks;
        if let Some(message) = messages.iter().find(is_beyond) {
            panic!(
                "n{} speaks version {speaks} and is told {message:?}",
                to + 1
            );
        }
    }
}

fn needed(message: &PeerMessage) -> u32 {
    match message {
        PeerMessage::LeaseQuestions { .. } | PeerMessage::LeaseAnswers { .. } => 2,
        PeerMessage::Forward(proposals) => {
            let kinds = proposals.iter().map(|proposal| proposal.kind);
            kinds.map(CommandKind::since_version).max().unwrap_or(0)
        }
        PeerMessage::Raft(_) | PeerMessage::ForwardRefused { .. } => 1,
    }
}

fn is_lease_granted(op: &Op) -> bool {
    matches!(op.asked, super::Asked::GrantLease(_)) && op.is_acknowledged()
}
