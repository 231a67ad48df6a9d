//! What differs on purpose, or by chance: the only place where answers are changed before they are compared.
//!
//! Three tables, each line with its reason: [`RULES`] for answers of any version, [`NOT_ASKED`] for what a sequence
//! leaves out, [`OLDER_WORDS`] for an oracle older than 3.5.

use prost_reflect::DynamicMessage;
use quorate_proto::etcdserverpb::range_request::SortTarget;
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{
    LeaseLeasesResponse, LeaseTimeToLiveResponse, RangeRequest, RangeResponse, TxnRequest,
    TxnResponse,
};
use quorate_proto::mvccpb::KeyValue;
use tonic::Status;

use crate::calls::Method;
use crate::messages;

/// One kind of difference, and how it is kept out of the comparison.
pub(crate) struct Rule {
    /// What differs.
    pub(crate) what: &'static str,
    /// Why that is right.
    pub(crate) why: &'static str,
    /// The calls whose answers it changes; empty: all.
    calls: &'static [&'static str],
    /// Given the request, makes the response comparable.
    change: fn(&DynamicMessage, &mut DynamicMessage),
}

/// Differences of answers.
pub(crate) const RULES: [Rule; 5] = [
    Rule {
        what: "cluster_id, member_id and raft_term of a header are left out",
        why: "they are each cluster's own",
        calls: &[],
        change: |_, response| without_ids(response),
    },
    Rule {
        what: "the time that a lease has left is the granted time if less than two minutes are gone",
        why: "clocks run, and not at the same moment; no lease of a sequence lives for less than a quarter of an hour",
        calls: &["time_to_live"],
        change: |_, response| {
            let mut typed: LeaseTimeToLiveResponse = messages::typed(response);
            if (typed.granted_ttl - 120..=typed.granted_ttl).contains(&typed.ttl) {
                typed.ttl = typed.granted_ttl;
            }
            *response = messages::dynamic("LeaseTimeToLiveResponse", &typed);
        },
    },
    Rule {
        what: "the keys of a lease are compared in order",
        why: "etcd gives them in Go's random order of a map, Quorate in order",
        calls: &["time_to_live"],
        change: |_, response| {
            let mut typed: LeaseTimeToLiveResponse = messages::typed(response);
            typed.keys.sort();
            *response = messages::dynamic("LeaseTimeToLiveResponse", &typed);
        },
    },
    Rule {
        what: "leases are compared in the order of their ids",
        why: "etcd lists them by the time that is left as the asked member guesses it, Quorate by id",
        calls: &["leases"],
        change: |_, response| {
            let mut typed: LeaseLeasesResponse = messages::typed(response);
            typed.leases.sort_by_key(|lease| lease.id);
            *response = messages::dynamic("LeaseLeasesResponse", &typed);
        },
    },
    Rule {
        what: "pairs that are equal in a requested order may come in any order; where a limit cuts through them, any of them may",
        why: "etcd sorts them by a sort that is not stable, Quorate leaves them in the order of their keys",
        calls: &["range", "txn"],
        change: |request, response| match &messages::name(request)[..] {
            "RangeRequest" => {
                let mut typed: RangeResponse = messages::typed(response);
                in_any_order(&messages::typed(request), &mut typed);
                *response = messages::dynamic("RangeResponse", &typed);
            }
            _ => {
                let mut typed: TxnResponse = messages::typed(response);
                each_range(&messages::typed(request), &mut typed);
                *response = messages::dynamic("TxnResponse", &typed);
            }
        },
    },
];

/// Left out of sequences: what, and why.
pub(crate) const NOT_ASKED: [(&str, &str); 11] = [
    (
        "watches from the very revision that was compacted",
        "etcd 3.5.1 forgets a deletion at it (its issue 19179); Quorate tells it (docs/differences.md)",
    ),
    (
        "the progress of a stream of which a watch begins with a revision yet to come",
        "etcd 3.5 tells it, and so names a revision before the watch's first (its issue 20221); Quorate says nothing until then",
    ),
    (
        "watches from a revision below zero",
        "etcd 3.5.1 then forgets to tell other watches what they wait for; newer ones refuse it",
    ),
    (
        "a second watch on a stream after one from before the compacted revision",
        "that one ends at once; etcd keeps its number for the stream's life, Quorate gives it to the next one (docs/differences.md)",
    ),
    (
        "the progress of a stream that has no watch",
        "etcd 3.5.1 tells it; newer ones say nothing, and so does Quorate",
    ),
    (
        "sort orders and targets that there are not",
        "etcd 3.5.1 takes any order, and dies of a target; newer ones refuse both, and so does Quorate",
    ),
    (
        "in one transaction, a delete to the end of all keys and a put that it covers",
        "etcd overlooks it and applies both, Quorate refuses the duplicate key (docs/differences.md); the stores would part",
    ),
    (
        "transactions nested deeper than 32",
        "Quorate refuses them (docs/differences.md)",
    ),
    (
        "leases that live for less than a quarter of an hour, but for those revoked at once",
        "when they end depends on the clock; tests of their own have that",
    ),
    (
        "ids of leases that the server chooses, but for leases revoked at once",
        "they are random, and a sequence could not name them afterwards",
    ),
    (
        "requests within some bytes of --max-request-bytes",
        "each measures its own encoding of the entry in the log",
    ),
];

