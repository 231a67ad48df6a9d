//! What nodes say to each other and what their entries carry, in a few words for a picture: the
//! important first, since the end is cut where there is no room.

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::envelope::{CommandEnvelope, CommandKind};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest,
    TxnRequest,
};
use quorate_raft::{Message, Payload, Standing, Status};
use quorate_replica::PeerMessage;

/// The longest command of the course that is shown in full: its random ones have nineteen digits.
const MAX_COMMAND_CHARS: usize = 8;

/// A message's kind, its term if it carries one, and what it says.
pub(super) fn of_message(message: &PeerMessage) -> (&'static str, Option<u64>, String) {
    match message {
        PeerMessage::Raft(message) => of_raft_message(message),
        PeerMessage::Forward(proposals) => {
            let each = proposals.iter().map(|one| of_body(one.kind, &one.body));
            let words: Vec<String> = each.collect();
            ("Forward", None, words.join(", "))
        }
        PeerMessage::ForwardRefused {
            reason, sequences, ..
        } => {
            let words = format!("{reason:?}: {}", count(sequences.len(), "write"));
            ("ForwardRefused", None, words)
        }
        PeerMessage::LeaseQuestions { questions, .. } => {
            let words = count(questions.len(), "question");
            ("LeaseQuestions", None, words)
        }
        PeerMessage::LeaseAnswers { answers, .. } => {
            let words = count(answers.len(), "answer");
            ("LeaseAnswers", None, words)
        }
    }
}

fn of_raft_message(message: &Message) -> (&'static str, Option<u64>, String) {
    let (kind, term, words) = match message {
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
            let why = if *transfer {
                ", the leader wants it"
            } else {
                ""
            };
            let words = format!("my log ends at {last_index}, term {last_term}{why}");
            (kind, term, words)
        }
        Message::Vote { term, granted, pre } => {
            let kind = if *pre { "PreVote" } else { "Vote" };
            let words = if *granted { "yes" } else { "no" };
            (kind, term, words.to_owned())
        }
        Message::Append {
            term,
            previous_index,
            previous_term,
            commit,
            entries,
            ..
        } => {
            let after = format!("after {previous_index} (term {previous_term})");
            // Without entries the news, if any, is the commit index.
            let words = match entries.len() {
                0 => format!("commit {commit}, no entries {after}"),
                1 => format!("1 entry {after}, commit {commit}"),
                many => format!("{many} entries {after}, commit {commit}"),
            };
            ("Append", term, words)
        }
        Message::AppendAccepted { term, matched, .. } => {
            ("Accepted", term, format!("through {matched}"))
        }
        Message::AppendRejected {
            term,
            previous_index,
            hint_index,
            ..
        } => {
            let words = format!("{previous_index} is not mine, try {hint_index}");
            ("Rejected", term, words)
        }
        Message::SnapshotOffer {
            term,
            index,
            snapshot_term,
            ..
        } => {
            let words = format!("pull my snapshot through {index} (term {snapshot_term})");
            ("SnapshotOffer", term, words)
        }
        Message::EntryWanted {
            term, first, last, ..
        } => {
            let words = format!("my entries {first} to {last} are damaged, what are yours?");
            ("EntryWanted", term, words)
        }
        Message::EntryFound {
            term,
            first,
            entries,
            ..
        } => {
            let words = match entries.len() {
                0 => format!("I cannot say what {first} was"),
                1 => format!("here is {first}"),
                many => format!("here are {many} entries from {first} on"),
            };
            ("EntryFound", term, words)
        }
        Message::Records { term, records } => {
            let words = records.iter().map(|record| {
                format!(
                    "n{} has {} by term {}",
                    record.member, record.index, record.term
                )
            });
            ("Records", term, words.collect::<Vec<_>>().join(", "))
        }
        Message::RecordWanted { term, .. } => {
            let words = "I have started; what did I once acknowledge?".to_owned();
            ("RecordWanted", term, words)
        }
        Message::RecordFound { term, record, .. } => {
            let words = match record {
                Some(record) => format!("{} by term {}", record.index, record.term),
                None => "nothing that I know of".to_owned(),
            };
            ("RecordFound", term, words)
        }
        Message::Refill {
            term,
            matched,
            rejected,
            ..
        } => {
            let words = match rejected {
                Some(rejected) => format!(
                    "I lost promises; {} is not mine, try {}",
                    rejected.previous_index, rejected.hint_index
                ),
                None => format!("I lost promises; I have {matched} again, do not count it"),
            };
            ("Refill", term, words)
        }
        Message::Refilled { term, through, .. } => {
            let words = format!("with everything through {through} you are whole");
            ("Refilled", term, words)
        }
        Message::TimeoutNow { term } => ("TimeoutNow", term, "lead in my place".to_owned()),
        Message::ReadIndexRequest { term, .. } => {
            ("ReadIndex", term, "from where may I read?".to_owned())
        }
        Message::ReadIndexResponse { term, index, .. } => {
            let words = match index {
                Some(index) => format!("once you have applied {index}"),
                None => "not by me".to_owned(),
            };
            ("ReadIndexAnswer", term, words)
        }
    };
    (kind, Some(term.0), words)
}

