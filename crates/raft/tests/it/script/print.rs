//! How things look in a trace.

use std::fmt::Write as _;

use quorate_raft::{
    DropReason, Dropped, Entry, LeadershipState, Membership, Message, NodeId, Payload, Record,
    Rejection, Role, Standing, TransferOutcome, Write,
};

use crate::image::Image;

pub(super) fn entry(entry: &Entry) -> String {
    let payload = match &entry.payload {
        Payload::Empty => "empty".to_owned(),
        Payload::Command(bytes) if bytes.len() > 20 => format!("<{} bytes>", bytes.len()),
        Payload::Command(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Payload::Membership {
            membership: members,
            context,
        } => {
            let context = String::from_utf8_lossy(context);
            format!("({}){context}", membership(members))
        }
    };
    format!("{}@{} {payload}", entry.index, entry.term)
}

/// `n1 n2`, with learners `n1 n2 + n3`, joint `n1 n2 & n2 n3`.
pub(super) fn membership(membership: &Membership) -> String {
    let list = |ids: &[NodeId]| {
        let names: Vec<String> = ids.iter().map(|id| format!("n{id}")).collect();
        names.join(" ")
    };
    let mut text = list(&membership.voters);
    if membership.is_joint() {
        let _ = write!(text, " & {}", list(&membership.voters_outgoing));
    }
    if !membership.learners.is_empty() {
        let _ = write!(text, " + {}", list(&membership.learners));
    }
    if text.is_empty() {
        text.push_str("nobody");
    }
    text
}

pub(super) fn entries(entries: &[Entry]) -> String {
    let each: Vec<String> = entries.iter().map(entry).collect();
    format!("[{}]", each.join(", "))
}

/// `[n1 5@2 in term 3, …]`: n1 acknowledged entry 5, of term 2, to the leader of term 3.
pub(super) fn records(records: &[Record]) -> String {
    let each: Vec<String> = records.iter().map(record).collect();
    format!("[{}]", each.join(", "))
}

pub(super) fn record(record: &Record) -> String {
    let Record {
        member,
        term,
        index,
        entry_term,
    } = record;
    format!("n{member} {index}@{entry_term} in term {term}")
}

pub(super) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Sound => "takes its disk for sound",
        Standing::Asking => "asks what its disk is worth",
        Standing::Refilling => "is to be refilled",
    }
}

/// The log on a disk, and the snapshot beside it.
pub(super) fn disk(image: &Image) -> String {
    let each = image
        .log
        .iter()
        .map(|one| match image.damaged.get(&one.index) {
            None => entry(one),
            Some(true) => format!("{}@{} damaged", one.index, one.term),
            Some(false) => format!("{} damaged", one.index),
        });
    let log = format!("[{}]", each.collect::<Vec<_>>().join(", "));
    match image.mark {
        Some(mark) => format!("{log} snapshot={}@{}", mark.index, mark.term),
        None => log,
    }
}

