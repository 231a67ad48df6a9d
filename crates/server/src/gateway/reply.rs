//! The messages of a gRPC answer, taken out of their frames, and the status at its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response};
use hyper::body::Body as _;
use tonic::Status;

use super::messages::FRAME_HEADER_BYTES;

/// An answer that is being read.
pub(super) struct Reply {
    body: Body,
    pending: Bytes,
    is_over: bool,
}

impl Reply {
    /// # Errors
    /// When the answer is nothing but a status.
    pub(super) fn new(response: Response<Body>) -> Result<Reply, Status> {
        check(response.headers())?;
        Ok(Reply {
            body: response.into_body(),
            pending: Bytes::new(),
            is_over: false,
        })
    }

    /// The next message; none at the end; the error is the last.
    pub(super) fn poll_message(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        while !self.is_over {
            if let Some(message) = self.take_message() {
                return Poll::Ready(Some(Ok(message)));
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            let Some(frame) = frame else {
                self.is_over = true;
                break;
            };
            let frame = match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => {
                    self.take_data(data);
                    continue;
                }
                Ok(Err(frame)) => frame,
                Err(error) => {
                    self.is_over = true;
                    let status = Status::internal(error.to_string());
                    return Poll::Ready(Some(Err(status)));
                }
            };
            if let Ok(trailers) = frame.into_trailers()
                && let Err(status) = check(&trailers)
            {
                self.is_over = true;
                return Poll::Ready(Some(Err(status)));
            }
        }
        Poll::Ready(None)
    }

    /// The same, awaited.
    pub(super) async fn message(&mut self) -> Option<Result<Bytes, Status>> {
        std::future::poll_fn(|context| self.poll_message(context)).await
    }

    fn take_data(&mut self, data: Bytes) {
        if self.pending.is_empty() {
            self.pending = data;
            return;
        }
        let mut joined = bytes::BytesMut::from(std::mem::take(&mut self.pending));
        joined.extend_from_slice(&data);
        self.pending = joined.freeze();
    }

    fn take_message(&mut self) -> Option<Bytes> {
        let header = self.pending.get(..FRAME_HEADER_BYTES)?;
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let end = FRAME_HEADER_BYTES + length as usize;
        if self.pending.len() < end {
            return None;
        }
        let message = self.pending.split_to(end);
        Some(message.slice(FRAME_HEADER_BYTES..))
    }
}

fn check(headers: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != tonic::Code::Ok => Err(status),
        _ => Ok(()),
    }
}
