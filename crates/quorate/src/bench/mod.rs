//! `quorate bench`: a load generator for any server of the etcd v3 API.
//!
//! It is a closed loop: each of N clients has one request outstanding and sends the next when the answer is there, so
//! throughput and latency are two views of one thing. What is counted is every operation that **completes** inside
//! the measured window, which opens after a warm-up; so neither connecting nor the filling of caches is in the
//! numbers, and no operation is counted whose answer came too late. Times are taken around the whole call, as a user
//! would see it.
//!
//! The generator shares the machine with what it measures, as often as not. So it does little for each operation: values
//! are slices of one block made beforehand, keys are counted or drawn from a small generator, and latencies go
//! into a histogram that each client owns.

mod fan_out;
mod heard;
mod load;
mod plan;
mod progress;
mod report;
mod workload;

use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueEnum};
use serde::Serialize;

use plan::Plan;

const AFTER_HELP: &str = "\
Examples:
  quorate bench put --clients 100 --connections 16 --seconds 10 \\
      --endpoints 127.0.0.1:2379,127.0.0.1:2381,127.0.0.1:2383
  quorate bench get --preload 100000 --clients 100 --total 200000
  quorate bench mixed --read-percent 90 --preload 10000 --json
  quorate bench txn --clients 1
  quorate bench range --preload 10000 --range-keys 1000
  quorate bench keep-alive --clients 100
  quorate bench watch --clients 1000 --watchers-per-stream 100

It overwrites the keys 00000000, 00000001, … up to --key-space and leaves them there: load a cluster
whose data you can do without.

Exit codes:
  0  measured, even if some operations failed (the report says how many)
  1  no operation succeeded, or an endpoint could not be reached
  2  wrong flags";

/// Loads a cluster and measures throughput and latency.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, group(ArgGroup::new("length").args(["total", "seconds"])),
    group(ArgGroup::new("consistency").args(["linearizable", "serializable"])))]
pub(crate) struct BenchArgs {
    /// What each operation does: put, get, txn (a compare that holds and a write), mixed (reads and writes), range
    /// (many keys at once), keep-alive (renews a lease) or watch (hears of a write)
    #[arg(hide_possible_values = true)]
    kind: Kind,
    /// gRPC endpoints, separated by commas; connections are spread evenly over them
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "127.0.0.1:2379",
        env = "ETCDCTL_ENDPOINTS",
        hide_env_values = true
    )]
    endpoints: Vec<String>,
    /// Clients, each with one request outstanding; of the kind watch: watchers
    #[arg(long, default_value_t = 10)]
    clients: usize,
    /// HTTP/2 connections [default: one per client, at least one per endpoint, at most 16]
    #[arg(long)]
    connections: Option<usize>,
    /// Threads of the generator [default: half of the cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Measure until so many operations have completed
    #[arg(long)]
    total: Option<u64>,
    /// Measure for so long [default: 10]
    #[arg(long)]
    seconds: Option<f64>,
    /// Load before the measured window opens
    #[arg(long, default_value_t = 1.0)]
    warmup_seconds: f64,
    /// Length of a key in bytes
    #[arg(long, default_value_t = 8)]
    key_size: usize,
    /// Length of a value in bytes
    #[arg(long, default_value_t = 256)]
    value_size: usize,
    /// How many different keys there are
    #[arg(long, default_value_t = 100_000)]
    key_space: u64,
    /// Take the keys in order rather than at random
    #[arg(long)]
    sequential: bool,
    /// Where the random keys begin: the same seed, the same keys
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the first K keys before the load begins; reads then keep to them
    #[arg(long, value_name = "K", default_value_t = 0)]
    preload: u64,
    /// Reads see every write acknowledged before them (the default)
    #[arg(long)]
    linearizable: bool,
    /// Reads are answered by the member asked, as of what it knows
    #[arg(long)]
    serializable: bool,
    /// Share of reads (kind mixed) [default: 50]
    #[arg(long)]
    read_percent: Option<u8>,
    /// Keys that one operation reads (kind range) [default: 1000]
    #[arg(long)]
    range_keys: Option<u64>,
    /// Watchers that share a stream (kind watch) [default: 100]
    #[arg(long)]
    watchers_per_stream: Option<usize>,
    /// Longest wait for one operation; then it counts as an error
    #[arg(long, default_value_t = 10.0)]
    timeout_seconds: f64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// Without a terminal: print a line each second on standard error
    #[arg(long)]
    progress_lines: bool,
}

/// What an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Write a key
    Put,
    /// Read a key
    Get,
    /// One compare that holds, and one write
    Txn,
    /// Reads and writes
    Mixed,
    /// Read many keys that follow one another
    Range,
    /// Renew a lease of the client's own, on a stream of the client's own
    KeepAlive,
    /// Hear of a write, while one client writes as fast as it is answered
    Watch,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        formatter.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// Measures, and prints the result on standard output.
///
/// # Errors
/// Flags that do not fit together; an endpoint that cannot be reached; keys that cannot be written beforehand.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let plan = match Plan::new(&args) {
        Ok(plan) => plan,
        Err(reason) => {
            eprintln!("quorate bench: {reason}");
            return Ok(ExitCode::from(2));
        }
    };
    let outcome = match plan.kind {
        Kind::Watch => fan_out::run(&plan).await?,
        _ => load::run(&plan).await?,
    };
    let report = report::Report::new(&plan, &outcome);
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    report.print_errors();
    if report.operations == 0 {
        Ok(ExitCode::from(1))
    } else {
        Ok(ExitCode::SUCCESS)
    }
}