pub(super) fn message(message: &Message) -> String {
    match message {
        Message::RequestVote {
            term,
            last_index,
            last_term,
            pre,
            transfer,
        } => {
            let kind = if *pre {
                "RequestPreVote"
            } else {
                "RequestVote"
            };
            let wish = if *transfer { " transfer" } else { "" };
            format!("{kind} term={term} last={last_index}@{last_term}{wish}")
        }
        Message::Vote { term, granted, pre } => {
            let kind = if *pre { "PreVote" } else { "Vote" };
            format!(
                "{kind} {} term={term}",
                if *granted { "granted" } else { "refused" }
            )
        }
        Message::Append {
            term,
            previous_index,
            previous_term,
            commit,
            entries: sent,
            round,
        } => {
            let mut line = format!("Append term={term} prev={previous_index}@{previous_term}");
            if !sent.is_empty() {
                let _ = write!(line, " entries={}", entries(sent));
            }
            let _ = write!(line, " commit={commit} round={round}");
            line
        }
        Message::AppendAccepted {
            term,
            matched,
            round,
        } => {
            format!("AppendAccepted term={term} matched={matched} round={round}")
        }
        Message::AppendRejected {
            term,
            previous_index,
            hint_index,
            hint_term,
            round,
        } => format!(
            "AppendRejected term={term} prev={previous_index} hint={hint_index}@{hint_term} \
             round={round}"
        ),
        Message::SnapshotOffer {
            term,
            index,
            snapshot_term,
            round,
        } => format!("SnapshotOffer term={term} snapshot={index}@{snapshot_term} round={round}"),
        Message::EntryWanted {
            first,
            last,
            anchor_index,
            anchor_term,
            ..
        } => format!("EntryWanted {first}..={last} anchor={anchor_index}@{anchor_term}"),
        Message::EntryFound {
            first,
            anchor_index,
            anchor_term,
            entries: found,
            ..
        } => {
            let what = match found.as_slice() {
                [] => format!("no {first}"),
                found => entries(found),
            };
            format!("EntryFound {what} anchor={anchor_index}@{anchor_term}")
        }
        Message::Records {
            term,
            records: table,
        } => {
            format!("Records term={term} {}", records(table))
        }
        Message::RecordWanted { term, .. } => format!("RecordWanted term={term}"),
        Message::RecordFound {
            term,
            record,
            membership: members,
            ..
        } => {
            let found = records(record.as_slice());
            format!("RecordFound term={term} {found} of {}", membership(members))
        }
        Message::Refill {
            term,
            matched,
            round,
            rejected,
            ..
        } => {
            let mut line = format!("Refill term={term} matched={matched} round={round}");
            if let Some(Rejection {
                previous_index,
                hint_index,
                hint_term,
            }) = rejected
            {
                let _ = write!(
                    line,
                    " rejected={previous_index} hint={hint_index}@{hint_term}"
                );
            }
            line
        }
        Message::Refilled { term, through, .. } => {
            format!("Refilled term={term} through={through}")
        }
        Message::TimeoutNow { term } => format!("TimeoutNow term={term}"),
        Message::ReadIndexRequest { term, .. } => format!("ReadIndexRequest term={term}"),
        Message::ReadIndexResponse {
            term,
            index: Some(index),
            ..
        } => {
            format!("ReadIndexResponse term={term} index={index}")
        }
        Message::ReadIndexResponse {
            term, index: None, ..
        } => {
            format!("ReadIndexResponse term={term} refused")
        }
    }
}

pub(super) fn write(write: &Write) -> String {
    let mut parts = Vec::new();
    if let Some(state) = write.hard_state {
        let vote = state
            .vote
            .map_or("no vote".to_owned(), |id| format!("vote for n{id}"));
        let refilling = if state.refilling { ", refilling" } else { "" };
        parts.push(format!("term {}, {vote}{refilling}", state.term));
    }
    if let Some(after) = write.truncate_after {
        parts.push(format!("cut after {after}"));
    }
    if let Some(mark) = write.snapshot {
        parts.push(format!(
            "snapshot at {}@{}, release before {}",
            mark.index, mark.term, mark.release_before
        ));
    }
    if !write.entries.is_empty() {
        parts.push(entries(&write.entries));
    }
    format!("#{}: {}", write.id, parts.join("; "))
}

pub(super) fn state(state: &LeadershipState) -> String {
    let LeadershipState { role, term, leader } = state;
    match (role, leader) {
        (Role::Leader, _) => format!("leads term {term}"),
        (Role::Follower, Some(leader)) => format!("follows n{leader} in term {term}"),
        (Role::Follower, None) => format!("has no leader in term {term}"),
        (Role::PreCandidate, _) => format!("is pre-candidate in term {term}"),
        (Role::Candidate, _) => format!("is candidate in term {term}"),
    }
}

pub(super) fn dropped(dropped: &Dropped) -> String {
    let because = |reason| match reason {
        DropReason::LeadershipLost => "leadership lost",
        DropReason::LeaderChanged => "leader changed or link lost",
        DropReason::Refused => "refused by the leader",
        DropReason::TimedOut => "timed out",
    };
    match dropped {
        Dropped::Proposals { from, term, reason } => {
            format!(
                "drops its proposals from {from} on of term {term}: {}",
                because(*reason)
            )
        }
        Dropped::Read { id, reason } => format!("drops read {id}: {}", because(*reason)),
    }
}

pub(super) fn transfer(outcome: &TransferOutcome) -> String {
    match outcome {
        TransferOutcome::Done { to } => format!("has handed over to n{to}"),
        TransferOutcome::Elsewhere { to, leader } => {
            format!("has not handed over to n{to}: n{leader} leads")
        }
        TransferOutcome::TimedOut { to, invited } => {
            let still = if *invited {
                ", which may still campaign"
            } else {
                ""
            };
            format!("gives up handing over to n{to}{still}")
        }
    }
}
