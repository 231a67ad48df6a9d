//! Bytes written by hand, field number by field number, decode to the messages that etcd means by them.

use bytes::Bytes;
use prost::Message;
use quorate_proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RequestOp, ResponseHeader, StatusResponse, TxnRequest,
    WatchResponse, compare, range_request, request_op,
};
use quorate_proto::mvccpb;

/// A varint field: tag, then a value below 128.
fn varint(number: u8, value: u8) -> Vec<u8> {
    assert!(number < 16 && value < 128, "one byte each");
    vec![number << 3, value]
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(number < 16 && content.len() < 128, "one byte each");
    let mut out = vec![
        number << 3 | 2,
        u8::try_from(content.len()).expect("below 128"),
    ];
    out.extend_from_slice(content);
    out
}

#[test]
fn response_header_fields_are_1_to_4() {
    let bytes = [varint(1, 11), varint(2, 12), varint(3, 13), varint(4, 14)].concat();
    let header = ResponseHeader::decode(&bytes[..]).unwrap();
    assert_eq!(
        header,
        ResponseHeader {
            cluster_id: 11,
            member_id: 12,
            revision: 13,
            raft_term: 14
        }
    );
    assert_eq!(header.encode_to_vec(), bytes);
}

#[test]
fn put_request_fields_are_1_to_6_and_share_the_buffer() {
    let bytes = Bytes::from(
        [
            field(1, b"key"),
            field(2, b"value"),
            varint(3, 7),
            varint(4, 1),
            varint(5, 1),
            varint(6, 1),
        ]
        .concat(),
    );
    let put = PutRequest::decode(bytes.clone()).unwrap();
    assert_eq!(put.key, "key");
    assert_eq!(put.value, "value");
    assert_eq!(put.lease, 7);
    assert!(put.prev_kv && put.ignore_value && put.ignore_lease);
    let buffer = bytes.as_ptr_range();
    assert!(
        buffer.contains(&put.value.as_ptr()),
        "the value was copied on decoding"
    );
    assert_eq!(put.encode_to_vec(), bytes);
}

#[test]
fn range_request_fields_are_1_to_13() {
    let bytes = [
        field(1, b"a"),
        field(2, b"b"),
        varint(3, 3),
        varint(4, 4),
        varint(5, 2),
        varint(6, 3),
        varint(7, 1),
        varint(8, 1),
        varint(9, 1),
        varint(10, 10),
        varint(11, 11),
        varint(12, 12),
        varint(13, 13),
    ]
    .concat();
    let range = RangeRequest::decode(&bytes[..]).unwrap();
    let expected = RangeRequest {
        key: Bytes::from_static(b"a"),
        range_end: Bytes::from_static(b"b"),
        limit: 3,
        revision: 4,
        sort_order: range_request::SortOrder::Descend.into(),
        sort_target: range_request::SortTarget::Mod.into(),
        serializable: true,
        keys_only: true,
        count_only: true,
        min_mod_revision: 10,
        max_mod_revision: 11,
        min_create_revision: 12,
        max_create_revision: 13,
    };
    assert_eq!(range, expected);
    assert_eq!(range.encode_to_vec(), bytes);
}

#[test]
fn a_transaction_nests_in_field_4_of_an_operation() {
    // The tag of range_end, field 64, takes two bytes.
    let range_end = [0x82, 0x04, 1, b'z'];
    let compare = [
        varint(1, 3),
        varint(2, 3),
        field(3, b"k"),
        field(7, b"v"),
        range_end.to_vec(),
    ]
    .concat();
    let put = field(2, &field(1, b"inner"));
    let inner = field(3, &put);
    let bytes = [
        field(1, &compare),
        field(2, &field(4, &inner)),
        field(3, &field(1, &field(1, b"r"))),
    ]
    .concat();

    let txn = TxnRequest::decode(&bytes[..]).unwrap();
    let expected_compare = Compare {
        result: compare::CompareResult::NotEqual.into(),
        target: compare::CompareTarget::Value.into(),
        key: Bytes::from_static(b"k"),
        range_end: Bytes::from_static(b"z"),
        target_union: Some(compare::TargetUnion::Value(Bytes::from_static(b"v"))),
    };
    assert_eq!(txn.compare, [expected_compare]);
    let op = |request| RequestOp {
        request: Some(request),
    };
    let inner_put = PutRequest {
        key: Bytes::from_static(b"inner"),
        ..Default::default()
    };
    let inner_txn = TxnRequest {
        failure: vec![op(request_op::Request::RequestPut(inner_put))],
        ..Default::default()
    };
    assert_eq!(
        txn.success,
        [op(request_op::Request::RequestTxn(inner_txn))]
    );
    let range = RangeRequest {
        key: Bytes::from_static(b"r"),
        ..Default::default()
    };
    assert_eq!(txn.failure, [op(request_op::Request::RequestRange(range))]);
    assert_eq!(txn.encode_to_vec(), bytes);
}

#[test]
fn events_of_a_watch_response_are_field_11() {
    let kv = [field(1, b"k"), varint(3, 9)].concat();
    let event = [varint(1, 1), field(2, &kv)].concat();
    let bytes = [varint(2, 5), varint(7, 1), field(11, &event)].concat();
    let response = WatchResponse::decode(&bytes[..]).unwrap();
    assert_eq!(response.watch_id, 5);
    assert!(response.fragment);
    assert_eq!(
        response.events[0].r#type(),
        mvccpb::event::EventType::Delete
    );
    assert_eq!(response.events[0].kv.as_ref().unwrap().mod_revision, 9);
}

#[test]
fn status_response_keeps_etcds_numbers() {
    let bytes = [
        field(2, b"3.5.21"),
        varint(3, 3),
        varint(4, 4),
        varint(5, 5),
        varint(6, 6),
        varint(7, 7),
        field(8, b"e"),
        varint(9, 9),
        varint(10, 1),
    ]
    .concat();
    let status = StatusResponse::decode(&bytes[..]).unwrap();
    assert_eq!(
        (status.db_size, status.leader, status.raft_index),
        (3, 4, 5)
    );
    assert_eq!(
        (
            status.raft_term,
            status.raft_applied_index,
            status.db_size_in_use
        ),
        (6, 7, 9)
    );
    assert_eq!(status.errors, ["e"]);
    assert!(status.is_learner);
    assert_eq!(status.encode_to_vec(), bytes);
}
