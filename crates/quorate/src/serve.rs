//! `quorate serve`: one member, in the foreground, until a signal stops it.
//!
//! Flags become [`ServeSettings`] (pure, in [`settings`]); then, in this order: the tie to the parent
//! process, the log, the data directory and its lock, the server. What can be refused is refused
//! before anything is written.

mod data_dir;
mod logging;
mod parent;
mod settings;
mod urls;

use std::process::ExitCode;

use anyhow::Context as _;

pub(crate) use data_dir::DataDir;
pub(crate) use settings::ServeSettings;

use crate::flags::{self, Asked};
use crate::{EXIT_USAGE, version_line};

/// Runs `quorate serve` with the words behind `serve`.
pub(crate) fn main(words: &[String]) -> anyhow::Result<ExitCode> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let read_file = |path: &str| std::fs::read_to_string(path).map_err(|e| e.to_string());
    let settings = match flags::read(words, &environment, read_file) {
        Ok(Asked::Help) => return Ok(print(&flags::short_help())),
        Ok(Asked::FullHelp) => return Ok(print(&flags::full_help())),
        Ok(Asked::Version) => return Ok(print(&format!("{}\n", version_line()))),
        Ok(Asked::Serve(given)) => ServeSettings::from_given(&given),
        Err(error) => Err(error),
    };
    match settings {
        Ok(settings) => run(&settings).map(|()| ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("quorate serve: {error}");
            Ok(ExitCode::from(EXIT_USAGE))
        }
    }
}

/// Prepares the process and the data directory, then serves until stopped.
fn run(settings: &ServeSettings) -> anyhow::Result<()> {
    if let Some(parent) = settings.exit_with_parent {
        parent::exit_with(parent)?;
    }
    logging::start(settings).context("cannot start the log")?;
    let (data_dir, notes) = DataDir::open(&settings.data_dir, settings.join_existing)?;
    tracing::info!("{}", version_line());
    for line in settings.describe() {
        tracing::info!("{line}");
    }
    for note in settings.notes.iter().chain(&notes) {
        tracing::warn!("{note}");
    }
    serve(settings, &data_dir)
}

/// The seam to the server: everything is checked, the directory is ours alone.
fn serve(_settings: &ServeSettings, data_dir: &DataDir) -> anyhow::Result<()> {
    anyhow::bail!(
        "this build has no server linked in; nothing was served from {}",
        data_dir.path().display()
    )
}

fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    // A reader that has seen enough (`| head`) is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
