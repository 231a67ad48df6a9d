//! What a client may ask of a watch, over gRPC itself.

use std::time::Duration;

use quorate_proto::etcdserverpb::request_op;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest, WatchCreateRequest,
};
use quorate_proto::mvccpb::event::EventType;

use super::start;
use super::stream::{Stream, of_prefix, revisions};
use crate::cluster::{Cluster, Plan, kv, runtime};

/// Puts a value; gives the revision.
async fn put(endpoint: &str, key: &str, value: &[u8]) -> i64 {
    let request = PutRequest {
        key: key.as_bytes().to_vec().into(),
        value: value.to_vec().into(),
        ..Default::default()
    };
    let response = kv(endpoint).put(request).await.expect("it is written");
    response.into_inner().header.expect("a header").revision
}

async fn delete(endpoint: &str, key: &str) {
    let request = DeleteRangeRequest {
        key: key.as_bytes().to_vec().into(),
        ..Default::default()
    };
    let response = kv(endpoint).delete_range(request).await;
    response.expect("it is deleted");
}

fn one_node() -> (Cluster, String) {
    let cluster = start(Plan::of(1));
    let endpoint = cluster.endpoint(0);
    (cluster, endpoint)
}

/// As many puts as a transaction may have, of values of so many bytes; gives the revision.
async fn put_many(endpoint: &str, value_bytes: usize) -> i64 {
    let put = |number: usize| {
        let request = PutRequest {
            key: format!("k{number:03}").into(),
            value: vec![b'v'; value_bytes].into(),
            ..Default::default()
        };
        RequestOp {
            request: Some(request_op::Request::RequestPut(request)),
        }
    };
    let request = TxnRequest {
        success: (0..128).map(put).collect(),
        ..Default::default()
    };
    let response = kv(endpoint).txn(request).await.expect("it is written");
    response.into_inner().header.expect("a header").revision
}

#[test]
fn a_revision_too_large_for_one_answer_comes_in_fragments_to_those_who_take_them() {
    let (_cluster, endpoint) = one_node();
    runtime().block_on(async {
        let with_values = WatchCreateRequest {
            prev_kv: true,
            ..of_prefix("k", 0)
        };
        let in_fragments = WatchCreateRequest {
            fragment: true,
            ..with_values.clone()
        };
        let mut whole = Stream::open(&endpoint).await;
        whole.create(with_values).await;
        let mut parts = Stream::open(&endpoint).await;
        parts.create(in_fragments).await;
        // Each revision fits into one request; with the values before, the second is larger than an answer should be.
        put_many(&endpoint, 11_000).await;
        let revision = put_many(&endpoint, 11_000).await;
        let (first, second) = (whole.next().await, whole.next().await);
        assert_eq!((first.events.len(), second.events.len()), (128, 128));
        assert!(!first.fragment && !second.fragment);
        assert_eq!(parts.next().await, first, "what fits is told at once");
        let mut joined = Vec::new();
        let mut count = 0;
        loop {
            let part = parts.next().await;
            assert!(revisions(&part).all(|told| told == revision));
            assert_eq!(part.header, second.header);
            joined.extend(part.events);
            count += 1;
            if !part.fragment {
                break;
            }
        }
        assert!(count > 1, "it came at once");
        assert_eq!(joined, second.events);
    });
}

