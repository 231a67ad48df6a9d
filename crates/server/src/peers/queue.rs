//! Messages waiting for one peer, and the stream that takes them away.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quorate_proto::peer::Frame;
use quorate_raft::Message;
use quorate_replica::{PeerMessage, wire};
use tokio_stream::Stream;

use crate::limits::{MAX_PEER_QUEUE_BYTES, PEER_MESSAGE_OVERHEAD_BYTES};

/// Messages waiting for one peer.
#[derive(Default)]
pub(crate) struct PeerQueue {
    state: Mutex<State>,
    dropped: AtomicU64,
    sent_bytes: AtomicU64,
}

#[derive(Default)]
struct State {
    messages: Vec<PeerMessage>,
    bytes: usize,
    /// The link that takes messages now, by number; none while the link is down.
    link: Option<u64>,
    last_link: u64,
    waker: Option<Waker>,
    client_urls: Vec<String>,
}

impl PeerQueue {
    pub(crate) fn new() -> PeerQueue {
        PeerQueue::default()
    }

    /// Adds a message, or drops it when the link is down or the queue is full.
    pub(crate) fn push(&self, message: PeerMessage) {
        let bytes = size_of_message(&message);
        let mut state = self.lock();
        let full = state.bytes > 0 && state.bytes + bytes > MAX_PEER_QUEUE_BYTES;
        if state.link.is_none() || full {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.bytes += bytes;
        state.messages.push(message);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Opens the queue for a new link; gives the link's number and the stream of its frames,
    /// `first` first.
    pub(crate) fn open(self: &Arc<Self>, first: Frame) -> (u64, Outgoing) {
        let mut state = self.lock();
        state.last_link += 1;
        state.link = None; // until the handshake is answered
        state.messages.clear();
        state.bytes = 0;
        let link = state.last_link;
        drop(state);
        (
            link,
            Outgoing {
                queue: Arc::clone(self),
                link,
                frames: VecDeque::from([first]),
            },
        )
    }

    /// The link's handshake was answered: it takes messages.
    pub(crate) fn link_up(&self, link: u64) {
        let mut state = self.lock();
        if state.last_link == link {
            state.link = Some(link);
        }
    }

    /// The link is lost: what waits is dropped, and its stream ends.
    pub(crate) fn link_lost(&self) {
        let mut state = self.lock();
        state.link = None;
        state.last_link += 1;
        state.messages.clear();
        state.bytes = 0;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the link is up.
    pub(crate) fn is_up(&self) -> bool {
        self.lock().link.is_some()
    }

    /// The peer has said where clients reach it.
    pub(crate) fn set_client_urls(&self, urls: Vec<String>) {
        self.lock().client_urls = urls;
    }

    /// Where clients reach the peer, as it said last; empty until it has.
    pub(crate) fn client_urls(&self) -> Vec<String> {
        self.lock().client_urls.clone()
    }

    /// Messages that found no link or no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Bytes of frames handed to the link.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The frames of one link, made from whatever waits when the transport has room.
pub(crate) struct Outgoing {
    queue: Arc<PeerQueue>,
    link: u64,
    frames: VecDeque<Frame>,
}

impl Stream for Outgoing {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                let bytes = frame.payload.len() as u64;
                self.queue.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                return Poll::Ready(Some(frame));
            }
            let mut state = self.queue.lock();
            if state.last_link != self.link {
                return Poll::Ready(None);
            }
            if state.messages.is_empty() {
                state.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            let messages = std::mem::take(&mut state.messages);
            state.bytes = 0;
            drop(state);
            self.frames.extend(wire::encode_messages(messages));
        }
    }
}

fn size_of_message(message: &PeerMessage) -> usize {
    let payload = match message {
        PeerMessage::LeaseQuestions { questions, .. } => size_of_val(questions.as_slice()),
        PeerMessage::LeaseAnswers { answers, .. } => size_of_val(answers.as_slice()),
        PeerMessage::Raft(
            Message::Append { entries, .. } | Message::EntryFound { entries, .. },
        ) => {
            let overhead = entries.len() * PEER_MESSAGE_OVERHEAD_BYTES;
            overhead
                + entries
                    .iter()
                    .map(|entry| entry.payload.len())
                    .sum::<usize>()
        }
        PeerMessage::Raft(Message::Records { records, .. }) => {
            records.len() * size_of::<quorate_raft::Record>()
        }
        PeerMessage::Raft(_) => 0,
        PeerMessage::Forward(proposals) => {
            let overhead = proposals.len() * PEER_MESSAGE_OVERHEAD_BYTES;
            overhead
                + proposals
                    .iter()
                    .map(|proposal| proposal.body.len())
                    .sum::<usize>()
        }
        PeerMessage::ForwardRefused { sequences, .. } => sequences.len() * size_of::<u64>(),
    };
    PEER_MESSAGE_OVERHEAD_BYTES + payload
}

#[cfg(test)]
mod tests;
