//! Whether a message could come from a correct peer, as far as can be told from itself.

use crate::error::MessageError;
use crate::limits::{MAX_NUMBER, MAX_RECORDS};
use crate::message::Message;
use crate::records::Record;
use crate::types::{Entry, LogIndex, NodeId, Payload, Term};

/// Refuses messages whose parts contradict each other. What passes can still be stale.
pub(crate) fn check_shape(from: NodeId, message: &Message) -> Result<(), MessageError> {
    let wrong = |what| Err(MessageError::Malformed { from, what });
    if term_of(message) > Term(MAX_NUMBER) {
        return wrong("term beyond the limit");
    }
    if term_of(message) == Term::ZERO && !is_without_term(message) {
        return wrong("term zero");
    }
    match message {
        Message::RequestVote {
            last_index,
            last_term,
            term,
            pre,
            transfer,
        } => {
            if *pre && *transfer {
                return wrong("a transfer that only asks");
            }
            if *last_index > LogIndex(MAX_NUMBER) {
                return wrong("index beyond the limit");
            }
            if last_term >= term {
                return wrong("candidate's log is not older than its term");
            }
            if (*last_index == LogIndex::ZERO) != (*last_term == Term::ZERO) {
                return wrong("index and term of the last entry do not fit");
            }
        }
        Message::Append {
            term,
            previous_index,
            previous_term,
            commit,
            entries,
            round,
        } => {
            if (*previous_index).max(*commit) > LogIndex(MAX_NUMBER) || *round > MAX_NUMBER {
                return wrong("index or round beyond the limit");
            }
            if (*previous_index == LogIndex::ZERO) != (*previous_term == Term::ZERO) {
                return wrong("index and term of the previous entry do not fit");
            }
            return check_entries(from, *term, (*previous_index, *previous_term), entries);
        }
        Message::SnapshotOffer {
            term,
            index,
            snapshot_term,
            round,
        } => {
            if index.0.max(*round) > MAX_NUMBER {
                return wrong("index or round beyond the limit");
            }
            if *index == LogIndex::ZERO || *snapshot_term == Term::ZERO {
                return wrong("a snapshot of nothing");
            }
            if snapshot_term > term {
                return wrong("the snapshot is newer than its leader");
            }
        }
        Message::AppendAccepted { matched, round, .. } => {
            if matched.0.max(*round) > MAX_NUMBER {
                return wrong("index or round beyond the limit");
            }
        }
        Message::AppendRejected {
            previous_index,
            hint_index,
            hint_term,
            round,
            ..
        } => {
            let greatest = previous_index.0.max(hint_index.0).max(hint_term.0);
            if greatest.max(*round) > MAX_NUMBER {
                return wrong("index, term or round beyond the limit");
            }
        }
        Message::ReadIndexResponse { index, .. } => {
            if index.is_some_and(|index| index.0 > MAX_NUMBER) {
                return wrong("index beyond the limit");
            }
        }
        Message::EntryWanted {
            first,
            last,
            anchor_index,
            anchor_term,
            ..
        } => {
            if last.0.max(anchor_index.0).max(anchor_term.0) > MAX_NUMBER {
                return wrong("index or term beyond the limit");
            }
            let inside = first <= anchor_index && anchor_index < last;
            if *first == LogIndex::ZERO || first > last || inside {
                return wrong("a question that makes no sense");
            }
        }
        Message::EntryFound {
            term,
            first,
            anchor_index,
            anchor_term,
            entries,
        } => {
            if first.0.max(anchor_index.0).max(anchor_term.0) > MAX_NUMBER {
                return wrong("index or term beyond the limit");
            }
            if *first == LogIndex::ZERO {
                return wrong("an entry at index 0");
            }
            let least = entries.first().map_or(Term::ZERO, |entry| entry.term);
            return check_entries(from, *term, (first.previous(), least), entries);
        }
        Message::Records { records, .. } => return check_records(from, records),
        Message::RecordFound {
            record,
            membership,
            membership_index,
            ..
        } => {
            let known = *membership_index > LogIndex::ZERO || !membership.voters.is_empty();
            if *membership_index > LogIndex(MAX_NUMBER) {
                return wrong("index beyond the limit");
            }
            if known && let Err(what) = membership.check() {
                return wrong(what);
            }
            return check_records(from, record.as_slice());
        }
        Message::Refill {
            matched,
            round,
            rejected,
            ..
        } => {
            let rejected = rejected.map_or(0, |rejected| {
                let (refused, hint) = (rejected.previous_index, rejected.hint_index);
                refused.0.max(hint.0).max(rejected.hint_term.0)
            });
            if matched.0.max(*round).max(rejected) > MAX_NUMBER {
                return wrong("index, term or round beyond the limit");
            }
        }
        Message::Refilled { through, .. } => {
            if through.0 > MAX_NUMBER {
                return wrong("index beyond the limit");
            }
            if *through == LogIndex::ZERO {
                return wrong("refilled with nothing");
            }
        }
        Message::Vote { .. }
        | Message::TimeoutNow { .. }
        | Message::ReadIndexRequest { .. }
        | Message::RecordWanted { .. } => {}
    }
    Ok(())
}

