//! Processor time, from Linux's `/proc`: of processes, and of the machine (proc(5)).
//!
//! All times are in ticks, of which there are [`ticks_per_second`]. A process's own are of all its
//! threads, also those that have ended, and exact but for rounding; the machine's are counted by
//! sampling on most kernels. So what remains for "others" is an estimate.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, bail};

#[cfg(test)]
mod tests;

/// What the machine's processors have done since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MachineTicks {
    /// Any use, also by kernel threads, and what a hypervisor gave to other machines.
    busy: u64,
    /// Busy and idle, over all processors.
    total: u64,
}

/// The clocks of some processes and the machine, read at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    at: Instant,
    machine: MachineTicks,
    servers: Vec<u64>,
    generator: u64,
    /// This process.
    own: u64,
}

/// What happened between two readings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Usage {
    pub(crate) seconds: f64,
    /// Of each server.
    pub(crate) server_cpu_seconds: Vec<f64>,
    pub(crate) generator_cpu_seconds: f64,
    /// The share of the machine, from 0 to 1, that neither the servers, the generator nor this process used.
    pub(crate) others_share: f64,
}

impl Reading {
    pub(crate) fn take(servers: &[u32], generator: u32) -> anyhow::Result<Reading> {
        Ok(Reading {
            at: Instant::now(),
            machine: machine_ticks(&read("/proc/stat")?)?,
            servers: servers
                .iter()
                .map(|id| process_ticks(&read(&format!("/proc/{id}/stat"))?))
                .collect::<anyhow::Result<_>>()?,
            generator: process_ticks(&read(&format!("/proc/{generator}/stat"))?)?,
            own: process_ticks(&read("/proc/self/stat")?)?,
        })
    }

    /// What happened since an earlier reading of the same processes.
    pub(crate) fn since(&self, earlier: &Reading, ticks_per_second: f64) -> Usage {
        let servers: Vec<u64> = self
            .servers
            .iter()
            .zip(&earlier.servers)
            .map(|(late, early)| late.saturating_sub(*early))
            .collect();
        let generator = self.generator.saturating_sub(earlier.generator);
        let own = self.own.saturating_sub(earlier.own);
        let busy = self.machine.busy.saturating_sub(earlier.machine.busy);
        let total = self.machine.total.saturating_sub(earlier.machine.total);
        let ours = servers.iter().sum::<u64>() + generator + own;
        let seconds = |ticks: u64| ticks as f64 / ticks_per_second;
        Usage {
            seconds: self.at.duration_since(earlier.at).as_secs_f64(),
            server_cpu_seconds: servers.iter().map(|ticks| seconds(*ticks)).collect(),
            generator_cpu_seconds: seconds(generator),
            others_share: busy.saturating_sub(ours) as f64 / total.max(1) as f64,
        }
    }
}

/// The unit of `/proc`, 100 on every usual Linux.
pub(crate) fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// utime + stime of `/proc/PID/stat`: fields 14 and 15. Field 2 is the program's name in parentheses,
/// which may itself hold spaces and parentheses.
fn process_ticks(stat: &str) -> anyhow::Result<u64> {
    let wrong = || format!("/proc/PID/stat is not understood: {stat:?}");
    let (_, fields) = stat.rsplit_once(')').with_context(wrong)?;
    // Field 3 is the first here.
    let mut times = fields.split_ascii_whitespace().skip(14 - 3);
    let mut next = || -> anyhow::Result<u64> {
        let field = times.next().with_context(wrong)?;
        field.parse().with_context(wrong)
    };
    Ok(next()? + next()?)
}

/// The line `cpu` of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal. What follows,
/// time given to guests, is in user and nice already.
fn machine_ticks(stat: &str) -> anyhow::Result<MachineTicks> {
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .context("/proc/stat has no line for all processors")?;
    let times: Vec<u64> = line
        .split_ascii_whitespace()
        .take(8)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("/proc/stat is not understood: {line:?}"))?;
    let [user, nice, system, idle, iowait, irq, softirq, steal] = times[..] else {
        bail!("/proc/stat has too few times: {line:?}");
    };
    let busy = user + nice + system + irq + softirq + steal;
    Ok(MachineTicks {
        busy,
        total: busy + idle + iowait,
    })
}
