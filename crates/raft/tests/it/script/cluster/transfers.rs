//! Transfers of leadership in scripts.

use quorate_raft::NodeId;

use super::super::words::node_id;
use super::Cluster;

impl Cluster {
    /// `transfer n1 n2`: asks n1 to hand leadership to n2.
    pub(super) fn transfer(&mut self, id: NodeId, words: &[&str]) -> Result<(), String> {
        let to = node_id(words.first().ok_or("to whom?")?)?;
        let now = self.node(id)?.now;
        if let Err(error) = self.raft(id)?.transfer(now, to) {
            self.trace.push(format!("n{id} refuses: {error}"));
        }
        self.carry_out(id)
    }
}
