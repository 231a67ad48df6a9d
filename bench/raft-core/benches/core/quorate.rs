//! Three nodes of Quorate's core in one thread.

use bytes::Bytes;
use quorate_raft::{Config, Envelope, Instant, NodeId, Payload, Raft, Restored};

use super::{Cluster, KEPT_ENTRIES};

pub(crate) struct Nodes {
    nodes: Vec<Raft>,
    under_way: Vec<(NodeId, Envelope)>,
    now: Instant,
}

impl Nodes {
    fn act(&mut self, place: usize) -> usize {
        let id = NodeId(place as u64 + 1);
        let node = &mut self.nodes[place];
        let mut commands = 0;
        while node.has_ready() {
            let ready = node.ready();
            let sent = ready.send_now.into_iter().map(|letter| (id, letter));
            self.under_way.extend(sent);
            if let Some(write) = ready.write {
                node.wrote(self.now, write.id);
            }
            let sent = ready.send_after.into_iter().map(|letter| (id, letter));
            self.under_way.extend(sent);
            let is_command = |payload: &Payload| matches!(payload, Payload::Command(_));
            let committed = ready.committed.iter();
            commands += committed.filter(|entry| is_command(&entry.payload)).count();
            if let Some(last) = ready.committed.last() {
                node.applied(last.index);
            }
        }
        commands
    }
}

impl Cluster for Nodes {
    fn new(entry_bytes: usize) -> Nodes {
        let ids: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let start = |id: &NodeId| {
            let mut config = Config::new(*id, ids.clone());
            config.max_memory_log_bytes = entry_bytes * KEPT_ENTRIES as usize;
            Raft::new(config, Restored::default(), Instant::ZERO)
        };
        let nodes: Result<_, _> = ids.iter().map(start).collect();
        let mut cluster = Nodes {
            nodes: nodes.expect("a good configuration"),
            under_way: Vec::new(),
            now: Instant::ZERO,
        };
        cluster.now = cluster.nodes[0].deadline().expect("it may campaign");
        cluster.nodes[0].tick(cluster.now);
        for _ in 0..20 {
            cluster.step();
        }
        cluster
    }

    fn propose(&mut self, command: Vec<u8>) {
        let proposed = self.nodes[0].propose(self.now, vec![Bytes::from(command)]);
        proposed.expect("it leads");
    }

    fn step(&mut self) -> usize {
        let committed = self.act(0);
        self.act(1);
        self.act(2);
        for (from, letter) in self.under_way.drain(..) {
            let to = &mut self.nodes[letter.to.0 as usize - 1];
            let received = to.receive(self.now, from, letter.message);
            received.expect("members write nothing illegal");
        }
        committed
    }
}
