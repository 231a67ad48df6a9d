//! The command line, and the defaults that depend on where this program lies.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde::Serialize;

#[cfg(test)]
mod tests;

/// Nodes of each cluster.
pub(crate) const MEMBERS: usize = 3;
/// The most connections of one load.
const CONNECTIONS_MAX: usize = 16;
/// The numbers of clients measured unless --only says otherwise.
const CLIENTS: [usize; 4] = [1, 10, 100, 1000];

const HELP: &str = "\
Examples:
  cargo build --release
  cargo run --release -p vs-etcd -- --markdown
  cargo run --release -p vs-etcd -- --only put:100,get:100 --rounds 2 --seconds 1
  cargo run --release -p vs-etcd -- --only txn:100,range:10,keep-alive:100,watch:100,watch:1000
  cargo run --release -p vs-etcd -- --rounds 3 million
  cargo run --release -p vs-etcd -- --rounds 5 failover --kills 4

Exit codes: 0 measured; 1 a server or the generator failed, or operations did; 2 wrong flags; 130 interrupted.";

/// Measure three nodes of Quorate beside three of etcd, by turns, with one load generator.
#[derive(Debug, Parser)]
#[command(name = "vs-etcd", after_help = HELP)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) workload: Option<Workload>,
    /// Quorate's binary, server and load generator both [default: target/release/quorate, beside this program]
    #[arg(long, value_name = "PATH")]
    quorate: Option<PathBuf>,
    /// etcd's binary
    #[arg(long, value_name = "PATH", default_value = "etcd")]
    pub(crate) etcd: PathBuf,
    /// Where the clusters keep their data while they run; must be on a disk [default: target/vs-etcd]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Rounds; in each, every cell is measured once on both
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Length of each measured window
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Load before each window opens; at least 0.5, so that it hides the generator's own start
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub(crate) warmup_seconds: f64,
    /// Keys written beforehand for reads
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) keys: u64,
    /// Cells to measure, as put:100,get:100; the kinds are put, get, txn, range (of 1,000 keys), keep-alive and watch
    /// (so many watchers) [default: put and get, with 1, 10, 100 and 1000 clients]
    #[arg(long, value_name = "KIND:CLIENTS,…", value_delimiter = ',')]
    only: Vec<Cell>,
    /// Print one JSON object, with every run
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the section for bench/README.md
    #[arg(long)]
    markdown: bool,
    /// Write the JSON object to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
}

/// How the result is printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Markdown,
    Json,
}

/// What is measured instead of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Workload {
    /// Memory of each node with many keys, and the time that a restart takes
    Million {
        /// Keys of 8 bytes with values of 256
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
        store_keys: u64,
    },
    /// How long no write is answered after `kill -9` of the leader
    Failover {
        /// Kills of each cluster, in each round
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
        kills: u32,
    },
}

/// What one operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Put,
    Get,
    Txn,
    Range,
    KeepAlive,
    Watch,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Put,
        Kind::Get,
        Kind::Txn,
        Kind::Range,
        Kind::KeepAlive,
        Kind::Watch,
    ];

    /// Whether keys must be there beforehand.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Kind::Get | Kind::Range)
    }

    /// Also the generator's name for it.
    fn name(self) -> &'static str {
        match self {
            Kind::Put => "put",
            Kind::Get => "get",
            Kind::Txn => "txn",
            Kind::Range => "range",
            Kind::KeepAlive => "keep-alive",
            Kind::Watch => "watch",
        }
    }
}

/// A load: an operation, and how many clients do it, each with one request outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) clients: usize,
}

impl Arguments {
    pub(crate) fn cells(&self) -> Vec<Cell> {
        if !self.only.is_empty() {
            return self.only.clone();
        }
        [Kind::Put, Kind::Get]
            .into_iter()
            .flat_map(|kind| CLIENTS.map(|clients| Cell { kind, clients }))
            .collect()
    }

    pub(crate) fn form(&self) -> Form {
        match (self.json, self.markdown) {
            (true, _) => Form::Json,
            (_, true) => Form::Markdown,
            _ => Form::Text,
        }
    }

    pub(crate) fn quorate(&self) -> anyhow::Result<PathBuf> {
        match &self.quorate {
            Some(path) => Ok(path.clone()),
            // Never the debug build, even if this program is one: its speed says nothing.
            None => Ok(target()?.join("release").join("quorate")),
        }
    }

    pub(crate) fn data_dir(&self) -> anyhow::Result<PathBuf> {
        match &self.data_dir {
            Some(path) => Ok(path.clone()),
            None => Ok(target()?.join("vs-etcd")),
        }
    }
}

/// Cargo's target directory, two above this program.
fn target() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("cannot find this program's own path")?;
    let target = own.parent().and_then(|profile| profile.parent());
    target.map(ToOwned::to_owned).with_context(|| {
        format!(
            "{} is not in a target directory; name --quorate and --data-dir",
            own.display()
        )
    })
}

impl Cell {
    /// A multiple of the members, so that each has as many; not more than the clients need.
    pub(crate) fn connections(self) -> usize {
        let most = self.clients.clamp(MEMBERS, CONNECTIONS_MAX);
        most - most % MEMBERS
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Cell, String> {
        let wrong = || format!("{text:?} is not of the form put:100 or get:100");
        let (kind, clients) = text.split_once(':').ok_or_else(wrong)?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind);
        let kind = kind.ok_or_else(wrong)?;
        match clients.parse() {
            Ok(clients) if (1..=100_000).contains(&clients) => Ok(Cell { kind, clients }),
            Ok(_) => Err(format!("{text:?}: clients must be from 1 to 100000")),
            Err(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.kind, self.clients)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.5..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number of seconds from 0.5 to 3600".to_owned()),
    }
}
