//! The start of a member's process: what it is told, and what it says of its disk.

use std::time::Duration;

use quorate_raft::Instant;
use quorate_replica::NodeSettings;
use quorate_wal::Note;

use super::World;
use super::event::Event;
use super::members;
use super::node::Process;
use crate::tally::{Rare, sometimes};

impl World {
    /// What this member is told when it starts.
    pub fn settings(&self, node: usize) -> NodeSettings {
        let member = &self.members[node];
        NodeSettings {
            cluster_id: 7,
            member_id: member.id.0,
            founders: members::founders(self.plan.nodes),
            boot_nonce: (member.life as u32) << 8 | node as u32,
            heartbeat_interval: Duration::from_millis(self.plan.election_timeout_ms) / 5,
            election_timeout: Duration::from_millis(self.plan.election_timeout_ms),
            pre_vote: self.plan.pre_vote,
            record_interval: Some(Duration::from_millis(self.plan.record_every_ms)),
            lease_reads: self.plan.lease_reads,
            accepts_old_disk: false,
            empty_entry_on_election: self.plan.empty_entry_on_election,
            memory_log_bytes: self.plan.memory_log_bytes,
            append_bytes: self.plan.append_bytes,
            seed: member.life,
            segment_bytes: Some(self.plan.segment_bytes),
            snapshot_log_bytes: self.plan.snapshot_log_bytes,
            snapshot_chunk_bytes: Some(self.plan.snapshot_chunk_bytes),
            lease_checkpoints: self.plan.lease_checkpoints,
            highest_version: member.speaks,
        }
    }

    /// Starts the process of a member that has none.
    pub fn start(&mut self, node: usize) {
        assert!(self.members[node].process.is_none(), "it runs already");
        self.members[node].life += 1;
        // It was the process before that stood still.
        self.members[node].paused_until = Instant::ZERO;
        self.draw_pause_ended(node);
        let settings = self.settings(node);
        let wall_ms = self.wall_ms(node);
        let member = &mut self.members[node];
        let life = member.life;
        let now = member.clock.reads_at(self.now);
        let (mut process, notes) = match Process::open(&member.disk, &settings, now, wall_ms) {
            Ok(opened) => opened,
            Err(error) => {
                let power_lost = member.disk.power_is_off();
                sometimes!(self.tally, Rare::StartFailed, power_lost);
                sometimes!(self.tally, Rare::StartRefused, !power_lost);
                return self.disk_failed(node, &error);
            }
        };
        process.applier.witness_requests();
        let said: Vec<String> = notes.iter().map(Note::to_string).collect();
        if self.plan.bounds_log {
            process.applier.bound_log();
        }
        let last_index = process.consensus.status().raft.last_index;
        sometimes!(self.tally, Rare::RestartWithEntries, last_index.0 > 0);
        let is_torn = |note: &Note| matches!(note, Note::TornTail { .. });
        sometimes!(self.tally, Rare::TornTailCut, notes.iter().any(is_torn));
        let is_rotten = |note: &Note| matches!(note, Note::SnapshotDamaged { .. });
        sometimes!(
            self.tally,
            Rare::OlderSnapshotUsed,
            notes.iter().any(is_rotten)
        );
        self.members[node].process = Some(process);
        self.draw_start(node);
        self.note(|_| format!("n{} starts; its log ends at {last_index}", node + 1));
        for words in said {
            self.note(|_| format!("n{} notes: {words}", node + 1));
        }
        self.judge.started(node);
        for to in (0..self.members.len()).filter(|to| *to != node) {
            let delay = self.random.micros(100, 20_000);
            self.after(
                delay,
                Event::Dial {
                    from: node,
                    life,
                    to,
                },
            );
        }
        self.wake(node);
    }
}
