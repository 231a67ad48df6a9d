//! Messages that no correct peer sends: damaged on their way, or said by somebody who is out of his mind.
//!
//! Raft does not withstand liars, and nothing here lies in a way that could be true. But whatever
//! contradicts itself, comes from a stranger or claims what cannot be must be refused with a reason, be counted, and
//! change nothing: a node never panics for the sake of what a peer says.

use bytes::Bytes;
use quorate_proto::peer;
use quorate_raft::limits::MAX_NUMBER;
use quorate_raft::{Entry, LogIndex, Membership, Message, NodeId, Payload, Role, Term};
use quorate_replica::PeerMessage;

use super::World;
use crate::Random;
use crate::tally::{Fault, Rare, sometimes};

const TOO_GREAT: u64 = MAX_NUMBER + 1;

impl World {
    /// Damages a frame in one bit, which its checksum is bound to show.
    pub(super) fn spoil(&mut self, frame: &mut peer::Frame) {
        self.tally.injected(Fault::FrameDamaged);
        let mut bytes = frame.payload.to_vec();
        if bytes.is_empty() || self.random.percent(10) {
            frame.checksum ^= 1 << self.random.below(32);
            return;
        }
        let place = self.random.below(bytes.len() as u64) as usize;
        bytes[place] ^= 1 << self.random.below(8);
        frame.payload = bytes.into();
    }

    /// A peer says what no correct one says; nothing comes of it.
    pub(super) fn forge(&mut self, node: usize, other: usize) {
        let from = self.members[other].id;
        let (now, wall_ms) = (self.now, self.wall_ms(node));
        let runs = self.members[node].process.is_some() && !self.members[node].disk.power_is_off();
        if node == other || !runs {
            return;
        }
        self.inject(Fault::MessageForged, Some(node));
        for _ in 0..1 + self.random.below(6) {
            let before = self.process(node).consensus.status();
            let leads = before.raft.role == Role::Leader;
            let mut message = impossible(&mut self.random, before.raft.term);
            let mut speaker = from;
            match self.random.below(8) {
                // Itself, or nobody that is known: nothing of theirs is heard but candidates and leaders.
                0 => (speaker, message) = (self.members[node].id, accepted(before.raft.term, 0)),
                1 => (speaker, message) = (NodeId(1_000), accepted(before.raft.term, 0)),
                2 if leads => message = accepted(before.raft.term, MAX_NUMBER),
                3 if before.raft.leader.is_some_and(|leader| leader != from) => {
                    message = append(before.raft.term, (0, 0), Vec::new());
                }
                _ => {}
            }
            self.note(|_| format!("forged, {speaker} ─► n{}: {message:?}", node + 1));
            let consensus = &mut self.process_mut(node).consensus;
            consensus.receive(now, wall_ms, speaker, PeerMessage::Raft(message));
            let after = consensus.status();
            let refused = after.refused_messages > before.refused_messages;
            sometimes!(self.tally, Rare::ForgedRefused, refused);
            let unchanged = (after.raft.term, after.raft.commit, after.raft.last_index)
                == (before.raft.term, before.raft.commit, before.raft.last_index);
            assert!(unchanged, "{before:?} became {after:?} by what cannot be");
        }
        self.wake(node);
    }
}

fn accepted(term: Term, matched: u64) -> Message {
    Message::AppendAccepted {
        term,
        matched: LogIndex(matched),
        round: 0,
    }
}

fn append(term: Term, previous: (u64, u64), entries: Vec<Entry>) -> Message {
    Message::Append {
        term,
        previous_index: LogIndex(previous.0),
        previous_term: Term(previous.1),
        commit: LogIndex::ZERO,
        entries,
        round: 0,
    }
}

fn entry(index: u64, term: u64) -> Entry {
    Entry {
        index: LogIndex(index),
        term: Term(term),
        payload: Payload::Command(Bytes::from_static(b"forged")),
    }
}

/// A membership without a single voter.
fn nobody(index: u64, term: u64) -> Entry {
    let membership = Box::new(Membership::default());
    let context = Bytes::new();
    Entry {
        payload: Payload::Membership {
            membership,
            context,
        },
        ..entry(index, term)
    }
}

/// A message whose parts contradict each other, in this term or what should have been one.
fn impossible(random: &mut Random, term: Term) -> Message {
    let term = term.max(Term(2));
    match random.below(3) {
        0 => impossible_request(random, term),
        1 => impossible_append(random, term),
        _ => impossible_answer(random, term),
    }
}

fn impossible_request(random: &mut Random, term: Term) -> Message {
    let vote = |last: (u64, u64), (pre, transfer): (bool, bool)| Message::RequestVote {
        term,
        last_index: LogIndex(last.0),
        last_term: Term(last.1),
        pre,
        transfer,
    };
    let wanted = |first, last, anchor| Message::EntryWanted {
        term,
        first: LogIndex(first),
        last: LogIndex(last),
        anchor_index: LogIndex(anchor),
        anchor_term: Term(1),
    };
    match random.below(9) {
        0 => vote((5, term.0), (false, false)),
        1 => vote((5, 1), (true, true)),
        2 => vote((TOO_GREAT, 1), (random.percent(50), false)),
        3 => vote((0, 1), (false, false)),
        4 => wanted(7, 5, 9),
        5 => wanted(0, 5, 9),
        6 => wanted(2, 5, 3),
        7 => wanted(2, TOO_GREAT, 1),
        _ => Message::ReadIndexRequest {
            term: Term(TOO_GREAT),
            sequence: 1,
        },
    }
}

fn impossible_append(random: &mut Random, term: Term) -> Message {
    let offer = |index, snapshot_term, round| Message::SnapshotOffer {
        term,
        index: LogIndex(index),
        snapshot_term: Term(snapshot_term),
        round,
    };
    match random.below(12) {
        0 => append(term, (0, 1), Vec::new()),
        1 => append(term, (1, 1), vec![entry(2, 1), entry(4, 1)]),
        2 => append(term, (1, 2), vec![entry(2, 1)]),
        3 => append(term, (1, 1), vec![entry(2, term.0 + 1)]),
        4 => append(term, (1, 1), vec![nobody(2, 1)]),
        5 => append(term, (TOO_GREAT, 1), Vec::new()),
        6 => append(Term::ZERO, (0, 0), Vec::new()),
        7 => append(Term(TOO_GREAT), (0, 0), Vec::new()),
        8 => offer(0, 1, 0),
        9 => offer(5, term.0 + 1, 0),
        10 => offer(5, 1, TOO_GREAT),
        _ => Message::TimeoutNow { term: Term::ZERO },
    }
}

fn impossible_answer(random: &mut Random, term: Term) -> Message {
    let found = |first, entries| Message::EntryFound {
        term,
        first: LogIndex(first),
        anchor_index: LogIndex(9),
        anchor_term: Term(1),
        entries,
    };
    match random.below(7) {
        0 => accepted(term, TOO_GREAT),
        1 => Message::AppendRejected {
            term,
            previous_index: LogIndex(3),
            hint_index: LogIndex(TOO_GREAT),
            hint_term: Term(1),
            round: 0,
        },
        2 => Message::ReadIndexResponse {
            term,
            sequence: 1,
            index: Some(LogIndex(TOO_GREAT)),
        },
        3 => found(0, Vec::new()),
        4 => found(TOO_GREAT, Vec::new()),
        5 => found(3, vec![entry(3, 1), entry(5, 1)]),
        _ => Message::Vote {
            term: Term::ZERO,
            granted: true,
            pre: random.percent(50),
        },
    }
}
