//! What must always hold, judged from outside: from messages, writes and what is handed out.

use std::collections::BTreeMap;

use quorate_raft::{Entry, HardState, LogIndex, Message, NodeId, Payload, Ready, Term, Write};

use crate::image::Image;

/// The state of a state machine that has applied `entry` after `state`: a hash of all that it was
/// given, in order (FNV-1a).
pub(super) fn state_after(state: u64, entry: &Entry) -> u64 {
    let payload: &[u8] = match &entry.payload {
        Payload::Empty => &[],
        Payload::Command(bytes) => bytes,
        Payload::Membership { context, .. } => context,
    };
    let position = [state, entry.index.0, entry.term.0];
    let position = position.iter().flat_map(|number| number.to_le_bytes());
    let bytes = position.chain(payload.iter().copied());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Remembers what happened and compares.
#[derive(Debug, Default)]
pub(super) struct Judge {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// Every entry that was ever in a log: what it carried, and the term before it.
    entries: BTreeMap<(LogIndex, Term), (Payload, Term)>,
    /// The committed log.
    pub(super) committed: Vec<Entry>,
    /// For each entry of it, the term of the node that was first handed it: a leader of that
    /// term, or of an earlier one, committed it.
    committed_by: Vec<Term>,
    /// The state after each entry of it.
    states: Vec<u64>,
}

impl Judge {
    /// Election Safety and Leader Completeness (Raft, Figure 3): a leader has all that leaders of
    /// earlier terms committed. (One of a later term may commit older entries that this one
    /// lacks, before this one learns of it.)
    pub(super) fn leads(&mut self, node: NodeId, term: Term, log: &Image) {
        let leader = *self.leaders.entry(term).or_insert(node);
        assert_eq!(leader, node, "two leaders in term {term}");
        for (entry, by) in self.committed.iter().zip(&self.committed_by) {
            assert!(
                *by >= term || log.holds(entry),
                "leader {node} of term {term} lacks {entry:?}, committed by term {by}"
            );
        }
    }

    /// Log Matching: an index and a term say what the entry is and what comes before.
    pub(super) fn appended(&mut self, log: &Image, write: &Write) {
        for entry in &write.entries {
            let before = log.term(entry.index.previous());
            assert!(before.is_some() || entry.index == LogIndex(1));
            let known = (entry.payload.clone(), before.unwrap_or_default());
            let first = self
                .entries
                .entry((entry.index, entry.term))
                .or_insert_with(|| known.clone());
            assert_eq!(
                *first, known,
                "two entries at {}@{}",
                entry.index, entry.term
            );
        }
    }

    /// What a message asserts is durable when it leaves, and no vote is given twice.
    pub(super) fn leaves(&mut self, from: NodeId, to: NodeId, message: &Message, disk: &Image) {
        let durable = disk.hard_state;
        let asserted = match message {
            Message::RequestVote { pre: true, .. } => return,
            Message::Vote {
                pre: true,
                granted: true,
                ..
            } => return,
            Message::RequestVote { term, .. } => {
                self.votes_for(from, *term, from, durable);
                *term
            }
            Message::Vote { term, granted, .. } => {
                if *granted {
                    self.votes_for(from, *term, to, durable);
                }
                *term
            }
            Message::AppendAccepted { term, matched, .. } => {
                let held = disk.last_index();
                // A later leader may have cut what was durable when this was said.
                assert!(
                    held >= *matched || durable.term > *term,
                    "{from} acknowledges {matched}, {held} are durable"
                );
                *term
            }
            Message::SnapshotOffer {
                term,
                index,
                snapshot_term,
                ..
            } => {
                let known = self.committed.get(index.0 as usize - 1);
                assert_eq!(
                    known.map(|entry| entry.term),
                    Some(*snapshot_term),
                    "{from} offers a snapshot of what is not committed"
                );
                *term
            }
            Message::Append { term, .. }
            | Message::TimeoutNow { term }
            | Message::AppendRejected { term, .. }
            | Message::ReadIndexRequest { term, .. }
            | Message::ReadIndexResponse { term, .. } => *term,
        };
        assert!(
            asserted <= durable.term,
            "{from} asserts term {asserted} with {durable:?}"
        );
    }

    /// State Machine Safety, as states: whoever stands at `index` has this one.
    pub(super) fn state_is(&self, index: LogIndex, state: u64) {
        let expected = self.states.get(index.0 as usize - 1);
        assert_eq!(expected, Some(&state), "another state at {index}");
    }

    fn votes_for(&mut self, voter: NodeId, term: Term, candidate: NodeId, durable: HardState) {
        let vote = *self.votes.entry((voter, term)).or_insert(candidate);
        assert_eq!(vote, candidate, "{voter} votes twice in term {term}");
        assert!(
            durable.term > term
                || durable
                    == HardState {
                        term,
                        vote: Some(candidate)
                    },
            "{voter} votes for {candidate} in term {term}, durable is {durable:?}"
        );
    }

    /// State Machine Safety: all nodes are handed the same entries, in order, and only those
    /// that a quorum has on disk.
    pub(super) fn handed_out(
        &mut self,
        (node, term): (NodeId, Term),
        entry: &Entry,
        disks: &[&Image],
        own: &Image,
    ) {
        assert!(
            own.holds(entry),
            "{node} is handed {entry:?}, which is not on its disk"
        );
        let place = entry.index.0 as usize - 1;
        match self.committed.get(place) {
            Some(committed) => assert_eq!(committed, entry, "{node} is handed another entry"),
            None => {
                assert_eq!(
                    place,
                    self.committed.len(),
                    "{node} is handed an entry beyond a gap"
                );
                let holders = disks.iter().filter(|disk| disk.holds(entry)).count();
                assert!(
                    holders > disks.len() / 2,
                    "{entry:?} committed on {holders} disks"
                );
                self.committed.push(entry.clone());
                self.committed_by.push(term);
                let state = self.states.last().copied().unwrap_or_default();
                self.states.push(state_after(state, entry));
            }
        }
    }
}

/// Whether nothing is asked for.
pub(super) fn is_empty(ready: &Ready) -> bool {
    ready.send_now.is_empty()
        && ready.write.is_none()
        && ready.send_after.is_empty()
        && ready.restore.is_none()
        && ready.install.is_none()
        && ready.transfer.is_none()
        && ready.committed.is_empty()
        && ready.fetch.is_empty()
        && ready.reads.is_empty()
        && ready.dropped.is_empty()
        && ready.state.is_none()
}
