//! Requests that are refused, with etcd's code and etcd's text byte for byte: Go clients tell errors apart by it.

use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request as Operation;
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use tonic::{Code, Status};

use crate::cluster::{Cluster, Etcdctl, Kv, Plan, kv, runtime};

/// etcd's defaults.
const REQUEST_BYTES_MAX: usize = 3 << 19;
const OPERATIONS_MAX: usize = 128;

fn put(key: &str, value: &[u8]) -> PutRequest {
    PutRequest {
        key: key.as_bytes().to_vec().into(),
        value: value.to_vec().into(),
        ..Default::default()
    }
}

fn range(key: &str) -> RangeRequest {
    RangeRequest {
        key: key.as_bytes().to_vec().into(),
        ..Default::default()
    }
}

fn of(operations: Vec<Operation>) -> TxnRequest {
    let wrap = |operation| RequestOp {
        request: Some(operation),
    };
    TxnRequest {
        success: operations.into_iter().map(wrap).collect(),
        ..Default::default()
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("it is refused");
    (status.code(), status.message().to_owned())
}

/// Runs `check` against each node of a cluster of three.
fn on_each_node<F: Future<Output = ()>>(check: impl Fn(Kv) -> F) {
    let cluster = Plan::of(3).start();
    for i in 0..cluster.len() {
        runtime().block_on(async { check(kv(&cluster.endpoint(i))).await });
    }
    nothing_was_written(&cluster);
}

fn nothing_was_written(cluster: &Cluster) {
    assert_eq!(cluster.wait_until_equal().revision, 1);
}

#[test]
fn a_missing_key_is_refused_with_etcds_words() {
    on_each_node(|mut kv| async move {
        let expected = (
            Code::InvalidArgument,
            "etcdserver: key is not provided".to_owned(),
        );
        assert_eq!(refused(kv.range(range("")).await), expected);
        assert_eq!(refused(kv.put(put("", b"v")).await), expected);
        let delete = DeleteRangeRequest::default();
        assert_eq!(refused(kv.delete_range(delete).await), expected);
        let inside = of(vec![Operation::RequestPut(put("", b"v"))]);
        assert_eq!(refused(kv.txn(inside).await), expected);
        let no_operation = TxnRequest {
            success: vec![RequestOp { request: None }],
            ..Default::default()
        };
        assert_eq!(
            refused(kv.txn(no_operation).await),
            (
                Code::InvalidArgument,
                "etcdserver: key not found".to_owned()
            )
        );
    });
}

#[test]
fn an_empty_range_is_an_empty_answer() {
    on_each_node(|mut kv| async move {
        let backwards = RangeRequest {
            range_end: "a".into(),
            ..range("b")
        };
        let answer = kv.range(backwards).await.expect("an answer").into_inner();
        assert_eq!((answer.kvs.len(), answer.count, answer.more), (0, 0, false));
        let delete = DeleteRangeRequest {
            key: "b".into(),
            range_end: "a".into(),
            ..Default::default()
        };
        let answer = kv
            .delete_range(delete)
            .await
            .expect("an answer")
            .into_inner();
        assert_eq!(answer.deleted, 0);
    });
}

#[test]
fn a_request_that_is_too_large_is_refused_with_etcds_words() {
    on_each_node(|mut kv| async move {
        let expected = (
            Code::InvalidArgument,
            "etcdserver: request is too large".to_owned(),
        );
        let large = vec![b'v'; REQUEST_BYTES_MAX];
        assert_eq!(refused(kv.put(put("k", &large)).await), expected);
        let halves =
            (0..2).map(|i| Operation::RequestPut(put(&format!("k{i}"), &large[..large.len() / 2])));
        assert_eq!(refused(kv.txn(of(halves.collect())).await), expected);
        // Beyond what gRPC lets in it never reaches etcd, and the words are grpc-go's.
        let receive_max = REQUEST_BYTES_MAX + (512 << 10);
        let huge = vec![b'v'; receive_max];
        let request = put("k", &huge);
        let found = prost::Message::encoded_len(&request);
        let expected =
            format!("grpc: received message larger than max ({found} vs. {receive_max})");
        let answer = refused(kv.put(request).await);
        assert_eq!(answer, (Code::ResourceExhausted, expected));
    });
}

#[test]
fn too_many_operations_are_refused_with_etcds_words() {
    on_each_node(|mut kv| async move {
        let expected = (
            Code::InvalidArgument,
            "etcdserver: too many operations in txn request".to_owned(),
        );
        let gets = |count| (0..count).map(|_| Operation::RequestRange(range("k")));
        let fits = kv.txn(of(gets(OPERATIONS_MAX).collect())).await;
        assert_eq!(
            fits.expect("it fits").into_inner().responses.len(),
            OPERATIONS_MAX
        );
        assert_eq!(
            refused(kv.txn(of(gets(OPERATIONS_MAX + 1).collect())).await),
            expected
        );
        let compare = Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Version.into(),
            key: "k".into(),
            target_union: Some(TargetUnion::Version(0)),
            ..Default::default()
        };
        let compares = TxnRequest {
            compare: vec![compare; OPERATIONS_MAX + 1],
            ..Default::default()
        };
        assert_eq!(refused(kv.txn(compares).await), expected);
    });
}

