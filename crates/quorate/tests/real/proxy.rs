//! A proxy on the links between peers, which delays, reorders and repeats what they say, and
//! breaks their connections.
//!
//! A TCP proxy can only hold back bytes: what one connection carries arrives in order, or not at
//! all. So this one speaks HTTP/2 and cuts a request's body into gRPC's messages (a byte, a length
//! of four bytes, so many bytes), of which each may then come late, behind later ones, or twice.
//! The first message of a call says who is there; it and everything that comes back pass as they
//! are.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::cluster::runtime;
use crate::real_faults::Dice;

/// gRPC's prefix of a message.
const PREFIX_BYTES: usize = 5;

/// Messages that wait to be passed on, for one call; the sender waits when there are more.
const QUEUE: usize = 64;
const MOST_HELD_BACK: usize = 1_024;

/// What is done to messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mood {
    /// Every message takes so long at most; those of one call stay in order.
    pub(crate) delay_ms: u64,
    /// Of 100 messages, so many are overtaken by those that come within `overtaken_ms`.
    pub(crate) overtaken_percent: u64,
    pub(crate) overtaken_ms: u64,
    /// Of 100 messages, so many come twice.
    pub(crate) repeated_percent: u64,
}

/// How often it did what.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) delayed: AtomicU64,
    pub(crate) overtaken: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) broken: AtomicU64,
}

/// Proxies, each of which stands for one node; gone when dropped.
pub(crate) struct Proxy {
    _runtime: tokio::runtime::Runtime,
    shared: Arc<Shared>,
    breaks: watch::Sender<u64>,
}

struct Shared {
    mood: Mutex<Mood>,
    dice: Mutex<Dice>,
    done: Done,
}

impl Proxy {
    /// One at a port of `address` for each target; gives their addresses, in order.
    pub(crate) fn start(
        address: Ipv4Addr,
        targets: &[SocketAddrV4],
        dice: Dice,
    ) -> (Proxy, Vec<SocketAddrV4>) {
        let runtime = runtime();
        let (breaks, broken) = watch::channel(0);
        let shared = Arc::new(Shared {
            mood: Mutex::default(),
            dice: Mutex::new(dice),
            done: Done::default(),
        });
        let mut addresses = Vec::new();
        for target in targets {
            let listener = runtime
                .block_on(TcpListener::bind((address, 0)))
                .expect("a free port");
            let port = listener.local_addr().expect("it is bound").port();
            addresses.push(SocketAddrV4::new(address, port));
            let links = accept(listener, *target, Arc::clone(&shared), broken.clone());
            runtime.spawn(links);
        }
        let proxy = Proxy {
            _runtime: runtime,
            shared,
            breaks,
        };
        (proxy, addresses)
    }

    /// From now on it does this to messages.
    pub(crate) fn set(&self, mood: Mood) {
        *lock(&self.shared.mood) = mood;
    }

    /// Breaks all connections with a reset.
    pub(crate) fn break_connections(&self) {
        self.breaks.send_modify(|count| *count += 1);
    }

