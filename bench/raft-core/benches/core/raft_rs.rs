//! Three nodes of raft-rs in one thread, with its `MemStorage`.

use raft::eraftpb::{Entry, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode};

use super::{Cluster, KEPT_ENTRIES};

pub(crate) struct Nodes {
    nodes: Vec<RawNode<MemStorage>>,
    under_way: Vec<Message>,
    /// Of each node's log, what was given up.
    compacted: [u64; 3],
}

impl Nodes {
    fn act(&mut self, place: usize) -> usize {
        let node = &mut self.nodes[place];
        if !node.has_ready() {
            return 0;
        }
        let mut ready = node.ready();
        self.under_way.extend(ready.take_messages());
        let mut committed = ready.take_committed_entries();
        let store = node.store().clone();
        if !ready.entries().is_empty() {
            let appended = store.wl().append(ready.entries());
            appended.expect("contiguous entries");
        }
        if let Some(hard_state) = ready.hs() {
            store.wl().set_hardstate(hard_state.clone());
        }
        self.under_way.extend(ready.take_persisted_messages());
        let mut light = node.advance(ready);
        if let Some(commit) = light.commit_index() {
            store.wl().mut_hard_state().set_commit(commit);
        }
        self.under_way.extend(light.take_messages());
        committed.extend(light.take_committed_entries());
        node.advance_apply();
        if let Some(last) = committed.last()
            && last.index > self.compacted[place] + 2 * KEPT_ENTRIES
        {
            // Rarely much at once: each time moves what is kept.
            self.compacted[place] = last.index - KEPT_ENTRIES;
            let compacted = store.wl().compact(self.compacted[place]);
            compacted.expect("applied entries");
        }
        let is_command = |entry: &&Entry| !entry.data.is_empty();
        committed.iter().filter(is_command).count()
    }
}

impl Cluster for Nodes {
    fn new(_entry_bytes: usize) -> Nodes {
        let start = |id| {
            let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
            let mut config = Config::new(id);
            config.check_quorum = true;
            config.pre_vote = true;
            config.max_size_per_msg = 1 << 20;
            config.max_inflight_msgs = 256;
            config.batch_append = std::env::var_os("RAFT_RS_NO_BATCH").is_none();
            let logger = slog::Logger::root(slog::Discard, slog::o!());
            RawNode::new(&config, storage, &logger)
        };
        let nodes: Result<_, _> = (1..=3).map(start).collect();
        let mut cluster = Nodes {
            nodes: nodes.expect("a good configuration"),
            under_way: Vec::new(),
            compacted: [0; 3],
        };
        let campaign = cluster.nodes[0].campaign();
        campaign.expect("it may campaign");
        for _ in 0..20 {
            cluster.step();
        }
        cluster
    }

    fn propose(&mut self, command: Vec<u8>) {
        let proposed = self.nodes[0].propose(Vec::new(), command);
        proposed.expect("it leads");
    }

    fn step(&mut self) -> usize {
        let committed = self.act(0);
        self.act(1);
        self.act(2);
        for message in self.under_way.drain(..) {
            let to = &mut self.nodes[message.to as usize - 1];
            to.step(message).expect("members write nothing illegal");
        }
        committed
    }
}
