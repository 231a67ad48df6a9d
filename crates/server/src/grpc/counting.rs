//! Counts every call of the gRPC services where it comes in and where its answer goes out.
//!
//! Handlers know nothing of it, so that no method is forgotten, and what never reaches a handler (a message too large,
//! a client that hangs up) counts too. The JSON gateway's calls come through here as well, as in etcd.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body as AnyBody, Bytes};
use axum::http::{HeaderMap, Request, Response};
use hyper::body::{Body, Frame, SizeHint};
use tonic::Code;
use tower::{Layer, Service};

use crate::metrics::{CallMetrics, MethodMetrics};

const STATUS: &str = "grpc-status";

/// Puts the counting around services.
#[derive(Clone)]
pub(super) struct CountCalls(pub(super) Arc<CallMetrics>);

impl<S> Layer<S> for CountCalls {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting {
            calls: Arc::clone(&self.0),
            inner,
        }
    }
}

/// A service whose calls are counted.
#[derive(Clone)]
pub(super) struct Counting<S> {
    calls: Arc<CallMetrics>,
    inner: S,
}

impl<S> Service<Request<AnyBody>> for Counting<S>
where
    S: Service<Request<AnyBody>, Response = Response<AnyBody>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<AnyBody>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<AnyBody>) -> Self::Future {
        let Some(method) = self.calls.find(request.uri().path()) else {
            return Answering {
                future: self.inner.call(request),
                call: None,
            };
        };
        let call = Call::start(&self.calls, method);
        let counted = |body| {
            AnyBody::new(Incoming {
                body,
                calls: Arc::clone(&self.calls),
                method,
                messages: Messages::default(),
            })
        };
        Answering {
            future: self.inner.call(request.map(counted)),
            call: Some(call),
        }
    }
}

/// A call under way. It is handled when this is dropped: by then the answer is out, or nobody waits for it.
struct Call {
    calls: Arc<CallMetrics>,
    method: usize,
    started: Instant,
    code: Code,
}

impl Call {
    fn start(calls: &Arc<CallMetrics>, method: usize) -> Call {
        calls.of(method).start();
        Call {
            calls: Arc::clone(calls),
            method,
            started: Instant::now(),
            // Unless it comes to an end of its own.
            code: Code::Cancelled,
        }
    }

    fn metrics(&self) -> &MethodMetrics {
        self.calls.of(self.method)
    }

    fn look_for_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(STATUS) {
            self.code = Code::from_bytes(status.as_bytes());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.metrics().handle(self.code, self.started.elapsed());
    }
}

/// Waits for the head of the answer.
pub(super) struct Answering<F> {
    future: F,
    call: Option<Call>,
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<AnyBody>, Infallible>> + Unpin,
{
    type Output = Result<Response<AnyBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(Pin::new(&mut self.future).poll(context));
        let Some(mut call) = self.call.take() else {
            return Poll::Ready(Ok(response));
        };
        call.look_for_status(response.headers());
        let counted = |body| {
            AnyBody::new(Outgoing {
                body,
                call,
                messages: Messages::default(),
            })
        };
        Poll::Ready(Ok(response.map(counted)))
    }
}

