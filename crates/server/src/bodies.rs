//! What requests hold in memory while they come in and are worked on, and what answers hold until they are sent.
//!
//! gRPC collects a message until its last byte has come, so that whoever declares a large one and keeps that byte
//! back holds memory for nothing, once a stream. Here every byte is charged to a budget of the whole node as it
//! comes, until the request is answered, or until whoever works on it says that it is not held any more
//! ([`RequestCharge`]); the body of a unary call must be complete in time. The first few KiB of each request are charged
//! apart from the rest, so that large requests never keep small ones out.
//!
//! On the peer port only a handshake may come before the handshake is accepted ([`Handshaken`]).
//!
//! A stream of requests lives long, and one that is quiet is in order. Of one over gRPC each message is charged like a
//! request, from its first byte until it is decoded and the next one is wanted, and has as long to come to its end. Of
//! one in JSON only the headers are charged here, and whoever reads it charges what it holds ([`Requests::open`]).

mod frames;
mod sent;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body as AnyBody, Bytes};
use axum::http::{Request, Response};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tower::Service;

use crate::budget::{Budget, Charge, Exhausted};
use crate::limits::{
    LARGE_REQUESTS_BYTES, MAX_HANDSHAKE_BYTES, REQUEST_BODY_TIMEOUT, REQUEST_OVERHEAD_BYTES,
    SMALL_REQUEST_BYTES, SMALL_REQUESTS_BYTES,
};
use crate::overdue::{ConnectionEnd, Overdue};

use frames::Frames;
pub(crate) use sent::{AnswerCharge, Sent, StreamAnswers, Unsent};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The accounts of requests.
#[derive(Clone)]
pub(crate) struct Requests {
    small: Arc<Budget>,
    large: Arc<Budget>,
}

impl Requests {
    pub(crate) fn new() -> Requests {
        Requests {
            small: Budget::new(SMALL_REQUESTS_BYTES),
            large: Budget::new(LARGE_REQUESTS_BYTES),
        }
    }

    /// What a request of so many large bytes holds.
    #[cfg(test)]
    pub(crate) fn held_for_tests(&self, bytes: usize) -> RequestCharge {
        let held = self.hold();
        held.large.add(bytes).expect("there is room");
        RequestCharge(Arc::new(held))
    }

    #[cfg(test)]
    pub(crate) fn large_bytes(&self) -> usize {
        self.large.used_bytes()
    }

    fn hold(&self) -> Held {
        Held {
            small: self.small.open(),
            large: self.large.open(),
        }
    }

    /// A charge of nothing yet, for what is held of a stream of requests.
    pub(crate) fn open(&self) -> Charge {
        self.large.open()
    }

    /// From now on a message that holds much has its time; whoever leaves it unfinished, or does not read the answers
    /// for which the message after it waits, is cut off when others find little room.
    pub(crate) fn hold_for_a_time(&self, end: &ConnectionEnd) -> Overdue {
        Overdue::after(REQUEST_BODY_TIMEOUT, &self.large, end)
    }
}

/// The calls of gRPC whose clients may be quiet for long.
const GRPC_STREAMS: [&str; 2] = [
    "/etcdserverpb.Watch/Watch",
    "/etcdserverpb.Lease/LeaseKeepAlive",
];

/// Whether a request to `path` is a stream of JSON that may be quiet for long.
fn is_json_stream(path: &str) -> bool {
    let of_gateway = path.strip_prefix("/v3/").or(path.strip_prefix("/v3beta/"));
    matches!(of_gateway, Some("watch" | "lease/keepalive"))
}

/// What one request holds.
pub(crate) struct Held {
    small: Charge,
    large: Charge,
}

/// What one request holds, in its extensions: for a call that may wait for long before it is answered.
#[derive(Clone)]
pub(crate) struct RequestCharge(Arc<Held>);

impl RequestCharge {
    /// The request is held no longer, but for so many bytes of it. What its beginning is charged stays.
    pub(crate) fn keep(&self, bytes: usize) {
        self.0.large.keep(bytes);
    }
}

/// Whether the link that a request is to become has been accepted; in the request's extensions on the peer port.
#[derive(Clone, Default)]
pub(crate) struct Handshaken(Arc<AtomicBool>);

