//! The command line: puts the parts together.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod bench;
mod check;
mod colours;
mod ctl;
mod directory;
mod flags;
mod port_owner;
mod serve;
mod sim;
mod standard_output;
mod up;

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

pub(crate) use quorate_server::ETCD_VERSION as ETCD_API_VERSION;

/// The exit code for a command line or configuration that is wrong; a failure is 1.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Quorate's version and etcd's.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (etcd API {ETCD_API_VERSION})",
        env!("CARGO_PKG_VERSION")
    )
});

const EXAMPLES: &str = "\
Examples:
  quorate up                                a cluster of three on this machine
  quorate up --nodes 5 --base-port 3379     five, on other ports
  quorate serve                             one member on 127.0.0.1:2379
  quorate serve --help                      its flags, which are etcd's
  quorate ctl put hello world               write a key
  quorate bench put --clients 100           load a cluster and measure it
  quorate sim run --seeds 2000              simulated clusters in which things go wrong
  quorate check history.jsonl               judge a recorded history of clients

Exit codes: 0 done, or stopped as asked; 1 failed; 2 the command line or configuration is wrong
(`check` has one more: 3, undecided).";

/// A replicated key-value store that speaks the etcd v3 API.
#[derive(Debug, Parser)]
#[command(name = "quorate", version = VERSION.as_str(), after_help = EXAMPLES, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one member of a cluster, with etcd's flags
    // Its words are read by crate::flags, in Go's manner; clap only hands them on.
    #[command(disable_help_flag = true)]
    Serve {
        /// See `quorate serve --help`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "--FLAG=VALUE"
        )]
        words: Vec<String>,
    },
    /// Run a whole cluster on this machine, each node a process of its own
    Up(up::UpArguments),
    /// Read and write keys, and ask and change members
    Ctl(Box<ctl::CtlArgs>),
    /// Load a cluster and measure its throughput and latency
    Bench(bench::BenchArgs),
    /// Run the core in simulated worlds that replay from a seed, and the course's scenarios
    Sim(sim::SimArguments),
    /// Say whether a recorded history of clients is linearizable
    Check(check::CheckArgs),
}

/// What `--version` prints.
pub(crate) fn version_line() -> String {
    format!("quorate {}", *VERSION)
}

fn main() -> ExitCode {
    standard_output::end_quietly_when_closed();
    let done = match CommandLine::parse().command {
        Command::Serve { words } => serve::main(&words),
        Command::Up(arguments) => up::main(&arguments),
        Command::Ctl(arguments) => in_runtime(ctl::run(*arguments)),
        Command::Bench(arguments) => in_runtime(bench::run(arguments)),
        Command::Sim(arguments) => sim::main(&arguments),
        Command::Check(arguments) => check::main(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("quorate: {}", one_line(&error));
        ExitCode::FAILURE
    })
}

/// An error and its causes; a cause that has been told already, by the words of what it caused, is left out.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            let colon = if line.is_empty() { "" } else { ": " };
            line.push_str(&format!("{colon}{cause}"));
        }
    }
    line
}

fn in_runtime(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}
