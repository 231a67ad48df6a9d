//! Raft's own messages, each to its form on the wire and back. What comes back is checked here only
//! as far as numbers go; whether it makes sense is for Raft to say.

use bytes::Bytes;
use quorate_proto::peer;
use quorate_proto::peer::peer_message::Body;
use quorate_raft::limits::MAX_RECORDS;
use quorate_raft::{Entry, LogIndex, Membership, Message, NodeId, Record, Rejection, Term};

use super::{WireError, number};
use crate::entry_format::{decode_membership, encode_membership, entry_parts, entry_payload};

pub(super) fn raft_to_wire(message: Message) -> Body {
    match message {
        Message::RequestVote {
            term,
            last_index,
            last_term,
            pre,
            transfer,
        } => Body::RequestVote(peer::RequestVote {
            term: term.0,
            last_index: last_index.0,
            last_term: last_term.0,
            pre,
            transfer,
        }),
        Message::Vote { term, granted, pre } => Body::Vote(peer::Vote {
            term: term.0,
            granted,
            pre,
        }),
        Message::Append {
            term,
            previous_index,
            previous_term,
            commit,
            entries,
            round,
        } => Body::Append(peer::Append {
            term: term.0,
            previous_index: previous_index.0,
            previous_term: previous_term.0,
            commit: commit.0,
            entries: entries.into_iter().map(entry_to_wire).collect(),
            round,
        }),
        Message::AppendAccepted {
            term,
            matched,
            round,
        } => Body::AppendAccepted(peer::AppendAccepted {
            term: term.0,
            matched: matched.0,
            round,
        }),
        Message::AppendRejected {
            term,
            previous_index,
            hint_index,
            hint_term,
            round,
        } => Body::AppendRejected(peer::AppendRejected {
            term: term.0,
            previous_index: previous_index.0,
            hint_index: hint_index.0,
            hint_term: hint_term.0,
            round,
        }),
        Message::SnapshotOffer {
            term,
            index,
            snapshot_term,
            round,
        } => Body::SnapshotOffer(peer::SnapshotOffer {
            term: term.0,
            index: index.0,
            snapshot_term: snapshot_term.0,
            round,
        }),
        Message::EntryWanted {
            term,
            first,
            last,
            anchor_index,
            anchor_term,
        } => Body::EntryWanted(peer::EntryWanted {
            term: term.0,
            first: first.0,
            last: last.0,
            anchor_index: anchor_index.0,
            anchor_term: anchor_term.0,
        }),
        Message::EntryFound {
            term,
            first,
            anchor_index,
            anchor_term,
            entries,
        } => Body::EntryFound(peer::EntryFound {
            term: term.0,
            first: first.0,
            anchor_index: anchor_index.0,
            anchor_term: anchor_term.0,
            entries: entries.into_iter().map(entry_to_wire).collect(),
        }),
        Message::Records { term, records } => Body::Records(peer::Records {
            term: term.0,
            records: records.into_iter().map(record_to_wire).collect(),
        }),
        Message::RecordWanted { term, life } => {
            Body::RecordWanted(peer::RecordWanted { term: term.0, life })
        }
        Message::RecordFound {
            term,
            life,
            record,
            membership,
            membership_index,
        } => Body::RecordFound(peer::RecordFound {
            term: term.0,
            life,
            record: record.map(record_to_wire),
            membership: membership_to_wire(&membership),
            membership_index: membership_index.0,
        }),
        Message::Refill {
            term,
            life,
            matched,
            round,
            rejected,
        } => Body::Refill(peer::Refill {
            term: term.0,
            life,
            matched: matched.0,
            round,
            rejected: rejected.map(|rejected| peer::Rejection {
                previous_index: rejected.previous_index.0,
                hint_index: rejected.hint_index.0,
                hint_term: rejected.hint_term.0,
            }),
        }),
        Message::Refilled {
            term,
            life,
            through,
        } => Body::Refilled(peer::Refilled {
            term: term.0,
            life,
            through: through.0,
        }),
        Message::TimeoutNow { term } => Body::TimeoutNow(peer::TimeoutNow { term: term.0 }),
        Message::ReadIndexRequest { term, sequence } => {
            Body::ReadIndexRequest(peer::ReadIndexRequest {
                term: term.0,
                sequence,
            })
        }
        Message::ReadIndexResponse {
            term,
            sequence,
            index,
        } => Body::ReadIndexResponse(peer::ReadIndexResponse {
            term: term.0,
            sequence,
            index: index.map(|index| index.0),
        }),
    }
}

/// Nothing, for a node that knows no members.
fn membership_to_wire(membership: &Membership) -> Bytes {
    if *membership == Membership::default() {
        return Bytes::new();
    }
    encode_membership(membership, Bytes::new()).into()
}

fn membership_from_wire(bytes: Bytes) -> Result<Membership, WireError> {
    if bytes.is_empty() {
        return Ok(Membership::default());
    }
    Ok(decode_membership(bytes)?.0)
}

fn record_to_wire(record: Record) -> peer::Record {
    peer::Record {
        member: record.member.0,
        term: record.term.0,
        index: record.index.0,
        entry_term: record.entry_term.0,
    }
}

fn entry_to_wire(entry: Entry) -> peer::Entry {
    let (kind, data) = entry_parts(entry.payload);
    peer::Entry {
        term: entry.term.0,
        kind: u32::from(kind),
        data,
    }
}