impl Handshaken {
    pub(crate) fn accept(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Which rules hold for the requests of a port.
#[derive(Clone)]
pub(crate) enum Rules {
    Requests(Requests),
    Links,
}

/// A service whose requests and answers are charged.
#[derive(Clone)]
pub(crate) struct Charged<S> {
    pub(crate) rules: Rules,
    pub(crate) end: ConnectionEnd,
    pub(crate) inner: S,
}

impl<S, B> Service<Request<B>> for Charged<S>
where
    S: Service<Request<Received<B>>, Response = Response<AnyBody>>,
    S::Future: Unpin,
{
    type Response = Response<Sent>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let rule = match &self.rules {
            Rules::Links => {
                let handshaken = Handshaken::default();
                request.extensions_mut().insert(handshaken.clone());
                Rule::Link(handshaken)
            }
            Rules::Requests(accounts) => {
                request.extensions_mut().insert(self.end.clone());
                let held = accounts.hold();
                let headers = request.headers().iter();
                let header_bytes: usize = headers
                    .map(|(name, value)| name.as_str().len() + value.len())
                    .sum();
                if held
                    .small
                    .add(REQUEST_OVERHEAD_BYTES + header_bytes)
                    .is_err()
                {
                    return Answering::Refused;
                }
                let held = Arc::new(held);
                match request.uri().path() {
                    path if GRPC_STREAMS.contains(&path) => {
                        Rule::Stream(held, Messages::new(accounts, &self.end))
                    }
                    path if is_json_stream(path) => Rule::JsonStream(held),
                    _ => {
                        let charge = RequestCharge(Arc::clone(&held));
                        request.extensions_mut().insert(charge);
                        Rule::Request(held)
                    }
                }
            }
        };
        let held = match &rule {
            Rule::Request(held) | Rule::Stream(held, _) | Rule::JsonStream(held) => {
                Some(Arc::clone(held))
            }
            Rule::Link(_) => None,
        };
        let request = request.map(|body| Received {
            body,
            rule,
            received_bytes: 0,
            time: None,
        });
        Answering::Called {
            future: self.inner.call(request),
            _held: held,
        }
    }
}

/// Waits for the answer; what the request holds is held until then.
pub(crate) enum Answering<F> {
    Refused,
    Called { future: F, _held: Option<Arc<Held>> },
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<AnyBody>, E>> + Unpin,
{
    type Output = Result<Response<Sent>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = match &mut *self {
            Answering::Refused => too_many_requests().into_http(),
            Answering::Called { future, .. } => ready!(Pin::new(future).poll(context))?,
        };
        let held = response.extensions_mut().remove::<AnswerCharge>();
        Poll::Ready(Ok(response.map(|body| Sent::new(body, held))))
    }
}

enum Rule {
    Request(Arc<Held>),
    /// What its headers hold, and what its messages do.
    Stream(
        #[allow(dead_code, reason = "held until the stream ends")] Arc<Held>,
        Messages,
    ),
    /// What its headers hold.
    JsonStream(#[allow(dead_code, reason = "held until the stream ends")] Arc<Held>),
    Link(Handshaken),
}

/// What the messages of a stream hold that have come, in part or whole, and are not decoded.
struct Messages {
    frames: Frames,
    held: Held,
    accounts: Requests,
    end: ConnectionEnd,
    /// Of the message that holds much.
    overdue: Option<Overdue>,
}

impl Messages {
    fn new(accounts: &Requests, end: &ConnectionEnd) -> Messages {
        Messages {
            frames: Frames::default(),
            held: accounts.hold(),
            accounts: accounts.clone(),
            end: end.clone(),
            overdue: None,
        }
    }

    fn has_part(&self) -> bool {
        self.frames.part() != (0, 0)
    }

    /// Gives back what whole messages held. gRPC asks for more when it has decoded all that was whole.
    fn are_decoded(&mut self) {
        let (small, large) = self.frames.part();
        self.held.small.keep(small);
        self.held.large.keep(large);
        if large == 0 {
            self.overdue = None;
        }
    }

    /// Charges a piece; whether a message ends in it.
    fn charge(&mut self, piece: &[u8]) -> Result<bool, Exhausted> {
        let piece = self.frames.read(piece);
        self.held.small.add(piece.small_bytes)?;
        self.held.large.add(piece.large_bytes)?;
        if piece.has_end {
            self.overdue = None;
        }
        if piece.large_bytes > 0 && self.overdue.is_none() {
            self.overdue = Some(self.accounts.hold_for_a_time(&self.end));
        }
        Ok(piece.has_end)
    }
}

/// The body of a request as it comes.
pub(crate) struct Received<B> {
    body: B,
    rule: Rule,
    received_bytes: usize,
    /// None until the body has been waited for.
    time: Option<Pin<Box<Sleep>>>,
}

impl<B> Received<B> {
    fn charge(&mut self, data: &[u8]) -> Result<(), Status> {
        let bytes = data.len();
        let before = self.received_bytes;
        self.received_bytes += bytes;
        match &mut self.rule {
            Rule::Request(held) => {
                let small = bytes.min(SMALL_REQUEST_BYTES.saturating_sub(before));
                let charged = held.small.add(small).and_then(|()| match bytes - small {
                    0 => Ok(()),
                    large => held.large.add(large),
                });
                charged.map_err(|Exhausted| too_many_requests())
            }
            Rule::Stream(_, messages) => {
                let charged = messages.charge(data);
                let has_end = charged.map_err(|Exhausted| too_many_requests())?;
                // If it was over nobody has looked, and the client is not to blame.
                if has_end || self.time.as_ref().is_some_and(|time| is_over(time)) {
                    self.time = None;
                }
                Ok(())
            }
            Rule::JsonStream(_) => Ok(()),
            Rule::Link(handshaken) => {
                let much = self.received_bytes > MAX_HANDSHAKE_BYTES;
                if much && !handshaken.0.load(Ordering::Acquire) {
                    return Err(Status::permission_denied("a handshake comes first"));
                }
                Ok(())
            }
        }
    }
}

impl<B> Body for Received<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Rule::Stream(_, messages) = &mut this.rule {
            messages.are_decoded();
        }
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            let may_be_quiet = match &this.rule {
                Rule::Request(_) => false,
                Rule::Stream(_, messages) => !messages.has_part(),
                // They have deadlines of their own, for a handshake and for messages that have begun.
                Rule::Link(_) | Rule::JsonStream(_) => true,
            };
            if may_be_quiet {
                return Poll::Pending;
            }
            let time = this
                .time
                .get_or_insert_with(|| Box::pin(sleep(REQUEST_BODY_TIMEOUT)));
            ready!(time.as_mut().poll(context));
            let late = Status::deadline_exceeded("the request did not come to its end in time");
            return Poll::Ready(Some(Err(late.into())));
        };
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref() {
            this.charge(data)?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn is_over(time: &Sleep) -> bool {
    time.deadline() <= Instant::now()
}

fn too_many_requests() -> Status {
    Status::resource_exhausted("etcdserver: too many requests")
}

#[cfg(test)]
mod tests;
