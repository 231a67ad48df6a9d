//! Memory of each node with a million keys, and how long a restart with them takes.
//!
//! Keys of 8 bytes and values of 256 are written in order through the load generator, over all members. When the nodes
//! have been quiet for a moment their resident memory is read (`VmRSS` of `/proc/PID/status`), with the most that it has
//! been (`VmHWM`). Then all members are stopped in good order, their data synced, and started again together: the restart
//! lasts from before the first process is started until a linearizable read of the last key has been answered by
//! whichever member answers first. What is in the page cache stays there, for both.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clients;
use crate::cluster::{Cluster, READY_DEADLINE};
use crate::measure::{Bench, System, rounded};
use crate::samples::{Quantity, Samples};
use crate::{generator, interrupt, rounds};

/// After the last write, and after a restart: compactions and collections of garbage settle.
const QUIET: Duration = Duration::from_secs(5);
/// Between two tries at a read, of each member.
const PAUSE: Duration = Duration::from_millis(2);
const MIB: f64 = 1024.0;

const QUANTITIES: [Quantity; 5] = [
    Quantity::less_is_better("memory, greatest node, MiB"),
    Quantity::less_is_better("most it has been, MiB"),
    Quantity::less_is_better("after a restart, MiB"),
    Quantity::less_is_better("restart, s"),
    Quantity::less_is_better("writing the keys, s"),
];

/// Measures both systems, by turns.
pub(crate) fn run(bench: &Bench, keys: u64, rounds: u32) -> anyhow::Result<Samples> {
    let mut samples = Samples::new(format!("{keys} keys of 8 + 256 bytes"), &QUANTITIES);
    for round in 1..=rounds {
        for system in rounds::order(round, 0) {
            eprintln!("round {round} of {rounds}, {keys} keys, {system}");
            let values = measure(bench, system, keys)?;
            for (quantity, value) in values.into_iter().enumerate() {
                eprintln!("  {}: {value}", QUANTITIES[quantity].name);
                samples.add(quantity, system, round, value);
            }
        }
    }
    Ok(samples)
}

fn measure(bench: &Bench, system: System, keys: u64) -> anyhow::Result<[f64; QUANTITIES.len()]> {
    let mut cluster = bench.found(system)?;
    let log = cluster.directory().join("generator.log");
    let start = Instant::now();
    generator::preload(&bench.quorate, &cluster.endpoints(), keys, &log)?;
    let writing = start.elapsed().as_secs_f64();
    interrupt::pause(QUIET)?;
    cluster.check_running()?;
    let (resident, most) = (greatest(&cluster, "VmRSS")?, greatest(&cluster, "VmHWM")?);
    cluster.stop()?;
    let restart = restart(&mut cluster, keys)?;
    cluster.wait_ready()?;
    interrupt::pause(QUIET)?;
    let after = greatest(&cluster, "VmRSS")?;
    cluster.remove()?;
    Ok([resident, most, after, restart, writing].map(rounded))
}

/// Seconds until the first linearizable read is answered, by whichever member.
fn restart(cluster: &mut Cluster, keys: u64) -> anyhow::Result<f64> {
    let last = format!("{:08}", keys - 1);
    let endpoints = cluster.endpoint_list();
    let runtime = clients::runtime()?;
    let start = Instant::now();
    cluster.start_nodes()?;
    let answered = runtime.block_on(async {
        let mut readers = JoinSet::new();
        for connection in clients::connect(&endpoints)? {
            let key = last.clone();
            readers.spawn(async move {
                loop {
                    match clients::read(&connection, key.as_bytes()).await {
                        Ok(is_there) => return is_there,
                        Err(_) => sleep(PAUSE).await,
                    }
                }
            });
        }
        let first = tokio::time::timeout(READY_DEADLINE, readers.join_next()).await;
        let first = first.context("no read is answered after a restart")?;
        anyhow::Ok((start.elapsed(), first.context("there are members")??))
    });
    let (elapsed, is_there) = answered?;
    if !is_there {
        bail!("the last key is gone after a restart");
    }
    Ok(elapsed.as_secs_f64())
}

/// Of all nodes, in MiB.
fn greatest(cluster: &Cluster, field: &str) -> anyhow::Result<f64> {
    let mut greatest: f64 = 0.0;
    for id in cluster.process_ids() {
        let path = format!("/proc/{id}/status");
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let kib = kib_of(&status, field).with_context(|| format!("{path} has no {field}"))?;
        greatest = greatest.max(kib / MIB);
    }
    Ok(greatest)
}

fn kib_of(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == field).then_some(value)
    })?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kib() {
        let status = "Name:\tetcd\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\n";
        assert_eq!(kib_of(status, "VmRSS"), Some(102_400.0));
        assert_eq!(kib_of(status, "VmSwap"), None);
    }
}
