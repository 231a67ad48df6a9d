//! How far the load is: a bar when standard error is a terminal, a line a second when asked for, nothing else.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::plan::{Length, Plan};

const STYLE: &str = "{prefix:8} {bar:40} {msg}";

/// Goes to standard error, so that the result can be piped.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    length: Length,
    lines: bool,
    /// The second of the window that was told last, and how many operations there were by then.
    told: (u64, u64),
}

impl Progress {
    /// For the keys written beforehand.
    pub(super) fn preload(plan: &Plan) -> Self {
        Self::new(plan, "preload", Length::Operations(plan.preload))
    }

    /// For the measured window.
    pub(super) fn load(plan: &Plan) -> Self {
        Self::new(plan, "load", plan.length)
    }

    fn new(plan: &Plan, title: &'static str, length: Length) -> Self {
        let steps = match length {
            Length::Operations(count) => count,
            Length::Time(time) => u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        };
        let terminal = io::stderr().is_terminal();
        let bar = if terminal && steps > 0 {
            ProgressBar::new(steps)
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(ProgressStyle::with_template(STYLE).expect("the template is correct"));
        bar.set_prefix(title);
        Self {
            bar,
            length,
            lines: plan.progress_lines && !terminal,
            told: (0, 0),
        }
    }

    pub(super) fn advance_to(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Tells of `operations` ended in the first `elapsed` of the window.
    pub(super) fn show(&mut self, operations: u64, elapsed: Duration) {
        let second = elapsed.as_secs();
        if second > self.told.0 {
            let rate = (operations - self.told.1) / (second - self.told.0);
            self.told = (second, operations);
            if self.lines {
                eprintln!("{second} s: {operations} operations, {rate} a second");
            }
            self.bar.set_message(format!("{rate} a second"));
        }
        self.bar.set_position(match self.length {
            Length::Operations(_) => operations,
            Length::Time(_) => u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        });
    }

    /// How much of the time has passed, where operations are not counted as they come.
    pub(super) fn pass(&self, elapsed: Duration) {
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.bar.set_position(millis);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
