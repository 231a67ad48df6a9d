//! One node: its place, its flags, its process.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::{NodeStatus, PATIENCE, http, wait_for};

/// Lines of a log that are shown when something fails.
const LINES_SHOWN: usize = 40;

/// A member of a cluster, running or not.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) client_port: u16,
    pub(crate) peer_port: u16,
    /// Where the others dial it.
    pub(crate) dialled_at: SocketAddrV4,
    /// A program with its words that runs the binary, if one is needed; it must become it (exec).
    pub(crate) launcher: Vec<String>,
    /// The data directory.
    pub(crate) directory: PathBuf,
    /// Standard error and output of all its lives.
    pub(crate) log: PathBuf,
    pub(crate) initial_cluster: String,
    /// Whether it joins, or joined, a cluster that others founded.
    pub(crate) joins: bool,
    /// More flags.
    pub(crate) flags: Vec<String>,
    pub(crate) process: Option<Child>,
}

impl Node {
    /// `address:port`, for clients.
    pub(crate) fn endpoint(&self) -> String {
        self.client_address().to_string()
    }

    fn client_address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, self.client_port)
    }

    /// The body of a page that it serves to clients.
    pub(crate) fn page(&self, path: &str) -> io::Result<String> {
        http::get_at(self.client_address(), path)
    }

    /// The words behind `quorate`.
    pub(crate) fn words(&self) -> Vec<String> {
        let client = format!("http://{}", self.client_address());
        let peer = SocketAddrV4::new(self.address, self.peer_port);
        let state = if self.joins { "existing" } else { "new" };
        let mut words = vec![
            "serve".to_owned(),
            format!("--name={}", self.name),
            format!("--data-dir={}", self.directory.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls=http://{peer}"),
            format!("--initial-advertise-peer-urls=http://{}", self.dialled_at),
            format!("--initial-cluster={}", self.initial_cluster),
            format!("--initial-cluster-state={state}"),
            format!("--exit-with-parent={}", std::process::id()),
        ];
        words.extend(self.flags.iter().cloned());
        words
    }

    /// Takes another port for peers, before its next start, at which its flags say so.
    pub(crate) fn move_peer_port(&mut self) {
        let before = format!(":{}", self.peer_port);
        self.peer_port = super::free_ports(1);
        self.dialled_at.set_port(self.peer_port);
        let after = format!(":{}", self.peer_port);
        self.initial_cluster = self.initial_cluster.replace(&before, &after);
        // The flags no longer describe the cluster as it was founded.
        self.joins = true;
    }

    /// Starts the process; it may not serve yet.
    pub(crate) fn spawn(&mut self) {
        assert!(self.process.is_none(), "{} is started twice", self.name);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("a log file");
        let mut command = super::run::quorate_command_by(&self.launcher);
        command
            .args(self.words())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .process_group(0);
        self.process = Some(command.spawn().expect("the binary starts"));
    }

    /// Waits until the node answers at its client port; an error when it ended because of a taken port.
    pub(crate) fn wait_until_serving(&mut self) -> Result<(), String> {
        let what = format!("{} to serve", self.name);
        wait_for(&what, PATIENCE, || {
            let process = self.process.as_mut().expect("it was started");
            if let Some(how) = process.try_wait().expect("it can be waited for") {
                let end = self.log_end();
                assert!(
                    end.contains("cannot listen on"),
                    "{} ended ({how}); its log ends:\n{end}",
                    self.name
                );
                self.process = None;
                return Some(Err(end));
            }
            self.status().map(|_| Ok(()))
        })
    }

    /// Whether it was started and not stopped since.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// How the process ended, if it has though nobody stopped it.
    pub(crate) fn ended_unasked(&self) -> Option<String> {
        let process = self.process.as_ref()?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let ended = waitid(WaitId::Pid(pid_of(process)), options).expect("our own child")?;
        Some(match (ended.exit_status(), ended.terminating_signal()) {
            (Some(code), _) => format!("with exit code {code}"),
            (None, Some(signal)) => format!("by signal {signal}"),
            (None, None) => "in a way of its own".to_owned(),
        })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("it can be killed");
        process.wait().expect("it can be waited for");
    }

    /// SIGTERM, and waits until the process has ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        signal(self.process.as_ref().expect("it runs"), Signal::TERM);
        self.wait_until_ended()
    }

    /// Waits until the process has ended of its own.
    pub(crate) fn wait_until_ended(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("it runs");
        let what = format!("{} to end", self.name);
        let how = wait_for(&what, PATIENCE, || {
            process.try_wait().expect("it can be waited for")
        });
        self.process = None;
        how
    }

    /// What it says of itself; nothing if it does not answer.
    pub(crate) fn status(&self) -> Option<NodeStatus> {
        let page = self.page("/quorate/status").ok()?;
        Some(serde_json::from_str(&page).expect("a status"))
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("Linux tells");
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kib << 10
    }

    /// All that it logged.
    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines that it logged.
    pub(crate) fn log_end(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Sends a signal to a child that has not been waited for, so that its id is still its own.
pub(crate) fn signal(process: &Child, signal: Signal) {
    kill_process(pid_of(process), signal).expect("it can be signalled");
}

fn pid_of(process: &Child) -> Pid {
    let pid = i32::try_from(process.id()).expect("a process id");
    Pid::from_raw(pid).expect("not 0")
}

/// Keeps this terminal's settings away from a node: its flags alone count.
pub(crate) fn without_settings(command: &mut Command) {
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if ["ETCD_", "QUORATE_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            command.env_remove(&variable);
        }
    }
}
