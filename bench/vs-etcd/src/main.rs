//! Three nodes of Quorate beside three of etcd, driven by turns with one load generator.
//!
//! What is compared is a ratio: the same load, on the same machine, minutes apart at most. So each run
//! of a cell (an operation and a number of clients) on one server is followed at once by the same on the
//! other, who goes first changes from round to round, and the ratio is taken pair by pair. Only one
//! cluster exists at a time, freshly founded for its run on synced disks: what the other left behind,
//! be it heartbeats, dirty pages or a grown store, is nobody's handicap.
//!
//! `bench/README.md` says what each number means.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod arguments;
mod child;
mod clients;
mod cluster;
mod failover;
mod generator;
mod health;
mod interrupt;
mod machine;
mod measure;
mod memory;
mod ports;
mod proc_stat;
mod ratio;
mod report;
mod rounds;
mod samples;
mod storage;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::Parser as _;

use arguments::{Arguments, Workload};
use measure::Bench;
use report::{Report, Versions};
use samples::Comparison;

/// With more than this share of the machine used by others, it was not quiet. The kernel's own work for
/// the servers' disks counts among the others and is a few hundredths.
const OTHERS_SHARE_QUIET: f64 = 0.1;

fn main() -> ExitCode {
    if let Some(refusal) = child::become_program_if_asked() {
        eprintln!("Error: {refusal:#}");
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) if error.is::<interrupt::Interrupted>() => {
            eprintln!("{error}");
            ExitCode::from(interrupt::EXIT_CODE)
        }
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let quorate = arguments.quorate()?;
    let versions = Versions {
        quorate: version_of(&quorate).with_context(|| {
            format!(
                "cannot run {}; build it with `cargo build --release`, or name another with --quorate",
                quorate.display()
            )
        })?,
        etcd: version_of(&arguments.etcd).with_context(|| {
            format!(
                "cannot run {}; install Debian's etcd-server, or name another with --etcd",
                arguments.etcd.display()
            )
        })?,
    };
    interrupt::watch()?;
    let storage = storage::prepare(&arguments.data_dir()?)?;
    eprintln!(
        "data on {}, fdatasync of 4 KiB {} µs in the median",
        storage.description.filesystem, storage.description.fdatasync_us_median
    );
    if let Some(warning) = storage.description.warning() {
        eprintln!("Warning: {warning}");
    }
    let bench = Bench {
        quorate,
        etcd: arguments.etcd.clone(),
        directory: storage.directory().to_owned(),
        seconds: arguments.seconds,
        warmup_seconds: arguments.warmup_seconds,
        keys: arguments.keys,
    };
    if let Some(workload) = arguments.workload {
        let samples = match workload {
            Workload::Million { store_keys } => memory::run(&bench, store_keys, arguments.rounds)?,
            Workload::Failover { kills } => failover::run(&bench, kills, arguments.rounds)?,
        };
        let comparison = Comparison::new(versions, &storage.description, samples);
        comparison.print(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    let pairs = rounds::run(&bench, &arguments.cells(), arguments.rounds)?;
    let report = Report::new(arguments, &bench, versions, &storage.description, &pairs);
    report.print(arguments)?;
    if report.others_share() > OTHERS_SHARE_QUIET {
        eprintln!(
            "Warning: others used up to {:.0} % of the machine; measure again when it is quiet",
            report.others_share() * 100.0
        );
    }
    Ok(if report.failed_operations() == 0 {
        ExitCode::SUCCESS
    } else {
        eprintln!("Error: some operations failed; the numbers of those runs are not to be trusted");
        ExitCode::FAILURE
    })
}

/// The first line of `--version`, without the program's name.
fn version_of(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output()?;
    if !output.status.success() {
        bail!("`--version` ended with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    let version = line.trim_start_matches(|c: char| !c.is_ascii_digit());
    if version.is_empty() {
        bail!("`--version` answers {line:?}, which has no number");
    }
    Ok(version.to_owned())
}