/// Entries must follow the previous one and each other, and be no newer than their leader.
fn check_entries(
    from: NodeId,
    term: Term,
    previous: (LogIndex, Term),
    entries: &[Entry],
) -> Result<(), MessageError> {
    let wrong = |what| Err(MessageError::Malformed { from, what });
    let (mut last_index, mut last_term) = previous;
    for entry in entries {
        if entry.index != last_index.next() {
            return wrong("entries are not contiguous");
        }
        if entry.term < last_term || entry.term == Term::ZERO {
            return wrong("terms of the entries fall");
        }
        if let Payload::Membership { membership, .. } = &entry.payload
            && let Err(what) = membership.check()
        {
            return wrong(what);
        }
        (last_index, last_term) = (entry.index, entry.term);
    }
    if last_term > term {
        return wrong("an entry is newer than its leader");
    }
    Ok(())
}

/// Records are of nobody twice, in order, and of something.
fn check_records(from: NodeId, records: &[Record]) -> Result<(), MessageError> {
    let wrong = |what| Err(MessageError::Malformed { from, what });
    if records.len() > MAX_RECORDS {
        return wrong("more records than there can be members");
    }
    if records.windows(2).any(|two| two[0].member >= two[1].member) {
        return wrong("records out of order");
    }
    for record in records {
        if record.term.0.max(record.index.0) > MAX_NUMBER {
            return wrong("index or term beyond the limit");
        }
        let is_empty = record.term == Term::ZERO || record.index == LogIndex::ZERO;
        if is_empty || record.member == NodeId::ZERO || record.entry_term > record.term {
            return wrong("a record that makes no sense");
        }
    }
    Ok(())
}

/// A node that was never in an election refuses (pre-)votes in term zero, and has no entries.
fn is_without_term(message: &Message) -> bool {
    matches!(
        message,
        Message::Vote { granted: false, .. }
            | Message::EntryFound { .. }
            | Message::RecordWanted { .. }
            | Message::RecordFound { .. }
    )
}

/// The term that the sender is in or, for pre-votes, would be in.
pub(crate) fn term_of(message: &Message) -> Term {
    match message {
        Message::RequestVote { term, .. }
        | Message::Vote { term, .. }
        | Message::Append { term, .. }
        | Message::AppendAccepted { term, .. }
        | Message::AppendRejected { term, .. }
        | Message::SnapshotOffer { term, .. }
        | Message::TimeoutNow { term }
        | Message::EntryWanted { term, .. }
        | Message::EntryFound { term, .. }
        | Message::Records { term, .. }
        | Message::RecordWanted { term, .. }
        | Message::RecordFound { term, .. }
        | Message::Refill { term, .. }
        | Message::Refilled { term, .. }
        | Message::ReadIndexRequest { term, .. }
        | Message::ReadIndexResponse { term, .. } => *term,
    }
}
