//! What the lines of a transaction mean, and how a wrong one is named.

use quorate_proto::etcdserverpb::RangeRequest;

use super::*;

fn error(result: Result<impl std::fmt::Debug, Failure>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_compare_names_target_operator_and_value() {
    let compare = parse_compare(r#"val("a b") != "x\ty""#).unwrap();
    assert_eq!(compare.key, "a b");
    assert_eq!(compare.result(), CompareResult::NotEqual);
    assert_eq!(compare.target(), CompareTarget::Value);
    assert_eq!(
        compare.target_union,
        Some(TargetUnion::Value("x\ty".into()))
    );

    let union = |line: &str| parse_compare(line).unwrap().target_union.unwrap();
    assert_eq!(union(r#"version("k") = "3""#), TargetUnion::Version(3));
    assert_eq!(union(r#"c("k") < "4""#), TargetUnion::CreateRevision(4));
    assert_eq!(union(r#"mod("k") > "5""#), TargetUnion::ModRevision(5));
    assert_eq!(union(r#"lease("k") = "1f""#), TargetUnion::Lease(31));
}

#[test]
fn a_malformed_compare_is_told_as_etcdctl_tells_it() {
    assert_eq!(error(parse_compare("bad")), "malformed comparison: bad");
    assert_eq!(
        error(parse_compare(r#"foo("x") = "y""#)),
        r#"malformed comparison: foo("x") = "y" (unknown target foo)"#
    );
    assert_eq!(
        error(parse_compare(r#"mod("x") = "y""#)),
        r#"invalid txn compare request: mod("x") = "y""#
    );
    assert_eq!(
        error(parse_compare(r#"mod(x) = "1""#)),
        r#"malformed comparison: mod(x) = "1"; got mod("")  """#
    );
    assert_eq!(
        error(parse_compare(r#"m("x")="0""#)),
        r#"malformed comparison: m("x")="0"; got m("x")  """#
    );
    assert_eq!(
        error(parse_compare(r#"value("foo") > ba"#)),
        r#"malformed comparison: value("foo") > ba; got value("foo") > """#
    );
    assert!(error(parse_compare(r#"mod("x") ~ "1""#)).contains("unknown operator ~"));
}

#[test]
fn an_operation_takes_the_flags_of_its_command() {
    let request = |line: &str| parse_operation(line).unwrap().request.unwrap();
    let request_op::Request::RequestPut(put) = request(r#"put "k 1" 'v "2"' --prev-kv"#) else {
        panic!("a put");
    };
    assert_eq!(
        (put.key.as_ref(), put.value.as_ref()),
        (&b"k 1"[..], &br#"v "2""#[..])
    );
    assert!(put.prev_kv);
    let expected = RangeRequest {
        key: "a".into(),
        range_end: "b".into(),
        limit: 2,
        keys_only: true,
        ..RangeRequest::default()
    };
    assert_eq!(
        request("get a --prefix --limit 2 --keys-only"),
        request_op::Request::RequestRange(expected)
    );
    assert!(matches!(
        request("del a b --prev-kv"),
        request_op::Request::RequestDeleteRange(del) if del.prev_kv && del.range_end == "b"
    ));
}

#[test]
fn a_wrong_operation_is_named() {
    assert_eq!(
        error(parse_operation("bad x")),
        "invalid txn request: bad x"
    );
    assert_eq!(
        error(parse_operation("put")),
        "invalid txn compare request: put"
    );
    assert_eq!(
        error(parse_operation("get a --nope")),
        "invalid txn request: get a --nope"
    );
    assert_eq!(
        error(parse_operation("put x")),
        "put command needs 1 argument and input from stdin or 2 arguments"
    );
    assert_eq!(
        error(parse_operation("put 'x")),
        "invalid txn request: put 'x"
    );
}
