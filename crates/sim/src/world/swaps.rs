//! Disks that go back in time: while a member is down, its disk is swapped for an earlier copy of it
//! or for an empty one, and nobody tells it.
//!
//! Only where the design claims to notice: of three voters or more, one lost disk at a time, no other
//! member hurt, and so many others remember durably that the disk was further than the copy that
//! any quorum with this member has one of them. Then it must be noticed before the member takes
//! part, nothing may be lost by it, and in the end the member has to be whole again.

use std::time::Duration;

use quorate_disk::{Crash, SimDisk};
use quorate_raft::{Membership, NodeId, Record, Standing, Status};
use quorate_replica::Node;
use quorate_trace::FaultKind;
use quorate_wal::Recovered;

use super::World;
use super::event::Event;
use crate::tally::{Fault, Rare, sometimes};

/// Copies of a disk that are kept.
const MOST_COPIES: usize = 3;

/// A disk was swapped, and its member is not whole again.
#[derive(Debug)]
pub(crate) struct Swapped {
    node: usize,
    /// It has to find out when it starts.
    must_notice: bool,
    was_noticed: bool,
}

impl World {
    /// Somebody copies the disk of a member, which may be at work.
    pub(super) fn copy_disk(&mut self, node: usize) {
        if self.plan.nodes < 3 {
            return;
        }
        let copy = self.members[node].disk.fork();
        copy.crash(Crash::Random(self.random.next()));
        let replaced = self.random.below(MOST_COPIES as u64) as usize;
        let copies = &mut self.members[node].copies;
        if copies.len() < MOST_COPIES {
            copies.push(copy);
        } else {
            copies[replaced] = copy;
        }
    }

    /// A member goes down and comes back with another disk, if that must be noticed.
    pub(super) fn swap_disk(&mut self, node: usize, lasts: Duration) {
        let place = self.random.below(MOST_COPIES as u64 + 1) as usize;
        let Some(membership) = self.agreed_membership(node) else {
            return;
        };
        let is_calm = self.rotten_is_well() && self.swapped_is_whole(node);
        if !is_calm || self.others_are_refilling(node) {
            return;
        }
        let seed = self.random.next();
        self.crash(node, Crash::Random(seed));
        self.after(lasts, Event::Restart { node });
        let copy = self.members[node].copies.get(place).map(SimDisk::fork);
        let is_empty = copy.is_none();
        let disk = copy.unwrap_or_default();
        let Some(status) = self.would_start_as(node, &disk) else {
            return;
        };
        if status.membership != membership || !self.must_be_noticed(node, &disk, &membership) {
            return;
        }
        self.inject(Fault::DiskSwapped, Some(node));
        let label = match is_empty {
            true => "its disk is swapped for an empty one",
            false => "its disk is swapped for an earlier copy",
        };
        self.draw_struck(FaultKind::Disk, node, label);
        sometimes!(self.tally, Rare::DiskEmptied, is_empty);
        self.members[node].disk = disk;
        self.swapped = Some(Swapped {
            node,
            must_notice: status.standing != Standing::Refilling,
            was_noticed: status.standing == Standing::Refilling,
        });
    }

    /// The membership that all members go by, if it is one that does not change just now; where
    /// nobody comes or goes that need not be asked.
    fn agreed_membership(&self, node: usize) -> Option<Membership> {
        let process = self.members[node].process.as_ref()?;
        let status = process.consensus.status().raft;
        let membership = status.membership;
        let decides = membership.voters.len() > 2 && membership.is_voter(status.id);
        if !decides || membership.is_joint() {
            return None;
        }
        if self.plan.newcomers > 0 {
            let agrees = |other: usize| {
                let process = self.members[other].process.as_ref();
                process
                    .is_some_and(|process| process.consensus.status().raft.membership == membership)
            };
            let settled = status.membership_index <= status.commit;
            if !settled || !self.present().into_iter().all(agrees) {
                return None;
            }
        }
        Some(membership)
    }

    /// Whether no other member lost its disk.
    pub(super) fn swapped_is_whole(&self, node: usize) -> bool {
        let swapped = self.swapped.as_ref();
        swapped.is_none_or(|swapped| swapped.node == node)
    }

    fn others_are_refilling(&self, node: usize) -> bool {
        let others = (0..self.members.len()).filter(|other| *other != node);
        others.into_iter().any(|other| {
            let log = self.look(other, &self.members[other].disk);
            log.is_none_or(|log| log.hard_state.refilling)
        })
    }

    /// What the member would be when it starts with this disk.
    fn would_start_as(&self, node: usize, disk: &SimDisk) -> Option<Status> {
        let settings = self.settings(node);
        let opened = Node::open(disk.fork(), &settings, self.now, self.wall_ms(node)).ok()?;
        opened
            .damaged
            .is_empty()
            .then(|| opened.consensus.status().raft)
    }

    /// Whether in any quorum with this member there is another that remembers more than this disk.
    fn must_be_noticed(&self, node: usize, disk: &SimDisk, membership: &Membership) -> bool {
        let id = self.members[node].id;
        let Some(found) = self.look(node, disk) else {
            return false;
        };
        let remembers = |voter: &&NodeId| {
            let other = voter.0 as usize - 1;
            let records = self.records_on_disk(other);
            let of_this = records.iter().find(|record| record.member == id);
            of_this.is_some_and(|record| is_older(&found, record))
        };
        let others = membership.voters.iter().filter(|voter| **voter != id);
        let unaware = others.filter(|voter| !remembers(voter)).count();
        unaware < membership.voters.len() / 2
    }

    fn records_on_disk(&self, node: usize) -> Vec<Record> {
        let disk = self.members[node].disk.fork();
        // What is not durable may be lost yet.
        disk.crash(Crash::LoseUnsynced);
        let settings = self.settings(node);
        quorate_replica::records_on(disk, settings.cluster_id, settings.member_id)
    }

    /// A node says what it takes its disk for.
    pub(super) fn judge_standing(&mut self, node: usize, standing: Standing) {
        let mine = |swapped: &&mut Swapped| swapped.node == node;
        let Some(swapped) = self.swapped.as_mut().filter(mine) else {
            assert!(
                standing != Standing::Refilling,
                "member {node} takes a disk for old that nobody changed"
            );
            return;
        };
        match standing {
            Standing::Asking => {}
            Standing::Refilling => {
                sometimes!(self.tally, Rare::RewoundNoticed, swapped.must_notice);
                (swapped.must_notice, swapped.was_noticed) = (false, true);
            }
            Standing::Sound => {
                assert!(
                    !swapped.must_notice,
                    "member {node} takes a disk for sound that went back in time"
                );
                let status = self.process(node).consensus.status().raft;
                let by_snapshot = status.snapshot_index.0 > 0;
                self.tally.reached(Rare::RefilledWhole);
                sometimes!(self.tally, Rare::RefilledBySnapshot, by_snapshot);
                self.swapped = None;
            }
        }
    }

    /// A member goes down: was it being refilled?
    pub(super) fn note_refilling_crash(&mut self, standing: Standing) {
        let refilling = standing == Standing::Refilling;
        sometimes!(self.tally, Rare::RefillingCrashed, refilling);
    }
}

/// Whether a record shows that a disk is older than it; counted anew.
fn is_older(disk: &Recovered, record: &Record) -> bool {
    let term = disk.hard_state.term;
    if term != record.term.0 {
        return term < record.term.0;
    }
    disk.last_index < record.index.0
}
