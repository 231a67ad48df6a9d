//! Starts the nodes, watches them, stops them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use quorate_server::ServerError;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::leadership::{Leadership, News};
use super::log_tail;
use super::plan::{Node, Plan};
use super::report::{Event, Reporter, StartedNode};
use super::restarts::{QUICK_DEATH, QUICK_DEATHS_MAX, Restarts};
use super::status::{self, NodeStatus};

/// Time between two questions to a node while the leader is sought, and while there is one.
const ASK_SOON: Duration = Duration::from_millis(100);
const ASK_CALMLY: Duration = Duration::from_millis(500);
/// How long a node may take to stop before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of a dead node's log that are shown.
const LINES_SHOWN: usize = 8;

/// How a node is started: the program, and the words before the flags.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) first_words: Vec<OsString>,
}

/// A node and its process.
struct Runner {
    node: Node,
    child: Option<Child>,
    started: Instant,
    /// The length of its log before this life.
    log_from: u64,
    status: Option<NodeStatus>,
    restarts: Restarts,
    restart_at: Option<Instant>,
}

/// The cluster while it runs.
pub(super) struct Supervisor {
    plan: Plan,
    launch: Launch,
    restart: bool,
    reporter: Reporter,
    runners: Vec<Runner>,
    leadership: Leadership,
    /// How many members vote, as a node said last.
    voters: Option<usize>,
    is_ready: bool,
    ask_every_ms: Arc<AtomicU64>,
}

impl Supervisor {
    pub(super) fn new(plan: Plan, launch: Launch, restart: bool, reporter: Reporter) -> Supervisor {
        let now = Instant::now();
        let runner = |node: &Node| Runner {
            node: node.clone(),
            child: None,
            started: now,
            log_from: 0,
            status: None,
            restarts: Restarts::default(),
            restart_at: None,
        };
        Supervisor {
            runners: plan.nodes().map(runner).collect(),
            leadership: Leadership::new(plan.nodes().map(|node| node.name.as_str()), now),
            voters: None,
            is_ready: false,
            ask_every_ms: Arc::new(AtomicU64::new(0)),
            plan,
            launch,
            restart,
            reporter,
        }
    }

    /// Runs until told to stop by `stops` (a second word there kills), or until nothing is left to run.
    /// No node is left running, whatever is returned.
    pub(super) async fn run(mut self, mut stops: mpsc::Receiver<()>) -> anyhow::Result<()> {
        let outcome = self.watch(&mut stops).await;
        self.stop(&mut stops).await;
        outcome
    }

    async fn watch(&mut self, stops: &mut mpsc::Receiver<()>) -> anyhow::Result<()> {
        // Before the first start, so that no death goes unheard.
        let mut deaths = signal(SignalKind::child())?;
        if self.runners.is_empty() {
            bail!(
                "all nodes of {} were removed from its cluster: there is nothing to start",
                self.plan.directory.display()
            );
        }
        for i in 0..self.runners.len() {
            self.start(i)?;
        }
        self.tell_started();
        self.ask_soon();
        let mut answers = self.start_asking();
        loop {
            let restart_at = self
                .runners
                .iter()
                .filter_map(|runner| runner.restart_at)
                .min();
            tokio::select! {
                _ = stops.recv() => return Ok(()),
                _ = deaths.recv() => self.bury()?,
                Some((i, status)) = answers.recv() => self.heard(i, status),
                () = sleep_until(restart_at) => self.restart_due()?,
            }
        }
    }

