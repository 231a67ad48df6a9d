//! Three nodes in one thread, with a queue for a network and disks that are done at once: all
//! that it takes to embed the crate. `cargo run -p quorate-raft --example three_nodes_in_memory`

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use quorate_raft::{Config, Envelope, Instant, NodeId, Payload, Raft, ReadId, Restored, Role};

/// A node: the machine, and the commands that it was handed to apply.
struct Node {
    id: NodeId,
    raft: Raft,
    applied: Vec<Bytes>,
}

/// The network: letters under way, each with its sender.
type Network = VecDeque<(NodeId, Envelope)>;

impl Node {
    /// Does everything that the machine wants done.
    fn carry_out(&mut self, now: Instant, network: &mut Network) {
        let id = self.id;
        while self.raft.has_ready() {
            let ready = self.raft.ready();
            network.extend(ready.send_now.into_iter().map(|letter| (id, letter)));
            if let Some(write) = ready.write {
                // A real program makes `write` durable, in its own time, and goes on meanwhile.
                self.raft.wrote(now, write.id);
            }
            // These assert what the write has made durable, so they leave only now.
            network.extend(ready.send_after.into_iter().map(|letter| (id, letter)));
            for entry in ready.committed {
                if let Payload::Command(command) = entry.payload {
                    self.applied.push(command);
                }
                self.raft.applied(entry.index);
            }
            for read in ready.reads {
                println!("node {id}: {:?} may be served at {}", read.id, read.index);
            }
        }
    }
}

/// Lets letters flow until there are no more.
fn settle(nodes: &mut [Node], now: Instant, network: &mut Network) {
    for node in nodes.iter_mut() {
        node.carry_out(now, network);
    }
    while let Some((from, letter)) = network.pop_front() {
        let node = &mut nodes[letter.to.0 as usize - 1];
        let received = node.raft.receive(now, from, letter.message);
        received.expect("members write nothing illegal");
        node.carry_out(now, network);
    }
}

fn main() {
    let mut now = Instant::ZERO;
    let mut network = Network::new();
    let ids = [1, 2, 3].map(NodeId);
    let mut nodes = ids.map(|id| {
        let raft = Raft::new(Config::new(id, ids.to_vec()), Restored::default(), now);
        let raft = raft.expect("a good configuration");
        let applied = Vec::new();
        Node { id, raft, applied }
    });

    // Time passes until one of them leads.
    let leads = |node: &Node| node.raft.status().role == Role::Leader;
    while !nodes.iter().any(leads) {
        now = now + Duration::from_millis(10);
        nodes.iter_mut().for_each(|node| node.raft.tick(now));
        settle(&mut nodes, now, &mut network);
    }

    // The leader takes commands; every node applies them, in the same order.
    let commands = ["put a 1", "put b 2", "delete a"].map(Bytes::from);
    let leader = nodes.iter_mut().find(|node| leads(node));
    let leader = leader.expect("one of them leads");
    let accepted = leader
        .raft
        .propose(now, commands.to_vec())
        .expect("it leads");
    println!("accepted as {accepted:?}");
    settle(&mut nodes, now, &mut network);
    assert!(nodes.iter().all(|node| node.applied == commands));

    // Any node can serve linearizable reads.
    for node in &mut nodes {
        node.raft.read(now, ReadId(7)).expect("few reads wait");
    }
    settle(&mut nodes, now, &mut network);
    println!("all three applied {commands:?}");
}
