//! `--trace`: what happened, as a page in a file or as columns of text on the standard output.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use quorate_trace::{Trace, render_html, render_text};

use crate::colours;

/// Columns of text where no terminal says how wide it is.
const WIDTH_WITHOUT_TERMINAL: usize = 120;

/// Where the trace goes, and where it begins.
#[derive(Args, Clone, Debug)]
pub(super) struct TraceArguments {
    /// Draw what happened: as a page into this file, or with `-` as columns of text, here
    #[arg(long, value_name = "FILE.html|-")]
    pub(super) trace: Option<PathBuf>,
    /// Begin the trace at so many seconds of virtual time
    #[arg(long, value_name = "T", value_parser = seconds, requires = "trace")]
    pub(super) since: Option<Duration>,
}

impl TraceArguments {
    /// Refuses a time that ends before it begins, and a file that nobody could write: rather now than
    /// when all worlds have been run.
    pub(super) fn check(&self, until: Option<Duration>) -> Result<(), String> {
        if let Some(path) = self
            .trace
            .as_deref()
            .filter(|path| !is_standard_output(path))
        {
            let above = path.parent().filter(|above| !above.as_os_str().is_empty());
            if !above.is_none_or(Path::is_dir) || path.is_dir() {
                return Err(format!(
                    "--trace {}: no file can be written there",
                    path.display()
                ));
            }
        }
        match (self.since, until) {
            (Some(since), Some(until)) if since > until => Err(format!(
                "--since {} is after --until {}: nothing lies between them",
                since.as_secs_f64(),
                until.as_secs_f64()
            )),
            _ => Ok(()),
        }
    }

    /// Whether the trace goes to the standard output.
    pub(super) fn is_text(&self) -> bool {
        self.trace.as_deref().is_some_and(is_standard_output)
    }

    /// Draws it where it was asked for, and says where that is.
    pub(super) fn draw(&self, trace: Option<Trace>, until: Option<Duration>) -> anyhow::Result<()> {
        let Some(path) = &self.trace else {
            return Ok(());
        };
        let Some(trace) = trace else {
            eprintln!("There is nothing to draw: it failed before its first event.");
            return Ok(());
        };
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let trace = trace.between(self.since.map_or(0, nanos), until.map_or(u64::MAX, nanos));
        if is_standard_output(path) {
            let out = io::stdout();
            let text = render_text(&trace, width(), colours::are_wanted(out.is_terminal()));
            // Whoever reads has perhaps seen enough (`| head`); the verdict still counts.
            let _ = out.lock().write_all(text.as_bytes());
            return Ok(());
        }
        fs::write(path, render_html(&trace))
            .with_context(|| format!("the trace cannot be written to {}", path.display()))?;
        eprintln!("The trace is in {}: open it in a browser.", path.display());
        Ok(())
    }
}

/// Says that nothing is drawn, and the command that draws one of what there was.
pub(super) fn tell_nothing_drawn(failed: &str, command: &str) {
    eprintln!(
        "No {failed} failed, so nothing is drawn. A picture of one:\n  {command} --trace out.html"
    );
}

fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    match columns {
        0 => WIDTH_WITHOUT_TERMINAL,
        columns => columns,
    }
}

/// A number of seconds, for an argument.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
