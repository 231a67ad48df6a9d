//! strace on a node: which system calls it makes, and errors put in their place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cluster::{PATIENCE, signal, wait_for};

/// What [`Strace`] runs.
pub(crate) const PROGRAM: &str = "strace";

/// strace, attached to all threads of a process until it is dropped.
#[derive(Debug)]
pub(crate) struct Strace {
    child: Child,
    trace: PathBuf,
}

impl Strace {
    /// Attaches to process `pid`; `words` say what to trace and to inject, and files in
    /// `directory` take what strace writes. Injected calls are counted for each thread, from
    /// now on.
    pub(crate) fn attach(pid: u32, directory: &Path, words: &[&str]) -> Strace {
        let trace = directory.join(format!("{pid}.strace"));
        let messages = directory.join(format!("{pid}.strace-messages"));
        let mut command = Command::new(PROGRAM);
        command
            .args(["-f", "-p", &pid.to_string(), "-o"])
            .arg(&trace);
        let child = command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&messages).expect("a file for strace's messages"))
            .spawn()
            .expect("strace starts");
        let mut strace = Strace { child, trace };
        wait_for("strace to attach", PATIENCE, || {
            let said = fs::read_to_string(&messages).expect("strace's messages");
            let ended = strace.child.try_wait().expect("it can be waited for");
            assert!(ended.is_none(), "strace does not attach: {said}");
            said.contains(" attached").then_some(())
        });
        strace
    }

    /// The lines written so far, one for a call. strace writes the line of a call before the
    /// thread that made it goes on: what follows from a call is never seen before its line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.trace).expect("strace's output");
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // Told to end, it lets the process go; it may have ended with the process.
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(&self.child, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