#[test]
fn a_key_written_twice_in_a_transaction_is_refused_with_etcds_words() {
    on_each_node(|mut kv| async move {
        let expected = (
            Code::InvalidArgument,
            "etcdserver: duplicate key given in txn request".to_owned(),
        );
        let twice = vec![
            Operation::RequestPut(put("k", b"1")),
            Operation::RequestPut(put("k", b"2")),
        ];
        assert_eq!(refused(kv.txn(of(twice)).await), expected);
        let deleted_too = DeleteRangeRequest {
            key: "a".into(),
            range_end: "z".into(),
            ..Default::default()
        };
        let overlap = vec![
            Operation::RequestPut(put("k", b"1")),
            Operation::RequestDeleteRange(deleted_too),
        ];
        assert_eq!(refused(kv.txn(of(overlap)).await), expected);
    });
}

#[test]
fn a_future_or_compacted_revision_is_refused_with_etcds_words() {
    let cluster = Plan::of(3).start();
    let runtime = runtime();
    runtime.block_on(async {
        let mut kv = kv(&cluster.endpoint(0));
        for value in [b"1", b"2", b"3"] {
            kv.put(put("k", value)).await.expect("a put");
        }
        let compact = CompactionRequest {
            revision: 3,
            physical: true,
        };
        kv.compact(compact).await.expect("a compaction");
    });
    cluster.wait_until_equal();
    for i in 0..cluster.len() {
        runtime.block_on(async {
            let mut kv = kv(&cluster.endpoint(i));
            let future = (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision".to_owned(),
            );
            let compacted = (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted".to_owned(),
            );
            let at = |revision| RangeRequest {
                revision,
                ..range("k")
            };
            assert_eq!(refused(kv.range(at(5)).await), future);
            assert_eq!(refused(kv.range(at(2)).await), compacted);
            let answer = kv.range(at(3)).await.expect("an answer").into_inner();
            assert_eq!(answer.kvs[0].value, "2");
            let to = |revision| CompactionRequest {
                revision,
                physical: false,
            };
            assert_eq!(refused(kv.compact(to(5)).await), future);
            assert_eq!(refused(kv.compact(to(3)).await), compacted);
            let inside = of(vec![Operation::RequestRange(at(2))]);
            assert_eq!(refused(kv.txn(inside).await), compacted);
        });
    }
}

#[test]
fn etcdctl_shows_etcds_words_for_what_is_too_large_or_too_many() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3).start();
    let large = "v".repeat(REQUEST_BYTES_MAX);
    let mut many = "\n".to_owned();
    for i in 0..=OPERATIONS_MAX {
        many.push_str(&format!("put key{i} value\n"));
    }
    many.push_str("\n\n");
    for i in 0..cluster.len() {
        let etcdctl = cluster.etcdctl(i);
        assert_eq!(
            etcdctl.error_with(&["put", "k"], &large),
            "Error: etcdserver: request is too large"
        );
        assert_eq!(
            etcdctl.error_with(&["txn"], &many),
            "Error: etcdserver: too many operations in txn request"
        );
    }
    nothing_was_written(&cluster);
}
