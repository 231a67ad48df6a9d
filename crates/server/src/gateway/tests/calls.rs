//! Calls through the gateway to a service of the tests' own: streams, deadlines, limits, and what browsers are told.

use std::pin::Pin;
use std::time::Duration;

use quorate_proto::etcdserverpb::*;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;

use super::super::*;
use crate::core::tests::without_threads;
use crate::stubs::lease_server::{Lease, LeaseServer};

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