/// What an entry carries.
pub(super) fn of_payload(payload: &Payload) -> String {
    match payload {
        Payload::Empty => "(empty)".to_owned(),
        Payload::Command(bytes) => of_command(bytes),
        Payload::Membership { membership, .. } => {
            let voters = membership.voters.iter().map(|id| format!("n{id}"));
            format!("members {}", voters.collect::<Vec<_>>().join(" "))
        }
    }
}

/// A command: the worlds' have an envelope, the course's are numbers.
fn of_command(bytes: &Bytes) -> String {
    if let Ok(envelope) = CommandEnvelope::decode(bytes) {
        return of_body(envelope.kind, &envelope.body);
    }
    let text = String::from_utf8_lossy(bytes);
    match text.chars().count() > MAX_COMMAND_CHARS {
        true => text.chars().take(4).chain(['…']).collect(),
        false => text.into_owned(),
    }
}

fn of_body(kind: CommandKind, body: &Bytes) -> String {
    let key = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let words = match kind {
        CommandKind::Put => {
            PutRequest::decode(body.clone()).map(|put| format!("put {}", key(&put.key)))
        }
        CommandKind::DeleteRange => DeleteRangeRequest::decode(body.clone())
            .map(|delete| format!("delete {}", key(&delete.key))),
        CommandKind::Txn => TxnRequest::decode(body.clone()).map(|txn| of_txn(&txn)),
        CommandKind::Compact => CompactionRequest::decode(body.clone())
            .map(|compact| format!("compact to {}", compact.revision)),
        CommandKind::ClusterVersion => Ok("cluster version".to_owned()),
        CommandKind::MemberChange => Ok("change of members".to_owned()),
        CommandKind::MemberTable => Ok("table of members".to_owned()),
        CommandKind::MemberUpdate => Ok("who a member is".to_owned()),
        CommandKind::LeaseGrant => LeaseGrantRequest::decode(body.clone())
            .map(|grant| format!("grant lease {:x}", grant.id)),
        CommandKind::LeaseRevoke => LeaseRevokeRequest::decode(body.clone())
            .map(|revoke| format!("revoke lease {:x}", revoke.id)),
        CommandKind::LeaseCheckpoint => Ok("times of leases".to_owned()),
        CommandKind::Alarm => Ok("alarm".to_owned()),
    };
    words.unwrap_or_else(|_| format!("{kind:?}"))
}

fn of_txn(txn: &TxnRequest) -> String {
    let puts = txn.success.iter().filter_map(|op| match &op.request {
        Some(Request::RequestPut(put)) => Some(String::from_utf8_lossy(&put.key).into_owned()),
        _ => None,
    });
    format!("if … put {}", puts.collect::<Vec<_>>().join(" "))
}

/// Where a node stands, a line a fact: what a click on an event shows.
pub(super) fn of_status(status: &Status) -> String {
    let mut words = format!(
        "log {} to {}, durable through {}, snapshot at {}\ncommitted {}, handed out {}, applied {}\n",
        status.first_index,
        status.last_index,
        status.durable_index,
        status.snapshot_index,
        status.commit,
        status.handed_out,
        status.applied
    );
    words += match status.standing {
        Standing::Sound => "",
        Standing::Asking => "asks the others what its disk is worth\n",
        Standing::Refilling => "its disk went back in time: it is refilled\n",
    };
    for peer in &status.peers {
        let how = match (peer.needs_snapshot, peer.replicating) {
            (true, _) => "offering a snapshot",
            (false, true) => "replicating",
            (false, false) => "probing",
        };
        words += &format!(
            "n{}: {how}, matched {}, next {}, {} under way\n",
            peer.id, peer.matched, peer.next, peer.inflight_appends
        );
    }
    words
}

fn count(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
