//! The JSON messages of a request's body, one after another, as protobuf's messages in gRPC's frames.
//!
//! A client may send a message, wait for what comes of it and send the next. So each is handed on when its last byte
//! has come; and of what has come, never more than one unfinished message is held, charged to the accounts of requests.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use hyper::body::Body as _;
use prost_reflect::MessageDescriptor;
use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::Stream;
use tonic::{Code, Status};

use super::scanner::{Scanner, Step};
use super::to_protobuf::to_protobuf;
use crate::bodies::Requests;
use crate::budget::Charge;
use crate::limits::{REQUEST_BODY_TIMEOUT, SMALL_REQUEST_BYTES};
use crate::overdue::{ConnectionEnd, Overdue};

/// Of gRPC's frames: a flag that says "not compressed", and the length.
pub(super) const FRAME_HEADER_BYTES: usize = 5;

/// Reads messages from a body.
pub(super) struct Messages {
    body: Body,
    has_body_ended: bool,
    message: MessageDescriptor,
    limits: Limits,
    requests: Requests,
    /// What of the body has come and is not read.
    chunk: Bytes,
    /// The message that has come in part.
    part: Vec<u8>,
    /// Of that, and then of the message that was handed on, until the next one is wanted.
    part_charge: Charge,
    /// When that holds much.
    overdue: Option<Overdue>,
    end: ConnectionEnd,
    /// When the message that has come in part must be whole; none until it has been waited for.
    time: Option<Pin<Box<Sleep>>>,
    scanner: Scanner,
    /// No more is to be read: the end, or an error that was told.
    is_over: bool,
}

/// How large a message may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) json_bytes: usize,
    /// What gRPC lets in; the one that clients are told.
    pub(super) grpc_bytes: usize,
}

impl Messages {
    pub(super) fn new(
        body: Body,
        message: MessageDescriptor,
        limits: Limits,
        requests: Requests,
        end: ConnectionEnd,
    ) -> Messages {
        Messages {
            body,
            has_body_ended: false,
            message,
            limits,
            part_charge: requests.open(),
            requests,
            overdue: None,
            end,
            time: None,
            chunk: Bytes::new(),
            part: Vec::new(),
            scanner: Scanner::new(),
            is_over: false,
        }
    }

    /// The message that was handed on is the last one wanted, and it is charged elsewhere.
    pub(super) fn give_back(&mut self) {
        self.part_charge.keep(0);
        self.overdue = None;
    }

    /// Reads on in what has come; a message that is whole now.
    fn read_chunk(&mut self) -> Result<Option<Vec<u8>>, Status> {
        let mut begin = 0;
        for (at, byte) in self.chunk.iter().enumerate() {
            let step = self.scanner.push(*byte).map_err(Status::invalid_argument)?;
            let end = match step {
                Step::Before => {
                    begin = at + 1;
                    continue;
                }
                Step::Within => continue,
                Step::Last => at + 1,
                Step::After => at,
            };
            self.part.extend(&self.chunk[begin..end]);
            self.chunk = self.chunk.slice(end..);
            return self.finish_message().map(Some);
        }
        let rest = self.chunk.slice(begin..);
        self.chunk = Bytes::new();
        let have = self.part.len() + rest.len();
        if have > self.limits.json_bytes {
            return Err(too_large(have, self.limits.grpc_bytes));
        }
        let charged = self.part_charge.add(rest.len());
        charged.map_err(|_| Status::resource_exhausted("etcdserver: too many requests"))?;
        self.part.extend(&rest);
        if have > SMALL_REQUEST_BYTES && self.overdue.is_none() {
            self.overdue = Some(self.requests.hold_for_a_time(&self.end));
        }
        // If the time is over nobody has looked, and the client is not to blame.
        let is_over = |time: &Pin<Box<Sleep>>| time.deadline() <= Instant::now();
        if self.time.as_ref().is_some_and(is_over) {
            self.time = None;
        }
        Ok(None)
    }

    /// The end of the body may be the end of a message, of a bare number for example.
    fn read_end(&mut self) -> Result<Option<Vec<u8>>, Status> {
        self.is_over = true;
        if self.part.is_empty() {
            return Ok(None);
        }
        match self.scanner.is_whole() {
            Ok(true) => self.finish_message().map(Some),
            _ => Err(Status::invalid_argument("unexpected EOF")),
        }
    }

    /// Whether the message that has come in part has had its time.
    fn poll_time(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.part.is_empty() {
            return Poll::Pending;
        }
        let time = self
            .time
            .get_or_insert_with(|| Box::pin(sleep(REQUEST_BODY_TIMEOUT)));
        time.as_mut().poll(context)
    }

    /// The message as a frame.
    fn finish_message(&mut self) -> Result<Vec<u8>, Status> {
        self.scanner = Scanner::new();
        self.time = None;
        let part = std::mem::take(&mut self.part);
        let wire = to_protobuf(&self.message, &part).map_err(Status::invalid_argument)?;
        drop(part);
        let length = u32::try_from(wire.len()).ok();
        let length = length.filter(|length| *length as usize <= self.limits.grpc_bytes);
        let length = length.ok_or_else(|| too_large(wire.len(), self.limits.grpc_bytes))?;
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + wire.len());
        frame.push(0);
        frame.extend(length.to_be_bytes());
        frame.extend(wire);
        Ok(frame)
    }
}

impl Stream for Messages {
    type Item = Result<Vec<u8>, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Vec<u8>, Status>>> {
        if self.part.is_empty() {
            self.part_charge = self.requests.open();
            self.overdue = None;
        }
        while !self.is_over {
            let found = if !self.chunk.is_empty() {
                self.read_chunk()
            } else if self.has_body_ended {
                self.read_end()
            } else {
                let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                    ready!(self.poll_time(context));
                    self.is_over = true;
                    let late = "the request did not come to its end in time";
                    return Poll::Ready(Some(Err(Status::deadline_exceeded(late))));
                };
                match frame {
                    None => self.has_body_ended = true,
                    Some(Ok(frame)) => self.chunk = frame.into_data().unwrap_or_default(),
                    Some(Err(error)) => {
                        self.is_over = true;
                        return Poll::Ready(Some(Err(of_body(&error))));
                    }
                }
                continue;
            };
            match found.transpose() {
                None => {}
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(status)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(status)));
                }
            }
        }
        Poll::Ready(None)
    }
}

/// In grpc-go's words: etcd's own gateway lets everything through, and its gRPC server refuses it.
fn too_large(found: usize, limit: usize) -> Status {
    Status::resource_exhausted(format!(
        "grpc: received message larger than max ({found} vs. {limit})"
    ))
}

/// Why a body could not be read: the limits of requests say it, or the connection broke.
fn of_body(error: &axum::Error) -> Status {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(status) = error.downcast_ref::<Status>() {
            return status.clone();
        }
        cause = error.source();
    }
    Status::new(Code::InvalidArgument, "unexpected EOF")
}
