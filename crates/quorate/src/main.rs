//! The command line: puts the parts together.
#![forbid(unsafe_code)]

mod bench;
mod ctl;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A replicated key-value store that speaks the etcd v3 API.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reads and writes keys, and asks members how they are
    Ctl(Box<ctl::CtlArgs>),
    /// Loads a cluster and measures throughput and latency
    Bench(bench::BenchArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match CommandLine::parse().command {
        Command::Ctl(args) => ctl::run(*args).await,
        Command::Bench(args) => bench::run(args).await,
    }
}
