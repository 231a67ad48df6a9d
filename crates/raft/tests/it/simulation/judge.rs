//! What must always hold, judged from outside: from messages, writes and what is handed out.

use std::collections::BTreeMap;

use quorate_raft::{
    Entry, HardState, LogIndex, Membership, Message, NodeId, Payload, Ready, Term, Write,
};

use crate::image::{Image, membership_of};

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

/// Counted anew, with no help from the machine: whether those for which `holds` is true are a
/// majority of the voters, and if the membership is joint, of the outgoing ones too.
fn is_quorum(membership: &Membership, holds: impl Fn(NodeId) -> bool) -> bool {
    let majority = |voters: &[NodeId]| {
        let count = voters.iter().filter(|id| holds(**id)).count();
        2 * count > voters.len()
    };
    majority(&membership.voters)
        && (membership.voters_outgoing.is_empty() || majority(&membership.voters_outgoing))
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
    /// For each entry of it, the term of the leader that committed it.
    committed_by: Vec<Term>,
    /// The state after each entry of it.
    states: Vec<u64>,
    /// The newest membership in it, and the index and term of its entry.
    membership: Option<(Membership, LogIndex, Term)>,
    /// Joint memberships that another leader settled than the one that began them.
    pub(super) completed_by_another: u64,
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

    /// A node crashed before this term was durable on it. If it led the term (as the only voter it
    /// may, before its disk is done), nobody else has heard of it, and it may lead it once more,
    /// with other entries.
    pub(super) fn forgets(&mut self, node: NodeId, term: Term, others: &[&Image]) {
        if self.leaders.get(&term) != Some(&node) {
            return;
        }
        for other in others {
            let known = other.log.iter().find(|entry| entry.term == term);
            assert_eq!(known, None, "of a term that {node} has lost");
        }
        self.leaders.remove(&term);
        self.entries.retain(|(_, of), _| *of != term);
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
            // It counts on nothing but its log.
            Message::EntryWanted { .. } => return,
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
            // It says what its own log, or others', once were.
            Message::RecordWanted { .. } => return,
            Message::Append { term, .. }
            | Message::Records { term, .. }
            | Message::RecordFound { term, .. }
            | Message::Refill { term, .. }
            | Message::Refilled { term, .. }
            | Message::TimeoutNow { term }
            | Message::EntryFound { term, .. }
            | Message::AppendRejected { term, .. }
            | Message::ReadIndexRequest { term, .. }
            | Message::ReadIndexResponse { term, .. } => *term,
        };
        assert!(
            asserted <= durable.term,
            "{from} asserts term {asserted} with {durable:?}"
        );
    }

    /// The membership in force at `index` of the committed log; `None` for the first members.
    pub(super) fn membership_at(&self, index: LogIndex) -> Option<&Membership> {
        let through = &self.committed[..index.0 as usize];
        through.iter().rev().find_map(membership_of)
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
                        vote: Some(candidate),
                        refilling: false,
                    },
            "{voter} votes for {candidate} in term {term}, durable is {durable:?}"
        );
    }

    /// A leader's commit index is at `commit`: what is new below it must be on the disks of a
    /// quorum of the membership that it goes by, and memberships must follow one another as they
    /// should. Called before anyone else can know of it.
    pub(super) fn leader_commits(
        &mut self,
        (leader, term): (NodeId, Term),
        membership: &Membership,
        commit: LogIndex,
        log: &Image,
        disks: &BTreeMap<NodeId, Vec<&Image>>,
    ) {
        for place in self.committed.len()..commit.0 as usize {
            let index = LogIndex(place as u64 + 1);
            let entry = log
                .get(index)
                .expect("what is not committed is not released");
            let on = |disks: &Vec<&Image>| disks.iter().any(|disk| disk.holds(entry));
            let holds = |id: NodeId| disks.get(&id).is_some_and(on);
            assert!(
                is_quorum(membership, holds),
                "{leader} commits {entry:?} by {membership:?}, it is on {:?}",
                disks.keys().filter(|id| holds(**id)).collect::<Vec<_>>()
            );
            if let Some(next) = membership_of(entry) {
                self.membership_commits(next, entry);
            }
            self.committed.push(entry.clone());
            self.committed_by.push(term);
            let state = self.states.last().copied().unwrap_or_default();
            self.states.push(state_after(state, entry));
        }
    }

    /// Two memberships in a row are neighbours: the voters change through a joint one only.
    fn membership_commits(&mut self, next: &Membership, entry: &Entry) {
        if let Some((before, at, term)) = &self.membership {
            let is_neighbour = if before.is_joint() {
                *next == before.settled()
            } else if next.is_joint() {
                next.voters_outgoing == before.voters
            } else {
                next.voters == before.voters
            };
            assert!(
                is_neighbour,
                "{next:?} at {} after {before:?} at {at}",
                entry.index
            );
            self.completed_by_another += u64::from(before.is_joint() && *term != entry.term);
        }
        self.membership = Some((next.clone(), entry.index, entry.term));
    }

    /// State Machine Safety: all nodes are handed the same entries, in order, and only those
    /// that a leader committed.
    pub(super) fn handed_out(&mut self, node: NodeId, entry: &Entry, own: &Image) {
        assert!(
            own.holds(entry),
            "{node} is handed {entry:?}, which is not on its disk"
        );
        let place = entry.index.0 as usize - 1;
        match self.committed.get(place) {
            Some(committed) => assert_eq!(committed, entry, "{node} is handed another entry"),
            None => panic!("{node} is handed {entry:?}, which no leader committed"),
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
        && ready.repair.is_empty()
        && ready.records.is_none()
        && ready.standing.is_none()
        && ready.reads.is_empty()
        && ready.dropped.is_empty()
        && ready.state.is_none()
        && ready.membership.is_none()
}
