//! What answers hold until they are sent.
//!
//! HTTP/2 takes the bytes of a body at once, but sends them as its windows allow, and drops them when they are sent. So
//! the bytes carry their charge with them. An answer that is one message is charged once, by whoever makes it. One that
//! is a stream is charged piece by piece, and whoever makes the pieces looks first whether there is room
//! ([`StreamAnswers`]): a client that does not read is then not told more, instead of the node holding it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body as AnyBody, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::budget::{Budget, Charge};
use crate::limits::{WATCH_UNREAD_BYTES_PER_SECOND, WATCH_UNREAD_FOR};

/// What an answer holds; in the extensions of the response on its way from the handler.
#[derive(Clone)]
pub(crate) enum AnswerCharge {
    /// All of it, charged already.
    Whole(Arc<Charge>),
    /// Each piece, as it is made.
    Pieces(Arc<StreamAnswers>),
}

impl AnswerCharge {
    pub(crate) fn new(charge: Charge) -> AnswerCharge {
        AnswerCharge::Whole(Arc::new(charge))
    }

    fn carried_by(&self, bytes: Bytes) -> Bytes {
        match self {
            AnswerCharge::Whole(charge) => Bytes::from_owner(Carried {
                bytes,
                _charge: Arc::clone(charge),
            }),
            AnswerCharge::Pieces(answers) => Bytes::from_owner(Carried {
                _charge: answers.charge(bytes.len()),
                bytes,
            }),
        }
    }
}

/// The answers of one stream that are made and not sent.
pub(crate) struct StreamAnswers {
    /// Of all streams.
    budget: Arc<Budget>,
    pieces: AtomicUsize,
    is_held_back: AtomicBool,
    bell: Arc<Notify>,
    stalled: Mutex<Stalled>,
}

/// Since when nothing of a stream has been sent.
#[derive(Default)]
struct Stalled {
    /// None while nothing is unsent.
    since: Option<Instant>,
    pieces: usize,
    bytes: usize,
}

impl Stalled {
    fn has_made(&mut self, bytes: usize) {
        self.since.get_or_insert_with(Instant::now);
        self.pieces += 1;
        self.bytes += bytes;
    }

    fn has_sent(&mut self, bytes: usize) {
        self.pieces -= 1;
        self.bytes -= bytes;
        self.since = (self.pieces > 0).then(Instant::now);
    }
}

impl StreamAnswers {
    /// `bell` is rung when all is sent, if the stream was held back.
    pub(crate) fn new(budget: &Arc<Budget>, bell: &Arc<Notify>) -> Arc<StreamAnswers> {
        Arc::new(StreamAnswers {
            budget: Arc::clone(budget),
            pieces: AtomicUsize::new(0),
            is_held_back: AtomicBool::new(false),
            bell: Arc::clone(bell),
            stalled: Mutex::default(),
        })
    }

    /// Charges a piece, whether or not there is room.
    pub(crate) fn charge(self: &Arc<StreamAnswers>, bytes: usize) -> Unsent {
        self.pieces.fetch_add(1, Ordering::SeqCst);
        self.with_stalled(|stalled| stalled.has_made(bytes));
        Unsent {
            _charge: self.budget.charge_always(bytes),
            bytes,
            answers: Arc::clone(self),
        }
    }

    fn with_stalled<T>(&self, what: impl FnOnce(&mut Stalled) -> T) -> T {
        what(&mut self.stalled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether anything is unsent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.pieces.load(Ordering::SeqCst) > 0
    }

    /// When its client has had its time to take some of what is unsent; none while nothing is.
    pub(crate) fn overdue_at(&self) -> Option<Instant> {
        self.with_stalled(|stalled| {
            let seconds = stalled.bytes / WATCH_UNREAD_BYTES_PER_SECOND;
            let time = WATCH_UNREAD_FOR.max(Duration::from_secs(seconds as u64));
            stalled.since.map(|since| since + time)
        })
    }

    /// Whether another piece may be made, of what is held by `own` already if by anything. While there is no room a stream of which nothing is unsent may still make
    /// one that is small, so that those who read are told small things whatever others do.
    pub(crate) fn may_make(&self, own: Option<&Charge>, is_small: impl FnOnce() -> bool) -> bool {
        if own.map_or_else(|| self.budget.has_room(), Charge::leaves_room) {
            self.is_held_back.store(false, Ordering::SeqCst);
            return true;
        }
        // Before the look, so that what is sent after it rings the bell.
        self.is_held_back.store(true, Ordering::SeqCst);
        self.pieces.load(Ordering::SeqCst) == 0 && is_small()
    }
}

/// What a piece holds; given back when it is dropped.
pub(crate) struct Unsent {
    _charge: Charge,
    bytes: usize,
    answers: Arc<StreamAnswers>,
}

impl Drop for Unsent {
    fn drop(&mut self) {
        let answers = &self.answers;
        answers.with_stalled(|stalled| stalled.has_sent(self.bytes));
        let is_last = answers.pieces.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last && answers.is_held_back.load(Ordering::SeqCst) {
            answers.bell.notify_one();
        }
    }
}

/// The body of an answer, whose bytes carry what they are charged.
pub(crate) struct Sent {
    body: AnyBody,
    held: Option<AnswerCharge>,
}

impl Sent {
    pub(crate) fn new(body: AnyBody, held: Option<AnswerCharge>) -> Sent {
        Sent { body, held }
    }
}

struct Carried<C> {
    bytes: Bytes,
    _charge: C,
}

impl<C> AsRef<[u8]> for Carried<C> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let Some(held) = &self.held else {
            return Poll::Ready(frame);
        };
        let carry = |bytes| held.carried_by(bytes);
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(carry))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
