//! The clients at work, and the window in which they are counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use quorate_client::{Connection, Error};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::plan::{Length, Plan};
use super::progress::Progress;
use super::workload::{Done, Random, Session, Workload};

/// Different texts of errors that are kept for the report.
const ERROR_TEXTS_MAX: usize = 10;
/// A client whose operation failed waits so long, so that a dead server is not hammered.
pub(super) const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);
/// Writes outstanding while keys are written beforehand.
const PRELOAD_CLIENTS: usize = 64;
/// Three digits of every latency are right.
const HISTOGRAM_DIGITS: u8 = 3;

/// What was measured.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) operations: u64,
    /// Length of the window.
    pub(super) elapsed: Duration,
    /// In nanoseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) errors: u64,
    /// Reads that found no key.
    pub(super) not_found: u64,
    /// The first few texts, and how often each came.
    pub(super) error_texts: BTreeMap<String, u64>,
    /// Processor time of this process during the window.
    pub(super) cpu: Duration,
}

/// What all clients look at and write to.
struct Shared {
    workload: Arc<Workload>,
    timeout: Duration,
    opens: Instant,
    /// Known beforehand for a load of fixed time.
    closes: Option<Instant>,
    operations_max: u64,
    /// Operations that ended inside the window, well or not. Failures count towards a total too, or a load on a dead
    /// cluster would never end.
    ended: AtomicU64,
    stop: AtomicBool,
}

/// What one client has seen.
pub(super) struct Tally {
    operations: u64,
    latencies: Histogram<u64>,
    errors: u64,
    not_found: u64,
    error_texts: BTreeMap<String, u64>,
    last_end: Option<Instant>,
}

/// Writes keys beforehand if asked to, connects, loads and measures.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let workload = Workload::new(plan);
    preload(plan, &workload).await?;

    let (begin, begun) = watch::channel(None);
    let mut threads = Vec::new();
    let mut connected = Vec::new();
    for index in 0..plan.threads {
        let (ready, is_ready) = oneshot::channel();
        let (plan, begun) = (plan.clone(), begun.clone());
        threads.push(thread::spawn(move || worker(&plan, index, ready, begun)));
        connected.push(is_ready);
    }
    for is_ready in connected {
        is_ready
            .await
            .context("a thread of the load ended early")??;
    }

    let opens = Instant::now() + plan.warmup;
    let (closes, operations_max) = match plan.length {
        Length::Time(length) => (Some(opens + length), u64::MAX),
        Length::Operations(count) => (None, count),
    };
    let shared = Arc::new(Shared {
        workload,
        timeout: plan.timeout,
        opens,
        closes,
        operations_max,
        ended: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    begin.send_replace(Some(Arc::clone(&shared)));
    let cpu = watch_window(plan, &shared).await;
    let mut tallies = Vec::new();
    for thread in threads {
        let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
        tallies.extend(joined.map_err(|_| anyhow!("a thread of the load panicked"))??);
    }
    Ok(shared.outcome(tallies, cpu))
}

/// One thread of the load: a runtime of its own with its own connections, so that no answer crosses threads.
fn worker(
    plan: &Plan,
    index: usize,
    ready: oneshot::Sender<anyhow::Result<()>>,
    mut begun: watch::Receiver<Option<Arc<Shared>>>,
) -> anyhow::Result<Vec<Tally>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let lanes = match connect(plan, index).await {
            Ok(lanes) => lanes,
            Err(error) => {
                // Whoever does not wait for it any more has an error to tell already.
                let _ = ready.send(Err(error));
                return Ok(Vec::new());
            }
        };
        let _ = ready.send(Ok(()));
        let Ok(shared) = begun
            .wait_for(Option::is_some)
            .await
            .map(|shared| shared.clone())
        else {
            return Ok(Vec::new());
        };
        let shared = shared.expect("waited for");
        let mut clients = JoinSet::new();
        for (lane, connections) in lanes {
            for client in plan.clients_of(lane) {
                let random = Random::new(plan.seed.wrapping_add((client as u64 + 1) << 32));
                clients.spawn(client_loop(
                    Arc::clone(&shared),
                    connections.clone(),
                    random,
                ));
            }
        }
        Ok(clients.join_all().await)
    })
}

/// Opens the connections of each lane that falls to a thread.
async fn connect(plan: &Plan, thread: usize) -> anyhow::Result<Vec<(usize, Vec<Connection>)>> {
    let mut lanes = Vec::new();
    for lane in (thread..plan.lanes()).step_by(plan.threads) {
        let mut connections = Vec::new();
        for index in plan.connections_of(lane) {
            connections.push(open(plan, index).await?);
        }
        lanes.push((lane, connections));
    }
    Ok(lanes)
}

pub(super) async fn open(plan: &Plan, index: usize) -> anyhow::Result<Connection> {
    let endpoint = &plan.endpoints[index % plan.endpoints.len()];
    Connection::open(endpoint, &plan.options)
        .await
        .context("cannot reach an endpoint")
}

