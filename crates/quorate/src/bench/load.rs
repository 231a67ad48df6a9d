//! The clients at work, and the window in which they are counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use quorate_client::{Connection, Error};
use tokio::task::JoinSet;

use super::plan::{Length, Plan};
use super::progress::Progress;
use super::workload::{Done, Random, Workload};

/// Different texts of errors that are kept for the report.
const ERROR_TEXTS_MAX: usize = 10;
/// A client whose operation failed waits so long, so that a dead server is not hammered.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);
/// Writes outstanding while keys are written beforehand.
const PRELOAD_CLIENTS: u64 = 64;
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
struct Tally {
    operations: u64,
    latencies: Histogram<u64>,
    errors: u64,
    not_found: u64,
    error_texts: BTreeMap<String, u64>,
    last_end: Option<Instant>,
}

/// Connects, writes keys beforehand if asked to, loads and measures.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let connections = connect(plan).await?;
    let workload = Workload::new(plan);
    preload(plan, &connections, &workload).await?;

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
    let mut clients = JoinSet::new();
    for client in 0..plan.clients {
        let own: Vec<Connection> = plan
            .connections_of(client)
            .map(|index| connections[index].clone())
            .collect();
        let random = Random::new(plan.seed.wrapping_add((client as u64 + 1) << 32));
        clients.spawn(client_loop(Arc::clone(&shared), own, random));
    }
    let watching = watch(plan, &shared);
    let (tallies, cpu) = tokio::join!(clients.join_all(), watching);
    Ok(shared.outcome(tallies, cpu))
}

async fn connect(plan: &Plan) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(plan.connections);
    for index in 0..plan.connections {
        let endpoint = &plan.endpoints[index % plan.endpoints.len()];
        connections.push(
            Connection::open(endpoint, &plan.options)
                .await
                .context("cannot reach an endpoint")?,
        );
    }
    Ok(connections)
}

async fn preload(
    plan: &Plan,
    connections: &[Connection],
    workload: &Arc<Workload>,
) -> anyhow::Result<()> {
    let progress = Progress::preload(plan);
    let next = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..PRELOAD_CLIENTS.min(plan.preload) {
        let index = usize::try_from(writer).unwrap_or(0) % connections.len();
        let (connection, workload) = (connections[index].clone(), Arc::clone(workload));
        let (next, count, timeout) = (Arc::clone(&next), plan.preload, plan.timeout);
        let mut random = Random::new(plan.seed ^ writer);
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
    let mut connections = connections.iter().cycle();
    while !shared.stop.load(Ordering::Relaxed) {
        let connection = connections
            .next()
            .expect("every client has at least one connection");
        let start = Instant::now();
        let operation = shared.workload.operation(connection, &mut random);
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
async fn watch(plan: &Plan, shared: &Shared) -> Duration {
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

fn process_cpu() -> Duration {
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
        Outcome {
            operations: total.operations,
            elapsed: end.duration_since(self.opens),
            latencies: total.latencies,
            errors: total.errors,
            not_found: total.not_found,
            error_texts: total.error_texts,
            cpu,
        }
    }
}

impl Tally {
    fn new() -> Self {
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

    fn note(&mut self, text: String, times: u64) {
        if self.error_texts.len() < ERROR_TEXTS_MAX || self.error_texts.contains_key(&text) {
            *self.error_texts.entry(text).or_default() += times;
        }
    }

    fn merge(&mut self, other: Self) {
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
