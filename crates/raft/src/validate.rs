//! Whether a message could come from a correct peer, as far as can be told from itself.

use crate::error::MessageError;
use crate::limits::MAX_NUMBER;
use crate::message::Message;
use crate::types::{Entry, LogIndex, NodeId, Payload, Term};

/// Refuses messages whose parts contradict each other. What passes can still be stale.
pub(crate) fn check_shape(from: NodeId, message: &Message) -> Result<(), MessageError> {
    let wrong = |what| Err(MessageError::Malformed { from, what });
    if term_of(message) > Term(MAX_NUMBER) {
        return wrong("term beyond the limit");
    }
    if term_of(message) == Term::ZERO && !is_vote_refusal(message) {
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
        Message::Vote { .. } | Message::TimeoutNow { .. } | Message::ReadIndexRequest { .. } => {}
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

/// A node that was never in an election refuses (pre-)votes in term zero.
fn is_vote_refusal(message: &Message) -> bool {
    matches!(message, Message::Vote { granted: false, .. })
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
        | Message::ReadIndexRequest { term, .. }
        | Message::ReadIndexResponse { term, .. } => *term,
    }
}
