//! The answers of a stream: a line of JSON each, sent as soon as it is there.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::Response;
use prost_reflect::MessageDescriptor;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_stream::Stream;
use tonic::Status;

use super::reply::Reply;
use super::{copy_metadata, deadline, errors, json};
use crate::bodies::{AnswerCharge, Sent};

/// The body of such an answer.
pub(super) struct Lines {
    first: Option<Result<Bytes, Status>>,
    reply: Reply,
    output: MessageDescriptor,
    deadline: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl Lines {
    /// Waits for the first message, because the status of the answer stands before it.
    ///
    /// # Errors
    /// When the answer is nothing but a status.
    pub(super) async fn begin(
        output: MessageDescriptor,
        answer: Response<Body>,
        deadline: Option<Instant>,
    ) -> Result<Response<Body>, Status> {
        let mut response = Response::new(Body::empty());
        copy_metadata(answer.headers(), response.headers_mut());
        let held = answer.extensions().get::<AnswerCharge>().cloned();
        if let Some(held) = held.clone() {
            response.extensions_mut().insert(held);
        }
        // What waits here to become a line is charged like the lines.
        let answer = answer.map(|body| Body::new(Sent::new(body, held)));
        let mut reply = Reply::new(answer)?;
        let first = reply.message().await;
        if let Some(Err(status)) = &first {
            *response.status_mut() = errors::http_status(status.code());
        }
        *response.body_mut() = Body::from_stream(Lines {
            is_over: first.is_none(),
            first,
            reply,
            output,
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline))),
        });
        Ok(response)
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(deadline::exceeded())));
        }
        self.reply.poll_message(context)
    }
}

impl Stream for Lines {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let Poll::Ready(message) = self.poll_message(context) else {
            return Poll::Pending;
        };
        let Some(message) = message else {
            self.is_over = true;
            return Poll::Ready(None);
        };
        let line = message.and_then(|message| {
            let mut line = br#"{"result":"#.to_vec();
            line.extend(json(&self.output, &message)?);
            line.extend(b"}\n");
            Ok(line)
        });
        let line = line.unwrap_or_else(|status| {
            self.is_over = true;
            errors::last_of_stream(&status)
        });
        Poll::Ready(Some(Ok(line.into())))
    }
}