    /// How often it did what, so far.
    pub(crate) fn done(&self) -> &Done {
        &self.shared.done
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(
    listener: TcpListener,
    target: SocketAddrV4,
    shared: Arc<Shared>,
    broken: watch::Receiver<u64>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let mut broken = broken.clone();
        broken.mark_unchanged();
        tokio::spawn(async move {
            tokio::select! {
                _ = connection(stream, target, Arc::clone(&shared)) => {}
                _ = broken.changed() => {
                    shared.done.broken.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}

/// Serves one connection until either side closes it. Both halves end with a reset.
async fn connection(
    stream: TcpStream,
    target: SocketAddrV4,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let upstream = TcpStream::connect(target).await?;
    for stream in [&stream, &upstream] {
        stream.set_nodelay(true)?;
        stream.set_zero_linger()?;
    }
    let (sender, link) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake(TokioIo::new(upstream))
        .await
        .map_err(io::Error::other)?;
    let service = service_fn(move |request: Request<Incoming>| {
        let mut sender = sender.clone();
        let shared = Arc::clone(&shared);
        async move {
            let (head, body) = request.into_parts();
            let (out, messages) = mpsc::channel(QUEUE);
            tokio::spawn(pass_on(body, out, shared));
            let body = StreamBody::new(ReceiverStream::new(messages));
            let answer = sender.send_request(Request::from_parts(head, body)).await?;
            let (head, body) = answer.into_parts();
            Ok::<_, hyper::Error>(Response::from_parts(head, body))
        }
    });
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = served => served.map_err(io::Error::other),
        link = link => link.map_err(io::Error::other),
    }
}

type Out = mpsc::Sender<Result<Frame<Bytes>, hyper::Error>>;

/// Passes a call's messages on, each at its time.
async fn pass_on(mut body: Incoming, out: Out, shared: Arc<Shared>) {
    let mut heard = BytesMut::new();
    let mut waiting = Waiting::default();
    let mut is_open = true;
    while is_open || !waiting.messages.is_empty() {
        let next = waiting.messages.keys().next().map(|(time, _)| *time);
        let has_room = waiting.messages.len() < MOST_HELD_BACK;
        tokio::select! {
            frame = body.frame(), if is_open && has_room => match frame {
                Some(Ok(frame)) => {
                    heard.extend_from_slice(&frame.into_data().unwrap_or_default());
                    while let Some(message) = cut_message(&mut heard) {
                        waiting.take(message, &shared);
                    }
                }
                // The end of the call, in good order or not.
                Some(Err(_)) => return,
                None => is_open = false,
            },
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                let Some((_, message)) = waiting.messages.pop_first() else { continue };
                if out.send(Ok(Frame::data(message))).await.is_err() {
                    return;
                }
            }
            () = out.closed() => return,
        }
    }
}

fn cut_message(heard: &mut BytesMut) -> Option<Bytes> {
    let length = heard.get(1..PREFIX_BYTES)?.get_u32();
    let whole = PREFIX_BYTES + usize::try_from(length).expect("at least 32 bits");
    (heard.len() >= whole).then(|| heard.split_to(whole).freeze())
}

/// Messages that are still to be passed on, by their time and number.
#[derive(Default)]
struct Waiting {
    messages: BTreeMap<(Instant, u64), Bytes>,
    taken: u64,
    /// When the last one that nobody overtakes is passed on.
    last: Option<Instant>,
}

impl Waiting {
    fn take(&mut self, message: Bytes, shared: &Shared) {
        let now = Instant::now();
        let mood = match self.taken {
            0 => Mood::default(),
            _ => *lock(&shared.mood),
        };
        let mut dice = lock(&shared.dice);
        let mut is_drawn = |percent| dice.draw(0..100) < percent;
        let is_overtaken = is_drawn(mood.overtaken_percent);
        let is_repeated = is_drawn(mood.repeated_percent);
        let mut later = |most_ms| Duration::from_millis(dice.draw(0..most_ms + 1));
        let done = &shared.done;
        let time = now + later(mood.delay_ms);
        let in_order = self.last.map_or(time, |last| time.max(last));
        if mood.delay_ms > 0 {
            done.delayed.fetch_add(1, Ordering::Relaxed);
        }
        if is_repeated {
            done.repeated.fetch_add(1, Ordering::Relaxed);
            self.put(in_order + later(mood.overtaken_ms), message.clone());
        }
        if is_overtaken {
            done.overtaken.fetch_add(1, Ordering::Relaxed);
            self.put(in_order + later(mood.overtaken_ms), message);
        } else {
            self.last = Some(in_order);
            self.put(in_order, message);
        }
    }

    fn put(&mut self, time: Instant, message: Bytes) {
        self.messages.insert((time, self.taken), message);
        self.taken += 1;
    }
}
