//! What becomes of JSON on its way in and out, and of calls and streams ([`calls`]); the words of a real etcd are compared with in the
//! tests of the `quorate` crate.

mod calls;

use std::time::Duration;

use quorate_kv::TXN_DEPTH_MAX;
use quorate_proto::etcdserverpb::*;

use super::*;

fn descriptor(name: &str) -> MessageDescriptor {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("sound");
    pool.get_message_by_name(&format!("etcdserverpb.{name}"))
        .expect("it is there")
}

fn read<M: prost::Message + Default>(name: &str, json: &str) -> Result<M, String> {
    let wire = to_protobuf::to_protobuf(&descriptor(name), json.as_bytes())?;
    Ok(M::decode(&*wire).expect("it is the wire format"))
}

fn written(name: &str, message: &impl prost::Message) -> String {
    let json = json(&descriptor(name), &message.encode_to_vec()).expect("JSON");
    String::from_utf8(json).expect("text")
}

#[test]
fn every_method_has_a_path() {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("sound");
    let served: Vec<Called> = methods().into_values().collect();
    assert_eq!(served.len(), paths::PATHS.len(), "a path is there twice");
    for service in pool.services() {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            assert!(
                served.iter().any(|called| called.grpc_path == path),
                "{path}"
            );
        }
    }
}

#[test]
fn no_message_has_a_field_that_cannot_be_translated() {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("sound");
    for message in pool.all_messages() {
        for field in message.fields() {
            use prost_reflect::Kind::*;
            let is_known = matches!(
                field.kind(),
                Message(_) | String | Bytes | Bool | Int32 | Int64 | Uint32 | Uint64 | Enum(_)
            );
            assert!(is_known && !field.is_map(), "{}", field.full_name());
        }
    }
}

#[test]
fn both_forms_of_names_and_of_numbers_are_read() {
    let plain =
        r#"{"key":"a2V5","range_end":"a2V6","limit":"3","sort_order":"DESCEND","keys_only":true}"#;
    let other =
        r#" {"keysOnly":true, "sortOrder":2, "limit":3, "rangeEnd":[107,101,122], "key":"a2V5"} "#;
    let expected = RangeRequest {
        key: "key".into(),
        range_end: "kez".into(),
        limit: 3,
        sort_order: 2,
        keys_only: true,
        ..Default::default()
    };
    assert_eq!(read("RangeRequest", plain), Ok(expected.clone()));
    assert_eq!(read("RangeRequest", other.trim()), Ok(expected));
}

