//! The run itself: so many clients, each on a connection of its own, share so many writes a second.

use std::io::IsTerminal as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::{ArgAction, Args};
use indicatif::{ProgressBar, ProgressStyle};
use quorate_client::{Client, prefix_end};
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest,
};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};

use super::super::connect::ConnectArgs;
use super::super::duration;
use super::super::failure::Failure;
use super::super::output::go_quote;
use super::super::signals::Signals;
use super::pace::Pace;
use super::verdict::Measured;

const KEY_BYTES: usize = 256;
const VALUE_BYTES: usize = 1_024;

/// Deleting, compacting and defragmenting afterwards may take longer than any other command.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(30);

const INTERRUPTED: &str = "context canceled";

#[derive(Args, Debug)]
pub(super) struct PerfArgs {
    /// How much: s, m, l or xl
    #[arg(long, default_value = "s")]
    load: String,
    /// What the keys begin with; there must be none yet
    #[arg(long, default_value = "/etcdctl-check-perf/")]
    prefix: String,
    /// Compact afterwards
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    auto_compact: bool,
    /// Defragment every endpoint afterwards
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    auto_defrag: bool,
    /// For tests
    #[arg(long, hide = true, value_parser = duration::parse, default_value = "60s")]
    duration: Duration,
}

/// etcdctl's loads.
#[derive(Clone, Copy)]
struct Load {
    writes_per_second: u32,
    clients: usize,
}

impl Load {
    fn named(name: &str) -> Result<Load, Failure> {
        let (writes_per_second, clients) = match name {
            "s" | "small" => (150, 50),
            "m" | "medium" => (1_000, 200),
            "l" | "large" => (8_000, 500),
            "xl" | "xLarge" => (15_000, 1_000),
            other => return Err(Failure::bad_feature(format!("unknown load option {other}"))),
        };
        Ok(Load {
            writes_per_second,
            clients,
        })
    }
}

pub(super) async fn run(args: &PerfArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let load = Load::named(&args.load)?;
    let clients: Result<Vec<Client>, Failure> =
        (0..load.clients).map(|_| connect.client()).collect();
    let clients = clients?;
    let first = clients.first().expect("a load has clients").clone();
    must_be_empty(&first, &args.prefix).await?;
    let mut signals = Signals::listen()?;
    let bar = progress(args.duration);
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writing = pin!(write(clients, load, args, Arc::clone(&is_over)));
    let (measured, is_interrupted) = tokio::select! {
        measured = &mut writing => (measured, false),
        () = signals.next() => {
            is_over.store(true, Ordering::Relaxed);
            // What is under way would be written after the keys are deleted. Who does not want to wait says so again.
            tokio::select! {
                measured = &mut writing => (measured, true),
                () = signals.next() => return Err(Failure::error(INTERRUPTED)),
            }
        }
    };
    bar.abort();
    // Also of a run that was interrupted.
    clean_up(&first, args).await?;
    if is_interrupted {
        return Err(Failure::error(INTERRUPTED));
    }
    let (lines, passes) = measured.verdict(load.writes_per_second);
    super::super::print(lines.as_bytes())?;
    match passes {
        true => Ok(()),
        false => Err(Failure::silent()),
    }
}

async fn must_be_empty(client: &Client, prefix: &str) -> Result<(), Failure> {
    let request = RangeRequest {
        key: prefix.to_owned().into(),
        range_end: prefix_end(prefix.as_bytes()),
        limit: 1,
        ..Default::default()
    };
    if client.range(request).await?.kvs.is_empty() {
        return Ok(());
    }
    let quoted = go_quote(prefix.as_bytes());
    Err(Failure::invalid_input(format!(
        "prefix {quoted} has keys. Delete with quorate ctl del --prefix {prefix} first"
    )))
}

/// A bar of seconds for a person who waits.
fn progress(duration: Duration) -> tokio::task::JoinHandle<()> {
    let bar = match std::io::stderr().is_terminal() {
        true => ProgressBar::new(duration.as_secs()),
        false => ProgressBar::hidden(),
    };
    let style = ProgressStyle::with_template(" {pos} / {len} s {wide_bar}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    tokio::spawn(async move {
        for _ in 0..duration.as_secs() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bar.inc(1);
        }
        bar.finish_and_clear();
    })
}

