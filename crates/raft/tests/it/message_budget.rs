//! What agreement costs in messages, by the measure of the MIT 6.824 course (lab 2B, "RPC counts
//! aren't too high"): a request and its answer are one; twelve commands that are started back to
//! back on three servers may cost 42, and a second of idleness 60.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use quorate_raft::{
    Config, Envelope, Instant, Message, NodeId, Raft, Restored, Role, Write, WriteId,
};

/// Three nodes whose messages (in order on each link) and writes are carried out one at a time,
/// in an order that a seed decides.
struct Cluster {
    nodes: Vec<Raft>,
    links: BTreeMap<(NodeId, NodeId), VecDeque<Message>>,
    writes: Vec<VecDeque<(WriteId, Vec<Envelope>)>>,
    now: Instant,
    state: u64,
    appends: usize,
}

impl Cluster {
    /// Three nodes, the first of which leads and has nothing left to do.
    fn with_leader(seed: u64) -> Cluster {
        let voters: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let start = |id: &NodeId| {
            Raft::new(
                Config::new(*id, voters.clone()),
                Restored::default(),
                Instant::ZERO,
            )
            .unwrap()
        };
        let mut cluster = Cluster {
            nodes: voters.iter().map(start).collect(),
            links: BTreeMap::new(),
            writes: vec![VecDeque::new(); 3],
            now: Instant::ZERO,
            state: seed,
            appends: 0,
        };
        cluster.now = cluster.nodes[0].deadline().unwrap();
        cluster.nodes[0].tick(cluster.now);
        cluster.carry_out(0);
        cluster.settle();
        assert_eq!(cluster.nodes[0].status().role, Role::Leader);
        cluster.appends = 0;
        cluster
    }

    fn carry_out(&mut self, node: usize) {
        while self.nodes[node].has_ready() {
            let ready = self.nodes[node].ready();
            self.send(node, ready.send_now);
            if let Some(Write { id, .. }) = ready.write {
                self.writes[node].push_back((id, ready.send_after));
            }
        }
    }

    fn send(&mut self, from: usize, envelopes: Vec<Envelope>) {
        for Envelope { to, message } in envelopes {
            self.appends += usize::from(matches!(message, Message::Append { .. }));
            let link = (NodeId(from as u64 + 1), to);
            self.links.entry(link).or_default().push_back(message);
        }
    }

    /// Carries out one thing that waits, drawn at random. False when nothing does.
    fn step(&mut self) -> bool {
        let links = self
            .links
            .iter()
            .filter(|(_, queue)| !queue.is_empty())
            .map(|(link, _)| *link);
        let links: Vec<(NodeId, NodeId)> = links.collect();
        let writers: Vec<usize> = (0..3)
            .filter(|node| !self.writes[*node].is_empty())
            .collect();
        let count = links.len() + writers.len();
        if count == 0 {
            return false;
        }
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let choice = (self.state >> 33) as usize % count;
        if let Some((from, to)) = links.get(choice) {
            let node = to.0 as usize - 1;
            let message = self
                .links
                .get_mut(&(*from, *to))
                .unwrap()
                .pop_front()
                .unwrap();
            self.nodes[node].receive(self.now, *from, message).unwrap();
            self.carry_out(node);
        } else {
            let node = writers[choice - links.len()];
            let (id, messages) = self.writes[node].pop_front().unwrap();
            self.send(node, messages);
            self.nodes[node].wrote(self.now, id);
            self.carry_out(node);
        }
        true
    }

    fn settle(&mut self) {
        while self.step() {}
    }
}

#[test]
fn twelve_commands_back_to_back_cost_at_most_42_requests() {
    for seed in 0..200 {
        let mut cluster = Cluster::with_leader(seed);
        for command in 0..12_u8 {
            let command = Bytes::copy_from_slice(&[command]);
            cluster.nodes[0]
                .propose(cluster.now, vec![command])
                .unwrap();
            cluster.carry_out(0);
        }
        cluster.settle();
        assert!(
            cluster
                .nodes
                .iter()
                .all(|node| node.status().handed_out.0 == 13)
        );
        // Two heartbeats may fall into it.
        assert!(
            cluster.appends + 4 <= 42,
            "seed {seed}: {} requests",
            cluster.appends
        );
    }
}

#[test]
fn a_second_of_idleness_costs_twenty_requests() {
    let mut cluster = Cluster::with_leader(1);
    let end = cluster.now + Duration::from_secs(1);
    while let Some(deadline) = cluster.nodes[0]
        .deadline()
        .filter(|deadline| *deadline <= end)
    {
        cluster.now = deadline;
        cluster.nodes[0].tick(deadline);
        cluster.carry_out(0);
        cluster.settle();
    }
    assert_eq!(cluster.nodes[0].status().role, Role::Leader);
    assert_eq!(cluster.appends, 20);
}