#[test]
fn base64_is_read_in_both_alphabets_with_and_without_padding() {
    for text in ["_-8=", "/+8=", "_-8", "/+8", "/+8\\n=", "\\/+8="] {
        let json = format!(r#"{{"key":"{text}"}}"#);
        let request: RangeRequest = read("RangeRequest", &json).expect(text);
        assert_eq!(request.key, &[0xff, 0xef][..], "{text}");
    }
    for (text, place) in [
        ("Z", 0),
        ("Zm9vZ", 4),
        ("Zg=", 3),
        ("Zg==x", 4),
        ("Zm9v=", 4),
        ("a<", 1),
    ] {
        let json = format!(r#"{{"key":"{text}"}}"#);
        let error = read::<RangeRequest>("RangeRequest", &json).expect_err(text);
        assert_eq!(
            error,
            format!("illegal base64 data at input byte {place}"),
            "{text}"
        );
    }
}

#[test]
fn of_a_oneof_the_last_field_counts_and_zero_is_a_value() {
    let json = r#"{"target":"CREATE","create_revision":"0","key":"a2V5"}"#;
    let compare: Compare = read("Compare", json).expect("sound");
    assert_eq!(
        compare.target_union,
        Some(compare::TargetUnion::CreateRevision(0))
    );
    let json =
        r#"{"success":[{"request_put":{"key":"YQ=="},"request_range":{"key":"Yg=="}},null]}"#;
    let request: TxnRequest = read("TxnRequest", json).expect("sound");
    let put = request_op::Request::RequestPut(PutRequest {
        key: "a".into(),
        ..Default::default()
    });
    assert_eq!(request.success[0].request, Some(put));
    assert_eq!(request.success[1].request, None);
}

#[test]
fn numbers_keep_all_their_digits() {
    let json = r#"{"ID":18446744073709551615}"#;
    let request: MemberRemoveRequest = read("MemberRemoveRequest", json).expect("it fits");
    assert_eq!(request.id, u64::MAX);
    let json = r#"{"limit":"-9223372036854775808"}"#;
    let request: RangeRequest = read("RangeRequest", json).expect("it fits");
    assert_eq!(request.limit, i64::MIN);
    let header = ResponseHeader {
        cluster_id: u64::MAX,
        revision: i64::MIN,
        ..Default::default()
    };
    assert_eq!(
        written("ResponseHeader", &header),
        r#"{"cluster_id":"18446744073709551615","revision":"-9223372036854775808"}"#
    );
}

#[test]
fn messages_nested_too_deep_are_refused_and_brackets_deeper_still() {
    let nested = |depth| {
        let begin = r#"{"success":[{"request_txn":"#.repeat(depth);
        begin + "{}" + &"}]}".repeat(depth)
    };
    // One level more than the store takes.
    let deepest = nested(TXN_DEPTH_MAX);
    assert!(read::<TxnRequest>("TxnRequest", &deepest).is_ok());
    assert_eq!(scanner::check_whole(deepest.as_bytes()), Ok(()));
    let too_deep = nested(TXN_DEPTH_MAX + 2);
    let error = read::<TxnRequest>("TxnRequest", &too_deep).expect_err("too deep");
    assert_eq!(error, "json: messages are nested too deep");
    let refused = scanner::check_whole("[".repeat(10_001).as_bytes());
    assert_eq!(
        refused,
        Err("invalid character '[' exceeded max depth".to_owned())
    );
}

/// The shortest of a few times that it takes to translate a transaction with a long value, and the transaction.
fn time_to_read(depth: usize, long_value: &str) -> (Duration, TxnRequest) {
    let begin = r#"{"success":[{"request_txn":"#.repeat(depth);
    let put =
        format!(r#"{{"success":[{{"request_put":{{"key":"aw==","value":"{long_value}"}}}}]}}"#);
    let json = begin + &put + &"}]}".repeat(depth);
    let times = (0..3).map(|_| {
        let begun = std::time::Instant::now();
        to_protobuf::to_protobuf(&descriptor("TxnRequest"), json.as_bytes()).expect("sound");
        begun.elapsed()
    });
    let shortest = times.min().expect("some");
    (shortest, read("TxnRequest", &json).expect("sound"))
}

#[test]
fn a_long_value_takes_about_as_long_however_deep_it_is_nested() {
    let long_value = "QUJD".repeat(1 << 20);
    let (flat, _) = time_to_read(0, &long_value);
    let (nested, mut txn) = time_to_read(TXN_DEPTH_MAX, &long_value);
    assert!(nested < flat * 4, "{nested:?} nested, {flat:?} flat");
    for _ in 0..TXN_DEPTH_MAX {
        let Some(request_op::Request::RequestTxn(inner)) = txn.success.remove(0).request else {
            panic!("another level");
        };
        txn = inner;
    }
    let Some(request_op::Request::RequestPut(put)) = txn.success.remove(0).request else {
        panic!("a put");
    };
    assert_eq!(put.value.len(), 3 << 20);
}

#[test]
fn strings_are_escaped_as_go_does_it() {
    let member = Member {
        name: "a\"b\\c<d>&e\u{1}\n\u{2028}é\u{1f600}".to_owned(),
        peer_ur_ls: vec!["http://a".to_owned(), "http://b".to_owned()],
        is_learner: true,
        ..Default::default()
    };
    let expected = concat!(
        r#"{"name":"a\"b\\c\u003cd\u003e\u0026e\u0001\n\u2028é"#,
        "\u{1f600}",
        r#"","peerURLs":["http://a","http://b"],"isLearner":true}"#
    );
    assert_eq!(written("Member", &member), expected);
    let back: Member = read("Member", expected).expect("sound");
    assert_eq!(back, member);
    let halves: Member = read("Member", r#"{"name":"\ud83d\ude00\ud83d!\ude00"}"#).expect("sound");
    assert_eq!(halves.name, "\u{1f600}\u{fffd}!\u{fffd}");
}

#[test]
fn an_answer_with_everything_in_it_is_written_in_etcds_form() {
    let kv = quorate_proto::mvccpb::KeyValue {
        key: "foo".into(),
        mod_revision: 6,
        ..Default::default()
    };
    let event = quorate_proto::mvccpb::Event {
        r#type: 1,
        kv: Some(kv),
        prev_kv: None,
    };
    let response = WatchResponse {
        header: Some(ResponseHeader::default()),
        watch_id: -1,
        events: vec![event.clone(), event],
        ..Default::default()
    };
    let event = r#"{"type":"DELETE","kv":{"key":"Zm9v","mod_revision":"6"}}"#;
    assert_eq!(
        written("WatchResponse", &response),
        format!(r#"{{"header":{{}},"watch_id":"-1","events":[{event},{event}]}}"#)
    );
    assert_eq!(
        written("DefragmentResponse", &DefragmentResponse::default()),
        "{}"
    );
}
