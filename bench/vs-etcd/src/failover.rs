//! How long no write is answered after `kill -9` of the leader.
//!
//! Each of the two members that stay is sent a write every 10 ms, whether or not earlier ones have been answered, and the
//! second one's writes lie half way between the first one's: so one leaves every 5 ms, and none waits for another. The
//! gap lasts from just before the kill to the answer of the first write that was sent after it, by whichever member: a
//! write that a member keeps until there is a leader counts when it is answered. The moment of the kill is moved from
//! one kill to the next, so that it does not keep step with heartbeats. Then the killed member is started with its data,
//! and the next kill waits until all agree on a leader and have applied as much.

use std::time::Duration;

use anyhow::Context as _;
use quorate_client::Connection;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::arguments::MEMBERS;
use crate::cluster::{Cluster, READY_DEADLINE};
use crate::measure::{Bench, System, rounded};
use crate::samples::{Quantity, Samples};
use crate::{clients, interrupt, rounds};

/// Between two writes to one member.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);
/// A gap that lasts longer is an error, not a number.
const GAP_MAX: Duration = Duration::from_secs(30);
/// Before each kill, of quiet; and so much more from one kill to the next, modulo the heartbeat's interval.
const SETTLE: Duration = Duration::from_millis(1_000);
const SHIFT_MS: u64 = 37;
const HEARTBEAT_MS: u64 = 100;

const QUANTITIES: [Quantity; 1] = [Quantity::less_is_better("gap, ms")];

/// Measures both systems, by turns.
pub(crate) fn run(bench: &Bench, kills: u32, rounds: u32) -> anyhow::Result<Samples> {
    let title = format!(
        "kill -9 of the leader, {} kills of each at an election timeout of 1000 ms",
        u64::from(kills) * u64::from(rounds)
    );
    let mut samples = Samples::new(title, &QUANTITIES);
    for round in 1..=rounds {
        for system in rounds::order(round, 0) {
            eprintln!("round {round} of {rounds}, {kills} kills, {system}");
            let mut cluster = bench.found(system)?;
            for kill in 0..kills {
                let shift = u64::from(round * kills + kill) * SHIFT_MS % HEARTBEAT_MS;
                interrupt::pause(SETTLE + Duration::from_millis(shift))?;
                let gap = gap(&mut cluster, system)?;
                eprintln!("  gap {:.0} ms", gap.as_secs_f64() * 1e3);
                samples.add(0, system, round, rounded(gap.as_secs_f64() * 1e3));
            }
            cluster.remove()?;
        }
    }
    Ok(samples)
}

/// Kills the leader, measures, and makes the cluster whole.
fn gap(cluster: &mut Cluster, system: System) -> anyhow::Result<Duration> {
    let runtime = clients::runtime()?;
    let endpoints = cluster.endpoint_list();
    let (leader, gap) = runtime.block_on(async {
        let connections = clients::connect(&endpoints)?;
        let leader = clients::leader(&connections, READY_DEADLINE).await?;
        let others: Vec<Connection> = (0..MEMBERS)
            .filter(|member| *member != leader)
            .map(|member| connections[member].clone())
            .collect();
        // Connected, and known to serve, before it counts.
        for other in &others {
            clients::write(other, "before").await?;
        }
        let killed = Instant::now();
        cluster.kill(leader);
        let answered = first_answer(&others).await;
        let answered = answered.with_context(|| format!("{system} after its leader was killed"))?;
        anyhow::Ok((leader, answered - killed))
    })?;
    cluster.revive(leader)?;
    Ok(gap)
}

/// When the first of many writes was answered.
async fn first_answer(members: &[Connection]) -> anyhow::Result<Instant> {
    let (told, mut answers) = mpsc::unbounded_channel();
    let mut probers = JoinSet::new();
    let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
    for (index, member) in (0_u32..).zip(members) {
        let start = Instant::now() + PROBE_INTERVAL * index / count;
        probers.spawn(probe(member.clone(), start, told.clone()));
    }
    drop(told);
    let first = timeout(GAP_MAX, answers.recv()).await;
    let first = first.with_context(|| format!("no write is answered within {GAP_MAX:?}"))?;
    first.context("nobody probes")
}

/// Writes at fixed times, and tells when each that went well was answered. Dropped with all its writes.
async fn probe(member: Connection, start: Instant, told: mpsc::UnboundedSender<Instant>) {
    let mut ticks = interval_at(start, PROBE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut writes = JoinSet::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let member = member.clone();
                let told = told.clone();
                writes.spawn(async move {
                    if clients::write(&member, "probe").await.is_ok() {
                        // Whoever does not listen any more has heard of an earlier one.
                        let _ = told.send(Instant::now());
                    }
                });
            }
            Some(_) = writes.join_next() => {}
        }
    }
}
