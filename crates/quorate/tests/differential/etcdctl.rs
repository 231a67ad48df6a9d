//! Debian's etcdctl at both servers, by one script: `etcdctl/script.txt`, which says what its lines mean.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cluster::{Etcdctl, PATIENCE, Ran, signal, wait_for};
use crate::etcdctl_words::without_what_is_its_own;
use crate::servers::{Both, Etcd};

const SCRIPT: &str = include_str!("etcdctl/script.txt");

/// One line of the script, with its input.
#[derive(Debug)]
struct Step {
    what: What,
    /// As it stands in the script.
    line: String,
    words: Vec<String>,
    input: String,
    /// Comes out differently, and that is explained.
    differs: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Run,
    /// In the background, until it has printed so many lines.
    Start(usize),
    Stop,
}

/// The script as steps, and how many lines are left out.
fn steps() -> (Vec<Step>, usize) {
    let (mut steps, mut left_out): (Vec<Step>, usize) = (Vec::new(), 0);
    for line in SCRIPT.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(input) = line.strip_prefix('|') {
            let step = steps.last_mut().expect("a command above");
            step.input += input.strip_prefix(' ').unwrap_or(input);
            step.input.push('\n');
            continue;
        }
        if line.starts_with("later: ") || line.starts_with("by-hand (") {
            left_out += 1;
            continue;
        }
        let explained = line.strip_prefix("differs (");
        let command = explained.map_or(line, |rest| {
            rest.split_once("): ").expect("a reason and words").1
        });
        let (what, words) = match command.strip_prefix("& ") {
            Some(rest) => {
                let (count, words) = rest.split_once(' ').expect("a count and words");
                (What::Start(count.parse().expect("a count")), words)
            }
            None if command == "stop" => (What::Stop, ""),
            None => (What::Run, command),
        };
        steps.push(Step {
            what,
            line: line.to_owned(),
            words: split(words),
            input: String::new(),
            differs: explained.is_some(),
        });
    }
    (steps, left_out)
}

/// Words, of which those in '…' may have spaces.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (Vec::new(), false);
    for part in line.split('\'') {
        match quoted {
            true => words.push(part.replace("\\n", "\n")),
            false => words.extend(
                part.split(' ')
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned),
            ),
        }
        quoted = !quoted;
    }
    words
}

/// Whether etcdctl says the same at both.
pub(crate) fn compare(etcd: &Etcd) -> bool {
    if !Etcdctl::is_installed() {
        return true;
    }
    let (steps, left_out) = steps();
    let both = Both::start(etcd);
    let theirs = Session::run(&both.etcd_endpoint, &both.etcd_peer, &steps);
    let ours = Session::run(&both.quorate_endpoint(), &both.quorate_peer(), &steps);
    let mut failures = 0;
    for ((step, theirs), ours) in steps.iter().zip(&theirs).zip(&ours) {
        if step.differs && theirs == ours {
            failures += 1;
            println!("$ {}\n    no longer differs\n", step.line);
        } else if !step.differs && theirs != ours {
            failures += 1;
            println!("$ {}\n--- etcd\n{theirs}--- Quorate\n{ours}", step.line);
        }
    }
    let explained = steps.iter().filter(|step| step.differs).count();
    println!(
        "etcdctl: {} lines, {failures} differ without a reason, {explained} with one; {left_out} lines are left out",
        steps.len()
    );
    failures == 0
}

/// etcdctl at one server.
struct Session<'a> {
    endpoint: &'a str,
    peer: &'a str,
    version: String,
    directory: tempfile::TempDir,
    member: String,
    learner: String,
    lease: String,
    background: Option<Background>,
}

struct Background {
    process: Child,
    lines: usize,
}

