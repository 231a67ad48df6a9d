//! All that happens, in words: what `replay` prints.

use quorate_raft::{Instant, Message, NodeId, Role, Standing};
use quorate_replica::{PeerMessage, wire};

use super::event::Event;
use super::snapshots::Part;
use super::{Input, World};

impl World {
    /// What every node is at, for the message of a failure.
    pub fn describe(&self) -> String {
        let mut text = format!("at {:?}, {:?}\n", self.now.since(Instant::ZERO), self.plan);
        for member in &self.members {
            let said = match &member.process {
                None => "is down".to_owned(),
                Some(process) => format!(
                    "applied {}, {:?}",
                    process.applied.index,
                    process.consensus.status()
                ),
            };
            text += &format!("member {} {said}\n", member.id);
        }
        for (number, op) in self.ops.iter().enumerate() {
            if op.outcome.is_none() {
                text += &format!("operation {number} waits: {op:?}\n");
            }
        }
        text
    }

    /// Tells whoever listens; `words` are only made if someone does.
    pub(crate) fn note(&mut self, words: impl FnOnce(&World) -> String) {
        if let Some(mut trace) = self.trace.take() {
            let words = chaos::without(|| words(self));
            trace(self.now, &words);
            self.trace = Some(trace);
        }
    }

    pub(super) fn words_of_standing(standing: Standing) -> &'static str {
        match standing {
            Standing::Sound => "takes its disk for sound",
            Standing::Asking => "asks what its disk is worth",
            Standing::Refilling => "knows that its disk went back in time, and is refilled",
        }
    }

    pub(super) fn trace_event(&mut self, event: &Event) {
        if let Some(words) = self.words_of_event(event) {
            self.note(|_| words);
        }
    }

    fn words_of_event(&self, event: &Event) -> Option<String> {
        let lives = |node: &usize, life: &u64| {
            let member = &self.members[*node];
            member.life == *life && member.process.is_some()
        };
        Some(match event {
            Event::Consensus { node, life, token } => {
                let process = self.members[*node].process.as_ref()?;
                if !lives(node, life) || process.wake_token != *token {
                    return None;
                }
                let inputs: Vec<String> = process.inbox.iter().map(words_of_input).collect();
                let inputs = match inputs.is_empty() {
                    true => "time passed".to_owned(),
                    false => inputs.join("; "),
                };
                format!("n{} consensus: {inputs}", node + 1)
            }
            Event::LogBegin { node, life } if lives(node, life) => {
                format!("n{} log: takes what is queued", node + 1)
            }
            Event::LogEnd { node, life } if lives(node, life) => {
                format!("n{} log: durable", node + 1)
            }
            Event::LogQuiet { node, life } if lives(node, life) => {
                format!("n{} log: quiet", node + 1)
            }
            Event::Apply { node, life } if lives(node, life) => {
                let applied = self.process(*node).applied.index;
                format!("n{} applier: a step from index {applied}", node + 1)
            }
            Event::Fetch { node, life } if lives(node, life) => {
                format!("n{} log: reads entries back", node + 1)
            }
            Event::SnapshotStep { node, life } if lives(node, life) => {
                format!("n{} snapshot: a piece of the store", node + 1)
            }
            Event::PullArrived { node, life, part } if lives(node, life) => {
                let what = match part {
                    Part::Description(id) => id.to_string(),
                    Part::Chunk(chunk) => format!("chunk {}", chunk.number),
                };
                format!("n{} pulls: {what}", node + 1)
            }
            Event::Deliver { from, to, .. } if !self.network.passes(*from, *to) => {
                format!("n{} ─╳ n{}: a frame is lost", from + 1, to + 1)
            }
            Event::Deliver {
                from, to, frame, ..
            } => {
                let (_, messages) = wire::decode_frame(frame).ok()?;
                let words: Vec<String> = messages.iter().map(words_of_message).collect();
                format!("n{} ─► n{}: {}", from + 1, to + 1, words.join("; "))
            }
            Event::LinkDown { from, to, link, .. } => {
                let current = self.network.links.get(&(*from, *to))?;
                if !current.up || current.number != *link {
                    return None;
                }
                format!("n{} notices that its link to n{} is gone", from + 1, to + 1)
            }
            Event::FaultEnds { node } => format!("what blocked n{} ends", node + 1),
            Event::CutOff { node } if self.chaos => format!("n{} is cut off", node + 1),
            _ => return None,
        })
    }

    /// A node's role, for the note of a change.
    pub(super) fn words_of_role(role: Role, leader: Option<NodeId>) -> String {
        match (role, leader) {
            (Role::Leader, _) => "leads".to_owned(),
            (Role::Follower, Some(leader)) => format!("follows n{leader}"),
            (Role::Follower, None) => "follows no one".to_owned(),
            (Role::PreCandidate, _) => "asks whether it could win".to_owned(),
            (Role::Candidate, _) => "asks for votes".to_owned(),
        }
    }
}

fn words_of_input(input: &Input) -> String {
    match input {
        Input::Propose(proposal) => format!("write {}", proposal.sequence),
        Input::ReadsWait => "reads wait".to_owned(),
        Input::AskLease(question) => format!("a question about lease {}", question.lease),
        Input::Received(from, messages) => {
            format!("{} from n{from}", count(messages.len(), "message"))
        }
        Input::LinkUp(peer, _) => format!("link to n{peer} up"),
        Input::LinkLost(peer) => format!("link to n{peer} lost"),
        Input::Wrote(id) => format!("write {id} is durable"),
        Input::Fetched(first, entries) => {
            format!(
                "{} read back from {first} on",
                count(entries.len(), "entry")
            )
        }
        Input::SnapshotTaken(meta) => format!("snapshot at {} taken", meta.index),
        Input::Installed(meta) => format!("snapshot at {} pulled", meta.index),
        Input::Repaired(repaired) => format!(
            "{} of damage repaired, {} left",
            count(repaired.healed.len(), "place"),
            repaired.still.len()
        ),
        Input::InstallFailed(_) => "the snapshot could not be had".to_owned(),
    }
}

fn count(count: usize, what: &str) -> String {
    match (count, what) {
        (1, _) => format!("1 {what}"),
        (_, "entry") => format!("{count} entries"),
        _ => format!("{count} {what}s"),
    }
}

/// A message between members.
pub(crate) fn words_of_message(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Raft(message) => words_of_raft_message(message),
        PeerMessage::Forward(proposals) => {
            let sequences: Vec<u64> = proposals.iter().map(|one| one.sequence).collect();
            format!("Forward {sequences:?}")
        }
        other => format!("{other:?}"),
    }
}

fn words_of_raft_message(message: &Message) -> String {
    match message {
        Message::Append {
            term,
            previous_index,
            previous_term,
            commit,
            entries,
            round,
        } => format!(
            "Append term {term} after {previous_index}@{previous_term}, {}, commit {commit}, \
             round {round}",
            count(entries.len(), "entry")
        ),
        other => format!("{other:?}"),
    }
}
