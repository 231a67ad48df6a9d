//! A program that watches, and what it has printed so far.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::Signal;

use crate::cluster::{PATIENCE, signal, wait_for};

/// It runs until this is dropped.
pub(super) struct Watching {
    process: Child,
    /// Open as long as it runs.
    _stdin: ChildStdin,
    printed: Arc<Mutex<Vec<String>>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended of its own.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Watching {
    /// `etcdctl watch` with these words.
    pub(super) fn etcdctl(endpoints: &str, words: &[&str]) -> Watching {
        Watching::etcdctl_with(endpoints, words, "")
    }

    /// The same, with something to read on its standard input, which stays open.
    pub(super) fn etcdctl_with(endpoints: &str, words: &[&str], input: &str) -> Watching {
        let mut command = Command::new("etcdctl");
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("ETCDCTL_") {
                command.env_remove(&variable);
            }
        }
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={endpoints}"))
            .arg("watch")
            .args(words);
        Watching::start_with(&mut command, input)
    }

    /// Any program.
    pub(super) fn start(command: &mut Command) -> Watching {
        Watching::start_with(command, "")
    }

    /// Any program, with something to read.
    pub(super) fn start_with(command: &mut Command, input: &str) -> Watching {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut stdin = process.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("it reads");
        let out = process.stdout.take().expect("it is piped");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&printed);
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                to.lock().expect("no reader panics").push(line);
            }
        });
        Watching {
            process,
            _stdin: stdin,
            printed,
        }
    }

    /// Waits until it has printed these lines, and nothing else.
    pub(super) fn wait_for(&self, expected: &[&str]) {
        let lines = self.wait_for_lines(expected.len());
        assert_eq!(lines, expected);
    }

    /// Waits until it has printed so many lines, or more; gives them.
    pub(super) fn wait_for_lines(&self, count: usize) -> Vec<String> {
        let what = format!("{count} lines of a watch");
        wait_for(&what, PATIENCE, || {
            let printed = self.printed.lock().expect("no reader panics");
            (printed.len() >= count).then(|| printed.clone())
        })
    }

    /// The program stands still.
    pub(super) fn stop_reading(&self) {
        signal(&self.process, Signal::STOP);
    }

    /// It goes on.
    pub(super) fn go_on_reading(&self) {
        signal(&self.process, Signal::CONT);
    }
}
