//! The flags, checked and with their defaults filled in.

use std::num::NonZero;
use std::time::Duration;

use quorate_client::{Endpoint, Options};

use super::heard::STAMP_BYTES;
use super::{BenchArgs, Kind};

/// More connections than this are not opened unless asked for: beyond a few a core they only cost.
const CONNECTIONS_DEFAULT_MAX: usize = 16;
/// Every client holds a histogram of some 50 KiB.
const CLIENTS_MAX: usize = 100_000;
const CONNECTIONS_MAX: usize = 10_000;
const THREADS_MAX: usize = 1_024;
/// As many as Kubernetes lists at once, twice over.
const RANGE_KEYS: u64 = 1_000;
const WATCHERS_PER_STREAM: usize = 100;
/// No server takes more in one request (gRPC's messages end at 2 GiB, etcd's at 1.5 MiB by default).
const VALUE_BYTES_MAX: usize = 512 << 20;
const KEY_BYTES_MAX: usize = 1 << 20;
/// A day; also keeps the sums of durations far from overflow.
const SECONDS_MAX: f64 = 86_400.0;

/// When the measured window closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Length {
    Operations(u64),
    Time(Duration),
}

/// A load that can be run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) options: Options,
    pub(super) clients: usize,
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) length: Length,
    pub(super) warmup: Duration,
    pub(super) key_size: usize,
    pub(super) value_size: usize,
    pub(super) key_space: u64,
    pub(super) sequential: bool,
    pub(super) seed: u64,
    pub(super) preload: u64,
    pub(super) serializable: bool,
    pub(super) read_percent: u8,
    pub(super) range_keys: u64,
    pub(super) watchers_per_stream: usize,
    pub(super) timeout: Duration,
    pub(super) progress_lines: bool,
}

impl Plan {
    /// Says in one line what does not fit.
    pub(super) fn new(args: &BenchArgs) -> Result<Self, String> {
        let endpoints: Vec<Endpoint> = args
            .endpoints
            .iter()
            .map(|text| {
                text.parse()
                    .map_err(|error: quorate_client::Error| error.to_string())
            })
            .collect::<Result<_, _>>()?;
        within("--clients", args.clients, 1, CLIENTS_MAX)?;
        let connections = args.connections.unwrap_or_else(|| {
            args.clients
                .min(CONNECTIONS_DEFAULT_MAX)
                .max(endpoints.len())
        });
        within("--connections", connections, 1, CONNECTIONS_MAX)?;
        let watchers_per_stream = args.watchers_per_stream.unwrap_or(WATCHERS_PER_STREAM);
        within("--watchers-per-stream", watchers_per_stream, 1, CLIENTS_MAX)?;
        let connections = match args.kind {
            // One more is the writer's.
            Kind::Watch => connections.min(args.clients.div_ceil(watchers_per_stream)),
            _ => connections,
        };
        let lanes = connections.min(args.clients);
        let threads = match args.kind {
            Kind::Watch => 1,
            _ => args.threads.unwrap_or_else(threads_default).min(lanes),
        };
        within("--threads", threads, 1, THREADS_MAX)?;
        within("--key-size", args.key_size, 1, KEY_BYTES_MAX)?;
        within("--value-size", args.value_size, 0, VALUE_BYTES_MAX)?;
        within("--key-space", args.key_space, 1, u64::MAX)?;
        check_keys(args)?;
        if args.kind != Kind::Mixed && args.read_percent.is_some() {
            return Err("--read-percent is for the kind mixed".to_owned());
        }
        let read_percent = match args.kind {
            Kind::Get | Kind::Range => 100,
            Kind::Put | Kind::Txn | Kind::KeepAlive | Kind::Watch => 0,
            Kind::Mixed => args.read_percent.unwrap_or(50),
        };
        within("--read-percent", read_percent, 0, 100)?;
        if args.kind == Kind::Watch {
            within(
                "--value-size",
                args.value_size,
                STAMP_BYTES,
                VALUE_BYTES_MAX,
            )?;
        } else if args.watchers_per_stream.is_some() {
            return Err("--watchers-per-stream is for the kind watch".to_owned());
        }
        if args.kind == Kind::Watch && args.total.is_some() {
            return Err("the kind watch is measured by --seconds, not by --total".to_owned());
        }
        let length = match (args.total, args.seconds) {
            (Some(total), _) => Length::Operations(within("--total", total, 1, u64::MAX)?),
            (None, seconds) => Length::Time(duration("--seconds", seconds.unwrap_or(10.0), 0.001)?),
        };
        Ok(Self {
            kind: args.kind,
            endpoints,
            options: Options::default(),
            clients: args.clients,
            connections,
            threads,
            length,
            warmup: duration("--warmup-seconds", args.warmup_seconds, 0.0)?,
            key_size: args.key_size,
            value_size: args.value_size,
            key_space: args.key_space,
            sequential: args.sequential,
            seed: args.seed,
            preload: args.preload,
            serializable: args.serializable,
            read_percent,
            range_keys: range_keys(args)?,
            watchers_per_stream,
            timeout: duration("--timeout-seconds", args.timeout_seconds, 0.001)?,
            progress_lines: args.progress_lines,
        })
    }

    /// Clients and connections meet in lanes: of many clients and one connection, or, when there are more connections
    /// than clients, of one client that takes several connections in turn.
    pub(super) fn lanes(&self) -> usize {
        self.clients.min(self.connections)
    }

    pub(super) fn connections_of(&self, lane: usize) -> impl Iterator<Item = usize> {
        (lane..self.connections).step_by(self.lanes())
    }

    pub(super) fn clients_of(&self, lane: usize) -> impl Iterator<Item = usize> {
        (lane..self.clients).step_by(self.lanes())
    }
}

/// Half of the cores: the rest is for what is measured, when it runs on the same machine.
fn threads_default() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    (cores / 2).max(1)
}

/// Keys are decimal numbers of `key_size` digits: there must be enough of them.
fn check_keys(args: &BenchArgs) -> Result<(), String> {
    let digits = usize::try_from((args.key_space - 1).max(1).ilog10() + 1)
        .map_err(|error| error.to_string())?;
    if digits > args.key_size {
        return Err(format!(
            "--key-space {} needs keys of {digits} bytes, but --key-size is {}",
            args.key_space, args.key_size
        ));
    }
    if args.preload > args.key_space {
        return Err(format!(
            "--preload {} is more than --key-space {}",
            args.preload, args.key_space
        ));
    }
    Ok(())
}

/// How many keys one read takes in: there must be as many.
fn range_keys(args: &BenchArgs) -> Result<u64, String> {
    if args.kind != Kind::Range {
        return match args.range_keys {
            Some(_) => Err("--range-keys is for the kind range".to_owned()),
            None => Ok(1),
        };
    }
    let there = if args.preload > 0 {
        args.preload
    } else {
        args.key_space
    };
    within(
        "--range-keys",
        args.range_keys.unwrap_or(RANGE_KEYS),
        1,
        there,
    )
}

fn within<T: Copy + PartialOrd + std::fmt::Display>(
    flag: &str,
    value: T,
    least: T,
    most: T,
) -> Result<T, String> {
    if value < least || value > most {
        return Err(format!(
            "{flag} must be from {least} to {most}, not {value}"
        ));
    }
    Ok(value)
}

fn duration(flag: &str, seconds: f64, least: f64) -> Result<Duration, String> {
    if !seconds.is_finite() {
        return Err(format!("{flag} must be a number of seconds"));
    }
    within(flag, seconds, least, SECONDS_MAX).map(Duration::from_secs_f64)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
