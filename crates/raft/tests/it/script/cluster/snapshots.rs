//! Snapshots in scripts. A snapshot has no content here: only what it stands for is known.

use quorate_raft::{LogIndex, Membership, NodeId, SnapshotMeta, Term};

use super::super::words::number;
use super::Cluster;

impl Cluster {
    /// `snapshot n1 keep=3`: n1 takes a snapshot at what it applied, and keeps the log from 3 on
    /// (by default, only what comes after).
    pub(super) fn take_snapshot(&mut self, id: NodeId, words: &[&str]) -> Result<(), String> {
        let node = self.node(id)?;
        let ((index, term), now) = (node.applied, node.now);
        let keep = words.first().and_then(|word| word.strip_prefix("keep="));
        let keep_from = LogIndex(number(keep.as_ref(), index.0 + 1)?);
        let before = self.node(id)?.disk.membership_at(index).cloned();
        let membership = before.map_or_else(|| self.first_members(), Ok)?;
        let meta = self.keep(id, index, term, membership)?;
        self.raft(id)?.snapshot_taken(now, meta, keep_from);
        self.carry_out(id)
    }

    /// `installed n3`: the snapshot that n3 wants is durable there; `installed n3 5@1` another.
    pub(super) fn installed(&mut self, id: NodeId, words: &[&str]) -> Result<(), String> {
        let now = self.node(id)?.now;
        let (index, term) = match words.first() {
            Some(word) => {
                let (index, term) = word.split_once('@').ok_or("a position like 5@1")?;
                (number(Some(&index), 0)?, number(Some(&term), 0)?)
            }
            None => {
                let wanted = self.node(id)?.wanted.ok_or("no snapshot is wanted")?;
                (wanted.index.0, wanted.term.0)
            }
        };
        let (index, term) = (LogIndex(index), Term(term));
        let mut disks = self.nodes.values().map(|node| &node.disk);
        let pulled = disks.find_map(|disk| disk.snapshots.get(&index)).cloned();
        let membership = pulled.map_or_else(|| self.first_members(), Ok)?;
        let meta = self.keep(id, index, term, membership)?;
        if let Err(error) = self.raft(id)?.installed(now, meta) {
            self.trace.push(format!("n{id} refuses: {error}"));
        }
        self.carry_out(id)
    }

    pub(super) fn install_failed(&mut self, id: NodeId) -> Result<(), String> {
        let now = self.node(id)?.now;
        self.raft(id)?.install_failed(now);
        self.carry_out(id)
    }

    fn first_members(&self) -> Result<Membership, String> {
        let voters = self.config.as_ref().ok_or("no cluster")?.voters.clone();
        Ok(Membership::of_voters(voters))
    }

    fn keep(
        &mut self,
        id: NodeId,
        index: LogIndex,
        term: Term,
        membership: Membership,
    ) -> Result<SnapshotMeta, String> {
        let disk = &mut self.node(id)?.disk;
        disk.snapshots.insert(index, membership.clone());
        Ok(SnapshotMeta {
            index,
            term,
            membership,
        })
    }
}
