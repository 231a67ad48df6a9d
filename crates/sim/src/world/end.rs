//! How a process ends: without its power, or killed.

use quorate_disk::Crash;

use super::{Outcome, World};
use crate::tally::{Rare, sometimes};

impl World {
    /// The process is gone, and with it what its clients waited for.
    pub fn crash(&mut self, node: usize, how: Crash<'_>) {
        let member = &mut self.members[node];
        member.disk.crash(how);
        self.bury(node, "power cut");
    }

    /// `kill -9`: what was written is still in the page cache.
    pub fn kill(&mut self, node: usize) {
        self.members[node].disk.kill_process();
        self.bury(node, "killed");
    }

    fn bury(&mut self, node: usize, label: &str) {
        let Some(process) = self.members[node].process.take() else {
            return;
        };
        let up = self.members.iter().filter(|one| one.process.is_some());
        let present = self.present().len();
        let majority_down = 2 * up.count() <= present && present > 1;
        sometimes!(self.tally, Rare::MajorityDown, majority_down);
        self.note_refilling_crash(process.consensus.status().raft.standing);
        self.note(|_| format!("n{} is down", node + 1));
        self.draw_crash(node, label);
        let reads = process.read_batches.into_values().flatten();
        let cut_off: Vec<usize> = process
            .answers
            .into_values()
            .chain(process.lease_questions.into_values())
            .chain(process.reads_waiting)
            .chain(reads)
            .collect();
        for op in cut_off {
            self.ended(op, Outcome::Unknown);
        }
        self.lose_watchers(node);
        self.links_of_the_dead(node);
    }
}