pub(super) fn raft_from_wire(body: Body) -> Result<Message, WireError> {
    Ok(match body {
        Body::RequestVote(m) => Message::RequestVote {
            term: term(m.term)?,
            last_index: index(m.last_index)?,
            last_term: term(m.last_term)?,
            pre: m.pre,
            transfer: m.transfer,
        },
        Body::Vote(m) => Message::Vote {
            term: term(m.term)?,
            granted: m.granted,
            pre: m.pre,
        },
        Body::Append(m) => append_from_wire(m)?,
        Body::AppendAccepted(m) => Message::AppendAccepted {
            term: term(m.term)?,
            matched: index(m.matched)?,
            round: number(m.round)?,
        },
        Body::AppendRejected(m) => Message::AppendRejected {
            term: term(m.term)?,
            previous_index: index(m.previous_index)?,
            hint_index: index(m.hint_index)?,
            hint_term: term(m.hint_term)?,
            round: number(m.round)?,
        },
        Body::SnapshotOffer(m) => Message::SnapshotOffer {
            term: term(m.term)?,
            index: index(m.index)?,
            snapshot_term: term(m.snapshot_term)?,
            round: number(m.round)?,
        },
        Body::EntryWanted(m) => Message::EntryWanted {
            term: term(m.term)?,
            first: index(m.first)?,
            last: index(m.last)?,
            anchor_index: index(m.anchor_index)?,
            anchor_term: term(m.anchor_term)?,
        },
        Body::EntryFound(m) => Message::EntryFound {
            term: term(m.term)?,
            first: index(m.first)?,
            anchor_index: index(m.anchor_index)?,
            anchor_term: term(m.anchor_term)?,
            entries: entries_from_wire(m.first, m.entries)?,
        },
        Body::Records(m) => Message::Records {
            term: term(m.term)?,
            records: records_from_wire(m.records)?,
        },
        Body::RecordWanted(m) => Message::RecordWanted {
            term: term(m.term)?,
            life: m.life,
        },
        Body::RecordFound(m) => Message::RecordFound {
            term: term(m.term)?,
            life: m.life,
            record: m.record.map(record_from_wire).transpose()?,
            membership: membership_from_wire(m.membership)?,
            membership_index: index(m.membership_index)?,
        },
        Body::Refill(m) => Message::Refill {
            term: term(m.term)?,
            life: m.life,
            matched: index(m.matched)?,
            round: number(m.round)?,
            rejected: m.rejected.map(rejection_from_wire).transpose()?,
        },
        Body::Refilled(m) => Message::Refilled {
            term: term(m.term)?,
            life: m.life,
            through: index(m.through)?,
        },
        Body::TimeoutNow(m) => Message::TimeoutNow {
            term: term(m.term)?,
        },
        Body::ReadIndexRequest(m) => Message::ReadIndexRequest {
            term: term(m.term)?,
            sequence: m.sequence,
        },
        Body::ReadIndexResponse(m) => Message::ReadIndexResponse {
            term: term(m.term)?,
            sequence: m.sequence,
            index: m.index.map(index).transpose()?,
        },
        Body::Forward(_)
        | Body::ForwardRefused(_)
        | Body::LeaseQuestions(_)
        | Body::LeaseAnswers(_) => return Err(WireError::Illegal),
    })
}

fn records_from_wire(records: Vec<peer::Record>) -> Result<Vec<Record>, WireError> {
    if records.len() > MAX_RECORDS {
        return Err(WireError::Illegal);
    }
    records.into_iter().map(record_from_wire).collect()
}

fn record_from_wire(record: peer::Record) -> Result<Record, WireError> {
    Ok(Record {
        member: NodeId(record.member),
        term: term(record.term)?,
        index: index(record.index)?,
        entry_term: term(record.entry_term)?,
    })
}

fn rejection_from_wire(rejection: peer::Rejection) -> Result<Rejection, WireError> {
    Ok(Rejection {
        previous_index: index(rejection.previous_index)?,
        hint_index: index(rejection.hint_index)?,
        hint_term: term(rejection.hint_term)?,
    })
}

fn append_from_wire(append: peer::Append) -> Result<Message, WireError> {
    let previous_index = index(append.previous_index)?;
    let entries = entries_from_wire(previous_index.0 + 1, append.entries)?;
    Ok(Message::Append {
        term: term(append.term)?,
        previous_index,
        previous_term: term(append.previous_term)?,
        commit: index(append.commit)?,
        entries,
        round: number(append.round)?,
    })
}

/// Entries in a row, the first of which is at `first`.
fn entries_from_wire(first: u64, entries: Vec<peer::Entry>) -> Result<Vec<Entry>, WireError> {
    number(first)?;
    number(first + entries.len() as u64)?;
    let indexed = (first..).zip(entries);
    indexed
        .map(|(at, entry)| {
            let payload = entry_payload(entry.kind, entry.data)?;
            Ok(Entry {
                index: LogIndex(at),
                term: term(entry.term)?,
                payload,
            })
        })
        .collect()
}

fn index(value: u64) -> Result<LogIndex, WireError> {
    number(value).map(LogIndex)
}

fn term(value: u64) -> Result<Term, WireError> {
    number(value).map(Term)
}
