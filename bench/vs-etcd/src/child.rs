//! Processes that do not outlive this one, however it ends.
//!
//! A child is started through this very program, which asks the kernel to be killed when its parent
//! ends and then becomes the program wanted; so even SIGKILL leaves no server behind. Each child is in a
//! process group of its own: Ctrl-C reaches this process alone, which then ends them in order.
//!
//! The kernel means the *thread* that started the child. All children are started by the main thread.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

use crate::interrupt;

/// The first argument by which this program knows that it is to become another.
const BECOME: &str = "become-program";
/// How long a process may take to end after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// Between two looks at a process that is to end.
const POLL: Duration = Duration::from_millis(10);
/// Lines of a log that an error shows.
const LOG_LINES: usize = 8;

/// A running program.
pub(crate) struct Child {
    process: std::process::Child,
    name: String,
    /// Its standard error.
    log: PathBuf,
}

/// If the command line says so, becomes another program and does not return; else nothing.
/// What is returned is why that did not work.
pub(crate) fn become_program_if_asked() -> Option<anyhow::Error> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != BECOME {
        return None;
    }
    let parent = arguments.next()?.into_string().ok()?.parse::<i32>().ok();
    let program = arguments.next()?;
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return Some(anyhow!(error).context("cannot follow the parent process"));
    }
    // It may have ended before the kernel knew our wish.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != parent {
        return Some(anyhow!("the parent process is gone"));
    }
    let error = Command::new(&program).args(arguments).exec();
    Some(anyhow!(error).context(format!("cannot run {}", program.display())))
}

impl Child {
    /// Starts a program; its standard error, and its output unless wanted, are added to the log.
    pub(crate) fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: &[A],
        log: &Path,
        output: Option<Stdio>,
    ) -> anyhow::Result<Child> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let own = env::current_exe().context("cannot find this program's own path")?;
        let mut command = Command::new(own);
        command
            .arg(BECOME)
            .arg(std::process::id().to_string())
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.unwrap_or(file.try_clone()?.into()))
            .stderr(file)
            .process_group(0);
        for (variable, _) in env::vars_os().filter(|(variable, _)| changes_defaults(variable)) {
            command.env_remove(variable);
        }
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Child {
            process,
            name: name.to_owned(),
            log: log.to_owned(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// An error with the end of its log, if the process has ended.
    pub(crate) fn check_running(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.failure(status)),
        }
    }

    /// Waits for it to end well and returns what it wrote to a piped standard output.
    ///
    /// A pipe holds 64 KiB; a program that writes more is only for others.
    pub(crate) fn finish(mut self, deadline: Instant) -> anyhow::Result<String> {
        let status = loop {
            if let Some(status) = self.process.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                bail!("{} does not end", self.name);
            }
            interrupt::pause(POLL)?;
        };
        if !status.success() {
            return Err(self.failure(status));
        }
        let mut text = String::new();
        if let Some(mut output) = self.process.stdout.take() {
            std::io::Read::read_to_string(&mut output, &mut text)
                .with_context(|| format!("cannot read what {} prints", self.name))?;
        }
        Ok(text)
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)
            .with_context(|| format!("cannot stop {}", self.name))
    }

    /// Waits for it to end, after [`Child::terminate`].
    pub(crate) fn wait_terminated(mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + STOP_DEADLINE;
        while self.process.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} does not end on SIGTERM", self.name);
            }
            interrupt::pause(POLL)?;
        }
        Ok(())
    }

    fn failure(&self, status: ExitStatus) -> anyhow::Error {
        let mut text = format!("{} ended with {status}", self.name);
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            text.push_str("\n  | ");
            text.push_str(line);
        }
        anyhow!(text)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a variable would make a server something else than its defaults, or fsync a pretence.
fn changes_defaults(variable: &OsStr) -> bool {
    let variable = variable.to_string_lossy();
    // Without this one etcd does not start on some processors.
    if variable == "ETCD_UNSUPPORTED_ARCH" {
        return false;
    }
    variable.starts_with("ETCD_")
        || variable.starts_with("QUORATE_")
        || [
            "GOGC",
            "GOMAXPROCS",
            "GODEBUG",
            "GOMEMLIMIT",
            "TOKIO_WORKER_THREADS",
            "LD_PRELOAD",
        ]
        .contains(&variable.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_configure_a_server_are_not_passed_on() {
        for variable in ["ETCD_SNAPSHOT_COUNT", "QUORATE_NAME", "GOGC", "LD_PRELOAD"] {
            assert!(changes_defaults(OsStr::new(variable)), "{variable}");
        }
        for variable in ["PATH", "HOME", "ETCD_UNSUPPORTED_ARCH"] {
            assert!(!changes_defaults(OsStr::new(variable)), "{variable}");
        }
    }
}
