//! Disks that go back in time, without telling the node that starts with them.

use std::collections::BTreeMap;

use quorate_raft::{LogIndex, NodeId, Record, Standing, Term};

use super::World;
use super::snapshots::Files;
use crate::image::Image;

/// How many copies of a disk are kept.
const COPIES: usize = 3;

impl World {
    /// A copy of a disk as it is now; a node may run on with it.
    pub(super) fn copy_disk(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        let copy = (node.disk.clone(), node.files.clone());
        node.copies.push_back(copy);
        if node.copies.len() > COPIES {
            node.copies.pop_front();
        }
    }

    /// A node that is down starts with an earlier disk, or an empty one; if it has to be noticed.
    pub(super) fn swap_disk(&mut self, id: NodeId) {
        if self.nodes[&id].disk.hard_state.refilling {
            self.seen.note("crashed while being refilled");
        }
        let is_lost = |node: &super::Node| node.disk.hard_state.refilling || !node.lost.is_empty();
        let others = self.nodes.iter().filter(|(other, _)| **other != id);
        if others.map(|(_, node)| node).any(is_lost) {
            return; // One lost disk at a time.
        }
        let copies = self.nodes[&id].copies.len() as u64;
        let place = self.below(copies + 1) as usize;
        let copy = self.nodes[&id].copies.get(place).cloned();
        let grain = self.nodes[&id].disk.without_entries();
        let (disk, files) = copy.unwrap_or((grain, Files::new()));
        let is_empty = disk.last_index() == LogIndex::ZERO;
        let others = self.nodes.iter().filter(|(other, _)| **other != id);
        let unaware = others.filter(|(_, node)| {
            let mut records = node.disk.records.iter();
            let record = records.find(|record| record.member == id);
            !record.is_some_and(|record| shows(&disk, record))
        });
        let quorum = self.nodes.len() / 2 + 1;
        if unaware.count() >= quorum - 1 {
            return;
        }
        self.seen.note(if is_empty {
            "put an empty disk in"
        } else {
            "put an earlier disk back"
        });
        let node = self.nodes.get_mut(&id).unwrap();
        let lost = std::mem::replace(&mut node.disk, disk);
        node.must_notice = !node.disk.hard_state.refilling;
        node.lost.push(lost);
        node.files = files;
    }

    /// A disk that went back in time is noticed before anything else happens on it.
    pub(super) fn judge_standing(&mut self, id: NodeId, standing: Option<Standing>) {
        let has_snapshot = self.nodes[&id].memory.covers(LogIndex(1));
        let node = self.nodes.get_mut(&id).unwrap();
        match standing {
            Some(Standing::Refilling) => {
                if std::mem::take(&mut node.must_notice) {
                    self.seen.note("noticed a disk that went back in time");
                }
            }
            Some(Standing::Sound) => {
                assert!(!node.must_notice, "{id} takes an old disk for sound");
                if !std::mem::take(&mut node.lost).is_empty() {
                    self.seen.note("was whole again");
                    if has_snapshot {
                        self.seen.note("was whole again after a snapshot");
                    }
                }
            }
            Some(Standing::Asking) | None => {}
        }
    }

    pub(super) fn everyone_is_sound(&self) -> bool {
        let mut running = self.nodes.values().filter_map(|node| node.raft.as_ref());
        running.all(|raft| raft.status().standing == Standing::Sound)
    }
}

/// The disks of each node, lost ones included: what was acknowledged with those was true.
pub(super) fn disks(nodes: &BTreeMap<NodeId, super::Node>) -> BTreeMap<NodeId, Vec<&Image>> {
    let disks = nodes.iter().map(|(id, node)| {
        let disks = std::iter::once(&node.disk).chain(&node.lost);
        (*id, disks.collect())
    });
    disks.collect()
}

/// Whether a record shows that a disk is older than it, counted anew.
fn shows(disk: &Image, record: &Record) -> bool {
    let term = disk.hard_state.term;
    if term != record.term {
        return term < record.term;
    }
    let here = disk.term(record.index);
    let other =
        here.is_some_and(|here| record.entry_term > Term::ZERO && here != record.entry_term);
    disk.last_index() < record.index || other
}
