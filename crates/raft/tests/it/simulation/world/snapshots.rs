//! Snapshots of the nodes' states, and how they pull them from each other.

use std::collections::BTreeMap;

use quorate_raft::{InstallWanted, LogIndex, Membership, NodeId, SnapshotMeta, Term};

use super::{Event, MILLISECOND, World};

/// What is in a snapshot's file, which is durable: the term at its index, and the state and the
/// membership there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    term: Term,
    pub(super) state: u64,
    pub(super) membership: Membership,
}

/// The files of a node, by the index that they cover.
pub(super) type Files = BTreeMap<LogIndex, File>;

impl World {
    /// A node was handed entries through `index`, of that term: is it time for a snapshot?
    pub(super) fn consider_snapshot(&mut self, id: NodeId, index: LogIndex, term: Term) {
        let Some(every) = self.nature.snapshot_every else {
            return;
        };
        let node = self.nodes.get_mut(&id).unwrap();
        // Who joined knows nobody before the first change that stands in its log.
        let knows_members = !node.membership.voters.is_empty();
        if index.0 < node.snapshot_begun.0 + every || !knows_members {
            return;
        }
        node.snapshot_begun = index;
        let (life, state) = (node.life, node.state);
        let membership = node.membership.clone();
        let file = File {
            term,
            state,
            membership,
        };
        let delay = self.below(50 * MILLISECOND);
        self.schedule(
            delay,
            Event::SnapshotTaken {
                node: id,
                life,
                index,
                file,
            },
        );
    }

    /// Its file is durable.
    pub(super) fn snapshot_taken(&mut self, id: NodeId, index: LogIndex, file: File) {
        let before = self.nodes[&id].files.last_key_value();
        let before = before.map_or(LogIndex::ZERO, |(index, _)| *index);
        // All segments since the older snapshot, since this one, or something between.
        let keep_from = match self.below(3) {
            0 => before.next().min(index.next()),
            1 => index.next(),
            _ => LogIndex(1 + self.below(index.0 + 1)),
        };
        if file.membership.is_joint() {
            self.seen.note("took a snapshot of a joint membership");
        }
        let meta = self.keep_file(id, index, file);
        let now = self.local(id);
        self.seen.note("took a snapshot");
        self.machine(id).snapshot_taken(now, meta, keep_from);
        self.carry_out(id);
    }

    /// A node wants a snapshot: it begins to pull it.
    pub(super) fn pull(&mut self, id: NodeId, wanted: InstallWanted) {
        let life = self.nodes[&id].life;
        let slow = self.happens(self.nature.stall_percent);
        let most = if slow { 1000 } else { 30 };
        let delay = 1 + self.below(most * MILLISECOND);
        self.schedule(
            delay,
            Event::Pulled {
                node: id,
                life,
                wanted,
            },
        );
    }

    /// The pull is over, well or not.
    pub(super) fn pulled(&mut self, id: NodeId, wanted: InstallWanted) {
        let InstallWanted { from, index, term } = wanted;
        let now = self.local(id);
        let reachable = !self.cut.contains(&(from, id)) && !self.cut.contains(&(id, from));
        let found = self.nodes[&from].files.get(&index).cloned();
        match found.filter(|_| reachable && self.is_up(from, None) && !self.is_paused(from)) {
            Some(file) if !self.happens(20) => {
                assert_eq!(file.term, term, "another snapshot at {index} than offered");
                self.judge.state_is(index, file.state);
                let meta = self.keep_file(id, index, file);
                if self.happens(10) {
                    self.crash(id); // The file is there, and nothing else knows of it.
                    return;
                }
                let joint = meta.membership.is_joint();
                let joins = self.machine(id).status().membership.voters.is_empty();
                let result = self.machine(id).installed(now, meta);
                assert_eq!(result, Ok(()), "{id} refuses {wanted:?}");
                self.seen.note("installed a snapshot");
                if joint {
                    self.seen.note("installed a snapshot of a joint membership");
                }
                if joins {
                    self.seen.note("joined by a snapshot");
                }
            }
            _ => self.machine(id).install_failed(now),
        }
        self.carry_out(id);
    }

    /// A node's state machine is loaded from its snapshot at `index`.
    pub(super) fn restore(&mut self, id: NodeId, index: LogIndex) {
        let node = self.nodes.get_mut(&id).unwrap();
        assert!(
            index > node.handed_out,
            "{id} goes back from {} to a snapshot at {index}",
            node.handed_out
        );
        let mark = node.disk.mark.map(|mark| mark.index);
        assert_eq!(mark, Some(index), "restored before the disk knows");
        node.handed_out = index;
        node.snapshot_begun = node.snapshot_begun.max(index);
        node.state = node.files[&index].state;
        node.membership = node.files[&index].membership.clone();
        let state = node.state;
        self.judge.state_is(index, state);
        self.seen.note("restored from a snapshot");
    }

    /// Keeps a file, the one before it, and the one that the disk's log goes with.
    fn keep_file(&mut self, id: NodeId, index: LogIndex, file: File) -> SnapshotMeta {
        let membership = file.membership.clone();
        let first = Membership::of_voters(self.config.voters.clone());
        let expected = self.judge.membership_at(index).unwrap_or(&first);
        assert_eq!(membership, *expected, "of {id}'s snapshot at {index}");
        let meta = SnapshotMeta {
            index,
            term: file.term,
            membership,
        };
        let node = self.nodes.get_mut(&id).unwrap();
        for image in [&mut node.disk, &mut node.memory] {
            image.snapshots.insert(index, meta.membership.clone());
        }
        node.files.insert(index, file);
        let oldest = node.files.keys().rev().nth(1).copied();
        let marked = node.disk.mark.map(|mark| mark.index);
        let needed = node.writes.iter().filter_map(|(write, _)| write.snapshot);
        let oldest = oldest
            .into_iter()
            .chain(marked)
            .chain(needed.map(|mark| mark.index))
            .min();
        node.files
            .retain(|index, _| oldest.is_none_or(|oldest| *index >= oldest));
        meta
    }
}
