//! The JSON gateway: etcd's methods as `POST /v3/…`, on the clients' port.
//!
//! A body of JSON becomes the message of a gRPC call, and what the call answers becomes JSON; what stands in between
//! is the very router that serves gRPC, called within the process. So no method has code of its own here: there is a
//! table of paths ([`paths`]), and the descriptors of the messages, by which both translations go.
//!
//! The outside is that of etcd 3.5 (grpc-gateway 1 with Go's `jsonpb`), in its status codes, bodies and words; the
//! tests compare with a real etcd.
//!
//! ```text
//!  body ──► scanner ──► to_protobuf ──┐
//!           (messages)                ▼
//!                          the router of gRPC services
//!           to_json   ◄── reply   ◄───┘
//!  body ◄── lines (streams), or whole
//! ```

mod base64_lenient;
pub(crate) mod cors;
mod cursor;
mod deadline;
mod errors;
mod go_text;
mod lines;
mod messages;
mod paths;
mod reply;
mod scanner;
mod to_json;
mod to_protobuf;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::{StreamExt as _, once};
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::bodies::{AnswerCharge, RequestCharge};
use crate::core::Core;
use crate::limits::{
    GATEWAY_JSON_FACTOR, GRPC_OVERHEAD_BYTES, REQUEST_BODY_TIMEOUT, SMALL_ANSWER_BYTES,
};
use crate::overdue::ConnectionEnd;
use lines::Lines;
use messages::{Limits, Messages};
use reply::Reply;

/// The descriptors of etcd's services and messages.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/etcd.descriptors"));

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What etcd's gateway puts before the names of an answer's metadata, and takes off those of a request.
const METADATA_PREFIX: &str = "grpc-metadata-";

/// One method.
#[derive(Clone, Debug)]
struct Called {
    grpc_path: String,
    input: MessageDescriptor,
    output: MessageDescriptor,
    takes_stream: bool,
    gives_stream: bool,
}

struct Gateway {
    methods: HashMap<&'static str, Called>,
    grpc: Router,
    core: Arc<Core>,
    limits: Limits,
}

/// The gateway to the services of `grpc`, which must have an answer for every path.
pub(crate) fn router(grpc: Router, core: Arc<Core>) -> Router {
    let grpc_bytes = core.settings.max_request_bytes + GRPC_OVERHEAD_BYTES;
    let gateway = Arc::new(Gateway {
        methods: methods(),
        grpc,
        core,
        limits: Limits {
            json_bytes: grpc_bytes * GATEWAY_JSON_FACTOR,
            grpc_bytes,
        },
    });
    Router::new()
        .route("/v3/", any(handle))
        .route("/v3/{*path}", any(handle))
        .route("/v3beta/{*path}", any(handle))
        .with_state(gateway)
}

fn methods() -> HashMap<&'static str, Called> {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("they were made when this was built");
    let called = |service: &str, name: &str| {
        let service = pool.get_service_by_name(service)?;
        let method = service.methods().find(|method| method.name() == name)?;
        Some(Called {
            grpc_path: format!("/{}/{name}", service.full_name()),
            input: method.input(),
            output: method.output(),
            takes_stream: method.is_client_streaming(),
            gives_stream: method.is_server_streaming(),
        })
    };
    let known = paths::PATHS.iter();
    known
        .map(|(path, service, method)| {
            let method = called(service, method);
            (*path, method.expect("the table names methods that exist"))
        })
        .collect()
}

async fn handle(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let path = request.uri().path();
    let path = path.strip_prefix("/v3/").or(path.strip_prefix("/v3beta/"));
    // Go's server would have it without their `%`; no path has anything in it that needs one.
    let called = path.and_then(|path| gateway.methods.get(path));
    match (called, request.method()) {
        (_, &Method::OPTIONS) => StatusCode::OK.into_response(),
        (None, _) => errors::plain(StatusCode::NOT_FOUND),
        (Some(called), &Method::POST) => match gateway.call(called, request).await {
            Ok(response) => response,
            Err(status) => errors::answer(&status),
        },
        (Some(_), _) => errors::plain(StatusCode::METHOD_NOT_ALLOWED),
    }
}