/// A request's body as it is read.
struct Incoming {
    body: AnyBody,
    calls: Arc<CallMetrics>,
    method: usize,
    messages: Messages,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(piece) = frame.data_ref()
        {
            let messages = self.messages.read(piece);
            let metrics = self.calls.of(self.method);
            metrics.received(piece.len(), messages);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body as it is sent; with its end the call is handled.
struct Outgoing {
    body: AnyBody,
    call: Call,
    messages: Messages,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let this = &mut *self;
        if let Some(Ok(frame)) = &frame {
            if let Some(piece) = frame.data_ref() {
                let messages = this.messages.read(piece);
                this.call.metrics().sent(piece.len(), messages);
            } else if let Some(trailers) = frame.trailers_ref() {
                this.call.look_for_status(trailers);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where messages end in a stream of pieces (gRPC over HTTP/2: a flag, a length in four bytes, the message).
#[derive(Default)]
struct Messages {
    header: [u8; HEADER_BYTES],
    have: usize,
    missing: usize,
}

const HEADER_BYTES: usize = 5;

impl Messages {
    /// Goes on by a piece; how many messages end in it.
    fn read(&mut self, mut piece: &[u8]) -> u64 {
        let mut ended = 0;
        while !piece.is_empty() {
            if self.missing > 0 {
                let bytes = self.missing.min(piece.len());
                self.missing -= bytes;
                piece = &piece[bytes..];
                ended += u64::from(self.missing == 0);
                continue;
            }
            let bytes = (HEADER_BYTES - self.have).min(piece.len());
            let (head, rest) = piece.split_at(bytes);
            self.header[self.have..self.have + bytes].copy_from_slice(head);
            self.have += bytes;
            piece = rest;
            if self.have == HEADER_BYTES {
                let [_, length @ ..] = self.header;
                self.have = 0;
                self.missing = u32::from_be_bytes(length) as usize;
                ended += u64::from(self.missing == 0);
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tower::ServiceExt as _;

    use super::*;
    use crate::core::tests::without_threads;

    #[test]
    fn messages_end_where_their_lengths_say_however_they_are_cut() {
        let stream = [0, 0, 0, 0, 2, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7];
        assert_eq!(Messages::default().read(&stream), 3);
        for size in 1..stream.len() {
            let mut messages = Messages::default();
            let ended: u64 = stream.chunks(size).map(|piece| messages.read(piece)).sum();
            assert_eq!(ended, 3, "in pieces of {size}");
        }
        assert_eq!(Messages::default().read(&stream[..17]), 2);
    }

    async fn line(path: &str, of: &str) -> String {
        let core = without_threads();
        let routes = super::super::routes(&core);
        let message = AnyBody::from(&[0, 0, 0, 0, 2, 0x08, 0x01][..]);
        let request = Request::post(path).header("content-type", "application/grpc");
        let request = request.body(message).expect("a request");
        let Ok(response) = routes.oneshot(request).await;
        let _ = to_bytes(response.into_body(), 1 << 16).await;
        let page = core.metrics.encode(&core);
        let line = page.lines().find(|line| line.starts_with(of));
        line.unwrap_or_else(|| panic!("no {of} in\n{page}"))
            .to_owned()
    }

    #[tokio::test]
    async fn a_call_is_counted_with_its_code_and_kind() {
        let status = "/etcdserverpb.Maintenance/Status";
        let of = |name: &str| format!("{name}{{grpc_method=\"Status\"");
        let started = line(status, &of("grpc_server_started_total")).await;
        assert_eq!(
            started,
            "grpc_server_started_total{grpc_method=\"Status\",grpc_service=\"etcdserverpb.Maintenance\",grpc_type=\"unary\"} 1"
        );
        let received = line(status, &of("grpc_server_msg_received_total")).await;
        assert!(received.ends_with("} 1"), "{received}");
        let sent = line(status, &of("grpc_server_msg_sent_total")).await;
        assert!(sent.ends_with("} 1"), "{sent}");
        let handled = "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Status\"";
        assert!(line(status, handled).await.ends_with("} 1"));
        let seconds = of("grpc_server_handling_seconds_count");
        assert!(line(status, &seconds).await.ends_with("} 1"));
        let bytes = line(status, "etcd_network_client_grpc_received_bytes_total").await;
        assert!(bytes.ends_with(" 7"), "{bytes}");
    }

    #[tokio::test]
    async fn a_refused_call_is_counted_with_the_code_of_the_refusal() {
        let handled =
            "grpc_server_handled_total{grpc_code=\"FailedPrecondition\",grpc_method=\"MoveLeader\"";
        let line = line("/etcdserverpb.Maintenance/MoveLeader", handled).await;
        assert!(line.ends_with("} 1"), "{line}");
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_any_more_is_canceled() {
        let core = without_threads();
        let request =
            Request::post("/etcdserverpb.KV/Put").header("content-type", "application/grpc");
        let request = request.body(AnyBody::from(&[0, 0, 0, 0, 3, 0x0a, 1, b'k'][..]));
        let mut call = super::super::routes(&core).oneshot(request.expect("a request"));
        // Without threads nothing is ever answered.
        let waits = futures_poll(&mut call).await;
        assert!(waits);
        drop(call);
        let page = core.metrics.encode(&core);
        let canceled = "grpc_server_handled_total{grpc_code=\"Canceled\",grpc_method=\"Put\"";
        let line = page.lines().find(|line| line.starts_with(canceled));
        assert!(line.is_some_and(|line| line.ends_with("} 1")), "{line:?}");
    }

    /// Whether a future is not ready when it is looked at.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            Poll::Ready(Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
