//! What a call's metadata say before any handler sees it, for all of etcd's services alike.
//!
//! `hasleader: true` (etcd: `clientv3.WithRequireLeader`) means that the call must not wait for a leader: a node that
//! knows of none says so at once. `client-api-version` is taken as it is, provided that it is text.
//! (etcd: `api/v3rpc/interceptor.go`.) Streams that outlive a leader look after that themselves, in `watch.rs`.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use tonic::Status;
use tower::{Layer, Service};

use super::status;
use crate::core::Core;

/// Puts the check before what it is laid around.
#[derive(Clone)]
pub(super) struct Checked(pub(super) Arc<Core>);

impl<S> Layer<S> for Checked {
    type Service = CheckedService<S>;

    fn layer(&self, inner: S) -> CheckedService<S> {
        CheckedService {
            core: Arc::clone(&self.0),
            inner,
        }
    }
}

#[derive(Clone)]
pub(super) struct CheckedService<S> {
    core: Arc<Core>,
    inner: S,
}

impl<S> Service<Request<Body>> for CheckedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answered<S>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answered<S> {
        match check(&self.core, request.headers()) {
            Ok(()) => Answered::Passed(Box::pin(self.inner.call(request))),
            Err(status) => Answered::Refused(ready(Ok(status.into_http()))),
        }
    }
}

/// The inner service's answer, or the refusal.
pub(super) enum Answered<S: Service<Request<Body>>> {
    Passed(Pin<Box<S::Future>>),
    Refused(Ready<Result<Response<Body>, S::Error>>),
}

impl<S> Future for Answered<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Output = Result<Response<Body>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Answered::Passed(future) => future.as_mut().poll(context),
            Answered::Refused(refusal) => Pin::new(refusal).poll(context),
        }
    }
}

fn check(core: &Core, headers: &HeaderMap) -> Result<(), Status> {
    let version = headers.get("client-api-version");
    if version.is_some_and(|version| std::str::from_utf8(version.as_bytes()).is_err()) {
        return Err(Status::invalid_argument(
            "etcdserver: invalid client api version",
        ));
    }
    let requires_leader = headers.get("hasleader");
    if requires_leader.is_some_and(|value| value == "true") && core.leadership().leader.is_none() {
        return Err(status::no_leader());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use tonic::Code;
    use tower::ServiceExt as _;

    use super::super::routes;
    use super::*;
    use crate::core::tests::without_threads;

    async fn refused(path: &str, name: &'static str, value: &[u8]) -> (Code, String) {
        let value = HeaderValue::from_bytes(value).expect("a value that HTTP/2 carries");
        let request = Request::post(path)
            .header("content-type", "application/grpc")
            .header(name, value);
        // A frame with an empty message.
        let request = request.body(Body::from(&[0; 5][..])).expect("a request");
        let Ok(response) = routes(&without_threads()).oneshot(request).await;
        let status = Status::from_header_map(response.headers()).expect("a refusal");
        (status.code(), status.message().to_owned())
    }

    const METHODS: [&str; 6] = [
        "KV/Put",
        "Watch/Watch",
        "Lease/LeaseKeepAlive",
        "Lease/LeaseGrant",
        "Cluster/MemberList",
        "Maintenance/Status",
    ];

    #[tokio::test]
    async fn a_client_that_requires_a_leader_hears_at_once_that_there_is_none() {
        for method in METHODS {
            let path = format!("/etcdserverpb.{method}");
            let (code, text) = refused(&path, "hasleader", b"true").await;
            assert_eq!(
                (code, &*text),
                (Code::Unavailable, "etcdserver: no leader"),
                "{method}"
            );
        }
    }

    #[tokio::test]
    async fn a_client_api_version_that_is_no_text_is_refused_in_etcds_words() {
        for method in METHODS {
            let path = format!("/etcdserverpb.{method}");
            let (code, text) = refused(&path, "client-api-version", b"3.5\xff").await;
            let expected = "etcdserver: invalid client api version";
            assert_eq!(
                (code, &*text),
                (Code::InvalidArgument, expected),
                "{method}"
            );
        }
    }
}