impl Gateway {
    async fn call(&self, called: &Called, request: Request) -> Result<Response, Status> {
        let deadline = deadline::of(request.headers())?.map(|time| Instant::now() + time);
        let (head, body) = request.into_parts();
        let requests = self.core.requests.clone();
        let end = head.extensions.get::<ConnectionEnd>().cloned();
        let end = end.unwrap_or_default();
        let input = called.input.clone();
        let mut messages = Messages::new(body, input, self.limits, requests, end.clone());
        let first = timeout(REQUEST_BODY_TIMEOUT, messages.next()).await;
        let first = first.map_err(|_| {
            Status::deadline_exceeded("the request did not come to its end in time")
        })?;
        let body = if called.takes_stream {
            // Of a stream etcd's gateway does not say whose fault it is.
            let first = first.transpose().map_err(|status| match status.code() {
                Code::InvalidArgument => Status::unknown(status.message()),
                _ => status,
            })?;
            let first = once(Ok::<_, Infallible>(first.unwrap_or_default()));
            // What is no message ends the stream; etcd's gateway does not tell either.
            let rest = messages.map_while(Result::ok).map(Ok);
            Body::from_stream(first.chain(rest))
        } else {
            let no_message = || vec![0; messages::FRAME_HEADER_BYTES];
            let first = first.transpose()?.unwrap_or_else(no_message);
            // The call may wait for long.
            messages.give_back();
            Body::from(first)
        };
        let call = self
            .grpc
            .clone()
            .oneshot(grpc_request(called, &head, end, body));
        let answer = async {
            let Ok(answer) = call.await;
            if called.gives_stream {
                Lines::begin(called.output.clone(), answer, deadline).await
            } else {
                self.whole(called, answer).await
            }
        };
        match deadline {
            Some(deadline) => timeout_at(deadline, answer)
                .await
                .unwrap_or_else(|_| Err(deadline::exceeded())),
            None => answer.await,
        }
    }

    /// The answer of a method that has one.
    async fn whole(&self, called: &Called, answer: Response) -> Result<Response, Status> {
        let mut response = Response::new(Body::empty());
        copy_metadata(answer.headers(), response.headers_mut());
        let mut charge = answer.extensions().get::<AnswerCharge>().cloned();
        let mut reply = Reply::new(answer)?;
        let message = reply
            .message()
            .await
            .unwrap_or_else(|| Err(Status::internal("the method ended without an answer")))?;
        // The status stands behind the message.
        if let Some(Err(status)) = reply.message().await {
            return Err(status);
        }
        if message.len() > SMALL_ANSWER_BYTES {
            // Given back first: what is larger than the whole budget is served alone.
            drop(charge.take());
            let held = self
                .core
                .large_answers
                .charge_or_alone(json_bytes_at_most(&message));
            let held =
                held.map_err(|_| Status::resource_exhausted("etcdserver: too many requests"))?;
            charge = Some(AnswerCharge::new(held));
        }
        let body = json(&called.output, &message)?;
        if let Some(charge) = charge {
            response.extensions_mut().insert(charge);
        }
        *response.body_mut() = Body::from(body);
        Ok(response)
    }
}

/// A message and its JSON while the one is made of the other: base64 adds a third, names and numbers hardly more
/// where values are large.
fn json_bytes_at_most(message: &Bytes) -> usize {
    message.len().saturating_mul(3)
}

fn json(output: &MessageDescriptor, message: &[u8]) -> Result<Vec<u8>, Status> {
    let mut out = Vec::with_capacity(message.len() * 2);
    match to_json::push_json(output, message, &mut out) {
        Ok(()) => Ok(out),
        Err(to_json::Malformed) => {
            let name = output.full_name();
            Err(Status::internal(format!(
                "{name} cannot be written as JSON"
            )))
        }
    }
}

fn grpc_request(called: &Called, head: &Parts, end: ConnectionEnd, body: Body) -> Request {
    let mut request = Request::new(body);
    request.extensions_mut().insert(end);
    if let Some(charge) = head.extensions.get::<RequestCharge>() {
        request.extensions_mut().insert(charge.clone());
    }
    *request.method_mut() = Method::POST;
    *request.uri_mut() = called
        .grpc_path
        .parse()
        .expect("names of Rust's own making");
    let to = request.headers_mut();
    to.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    to.insert(header::TE, HeaderValue::from_static("trailers"));
    for (name, value) in &head.headers {
        let name = match name.as_str().strip_prefix(METADATA_PREFIX) {
            // What is gRPC's own is not for the caller to say.
            Some(own) if own.starts_with("grpc-") || own == "content-type" || own == "te" => {
                continue;
            }
            Some(metadata) => HeaderName::try_from(metadata),
            None if name == header::AUTHORIZATION => Ok(name.clone()),
            None => continue,
        };
        if let Ok(name) = name {
            to.append(name, value.clone());
        }
    }
    request
}

/// The metadata of a gRPC answer, in the headers of one over HTTP.
fn copy_metadata(from: &HeaderMap, to: &mut HeaderMap) {
    to.insert(header::CONTENT_TYPE, JSON);
    for (name, value) in from {
        if name.as_str().starts_with("grpc-") {
            continue;
        }
        if let Ok(name) = HeaderName::try_from(format!("{METADATA_PREFIX}{name}")) {
            to.append(name, value.clone());
        }
    }
}
