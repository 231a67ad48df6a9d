//! A running `quorate up`, and what it has said so far.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Signal;

use super::node::signal;
use super::{PATIENCE, wait_for};

/// The process; ends with this value, and its nodes with it (they are tied to it).
pub(crate) struct Up {
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Up {
    /// Starts it with these words behind `up`, in `directory`.
    pub(crate) fn start(directory: &Path, words: &[&str]) -> Up {
        let mut process = super::run::quorate_command()
            .arg("up")
            .args(words)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        keep(process.stdout.take().expect("it is piped"), &lines);
        keep(process.stderr.take().expect("it is piped"), &lines);
        Up { process, lines }
    }

    /// All lines so far, of standard output and error.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until a line satisfies `is_it`, and gives it.
    pub(crate) fn wait_for_line(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        wait_for(&format!("`up` to say {what}"), PATIENCE, || {
            self.lines().into_iter().find(|line| is_it(line))
        })
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end_with(mut self, how: Signal) -> (ExitStatus, Vec<String>) {
        signal(&self.process, how);
        let ended = wait_for("`up` to end", PATIENCE, || {
            self.process.try_wait().expect("it can be waited for")
        });
        wait_for("its last words", PATIENCE, || {
            // Both readers have dropped their handles.
            (Arc::strong_count(&self.lines) == 1).then_some(())
        });
        (ended, self.lines())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- `up` said\n{}", self.lines().join("\n"));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn keep(pipe: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    });
}