/// Writes for as long as the run takes, and waits for what is under way then.
async fn write(
    clients: Vec<Client>,
    load: Load,
    args: &PerfArgs,
    is_over: Arc<AtomicBool>,
) -> Measured {
    let (hand_out, keys) = mpsc::channel::<Bytes>(clients.len());
    let keys = Arc::new(Mutex::new(keys));
    let value = Bytes::from(vec![0; VALUE_BYTES]);
    let begun = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for client in clients {
        writers.spawn(write_some(client, Arc::clone(&keys), value.clone()));
    }
    let handing = Keys {
        prefix: args.prefix.clone(),
        pace: Pace::of(load.writes_per_second),
        duration: args.duration,
        is_over,
    };
    // On a thread of its own: the runtime's timers are no finer than a millisecond.
    let handed_out = tokio::task::spawn_blocking(move || handing.hand_out(&hand_out));
    handed_out.await.expect("it does not panic");
    let mut all = Measured::default();
    while let Some(part) = writers.join_next().await {
        let part = part.unwrap_or_default();
        all.latencies.extend(part.latencies);
        for (error, count) in part.errors {
            *all.errors.entry(error).or_default() += count;
        }
    }
    all.took = begun.elapsed();
    all
}

async fn write_some(
    client: Client,
    keys: Arc<Mutex<mpsc::Receiver<Bytes>>>,
    value: Bytes,
) -> Measured {
    let mut measured = Measured::default();
    loop {
        let Some(key) = keys.lock().await.recv().await else {
            return measured;
        };
        let request = PutRequest {
            key,
            value: value.clone(),
            ..Default::default()
        };
        let asked = Instant::now();
        match client.put(request).await {
            Ok(_) => measured.latencies.push(asked.elapsed()),
            Err(error) => *measured.errors.entry(error.to_string()).or_default() += 1,
        }
    }
}

/// What is handed out to the clients.
struct Keys {
    prefix: String,
    pace: Pace,
    duration: Duration,
    /// Set when somebody ends the run early.
    is_over: Arc<AtomicBool>,
}

impl Keys {
    /// Hands out keys at the pace, waiting while no client takes them.
    fn hand_out(mut self, clients: &mpsc::Sender<Bytes>) {
        let begun = std::time::Instant::now();
        for number in 0.. {
            std::thread::sleep(self.pace.next(begun.elapsed()));
            let is_over = self.is_over.load(Ordering::Relaxed);
            if is_over || begun.elapsed() >= self.duration {
                return;
            }
            let key = key_number(&self.prefix, number);
            if clients.blocking_send(key).is_err() {
                return;
            }
        }
    }
}

/// Keys that lie far apart, each another one.
fn key_number(prefix: &str, number: u64) -> Bytes {
    // An odd factor: no two numbers give the same product.
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = prefix.as_bytes().to_vec();
    key.extend(scattered.to_be_bytes());
    key.resize(prefix.len() + KEY_BYTES, 0);
    key.into()
}

async fn clean_up(client: &Client, args: &PerfArgs) -> Result<(), Failure> {
    let prefix = args.prefix.as_bytes();
    let delete = DeleteRangeRequest {
        key: Bytes::copy_from_slice(prefix),
        range_end: prefix_end(prefix),
        ..Default::default()
    };
    let connection = client.connections().next().expect("a client has endpoints");
    let deleted = patiently(connection.delete_range(delete)).await?;
    if args.auto_compact {
        let revision = deleted.header.map_or(0, |header| header.revision);
        super::super::print(format!("Compacting with revision {revision}\n").as_bytes())?;
        let compact = CompactionRequest {
            revision,
            physical: true,
        };
        patiently(connection.compact(compact)).await?;
        super::super::print(format!("Compacted with revision {revision}\n").as_bytes())?;
    }
    if args.auto_defrag {
        for connection in client.connections() {
            let endpoint = go_quote(connection.endpoint().to_string().as_bytes());
            super::super::print(format!("Defragmenting {endpoint}\n").as_bytes())?;
            patiently(connection.defragment()).await?;
            super::super::print(format!("Defragmented {endpoint}\n").as_bytes())?;
        }
    }
    Ok(())
}

async fn patiently<T>(
    call: impl Future<Output = Result<T, quorate_client::Error>>,
) -> Result<T, Failure> {
    match timeout(CLEAN_UP_TIMEOUT, call).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::error("context deadline exceeded")),
    }
}