#[test]
fn filters_keep_puts_or_deletes_away() {
    let (_cluster, endpoint) = one_node();
    runtime().block_on(async {
        let mut stream = Stream::open(&endpoint).await;
        let filtered = |filters: &[FilterType]| WatchCreateRequest {
            filters: filters.iter().map(|filter| *filter as i32).collect(),
            ..of_prefix("k", 0)
        };
        let (no_puts, _) = stream.create(filtered(&[FilterType::Noput])).await;
        let (no_deletes, _) = stream.create(filtered(&[FilterType::Nodelete])).await;
        let both = [FilterType::Noput, FilterType::Nodelete];
        let (neither, _) = stream.create(filtered(&both)).await;
        let first = put(&endpoint, "k", b"1").await;
        delete(&endpoint, "k").await;
        put(&endpoint, "k", b"2").await;
        let told = stream.told_through(first + 2).await;
        assert_eq!(told.get(&no_puts), Some(&vec![first + 1]));
        assert_eq!(told.get(&no_deletes), Some(&vec![first, first + 2]));
        assert_eq!(told.get(&neither), None);
        // The same from history.
        let from_history = WatchCreateRequest {
            start_revision: first,
            ..filtered(&[FilterType::Noput])
        };
        let mut stream = Stream::open(&endpoint).await;
        stream.create(from_history).await;
        let response = stream.next().await;
        assert_eq!(response.events.len(), 1);
        assert_eq!(response.events[0].r#type(), EventType::Delete);
        assert_eq!(revisions(&response).collect::<Vec<_>>(), [first + 1]);
    });
}

#[test]
fn progress_is_told_when_asked_for_and_never_before_what_it_speaks_of() {
    let cluster = start(Plan::of(3));
    runtime().block_on(async {
        for i in 0..3 {
            let endpoint = cluster.endpoint(i);
            let mut stream = Stream::open(&endpoint).await;
            stream.request_progress();
            let (watch_id, _) = stream.create(of_prefix("k", 0)).await;
            let mut expected = Vec::new();
            for round in 0..20 {
                expected.push(put(&endpoint, "k", b"watched").await);
                let revision = put(&endpoint, "other", b"not watched").await;
                let told = stream.told_through(revision).await;
                let told = told.get(&watch_id).cloned().unwrap_or_default();
                assert_eq!(told, expected[round..], "node {i}, up to {revision}");
            }
        }
    });
}

#[test]
fn progress_is_told_now_and_then_to_who_wants_that_and_hears_nothing_else() {
    let interval = "--experimental-watch-progress-notify-interval=200ms";
    let cluster = start(Plan::of(1).flag(interval));
    let endpoint = cluster.endpoint(0);
    runtime().block_on(async {
        let revision = put(&endpoint, "other", b"1").await;
        let mut stream = Stream::open(&endpoint).await;
        let notified = WatchCreateRequest {
            progress_notify: true,
            ..of_prefix("k", 0)
        };
        stream.create(of_prefix("k", 0)).await;
        let (watch_id, _) = stream.create(notified).await;
        for _ in 0..3 {
            let response = stream.next().await;
            assert_eq!((response.watch_id, response.events.len()), (watch_id, 0));
            assert_eq!(response.header.expect("a header").revision, revision);
        }
    });
}

#[test]
fn a_watch_from_a_future_revision_is_told_nothing_before_it() {
    let (_cluster, endpoint) = one_node();
    runtime().block_on(async {
        let now = put(&endpoint, "k", b"0").await;
        let mut stream = Stream::open(&endpoint).await;
        stream.create(of_prefix("k", now + 3)).await;
        stream.request_progress();
        assert!(
            stream.is_quiet_for(Duration::from_millis(300)).await,
            "progress before the first revision"
        );
        for _ in 0..4 {
            put(&endpoint, "k", b"1").await;
        }
        let mut told = Vec::new();
        while told.last() != Some(&(now + 4)) {
            told.extend(revisions(&stream.next().await));
        }
        assert_eq!(told, [now + 3, now + 4]);
    });
}

#[test]
fn a_watch_from_a_compacted_revision_is_canceled_with_the_first_that_there_is() {
    let (_cluster, endpoint) = one_node();
    runtime().block_on(async {
        let first = put(&endpoint, "k", b"0").await;
        for _ in 0..3 {
            put(&endpoint, "k", b"1").await;
        }
        let compaction = CompactionRequest {
            revision: first + 2,
            ..Default::default()
        };
        let compacted = kv(&endpoint).compact(compaction).await;
        compacted.expect("it is compacted");
        let mut stream = Stream::open(&endpoint).await;
        let (watch_id, _) = stream.create(of_prefix("k", first + 1)).await;
        let response = stream.next().await;
        assert!(response.canceled && !response.created);
        assert_eq!(response.watch_id, watch_id);
        assert_eq!(response.compact_revision, first + 2);
        // As in etcd 3.5: the client says what that means.
        assert_eq!(response.cancel_reason, "");
        assert_eq!(response.header.expect("a header").revision, 0);
        // The stream goes on, and what is said to be there is there.
        stream.create(of_prefix("k", first + 2)).await;
        let mut told = Vec::new();
        while told.len() < 2 {
            told.extend(revisions(&stream.next().await));
        }
        assert_eq!(told, [first + 2, first + 3]);
    });
}

#[test]
fn a_watch_that_is_canceled_is_told_nothing_more() {
    let (_cluster, endpoint) = one_node();
    runtime().block_on(async {
        let mut stream = Stream::open(&endpoint).await;
        let (ended, _) = stream.create(of_prefix("k", 0)).await;
        let (goes_on, _) = stream.create(of_prefix("k", 0)).await;
        // Of a watch that there is not, etcd says nothing.
        stream.cancel(77);
        stream.cancel(ended);
        let response = stream.next().await;
        assert!(response.canceled && !response.created);
        assert_eq!(
            (response.watch_id, response.cancel_reason.as_str()),
            (ended, "")
        );
        let revision = put(&endpoint, "k", b"1").await;
        let told = stream.told_through(revision).await;
        assert_eq!(told.get(&goes_on), Some(&vec![revision]));
        assert_eq!(told.get(&ended), None);
    });
}

#[test]
fn who_wants_a_leader_is_told_when_there_is_none_any_more() {
    let mut cluster = start(Plan::of(3));
    let runtime = runtime();
    let endpoint = cluster.endpoint(0);
    let (mut strict, mut patient) = runtime.block_on(async {
        let strict = Stream::try_open(&endpoint, true).await;
        let mut strict = strict.expect("there is a leader");
        strict.create(of_prefix("k", 0)).await;
        let mut patient = Stream::open(&endpoint).await;
        patient.create(of_prefix("k", 0)).await;
        (strict, patient)
    });
    cluster.kill(1);
    cluster.kill(2);
    runtime.block_on(async {
        let status = strict.end().await;
        let no_leader = (tonic::Code::Unavailable, "etcdserver: no leader");
        assert_eq!((status.code(), status.message()), no_leader);
        let refused = Stream::try_open(&endpoint, true).await;
        let status = refused.err().expect("there is no leader");
        assert_eq!((status.code(), status.message()), no_leader);
    });
    cluster.restart(1);
    cluster.wait_for_leader();
    runtime.block_on(async {
        let revision = put(&endpoint, "k", b"1").await;
        let told = revisions(&patient.next().await).collect::<Vec<_>>();
        assert_eq!(told, [revision], "the other one's stream goes on");
    });
}
