//! The log: `tracing` to stderr, stdout or files, as text or as JSON lines.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Mutex;

use anyhow::Context as _;
use tracing::level_filters::LevelFilter;

use super::ServeSettings;
use super::settings::{LogFormat, LogLevel, LogOutput};
use crate::colours;

/// Starts the log of this process.
pub(super) fn start(settings: &ServeSettings) -> anyhow::Result<()> {
    let mut outputs: Vec<Box<dyn Write + Send>> = Vec::new();
    for output in &settings.log_outputs {
        outputs.push(match output {
            LogOutput::Stderr => Box::new(io::stderr()),
            LogOutput::Stdout => Box::new(io::stdout()),
            LogOutput::File(path) => Box::new(
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .with_context(|| format!("cannot open the log file {}", path.display()))?,
            ),
        });
    }
    let level = match settings.log_level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let is_terminal = settings.log_outputs == [LogOutput::Stderr] && io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(colours::are_wanted(is_terminal))
        .with_writer(Mutex::new(Tee(outputs)));
    let started = match settings.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| anyhow::anyhow!("{e}"))
}

/// Writes the same to all. A log that cannot be written (a full disk, a closed pipe) stops nobody.
struct Tee(Vec<Box<dyn Write + Send>>);

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for output in &mut self.0 {
            let _ = output.write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        for output in &mut self.0 {
            let _ = output.flush();
        }
        Ok(())
    }
}