/// Words of etcd 3.4 and what 3.5, and Quorate, say instead.
const OLDER_WORDS: [(&str, &str); 0] = [];

/// Which etcd is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oracle {
    /// 3.5, or Quorate itself.
    Todays,
    /// 3.4.
    Older,
}

impl Oracle {
    /// An error in the words of 3.5.
    pub(crate) fn todays(self, error: &str) -> String {
        let words = OLDER_WORDS.iter().find(|(older, _)| *older == error);
        match (self, words) {
            (Oracle::Older, Some((_, todays))) => (*todays).to_owned(),
            _ => error.to_owned(),
        }
    }
}

/// An error as text.
pub(crate) fn shown_error(status: &Status) -> String {
    format!("error {:?}: {}", status.code(), status.message())
}

/// A response as it is compared.
pub(crate) fn comparable(
    method: &Method,
    request: &DynamicMessage,
    mut response: DynamicMessage,
) -> DynamicMessage {
    for rule in RULES {
        if rule.calls.is_empty() || rule.calls.contains(&method.word) {
            (rule.change)(request, &mut response);
        }
    }
    response
}

/// Without the numbers that are each cluster's own, wherever they are.
pub(crate) fn without_ids(message: &mut DynamicMessage) {
    messages::each_message(message, &mut |inner| {
        if messages::name(inner) == "ResponseHeader" {
            for field in ["cluster_id", "member_id", "raft_term"] {
                inner.clear_field_by_name(field);
            }
        }
    });
}

fn each_range(request: &TxnRequest, response: &mut TxnResponse) {
    let done = match response.succeeded {
        true => &request.success,
        false => &request.failure,
    };
    for (request, response) in done.iter().zip(&mut response.responses) {
        match (&request.request, &mut response.response) {
            (Some(Request::RequestRange(request)), Some(Response::ResponseRange(response))) => {
                in_any_order(request, response);
            }
            (Some(Request::RequestTxn(request)), Some(Response::ResponseTxn(response))) => {
                each_range(request, response);
            }
            _ => {}
        }
    }
}

/// Puts pairs that are equal in the requested order into the order of their keys, and takes from those that a limit
/// may have cut through all but what they were ordered by.
fn in_any_order(request: &RangeRequest, response: &mut RangeResponse) {
    let target = request.sort_target();
    if target == SortTarget::Key {
        return;
    }
    let is_cut = request.limit > 0 && response.kvs.len() as i64 == request.limit;
    // Values were there when the order was made, and are gone now.
    let is_blind = target == SortTarget::Value && request.keys_only;
    let measure = |pair: &KeyValue| match target {
        SortTarget::Key => pair.key.to_vec(),
        SortTarget::Version => pair.version.to_be_bytes().to_vec(),
        SortTarget::Create => pair.create_revision.to_be_bytes().to_vec(),
        SortTarget::Mod => pair.mod_revision.to_be_bytes().to_vec(),
        SortTarget::Value => pair.value.to_vec(),
    };
    let mut cut = 0;
    for group in response
        .kvs
        .chunk_by_mut(|one, next| measure(one) == measure(next))
    {
        group.sort_by(|one, next| one.key.cmp(&next.key));
        cut = group.len();
    }
    let cut = if is_blind { response.kvs.len() } else { cut };
    if is_cut {
        let whole = response.kvs.len() - cut;
        for pair in &mut response.kvs[whole..] {
            *pair = match target {
                SortTarget::Version => KeyValue {
                    version: pair.version,
                    ..KeyValue::default()
                },
                SortTarget::Create => KeyValue {
                    create_revision: pair.create_revision,
                    ..KeyValue::default()
                },
                SortTarget::Mod => KeyValue {
                    mod_revision: pair.mod_revision,
                    ..KeyValue::default()
                },
                SortTarget::Value | SortTarget::Key => KeyValue {
                    value: pair.value.clone(),
                    ..KeyValue::default()
                },
            };
        }
    }
}
