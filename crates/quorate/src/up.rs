//! `quorate up`: a whole cluster on this machine, for trying it out and for tests.
//!
//! Each node is a process of its own (`quorate serve …`) with its own directory, log file and ports;
//! nothing is special about it. This process starts them, watches them and stops them:
//!
//! - it is told of a death by SIGCHLD, at once, and who leads by asking each node's `/quorate/status`;
//! - nodes are in process groups of their own, so that Ctrl-C reaches this process alone, which then
//!   stops them in order (SIGTERM, after a while SIGKILL);
//! - nodes are tied to this process (`--exit-with-parent`), so that none outlives it. The kernel ties
//!   them to the *thread* that started them, which is why all of this runs on the main thread.
//!
//! [`plan`] decides names, ports and directories; [`leadership`] and [`restarts`] judge what is seen;
//! [`supervisor`] does it; [`report`] tells it.

mod leadership;
mod log_tail;
mod plan;
mod report;
mod restarts;
mod status;
mod supervisor;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use report::Reporter;
use supervisor::{Launch, Supervisor};

/// The command line of `quorate up`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quorate up                           three nodes; clients at 127.0.0.1:2379, :2381, :2383
  quorate up --nodes 1 --base-port 4000
  quorate up --restart                 nodes that die are brought back
  quorate up --json                    one JSON object per line, for scripts

Stop it with Ctrl-C. Run it again, and it finds its data.")]
pub(crate) struct UpArguments {
    /// How many nodes: from 1 to 9 [default: 3, or what the data directory has]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(plan::NODES_MAX)))]
    nodes: Option<u16>,
    /// Where the nodes keep their data and logs
    #[arg(long, default_value = "up.quorate", value_name = "DIR", value_parser = directory)]
    data_dir: PathBuf,
    /// The first client port; node by node, client and peer ports follow [default: 2379]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    base_port: Option<u16>,
    /// Bring nodes back that die
    #[arg(long)]
    restart: bool,
    /// Tell what happens as JSON, one object per line
    #[arg(long)]
    json: bool,
}

/// A path that is text: the nodes are told theirs in flags, which are.
fn directory(text: &str) -> Result<PathBuf, Infallible> {
    Ok(PathBuf::from(text))
}

/// Runs `quorate up` until it is stopped.
pub(crate) fn main(arguments: &UpArguments) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let directory = &arguments.data_dir;
    let mut plan = plan::look(directory, arguments.nodes, arguments.base_port)?;
    // Nothing is made for a cluster that cannot start; but in a directory that is there another `up`
    // may run, and that is the better answer.
    let is_new = !directory.exists();
    if is_new {
        plan.check_ports()?;
    }
    let _lock = plan::lock(directory)?;
    if !is_new {
        plan.check_ports()?;
    }
    plan.found()?;
    let launch = Launch {
        program,
        first_words: vec![OsString::from("serve")],
    };
    let reporter = if arguments.json {
        Reporter::json()
    } else {
        Reporter::text()
    };
    let supervisor = Supervisor::new(plan, launch, arguments.restart, reporter);
    // One thread: see the essay above.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (stop, stops) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if stop.send(()).await.is_err() {
                    return;
                }
            }
        });
        supervisor.run(stops).await
    })?;
    Ok(ExitCode::SUCCESS)
}
