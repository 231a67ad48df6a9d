//! Bit rot at rest: a bit of a member's log flips while it is down, and is found at its start.
//!
//! Never in what the design cannot mend: the one batch that no later header covers (it looks like a
//! torn tail), a place that leaves it open which entries are lost (the node refuses to start), or
//! an entry that no other disk is bound to have. Nor in what a snapshot covers: a batch that is lost
//! on both sides of a snapshot's end needs those entries too to be written back, and when all others
//! have released them, the node waits for a later snapshot. So what is committed has a good copy, and one
//! member at a time is hurt. Then everything must be repaired, and nothing may be lost.

use std::time::Duration;

use quorate_disk::{Crash, Disk, SimDisk};
use quorate_trace::FaultKind;
use quorate_wal::{Identity, Options, Recovered};

use super::World;
use super::event::Event;
use crate::tally::{Fault, Rare, sometimes};

/// Places that are tried for one that can be mended.
const TRIES: usize = 12;

impl World {
    /// A member goes down and comes back with a damaged log, if no other is hurt.
    pub(super) fn rot(&mut self, node: usize, lasts: Duration) {
        let is_calm = self.rotten_is_well() && self.swapped.is_none();
        if !self.has_company(node) || !is_calm {
            return;
        }
        let seed = self.random.next();
        self.crash(node, Crash::Random(seed));
        self.after(lasts, Event::Restart { node });
        self.look_at_damaged_copies(node);
        if self.damage_log(node) {
            self.inject(Fault::BitRot, Some(node));
            self.draw_struck(FaultKind::Disk, node, "a bit of its log flips");
            self.rotten = Some(node);
        }
    }

    /// Whether two others can elect a leader to ask. Of two voters one that lost the end of its log
    /// cannot vote for the other, whose end may be older for all it knows (ARCHITECTURE, "A damaged
    /// log"). Who began alone is refused even if others came since: a start knows of them only by
    /// reading the log.
    fn has_company(&self, node: usize) -> bool {
        let Some(process) = &self.members[node].process else {
            return false;
        };
        let membership = process.consensus.status().raft.membership;
        self.plan.nodes > 2 && membership.voters.len() > 2 && !membership.is_joint()
    }

    /// Whether the member that was hurt last has everything again.
    pub(super) fn rotten_is_well(&mut self) -> bool {
        let Some(node) = self.rotten else {
            return true;
        };
        let Some(process) = &self.members[node].process else {
            return false;
        };
        let status = process.consensus.status().raft;
        let well = status.damaged_entries == 0;
        sometimes!(
            self.tally,
            Rare::EntryRepaired,
            well && status.repaired_entries > 0
        );
        if well {
            self.rotten = None;
        }
        well
    }

    /// Flips a bit of the log that costs committed entries, and nothing else.
    fn damage_log(&mut self, node: usize) -> bool {
        let disk = self.members[node].disk.clone();
        let committed = self.judge.committed();
        let Some(before) = self.look(node, &disk).filter(|log| log.damaged.is_empty()) else {
            return false;
        };
        let mut files = disk.list().unwrap_or_default();
        files.retain(|file| file.ends_with(".wal"));
        for _ in 0..TRIES {
            let file = &files[self.random.below(files.len() as u64) as usize];
            let bytes = disk.contents(file).unwrap_or_default();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64;
            let offset = self.random.below(used + 1);
            let bit = self.random.below(8) as u8;
            disk.flip_bit(file, offset, bit);
            let mendable = self.look(node, &disk).is_some_and(|after| {
                let covered = before.snapshot.map_or(0, |mark| mark.index);
                let first = after.damaged.first();
                let needed = first.is_some_and(|lost| lost.first_index > covered);
                let lost = after.damaged.last().filter(|_| needed);
                let same = (after.last_index, after.hard_state, after.snapshot)
                    == (before.last_index, before.hard_state, before.snapshot);
                same && lost.is_some_and(|lost| lost.last_index <= committed)
            });
            if mendable {
                return true;
            }
            disk.flip_bit(file, offset, bit);
        }
        false
    }

    /// What a start would find.
    pub(super) fn look(&self, node: usize, disk: &SimDisk) -> Option<Recovered> {
        let settings = self.settings(node);
        let mut options = Options::new(Identity {
            cluster_id: settings.cluster_id,
            member_id: settings.member_id,
            group_id: quorate_replica::wire::GROUP_ID,
        });
        options.segment_bytes = self.plan.segment_bytes;
        options.tolerate_damage = true;
        let opened = quorate_wal::open(disk.fork(), options).ok()?;
        Some(opened.recovered)
    }
}
