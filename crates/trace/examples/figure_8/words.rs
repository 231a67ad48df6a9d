//! What nodes say to each other, in words for a picture.

use quorate_raft::{Message, Payload, Status};
use quorate_trace::Run;

/// A message's kind, its term, and what it says.
pub(crate) fn of_message(message: &Message) -> (&'static str, u64, String) {
    match message {
        Message::RequestVote {
            term,
            last_index,
            last_term,
            pre,
            ..
        } => {
            let kind = if *pre {
                "RequestPreVote"
            } else {
                "RequestVote"
            };
            (
                kind,
                term.0,
                format!("my log ends at {last_index}, term {last_term}"),
            )
        }
        Message::Vote { term, granted, pre } => {
            let kind = if *pre { "PreVote" } else { "Vote" };
            let words = if *granted { "yes" } else { "no" };
            (kind, term.0, words.to_owned())
        }
        Message::Append {
            term,
            previous_index,
            previous_term,
            commit,
            entries,
            ..
        } => {
            let count = match entries.len() {
                0 => "no entries".to_owned(),
                1 => "1 entry".to_owned(),
                count => format!("{count} entries"),
            };
            let words =
                format!("{count} after {previous_index} (term {previous_term}), commit {commit}");
            ("Append", term.0, words)
        }
        Message::AppendAccepted { term, matched, .. } => {
            ("Accepted", term.0, format!("through {matched}"))
        }
        Message::AppendRejected {
            term,
            previous_index,
            hint_index,
            ..
        } => {
            let words = format!("{previous_index} is not mine, try {hint_index}");
            ("Rejected", term.0, words)
        }
        other => ("Other", 0, format!("{other:?}")),
    }
}

/// Entries, as the recorder takes them.
pub(crate) fn of_entries(entries: &[quorate_raft::Entry]) -> Vec<Run> {
    let run = |entry: &quorate_raft::Entry| match &entry.payload {
        Payload::Command(bytes) => {
            Run::labelled(entry.term.0, String::from_utf8_lossy(bytes).into_owned())
        }
        _ => Run::labelled(entry.term.0, "(empty)"),
    };
    entries.iter().map(run).collect()
}

/// Where a node stands, a line a fact.
pub(crate) fn of_status(status: &Status) -> String {
    let mut words = format!(
        "log through {}, durable through {}\ncommitted {}, handed out {}, applied {}\n",
        status.last_index, status.durable_index, status.commit, status.handed_out, status.applied
    );
    for peer in &status.peers {
        let how = if peer.replicating {
            "replicating"
        } else {
            "probing"
        };
        let line = format!(
            "S{}: {how}, matched {}, next {}, {} under way\n",
            peer.id, peer.matched, peer.next, peer.inflight_appends
        );
        words.push_str(&line);
    }
    words
}
