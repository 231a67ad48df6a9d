//! What the picture of a scenario is told. Without a picture each of these does nothing.

use quorate_raft::{Message, Ready};
use quorate_replica::PeerMessage;
use quorate_trace::{FaultId, FaultKind, MessageId, Run};

use super::cluster::Cluster;
use super::scenario::Scenario;
use crate::picture::Picture;

/// What a cluster remembers for its picture.
pub(crate) struct CoursePicture {
    pub(crate) picture: Picture,
    /// The band of each server that is cut off.
    cut_off: Vec<Option<FaultId>>,
}

impl CoursePicture {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> CoursePicture {
        let names = (0..scenario.servers).map(|server| format!("n{}", server + 1));
        let suite = scenario.suite.name();
        let title = format!("Test ({suite}): {}", scenario.title);
        let mut picture = Picture::new(title, names.collect());
        let command = format!("quorate sim course {} --seed {seed}", scenario.name);
        picture.recorder.about(command);
        CoursePicture {
            picture,
            cut_off: vec![None; scenario.servers],
        }
    }
}

impl Cluster {
    fn draw<R: Default>(&mut self, draw: impl FnOnce(&mut CoursePicture, &Cluster, u64) -> R) -> R {
        let Some(mut picture) = self.picture.take() else {
            return R::default();
        };
        let drawn = draw(&mut picture, self, self.now.as_nanos());
        self.picture = Some(picture);
        drawn
    }

    /// A server starts with what its log holds.
    pub(super) fn draw_start(&mut self, server: usize, log: Vec<Run>) {
        self.draw(|drawn, cluster, _| {
            if let Some(process) = &cluster.servers[server].process {
                let status = process.raft.status();
                let applied = status.applied.0;
                drawn
                    .picture
                    .started(cluster.now, server, &status, 0, log, applied);
            }
        });
    }

    /// What consensus asks for, before its messages leave.
    pub(super) fn draw_consensus(&mut self, server: usize, ready: &Ready) {
        self.draw(|drawn, cluster, _| {
            if let Some(process) = &cluster.servers[server].process {
                let status = process.raft.status();
                let last = ready.committed.last();
                let applied = last.map_or(status.applied.0, |entry| entry.index.0);
                let write = ready.write.as_ref();
                drawn
                    .picture
                    .look(cluster.now, server, &status, applied, write);
            }
        });
    }

    /// A message leaves.
    pub(super) fn draw_sent(
        &mut self,
        from: usize,
        to: usize,
        message: &Message,
    ) -> Option<MessageId> {
        self.draw(|drawn, cluster, _| {
            let message = PeerMessage::Raft(message.clone());
            Some(drawn.picture.sent(cluster.now, from, to, &message))
        })
    }

    /// What became of a message: it arrived, or why it did not.
    pub(super) fn draw_arrival(&mut self, letter: Option<MessageId>, lost: Option<&str>) {
        self.draw(|drawn, _, at| match (letter, lost) {
            (Some(letter), None) => drawn.picture.recorder.received(at, letter),
            (Some(letter), Some(why)) => drawn.picture.recorder.lost(at, letter, why),
            (None, _) => {}
        });
    }

    /// Power is gone; so is whatever cut the server off.
    pub(super) fn draw_crash(&mut self, server: usize) {
        self.draw(|drawn, _, at| {
            let recorder = &mut drawn.picture.recorder;
            if let Some(fault) = drawn.cut_off[server].take() {
                recorder.fault_ended(at, fault);
            }
            recorder.crashed(at, server, "power cut");
        });
    }

    /// A server that runs is, or is no longer, cut off from all others.
    pub(crate) fn draw_connection(&mut self, server: usize) {
        self.draw(|drawn, cluster, at| {
            let is_cut_off =
                !cluster.servers[server].is_connected && cluster.servers[server].process.is_some();
            let recorder = &mut drawn.picture.recorder;
            match (is_cut_off, drawn.cut_off[server]) {
                (true, None) => {
                    let others = (0..cluster.servers.len()).filter(|other| *other != server);
                    let groups = vec![vec![server], others.collect()];
                    let label = format!("n{} is cut off", server + 1);
                    let fault = recorder.fault_began(at, FaultKind::Partition, groups, label);
                    drawn.cut_off[server] = Some(fault);
                }
                (false, Some(fault)) => {
                    recorder.fault_ended(at, fault);
                    drawn.cut_off[server] = None;
                }
                _ => {}
            }
        });
    }

    /// A server that leads took a command.
    pub(super) fn draw_proposal(&mut self, server: usize, index: u64) {
        self.draw(|drawn, _, at| {
            let text = format!("client: entry {index}");
            drawn.picture.recorder.note(at, Some(server), text);
        });
    }

    /// Something about all servers.
    pub(crate) fn draw_note(&mut self, text: &str) {
        self.draw(|drawn, _, at| drawn.picture.recorder.note(at, None, text));
    }
}
