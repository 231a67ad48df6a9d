//! `check perf`: whether a cluster is fast enough for a load, by etcdctl's measures.

mod pace;
mod perf;
mod verdict;

use clap::{Args, Subcommand};

use super::connect::ConnectArgs;
use super::failure::Failure;

const AFTER_HELP: &str = "\
Examples:
  quorate ctl check perf
  quorate ctl check perf --load m --auto-compact

It writes keys of 256 and values of 1024 bytes for 60 seconds, and deletes them afterwards. It passes when nine tenths
of the load's writes were done, none took longer than half a second, and their standard deviation is at most a tenth.
The exit code is 1 when it does not pass. Ctrl-C ends it early: no more is written, and what was is deleted.";

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    #[command(subcommand)]
    command: CheckCommand,
}

#[derive(Subcommand, Debug)]
enum CheckCommand {
    /// Writes at a certain rate for a minute, and says whether the cluster keeps up
    #[command(after_help = AFTER_HELP, args_override_self = true)]
    Perf(perf::PerfArgs),
}

pub(super) async fn run(args: &CheckArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    match &args.command {
        CheckCommand::Perf(args) => perf::run(args, connect).await,
    }
}
