//! What the words of a command mean.

use bytes::Bytes;
use quorate_raft::{Entry, LogIndex, MembershipChange, Message, NodeId, Payload, Record, Term};

/// From whom to whom.
pub(super) type Link = (NodeId, NodeId);

pub(super) fn node_id(word: &str) -> Result<NodeId, String> {
    let number = word
        .strip_prefix('n')
        .and_then(|digits| digits.parse().ok());
    number
        .map(NodeId)
        .ok_or_else(|| format!("{word} is no node"))
}

pub(super) fn link(word: &str) -> Result<Link, String> {
    let (from, to) = word
        .split_once('>')
        .ok_or_else(|| format!("{word} is no link"))?;
    Ok((node_id(from)?, node_id(to)?))
}

pub(super) fn number(word: Option<&&str>, default: u64) -> Result<u64, String> {
    word.map_or(Ok(default), |word| {
        word.parse().map_err(|_| format!("{word} is no number"))
    })
}

/// A change from words like `add-learner n4` or `replace n1 n2 + n3`.
pub(super) fn membership_change(words: &[&str]) -> Result<MembershipChange, String> {
    let (kind, names) = words.split_first().ok_or("what change?")?;
    let list = |names: &[&str]| names.iter().map(|name| node_id(name)).collect();
    if *kind == "replace" {
        let mut lists = names.split(|name| *name == "+").map(list);
        let mut next = || lists.next().unwrap_or(Ok(Vec::new()));
        let (voters, learners) = (next()?, next()?);
        return Ok(MembershipChange::Replace { voters, learners });
    }
    let id = node_id(names.first().ok_or("whom?")?)?;
    match *kind {
        "add-learner" => Ok(MembershipChange::AddLearner(id)),
        "add-voter" => Ok(MembershipChange::AddVoter(id)),
        "promote" => Ok(MembershipChange::Promote(id)),
        "remove" => Ok(MembershipChange::Remove(id)),
        _ => Err(format!("no change {kind}")),
    }
}

/// A message from words like `AppendAccepted term=1 matched=9 round=0`.
pub(super) fn forged(words: &[&str]) -> Result<Message, String> {
    let (kind, fields) = words.split_first().ok_or("what message?")?;
    let value = |key: &str| -> u64 {
        let found = fields
            .iter()
            .find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
        found.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    let term = Term(value("term"));
    let entry = |offset: u64| Entry {
        index: LogIndex(value("prev") + 1 + offset),
        term: Term(value("entries_term")),
        payload: Payload::Command(Bytes::from_static(b"forged")),
    };
    Ok(match *kind {
        "RequestVote" | "RequestPreVote" => Message::RequestVote {
            term,
            last_index: LogIndex(value("last")),
            last_term: Term(value("last_term")),
            pre: *kind == "RequestPreVote",
            transfer: value("transfer") == 1,
        },
        "Vote" | "PreVote" => Message::Vote {
            term,
            granted: value("granted") == 1,
            pre: *kind == "PreVote",
        },
        "Append" => Message::Append {
            term,
            previous_index: LogIndex(value("prev")),
            previous_term: Term(value("prev_term")),
            commit: LogIndex(value("commit")),
            entries: (0..value("entries")).map(entry).collect(),
            round: value("round"),
        },
        "AppendAccepted" => Message::AppendAccepted {
            term,
            matched: LogIndex(value("matched")),
            round: value("round"),
        },
        "AppendRejected" => Message::AppendRejected {
            term,
            previous_index: LogIndex(value("prev")),
            hint_index: LogIndex(value("hint")),
            hint_term: Term(value("hint_term")),
            round: value("round"),
        },
        "SnapshotOffer" => Message::SnapshotOffer {
            term,
            index: LogIndex(value("index")),
            snapshot_term: Term(value("snapshot_term")),
            round: value("round"),
        },
        "EntryWanted" => Message::EntryWanted {
            term,
            first: LogIndex(value("first")),
            last: LogIndex(value("last")),
            anchor_index: LogIndex(value("anchor")),
            anchor_term: Term(value("anchor_term")),
        },
        "EntryFound" => Message::EntryFound {
            term,
            first: LogIndex(value("prev") + 1),
            anchor_index: LogIndex(value("anchor")),
            anchor_term: Term(value("anchor_term")),
            entries: (0..value("entries")).map(entry).collect(),
        },
        "RecordWanted" => Message::RecordWanted {
            term,
            life: value("life"),
        },
        "Records" => Message::Records {
            term,
            records: vec![Record {
                member: NodeId(value("member")),
                term: Term(value("record_term")),
                index: LogIndex(value("index")),
                entry_term: Term(value("entry_term")),
            }],
        },
        "Refill" => Message::Refill {
            term,
            life: value("life"),
            matched: LogIndex(value("matched")),
            round: value("round"),
            rejected: None,
        },
        "Refilled" => Message::Refilled {
            term,
            life: value("life"),
            through: LogIndex(value("through")),
        },
        "TimeoutNow" => Message::TimeoutNow { term },
        "ReadIndexResponse" => Message::ReadIndexResponse {
            term,
            sequence: value("sequence"),
            index: Some(LogIndex(value("index"))),
        },
        _ => return Err(format!("no message {kind}")),
    })
}