async fn preload(plan: &Plan, workload: &Arc<Workload>) -> anyhow::Result<()> {
    if plan.preload == 0 {
        return Ok(());
    }
    let progress = Progress::preload(plan);
    let next = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    let mut connections = Vec::new();
    for index in 0..plan.endpoints.len().min(PRELOAD_CLIENTS) {
        connections.push(open(plan, index).await?);
    }
    let clients = PRELOAD_CLIENTS.min(usize::try_from(plan.preload).unwrap_or(PRELOAD_CLIENTS));
    for (writer, connection) in connections
        .iter()
        .cycle()
        .take(clients)
        .cloned()
        .enumerate()
    {
        let workload = Arc::clone(workload);
        let (next, count, timeout) = (Arc::clone(&next), plan.preload, plan.timeout);
        let mut random = Random::new(plan.seed ^ writer as u64);
        let progress = progress.clone();
        writers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                let put = connection.put(workload.put(number, &mut random));
                tokio::time::timeout(timeout, put)
                    .await
                    .map_err(|_| anyhow!("no answer within {timeout:?}"))??;
                progress.advance_to(number);
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        let outcome: anyhow::Result<()> = writer?;
        outcome.context("cannot write the keys of --preload")?;
    }
    progress.finish();
    Ok(())
}

async fn client_loop(
    shared: Arc<Shared>,
    connections: Vec<Connection>,
    mut random: Random,
) -> Tally {
    let mut tally = Tally::new();
    let mut session = Session::default();
    let mut connections = connections.iter().cycle();
    while !shared.stop.load(Ordering::Relaxed) {
        let connection = connections
            .next()
            .expect("every client has at least one connection");
        let start = Instant::now();
        let operation = shared
            .workload
            .operation(connection, &mut random, &mut session);
        let after = shared.timeout;
        let outcome =
            tokio::time::timeout(after, operation)
                .await
                .unwrap_or(Err(Error::TimedOut {
                    after,
                    sent: true,
                    last: None,
                }));
        let end = Instant::now();
        if shared.closes.is_some_and(|closes| end >= closes) {
            break;
        }
        if end >= shared.opens {
            // Only so many are the load; those that race past the last one are not counted.
            if shared.ended.fetch_add(1, Ordering::Relaxed) >= shared.operations_max {
                shared.stop.store(true, Ordering::Relaxed);
                break;
            }
            tally.count(&outcome, end.duration_since(start));
            tally.last_end = Some(end);
        }
        if outcome.is_err() {
            tokio::time::sleep(PAUSE_AFTER_ERROR).await;
        }
    }
    tally
}

/// Shows how far the load is, ends it in time, and takes the processor time of the window.
async fn watch_window(plan: &Plan, shared: &Shared) -> Duration {
    let mut progress = Progress::load(plan);
    tokio::time::sleep_until(shared.opens.into()).await;
    let cpu_start = process_cpu();
    loop {
        let ended = shared.ended.load(Ordering::Relaxed);
        let now = Instant::now();
        let over = shared
            .closes
            .map_or(ended >= shared.operations_max, |closes| now >= closes);
        if over || shared.stop.load(Ordering::Relaxed) {
            break;
        }
        progress.show(ended, now.duration_since(shared.opens));
        let pause = Duration::from_millis(100);
        let wake = shared
            .closes
            .map_or(now + pause, |closes| closes.min(now + pause));
        tokio::time::sleep_until(wake.into()).await;
    }
    shared.stop.store(true, Ordering::Relaxed);
    let cpu = process_cpu().saturating_sub(cpu_start);
    progress.finish();
    cpu
}

pub(super) fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

impl Shared {
    fn outcome(&self, tallies: Vec<Tally>, cpu: Duration) -> Outcome {
        let mut total = Tally::new();
        for tally in tallies {
            total.merge(tally);
        }
        let end = match self.closes {
            Some(closes) => closes,
            None => total.last_end.unwrap_or(self.opens),
        };
        total.outcome(end.duration_since(self.opens), cpu)
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        let latencies = Histogram::new(HISTOGRAM_DIGITS).expect("three digits are allowed");
        Self {
            operations: 0,
            latencies,
            errors: 0,
            not_found: 0,
            error_texts: BTreeMap::new(),
            last_end: None,
        }
    }

    fn count(&mut self, outcome: &Result<Done, Error>, took: Duration) {
        match outcome {
            Ok(done) => {
                self.operations += 1;
                self.not_found += u64::from(*done == Done::NotFound);
                // The histogram grows with what it is given; a call cannot take longer than its timeout.
                self.latencies += u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            }
            Err(error) => {
                self.errors += 1;
                self.note(error.to_string(), 1);
            }
        }
    }

    /// Counts operations that were answered at once.
    pub(super) fn count_many(&mut self, operations: u64, took: Duration) {
        self.operations += operations;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // It grows with what it is given, so that there is room for every value.
        let _ = self.latencies.record_n(nanos, operations);
    }

    pub(super) fn failed(mut self, text: String) -> Self {
        self.errors += 1;
        self.note(text, 1);
        self
    }

    pub(super) fn outcome(self, elapsed: Duration, cpu: Duration) -> Outcome {
        Outcome {
            operations: self.operations,
            elapsed,
            latencies: self.latencies,
            errors: self.errors,
            not_found: self.not_found,
            error_texts: self.error_texts,
            cpu,
        }
    }

    fn note(&mut self, text: String, times: u64) {
        if self.error_texts.len() < ERROR_TEXTS_MAX || self.error_texts.contains_key(&text) {
            *self.error_texts.entry(text).or_default() += times;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.operations += other.operations;
        self.latencies += &other.latencies;
        self.errors += other.errors;
        self.not_found += other.not_found;
        self.last_end = self.last_end.max(other.last_end);
        for (text, times) in other.error_texts {
            self.note(text, times);
        }
    }
}