impl Session<'_> {
    /// What each step printed.
    fn run(endpoint: &str, peer: &str, steps: &[Step]) -> Vec<String> {
        let list = Etcdctl::new(endpoint).output(&["member", "list"]);
        let status = Etcdctl::new(endpoint).output(&["endpoint", "status"]);
        let mut session = Session {
            endpoint,
            peer,
            version: status.split(", ").nth(2).unwrap_or_default().to_owned(),
            directory: tempfile::tempdir().expect("a directory"),
            member: list.split(',').next().unwrap_or_default().to_owned(),
            learner: String::new(),
            lease: String::new(),
            background: None,
        };
        steps.iter().map(|step| session.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> String {
        let words: Vec<String> = step.words.iter().map(|word| self.filled_in(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match step.what {
            What::Run => {
                let ran = Etcdctl::new(self.endpoint).run_with(&words, &step.input);
                self.note(&ran);
                self.shown(&ran)
            }
            What::Start(lines) => {
                self.start(&words, lines);
                String::new()
            }
            What::Stop => {
                let ran = self.stop();
                self.shown(&ran)
            }
        }
    }

    fn filled_in(&self, word: &str) -> String {
        let directory = self.directory.path().display().to_string();
        let values = [
            ("$MEMBER", &self.member[..]),
            ("$LEARNER", &self.learner),
            ("$LEASE", &self.lease),
            ("$DIR", &directory),
            ("$ENDPOINT", self.endpoint),
        ];
        values
            .into_iter()
            .fold(word.to_owned(), |word, (name, value)| {
                word.replace(name, value)
            })
    }

    /// Remembers ids that later lines name.
    fn note(&mut self, ran: &Ran) {
        let words: Vec<&str> = ran.out.split_whitespace().collect();
        match words[..] {
            ["lease", id, "granted", ..] => self.lease = id.to_owned(),
            ["Member", id, "added", ..] => self.learner = id.to_owned(),
            _ => {}
        }
    }

    fn output_path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn start(&mut self, words: &[&str], lines: usize) {
        assert!(self.background.is_none(), "one at a time");
        let before = self.watchers().unwrap_or_default();
        let file = |name| fs::File::create(self.output_path(name)).expect("a file");
        let process = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.endpoint))
            .args(words)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("error"))
            .spawn()
            .expect("etcdctl starts");
        self.background = Some(Background { process, lines });
        // Until the server knows the watch, what is written may be written too early for it.
        if words[0] == "watch" {
            wait_for("a watch at the server", PATIENCE, || {
                (self.watchers()? > before).then_some(())
            });
        }
    }

    /// How many watches the server says that it has.
    fn watchers(&self) -> Option<u64> {
        let page = page(self.endpoint, "/metrics")?;
        let mut lines = page.lines();
        let count =
            lines.find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "))?;
        count.parse().ok()
    }

    fn stop(&mut self) -> Ran {
        let mut background = self.background.take().expect("something was started");
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let (out, error) = (self.output_path("out"), self.output_path("error"));
        let what = format!("{} lines of etcdctl at {}", background.lines, self.endpoint);
        let enough = std::panic::catch_unwind(|| {
            wait_for(&what, PATIENCE, || {
                (read(&out).lines().count() >= background.lines).then_some(())
            });
        });
        if enough.is_err() {
            println!("{what}: there is only\n{}{}", read(&out), read(&error));
        }
        signal(&background.process, Signal::INT);
        let code = background.process.wait().expect("it ends").code();
        self.wait_until_unwatched();
        Ran {
            out: read(&out),
            error: read(&error),
            code,
        }
    }

    /// So that the next watch is seen to come. etcd 3.4 does not count all that have gone, so this has a short end.
    fn wait_until_unwatched(&self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.watchers() != Some(0) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn shown(&self, ran: &Ran) -> String {
        // etcdctl also logs its tries there, with times.
        let lines = ran
            .error
            .lines()
            .filter(|line| !line.starts_with("{\"level\""));
        let error: String = lines.map(|line| format!("error: {line}\n")).collect();
        let text = format!("{}\n{error}exit code {:?}\n", ran.out.trim_end(), ran.code);
        let directory = self.directory.path().display().to_string();
        // etcdctl's own version is the same beside both.
        let is_its_own = text.contains("etcdctl version:") || text.contains("NAME:");
        let version = if is_its_own { "" } else { &self.version };
        let own = [
            (&directory[..], "DIR"),
            (self.endpoint, "ENDPOINT"),
            (self.peer, "PEER"),
            (version, "VERSION"),
            (&self.member, "MEMBER"),
            (&self.learner, "LEARNER"),
            (&self.lease, "LEASE"),
        ];
        without_what_is_its_own(&text, &own)
    }
}

/// A page by HTTP/1.0, which comes in one piece: nothing stands between its lines.
fn page(endpoint: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(endpoint).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}
