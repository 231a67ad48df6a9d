//! Snapshots of the nodes' states, and how they pull them from each other.

use std::collections::BTreeMap;

use quorate_raft::{InstallWanted, Instant, LogIndex, Membership, NodeId, SnapshotMeta, Term};

use super::{Event, MILLISECOND, World};

/// What is in a snapshot's file, which is durable: the term at its index, and the state there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    term: Term,
    pub(super) state: u64,
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
        if index.0 < node.snapshot_begun.0 + every {
            return;
        }
        node.snapshot_begun = index;
        let (life, state) = (node.life, node.state);
        let file = File { term, state };
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
        self.keep_file(id, index, file);
        let meta = self.meta(index, file.term);
        let now = Instant::from_nanos(self.now);
        self.taken += 1;
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
        let now = Instant::from_nanos(self.now);
        let reachable = !self.cut.contains(&(from, id)) && !self.cut.contains(&(id, from));
        let found = self.nodes[&from].files.get(&index).copied();
        match found.filter(|_| reachable && self.is_up(from, None)) {
            Some(file) if !self.happens(20) => {
                assert_eq!(file.term, term, "another snapshot at {index} than offered");
                self.judge.state_is(index, file.state);
                self.keep_file(id, index, file);
                if self.happens(10) {
                    self.crash(id); // The file is there, and nothing else knows of it.
                    return;
                }
                let meta = self.meta(index, term);
                let result = self.machine(id).installed(now, meta);
                assert_eq!(result, Ok(()), "{id} refuses {wanted:?}");
                self.installed += 1;
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
        let state = node.state;
        self.judge.state_is(index, state);
        self.restored += 1;
    }

    /// Keeps a file, the one before it, and the one that the disk's log goes with.
    fn keep_file(&mut self, id: NodeId, index: LogIndex, file: File) {
        let node = self.nodes.get_mut(&id).unwrap();
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
    }

    fn meta(&self, index: LogIndex, term: Term) -> SnapshotMeta {
        SnapshotMeta {
            index,
            term,
            membership: Membership::of_voters(self.config.voters.clone()),
        }
    }
}