    fn start(&mut self, i: usize) -> anyhow::Result<u32> {
        let runner = &mut self.runners[i];
        let log = runner.node.log_file();
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open the log {}", log.display()))?;
        runner.log_from = file.metadata().map_or(0, |metadata| metadata.len());
        let mut command = Command::new(&self.launch.program);
        command
            .args(&self.launch.first_words)
            .args(self.plan.flags(&runner.node))
            .arg(format!("--exit-with-parent={}", std::process::id()))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0);
        // A node is configured by its flags alone, not by what happens to be set in this terminal.
        for (variable, _) in std::env::vars_os() {
            if ["ETCD_", "QUORATE_"]
                .iter()
                .any(|prefix| variable.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(variable);
            }
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.launch.program.display()))?;
        let pid = child.id();
        runner.child = Some(child);
        runner.started = Instant::now();
        runner.restart_at = None;
        Ok(pid)
    }

    /// One task for each node asks it again and again.
    fn start_asking(&self) -> mpsc::Receiver<(usize, Option<NodeStatus>)> {
        let (sender, answers) = mpsc::channel(self.runners.len());
        for (i, runner) in self.runners.iter().enumerate() {
            let (sender, port) = (sender.clone(), runner.node.client_port);
            let every_ms = Arc::clone(&self.ask_every_ms);
            tokio::spawn(async move {
                while sender.send((i, status::ask(port).await)).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(every_ms.load(Ordering::Relaxed)))
                        .await;
                }
            });
        }
        answers
    }

    fn ask_soon(&self) {
        self.ask_every_ms
            .store(ASK_SOON.as_millis() as u64, Ordering::Relaxed);
    }

    /// Looks which nodes have ended.
    fn bury(&mut self) -> anyhow::Result<()> {
        for i in 0..self.runners.len() {
            let Some(child) = &mut self.runners[i].child else {
                continue;
            };
            if let Some(how) = child.try_wait().context("cannot wait for a node")? {
                self.died(i, how)?;
            }
        }
        self.check_hope()
    }

    /// Who leads, if it is a node that runs or none of ours.
    fn living_leader(&self) -> Option<String> {
        let leader = self.leadership.current()?;
        if !self.leadership.is_own(leader) {
            return Some(leader.to_owned());
        }
        let runs = |runner: &&Runner| runner.node.name == leader && runner.child.is_some();
        self.runners.iter().find(runs)?;
        Some(leader.to_owned())
    }

    /// How many of the nodes must run.
    fn needed(&self) -> usize {
        self.plan.needed(self.voters)
    }

    fn died(&mut self, i: usize, how: ExitStatus) -> anyhow::Result<()> {
        let led = self.leadership.last_told() == Some(self.runners[i].node.name.as_str());
        let runner = &mut self.runners[i];
        let pid = runner.child.take().map_or(0, |child| child.id());
        runner.status = None;
        let lived = runner.started.elapsed();
        let name = runner.node.name.clone();
        let log = runner.node.log_file();
        let last_lines = log_tail::last_lines(&log, runner.log_from, LINES_SHOWN);
        if is_removal(&last_lines) {
            self.ask_soon();
            self.plan.remove(&name)?;
            self.reporter.tell(&Event::Removed { node: name, pid });
            return Ok(());
        }
        let next = if self.restart {
            runner.restarts.died(lived)
        } else {
            None
        };
        runner.restart_at = next.map(|delay| Instant::now() + delay);
        self.ask_soon();
        let (running, needed) = (self.running(), self.needed());
        let how = in_words(how);
        self.reporter.tell(&Event::Died {
            node: name.clone(),
            pid,
            how,
            led,
            leader: self.living_leader(),
            running,
            needed,
            log,
            last_lines,
        });
        match next {
            Some(delay) => self.reporter.tell(&Event::Restarting {
                node: name,
                after_ms: delay.as_millis(),
            }),
            None if self.restart => self.reporter.tell(&Event::GivenUp {
                node: name,
                why: format!(
                    "it ended {QUICK_DEATHS_MAX} times in a row within {} s of its start",
                    QUICK_DEATH.as_secs()
                ),
            }),
            None => {}
        }
        Ok(())
    }

    /// Ends with an error if the cluster can never be ready, or nothing is left.
    fn check_hope(&self) -> anyhow::Result<()> {
        let alive = self
            .runners
            .iter()
            .filter(|runner| runner.child.is_some() || runner.restart_at.is_some())
            .count();
        if alive == 0 {
            bail!(
                "all nodes have ended; see the logs in {}",
                self.plan.directory.display()
            );
        }
        if !self.is_ready && alive < self.needed() {
            bail!(
                "too many nodes ended before the cluster was ready: {alive} left, {} needed; see the logs in {}",
                self.needed(),
                self.plan.directory.display()
            );
        }
        Ok(())
    }

    fn restart_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for i in 0..self.runners.len() {
            if self.runners[i].restart_at.is_some_and(|at| at <= now) {
                let pid = self.start(i)?;
                let node = self.runners[i].node.name.clone();
                self.reporter.tell(&Event::Restarted { node, pid });
            }
        }
        Ok(())
    }

    fn heard(&mut self, i: usize, status: Option<NodeStatus>) {
        let runner = &mut self.runners[i];
        // An answer may arrive after the death; and another program may answer on a dead node's port.
        runner.status =
            status.filter(|status| runner.child.is_some() && status.member == runner.node.name);
        let voters = runner.status.as_ref().and_then(|status| status.voters);
        self.voters = voters.or(self.voters);
        self.leadership.need(self.plan.needed(self.voters));
        let answers: Vec<Option<NodeStatus>> = self
            .runners
            .iter()
            .filter(|runner| runner.child.is_some())
            .map(|runner| runner.status.clone())
            .collect();
        match self.leadership.observe(&answers, Instant::now()) {
            None => {}
            Some(News::NobodyLeads) => {
                self.ask_soon();
                self.reporter.tell(&Event::NoLeader {
                    running: answers.len(),
                    needed: self.needed(),
                    data_dir: self.plan.directory.clone(),
                });
            }
            Some(News::Leads(leader, term)) => {
                self.ask_every_ms
                    .store(ASK_CALMLY.as_millis() as u64, Ordering::Relaxed);
                let elsewhere = !self.leadership.is_own(&leader);
                let event = if self.is_ready {
                    Event::Leader {
                        leader,
                        term,
                        elsewhere,
                    }
                } else {
                    Event::Ready {
                        leader,
                        term,
                        elsewhere,
                        endpoints: self.plan.endpoints(),
                    }
                };
                self.is_ready = true;
                self.reporter.tell(&event);
            }
        }
    }

    /// SIGTERM to all; SIGKILL to those that are left at the deadline, or when told a second time.
    async fn stop(&mut self, stops: &mut mpsc::Receiver<()>) {
        let running = self.running();
        if running > 0 {
            self.reporter.tell(&Event::Stopping { nodes: running });
        }
        for child in self
            .runners
            .iter()
            .filter_map(|runner| runner.child.as_ref())
        {
            terminate(child);
        }
        let deadline = Instant::now() + STOP_DEADLINE;
        let mut told_again = false;
        while self.reap() > 0 && Instant::now() < deadline && !told_again {
            told_again = tokio::select! {
                told = stops.recv() => told.is_some(),
                () = tokio::time::sleep(Duration::from_millis(20)) => false,
            };
        }
        for runner in &mut self.runners {
            if let Some(mut child) = runner.child.take() {
                let _ = child.kill();
                let _ = child.wait();
                self.reporter.tell(&Event::Killed {
                    node: runner.node.name.clone(),
                    pid: child.id(),
                    at_once: told_again,
                });
            }
        }
        self.reporter.tell(&Event::Stopped);
    }

    /// Forgets the nodes that have ended, and counts the others.
    fn reap(&mut self) -> usize {
        for runner in &mut self.runners {
            let ended = runner
                .child
                .as_mut()
                .is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
            if ended {
                runner.child = None;
            }
        }
        self.running()
    }

    fn running(&self) -> usize {
        self.runners
            .iter()
            .filter(|runner| runner.child.is_some())
            .count()
    }

    fn tell_started(&mut self) {
        let nodes = self.runners.iter().map(|runner| StartedNode {
            node: runner.node.name.clone(),
            pid: runner.child.as_ref().map_or(0, Child::id),
            client_url: runner.node.client_url(),
            log: runner.node.log_file(),
        });
        let endpoints = self.plan.endpoints();
        let quorate = shown(&self.launch.program);
        let commands = vec![
            format!("etcdctl --endpoints={endpoints} put hello world"),
            format!("etcdctl --endpoints={endpoints} endpoint status -w table"),
            format!("{quorate} ctl --endpoints={endpoints} get hello"),
        ];
        let event = Event::Started {
            data_dir: self.plan.directory.clone(),
            nodes: nodes.collect(),
            removed: self.plan.removed().to_vec(),
            endpoints,
            commands,
        };
        self.reporter.tell(&event);
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Asks a process to stop. It is our child and not yet waited for, so its id is still its own.
fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Whether a node ended because it is no member any more, by the last line that it wrote.
fn is_removal(last_lines: &[String]) -> bool {
    let last = last_lines.last();
    last.is_some_and(|line| line.ends_with(&ServerError::Removed.to_string()))
}

/// How a process ended.
fn in_words(how: ExitStatus) -> String {
    match (how.code(), how.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(9)) => "was killed (SIGKILL)".to_owned(),
        (None, Some(6)) => "aborted (SIGABRT)".to_owned(),
        (None, Some(11)) => "crashed (SIGSEGV)".to_owned(),
        (None, Some(15)) => "was told to stop by somebody else (SIGTERM)".to_owned(),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// The program as one would type it here: by its name if the shell finds it, else by its path, from
/// this directory where that is shorter.
fn shown(program: &Path) -> String {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let by_name = program.file_name().filter(|name| {
        let first = std::env::split_paths(&search)
            .map(|directory| directory.join(name))
            .find(|path| path.is_file());
        first.and_then(|path| path.canonicalize().ok()).as_deref() == Some(program)
    });
    if let Some(name) = by_name {
        return name.to_string_lossy().into_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    match program.strip_prefix(&here) {
        Ok(below) => format!("./{}", below.display()),
        Err(_) => program.display().to_string(),
    }
}
