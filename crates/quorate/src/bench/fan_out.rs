//! The kind `watch`: one client writes, many watchers hear of each write.
//!
//! An operation is one event heard by one watcher. The writer has one put outstanding, as every client here; all
//! watchers watch all keys, so that a put is as many events as there are watchers. A value begins with the time at which
//! it was sent, from which latency follows: to the hearing, in the same process and by the same clock. Of an answer
//! with several events the first has waited longest; its latency counts for all of them.

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use quorate_client::Connection;
use quorate_proto::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;

use super::heard::{Heard, HeardCodec, STAMP_BYTES};
use super::load::{self, Outcome, Tally};
use super::plan::{Length, Plan};
use super::progress::Progress;
use super::workload::{Random, Workload};

const WATCH: &str = "/etcdserverpb.Watch/Watch";
/// Until every watcher has heard that it is one.
const CREATE_TIMEOUT: Duration = Duration::from_secs(60);
/// No answer is larger; gRPC's lengths are 32 bits.
const ANSWER_BYTES_MAX: usize = i32::MAX as usize;
const SECOND: Duration = Duration::from_secs(1);

/// When what is heard counts.
#[derive(Clone, Copy)]
struct Window {
    /// What stamps count from.
    epoch: Instant,
    opens: Instant,
    closes: Instant,
}

/// Opens the watchers, writes, and counts.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let plan = plan.clone();
    // One thread with everything in it: what is heard is counted where it comes in.
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(load(&plan))
    });
    let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
    joined.map_err(|_| anyhow!("the thread of the load panicked"))?
}

async fn load(plan: &Plan) -> anyhow::Result<Outcome> {
    let Length::Time(length) = plan.length else {
        bail!("the kind watch has a length in seconds");
    };
    let (streams, _requests) = timeout(CREATE_TIMEOUT, open_all(plan))
        .await
        .map_err(|_| anyhow!("not all watchers were created within {CREATE_TIMEOUT:?}"))??;
    // On a connection of its own: its puts do not wait behind events.
    let writer = load::open(plan, plan.connections).await?;
    let epoch = Instant::now();
    let window = Window {
        epoch,
        opens: epoch + plan.warmup,
        closes: epoch + plan.warmup + length,
    };
    let mut tasks = JoinSet::new();
    for stream in streams {
        tasks.spawn(hear(stream, window));
    }
    tasks.spawn(write(plan.clone(), writer, window));
    let cpu = processor_time(plan, window).await;
    let mut total = Tally::new();
    for tally in tasks.join_all().await {
        total.merge(tally);
    }
    Ok(total.outcome(length, cpu))
}

type Requests = Vec<mpsc::Sender<WatchRequest>>;

/// All streams with all their watchers, and what keeps them open.
async fn open_all(plan: &Plan) -> anyhow::Result<(Vec<Streaming<Heard>>, Requests)> {
    let mut connections = Vec::new();
    for index in 0..plan.connections {
        connections.push(load::open(plan, index).await?);
    }
    let mut streams = Vec::new();
    let mut requests = Vec::new();
    let mut left = plan.clients;
    for connection in connections.iter().cycle() {
        if left == 0 {
            break;
        }
        let watchers = left.min(plan.watchers_per_stream);
        left -= watchers;
        let (stream, request) = open(connection, watchers).await?;
        streams.push(stream);
        requests.push(request);
    }
    Ok((streams, requests))
}

async fn open(
    connection: &Connection,
    watchers: usize,
) -> anyhow::Result<(Streaming<Heard>, mpsc::Sender<WatchRequest>)> {
    let (sender, receiver) = mpsc::channel(watchers);
    for _ in 0..watchers {
        let every_key = WatchCreateRequest {
            key: Bytes::from_static(&[0]),
            range_end: Bytes::from_static(&[0]),
            ..WatchCreateRequest::default()
        };
        let request_union = Some(RequestUnion::CreateRequest(every_key));
        sender.try_send(WatchRequest { request_union })?;
    }
    let mut grpc = Grpc::new(connection.channel()).max_decoding_message_size(ANSWER_BYTES_MAX);
    grpc.ready().await.context("cannot open a watch")?;
    let request = tonic::Request::new(ReceiverStream::new(receiver));
    let path = PathAndQuery::from_static(WATCH);
    let answer = grpc.streaming(request, path, HeardCodec).await;
    let mut stream = answer.context("cannot open a watch")?.into_inner();
    let mut created = 0;
    while created < watchers {
        let heard = stream.message().await.context("cannot open a watch")?;
        match heard {
            Some(heard) if heard.is_canceled => bail!("a watch was canceled as it was created"),
            Some(heard) => created += usize::from(heard.is_created),
            None => bail!("the server ended a stream of watches"),
        }
    }
    Ok((stream, sender))
}

/// Counts what one stream tells inside the window.
async fn hear(mut stream: Streaming<Heard>, window: Window) -> Tally {
    let mut tally = Tally::new();
    let close = sleep_until(window.closes.into());
    tokio::pin!(close);
    loop {
        let answer = tokio::select! {
            answer = stream.message() => answer,
            () = close.as_mut() => return tally,
        };
        let now = Instant::now();
        let heard = match answer {
            Ok(Some(heard)) if !heard.is_canceled => heard,
            Ok(Some(_)) => return tally.failed("a watch was canceled".to_owned()),
            Ok(None) => return tally.failed("the server ended a stream of watches".to_owned()),
            Err(status) => return tally.failed(status.to_string()),
        };
        if now >= window.closes {
            return tally;
        }
        if now >= window.opens && heard.events > 0 {
            let sent = window.epoch + Duration::from_nanos(heard.first_stamp.unwrap_or_default());
            tally.count_many(heard.events, now.saturating_duration_since(sent));
        }
    }
}

/// Writes one key after the other until the window closes. A tally of nothing but failures.
async fn write(plan: Plan, connection: Connection, window: Window) -> Tally {
    let workload: Arc<Workload> = Workload::new(&plan);
    let mut random = Random::new(plan.seed);
    let mut tally = Tally::new();
    loop {
        let now = Instant::now();
        if now >= window.closes {
            return tally;
        }
        let put = stamped(workload.random_put(&mut random), now - window.epoch);
        if let Some(text) = failure(timeout(plan.timeout, connection.put(put))).await {
            tally = tally.failed(text);
            tokio::time::sleep(load::PAUSE_AFTER_ERROR).await;
        }
    }
}

async fn failure<T, E: std::fmt::Display>(
    put: impl Future<Output = Result<Result<T, E>, tokio::time::error::Elapsed>>,
) -> Option<String> {
    match put.await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(elapsed) => Some(elapsed.to_string()),
    }
}

fn stamped(put: PutRequest, since_epoch: Duration) -> PutRequest {
    let stamp = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
    let rest = put.value.get(STAMP_BYTES..).unwrap_or_default();
    PutRequest {
        value: [&stamp.to_le_bytes()[..], rest].concat().into(),
        ..put
    }
}

/// Of this process, inside the window.
async fn processor_time(plan: &Plan, window: Window) -> Duration {
    let progress = Progress::load(plan);
    sleep_until(window.opens.into()).await;
    let start = load::process_cpu();
    let mut told = window.opens;
    while told < window.closes {
        told = (told + SECOND).min(window.closes);
        sleep_until(told.into()).await;
        progress.pass(told - window.opens);
    }
    progress.finish();
    load::process_cpu().saturating_sub(start)
}
