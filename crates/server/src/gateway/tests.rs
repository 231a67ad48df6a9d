//! What becomes of JSON on its way in and out, and of streams; the words of a real etcd are compared with in the
//! tests of the `quorate` crate.

use std::pin::Pin;
use std::time::Duration;

use quorate_kv::TXN_DEPTH_MAX;
use quorate_proto::etcdserverpb::*;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;

use super::*;
use crate::core::tests::without_threads;
use crate::stubs::lease_server::{Lease, LeaseServer};

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

/// Answers each keep-alive as it comes, the lease's id as its time to live; of lease 13 with an error.
struct Leases;

type KeepAlives = Pin<Box<dyn Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Lease for Leases {
    type LeaseKeepAliveStream = KeepAlives;

    async fn lease_keep_alive(
        &self,
        request: tonic::Request<tonic::Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<tonic::Response<KeepAlives>, Status> {
        if request.metadata().contains_key("refuse") {
            return Err(Status::unavailable("etcdserver: no leader"));
        }
        let answer = |request: Result<LeaseKeepAliveRequest, Status>| match request?.id {
            13 => Err(Status::unavailable("etcdserver: no leader")),
            id => Ok(LeaseKeepAliveResponse {
                id,
                ttl: id,
                ..Default::default()
            }),
        };
        Ok(tonic::Response::new(Box::pin(
            request.into_inner().map(answer),
        )))
    }

    async fn lease_grant(
        &self,
        _: tonic::Request<LeaseGrantRequest>,
    ) -> Result<tonic::Response<LeaseGrantResponse>, Status> {
        Err(Status::unauthenticated("etcdserver: invalid auth token"))
    }

    async fn lease_revoke(
        &self,
        _: tonic::Request<LeaseRevokeRequest>,
    ) -> Result<tonic::Response<LeaseRevokeResponse>, Status> {
        Ok(tonic::Response::new(LeaseRevokeResponse::default()))
    }

    async fn lease_time_to_live(
        &self,
        _: tonic::Request<LeaseTimeToLiveRequest>,
    ) -> Result<tonic::Response<LeaseTimeToLiveResponse>, Status> {
        std::future::pending().await
    }

    async fn lease_leases(
        &self,
        _: tonic::Request<LeaseLeasesRequest>,
    ) -> Result<tonic::Response<LeaseLeasesResponse>, Status> {
        let bytes = vec![0; 1 << 20];
        let leases = bytes.iter().map(|_| LeaseStatus { id: 1 });
        Ok(tonic::Response::new(LeaseLeasesResponse {
            header: None,
            leases: leases.collect(),
        }))
    }
}

fn gateway() -> Router {
    let grpc = Routes::new(LeaseServer::new(Leases)).into_axum_router();
    router(grpc, without_threads())
}

async fn post(path: &str, headers: &[(&'static str, &str)], body: Body) -> Response {
    let mut request = axum::http::Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).expect("a request");
    let Ok(response) = gateway().oneshot(request).await;
    response
}

async fn text_of(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    String::from_utf8(bytes.expect("a body").to_vec()).expect("text")
}

#[tokio::test]
async fn a_stream_answers_each_message_on_a_line_and_ends_with_the_body() {
    let body = r#"{"ID":"7"}{"ID":8} {"ID":7}"#;
    let response = post("/v3/lease/keepalive", &[], body.into()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(
        response.headers()["grpc-metadata-content-type"],
        "application/grpc"
    );
    assert_eq!(
        text_of(response).await,
        "{\"result\":{\"ID\":\"7\",\"TTL\":\"7\"}}\n{\"result\":{\"ID\":\"8\",\"TTL\":\"8\"}}\n\
         {\"result\":{\"ID\":\"7\",\"TTL\":\"7\"}}\n"
    );
    assert_eq!(
        text_of(post("/v3/lease/keepalive", &[], Body::empty()).await).await,
        ""
    );
    // What is no message ends the stream as the end does.
    let response = post("/v3/lease/keepalive", &[], r#"{"ID":"7"}[]{"ID":8}"#.into()).await;
    assert_eq!(
        text_of(response).await,
        "{\"result\":{\"ID\":\"7\",\"TTL\":\"7\"}}\n"
    );
}

#[tokio::test]
async fn an_answer_comes_before_the_next_message_is_sent() {
    let (sender, receiver) = mpsc::channel(1);
    let chunks = ReceiverStream::new(receiver).map(Ok::<&'static str, Infallible>);
    sender.send(r#"{"ID":"#).await.expect("taken");
    let response = tokio::spawn(async {
        let chunks = Body::from_stream(chunks);
        post("/v3/lease/keepalive", &[], chunks).await
    });
    sender.send("\"5\"}").await.expect("taken");
    let mut lines = response
        .await
        .expect("no panic")
        .into_body()
        .into_data_stream();
    let first = lines.next().await.expect("a line").expect("sound");
    assert_eq!(first, "{\"result\":{\"ID\":\"5\",\"TTL\":\"5\"}}\n");
    sender.send("{\"ID\":13}").await.expect("taken");
    let last = lines.next().await.expect("a line").expect("sound");
    assert_eq!(
        last,
        r#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}}"#
    );
    assert!(lines.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_quiet_between_messages_and_ends_when_one_does_not_come_to_its_end() {
    let (sender, receiver) = mpsc::channel(1);
    let chunks = ReceiverStream::new(receiver).map(Ok::<&'static str, Infallible>);
    sender.send(r#"{"ID":"5"}"#).await.expect("taken");
    let response = post("/v3/lease/keepalive", &[], Body::from_stream(chunks)).await;
    let mut lines = response.into_body().into_data_stream();
    for _ in 0..2 {
        lines.next().await.expect("a line").expect("sound");
        timeout(REQUEST_BODY_TIMEOUT * 10, lines.next())
            .await
            .expect_err("it is quiet");
        sender.send(r#"{"ID":"5"}"#).await.expect("taken");
    }
    lines.next().await.expect("a line").expect("sound");
    sender.send(r#"{"ID":"#).await.expect("taken");
    let begun = Instant::now();
    assert!(lines.next().await.is_none());
    assert_eq!(begun.elapsed(), REQUEST_BODY_TIMEOUT);
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_answer_has_the_status_of_its_error() {
    let response = post("/v3/lease/keepalive", &[], r#"{"ID":13}"#.into()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        text_of(response)
            .await
            .starts_with(r#"{"error":{"grpc_code":14,"#)
    );
    let headers = [("grpc-metadata-refuse", "1")];
    let response = post("/v3/lease/keepalive", &headers, r#"{"ID":1}"#.into()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        text_of(response).await,
        r#"{"error":"etcdserver: no leader","code":14,"message":"etcdserver: no leader"}"#
    );
    let response = post("/v3/lease/keepalive", &[], "[]".into()).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test(start_paused = true)]
async fn who_sets_a_deadline_is_answered_by_then() {
    let headers = [("grpc-timeout", "50m")];
    let response = post("/v3/lease/timetolive", &headers, "{}".into()).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    let body =
        Body::from_stream(once(Ok::<_, Infallible>(r#"{"ID":1}"#)).chain(tokio_stream::pending()));
    let response = post("/v3/lease/keepalive", &headers, body).await;
    let lines = text_of(response).await;
    assert!(lines.ends_with(
        "\n{\"error\":{\"grpc_code\":4,\"http_code\":504,\"message\":\"context deadline exceeded\",\"http_status\":\"Gateway Timeout\"}}"
    ), "{lines}");
}

#[tokio::test(start_paused = true)]
async fn a_first_message_that_does_not_come_is_not_waited_for_without_end() {
    let body = Body::from_stream(tokio_stream::pending::<Result<&'static str, Infallible>>());
    let response = post("/v3/lease/keepalive", &[], body).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn whoever_is_unknown_is_told_how_to_be_known() {
    let response = post("/v3/lease/grant", &[], "{}".into()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.headers()["www-authenticate"],
        "etcdserver: invalid auth token"
    );
}

#[tokio::test]
async fn a_large_answer_is_written_whole() {
    let answer = text_of(post("/v3/lease/leases", &[], "{}".into()).await).await;
    assert_eq!(
        answer.len(),
        r#"{"leases":[]}"#.len() + (1 << 20) * r#"{"ID":"1"},"#.len() - 1
    );
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_is_read_to_its_end() {
    let chunk = vec![b' '; 1 << 20];
    let begin = once(Ok::<_, Infallible>(b"{".to_vec()));
    let endless = tokio_stream::iter(std::iter::repeat_with(move || Ok(chunk.clone())));
    let body = Body::from_stream(begin.chain(endless));
    let answer = post("/v3/lease/grant", &[], body);
    let response = timeout(Duration::from_secs(30), answer)
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(
        text_of(response)
            .await
            .contains("grpc: received message larger than max")
    );
}

#[tokio::test]
async fn browsers_are_told_whose_pages_may_read_answers() {
    let origins = ["http://a.example".to_owned()];
    let ask = |origin: &'static str, origins: &[String]| {
        let request = axum::http::Request::options("/v3/kv/range").header("origin", origin);
        let request = request.body(Body::empty()).expect("a request");
        cors::allow(gateway(), origins).oneshot(request)
    };
    let allowed = |response: &Response| {
        let headers = response.headers();
        headers.get("access-control-allow-origin").cloned()
    };
    let Ok(response) = ask("http://a.example", &origins).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(allowed(&response).expect("allowed"), "http://a.example");
    let Ok(response) = ask("http://b.example", &origins).await;
    assert_eq!(allowed(&response), None);
    let Ok(response) = ask("http://a.example", &[]).await;
    assert_eq!(
        (response.status(), allowed(&response)),
        (StatusCode::OK, None)
    );
    let Ok(response) = ask("http://b.example", &["*".to_owned()]).await;
    assert_eq!(allowed(&response).expect("allowed"), "*");
}
