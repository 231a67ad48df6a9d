//! Nodes that join, and changes of the membership.

use bytes::Bytes;
use quorate_raft::NodeId;

use super::super::print;
use super::super::words::membership_change;
use super::{Cluster, Node};

impl Cluster {
    pub(super) fn join(&mut self, id: NodeId) -> Result<(), String> {
        let node = Node {
            joined: true,
            ..Node::default()
        };
        self.nodes.insert(id, node);
        self.start(id)
    }

    pub(super) fn change(&mut self, id: NodeId, words: &[&str]) -> Result<(), String> {
        let change = membership_change(words)?;
        let now = self.node(id)?.now;
        let context = Bytes::new();
        let line = match self.raft(id)?.change_membership(now, change, context) {
            Ok(accepted) => format!(
                "n{id} begins the change at {} in term {}",
                accepted.first, accepted.term
            ),
            Err(error) => format!("n{id} refuses: {error}"),
        };
        self.trace.push(line);
        self.carry_out(id)
    }

    pub(super) fn show_members(&mut self) -> Result<(), String> {
        for (id, node) in &self.nodes {
            let Some(raft) = &node.raft else { continue };
            let status = raft.status();
            self.trace.push(format!(
                "n{id} members {} by entry {}",
                print::membership(&status.membership),
                status.membership_index
            ));
        }
        Ok(())
    }
}
