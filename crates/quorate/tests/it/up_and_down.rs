//! `quorate up`: a cluster with one command, watched, and stopped as a whole.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{
    Etcdctl, PATIENCE, Turn, Up, free_ports, get, kv, quorate, quorate_command, real_directory,
    run, runtime, wait_for,
};
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};

/// A node as `up` announces it: `  n1  http://127.0.0.1:12000  pid 4711  log …`.
#[derive(Debug, Clone)]
struct Announced {
    name: String,
    endpoint: String,
    pid: u32,
}

fn announced(lines: &[String]) -> Vec<Announced> {
    let node = |line: &String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, url, "pid", pid, "log", _] = words[..] else {
            return None;
        };
        Some(Announced {
            name: name.to_owned(),
            endpoint: url.strip_prefix("http://")?.to_owned(),
            pid: pid.parse().ok()?,
        })
    };
    lines.iter().filter_map(node).collect()
}

/// The name behind `ready: ` or before ` leads`.
fn leader_in(line: &str) -> String {
    let word = line.trim_start_matches("ready: ").split(' ').next();
    word.expect("a name").to_owned()
}

fn is_alive(pid: u32) -> bool {
    // A zombie has ended.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(!stat.rsplit_once(") ")?.1.starts_with('Z')))
        .unwrap_or(false)
}

fn kill_node(node: &Announced) {
    let pid = Pid::from_raw(i32::try_from(node.pid).expect("a pid")).expect("not 0");
    kill_process(pid, Signal::KILL).expect("it runs");
}

struct Site {
    directory: tempfile::TempDir,
    base_port: u16,
    _turn: Turn,
}

impl Site {
    fn new() -> Site {
        Site {
            _turn: Turn::take(false),
            directory: real_directory(),
            base_port: free_ports(6),
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn up(&self, more: &[&str]) -> Up {
        let port = self.base_port.to_string();
        Up::start(self.path(), &[&["--base-port", &port], more].concat())
    }
}

#[test]
fn up_prints_endpoints_pids_and_three_commands_that_work_and_is_ready_once_a_leader_is_there() {
    let site = Site::new();
    let up = site.up(&[]);
    let ready = up.wait_for_line("ready", |line| line.starts_with("ready: "));
    let lines = up.lines();
    let nodes = announced(&lines);
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n1", "n2", "n3"]);
    assert!(names.contains(&leader_in(&ready).as_str()), "{ready}");
    for (i, node) in nodes.iter().enumerate() {
        let port = usize::from(site.base_port) + 2 * i;
        assert_eq!(node.endpoint, format!("127.0.0.1:{port}"));
        assert!(is_alive(node.pid));
    }
    let commands: Vec<&String> = lines
        .iter()
        .skip_while(|line| !line.starts_with("try"))
        .filter(|line| line.starts_with("  "))
        .collect();
    assert_eq!(commands.len(), 3, "{lines:?}");
    for command in commands {
        let (program, words) = command.trim().split_once(' ').expect("words");
        let words: Vec<&str> = words.split(' ').collect();
        let ran = if program == "etcdctl" {
            if !Etcdctl::is_installed() {
                continue;
            }
            run(
                Command::new(program).env("ETCDCTL_API", "3").args(words),
                "",
            )
        } else {
            quorate(&words)
        };
        assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
    }
    all_stop_on_ctrl_c(up, &nodes);
}

fn all_stop_on_ctrl_c(up: Up, nodes: &[Announced]) {
    let (how, lines) = up.end_with(Signal::INT);
    assert_eq!(how.code(), Some(0), "{lines:?}");
    for node in nodes {
        assert!(!is_alive(node.pid), "{} outlives `up`", node.name);
    }
    let last = lines.last().expect("it says something");
    assert!(last.starts_with("all nodes are stopped"), "{last}");
}

#[test]
fn up_says_when_a_node_dies_and_who_leads_then() {
    let site = Site::new();
    let up = site.up(&[]);
    let ready = up.wait_for_line("ready", |line| line.starts_with("ready: "));
    let nodes = announced(&up.lines());
    let leader = nodes.iter().find(|node| node.name == leader_in(&ready));
    let leader = leader.expect("one of them").clone();
    kill_node(&leader);
    let died = up.wait_for_line("that it died", |line| {
        line.starts_with(&format!(
            "{}, the leader, (pid {})",
            leader.name, leader.pid
        ))
    });
    assert!(
        died.contains("signal 9") || died.contains("SIGKILL"),
        "{died}"
    );
    assert!(died.contains("2 still running"), "{died}");
    let leads = up.wait_for_line("who leads", |line| line.contains(" leads now (term "));
    assert_ne!(leader_in(&leads), leader.name);
    let others: Vec<Announced> = nodes
        .into_iter()
        .filter(|node| node.pid != leader.pid)
        .collect();
    all_stop_on_ctrl_c(up, &others);
}

#[test]
fn up_with_restart_brings_a_dead_node_back() {
    let site = Site::new();
    let up = site.up(&["--restart"]);
    up.wait_for_line("ready", |line| line.starts_with("ready: "));
    let dead = announced(&up.lines())[0].clone();
    kill_node(&dead);
    let back = up.wait_for_line("that it is back", |line| {
        line.starts_with(&format!("{} is started again (pid ", dead.name))
    });
    assert!(!back.contains(&format!("pid {})", dead.pid)), "{back}");
    wait_for("the node to serve again", PATIENCE, || {
        get(site.base_port, "/health").ok()
    });
    let (how, _) = up.end_with(Signal::INT);
    assert_eq!(how.code(), Some(0));
}

#[test]
fn up_run_again_finds_its_data() {
    let site = Site::new();
    let endpoint = format!("127.0.0.1:{}", site.base_port);
    let up = site.up(&["--data-dir=here"]);
    up.wait_for_line("ready", |line| line.starts_with("ready: "));
    let put = PutRequest {
        key: "kept".into(),
        value: "value".into(),
        ..Default::default()
    };
    let put = async { kv(&endpoint).put(put).await };
    runtime().block_on(put).expect("a write");
    let (how, _) = up.end_with(Signal::INT);
    assert_eq!(how.code(), Some(0));

    // Neither nodes nor ports are named again.
    let up = Up::start(site.path(), &["--data-dir=here"]);
    up.wait_for_line("ready", |line| line.starts_with("ready: "));
    let range = RangeRequest {
        key: "kept".into(),
        ..Default::default()
    };
    let range = async { kv(&endpoint).range(range).await };
    let found = runtime().block_on(range).expect("a read").into_inner();
    assert_eq!(found.kvs[0].value, "value");
    let (how, _) = up.end_with(Signal::TERM);
    assert_eq!(how.code(), Some(0));
}

#[test]
fn up_says_whose_any_of_its_ports_is_and_founds_nothing() {
    let directory = real_directory();
    // The peers' port of n1 is the one after the clients', which must be free.
    let base = free_ports(2);
    let taken = base + 1;
    let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).expect("free a moment ago");
    let base = base.to_string();
    let ran = run(
        quorate_command()
            .args(["up", "--base-port", &base])
            .current_dir(directory.path()),
        "",
    );
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let owner = format!(
        "port {taken} (for peers of n1) is in use by process {}",
        std::process::id()
    );
    assert!(ran.error.contains(&owner), "{ran:?}");
    assert_eq!(ran.error.lines().count(), 1, "{ran:?}");
    assert!(!directory.path().join("up.quorate").exists());
}

#[test]
fn no_node_outlives_an_up_that_is_killed() {
    let site = Site::new();
    let up = site.up(&[]);
    up.wait_for_line("ready", |line| line.starts_with("ready: "));
    let nodes = announced(&up.lines());
    drop(up);
    wait_for("the nodes to end", PATIENCE, || {
        (!nodes.iter().any(|node| is_alive(node.pid))).then_some(())
    });
}

/// A member beside those of `up`, which ends with this value.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Beside {
    /// Starts the member that `member add` told of, by the environment that it printed.
    fn start(directory: &Path, added: &str, peer_url: &str, client_url: &str) -> Beside {
        let setting = |line: &str| {
            let (name, value) = line.split_once('=')?;
            let value = value.trim_matches('"').to_owned();
            name.starts_with("ETCD_").then(|| (name.to_owned(), value))
        };
        let child = quorate_command()
            .arg("serve")
            .arg(format!("--listen-peer-urls={peer_url}"))
            .arg(format!("--listen-client-urls={client_url}"))
            .arg(format!("--advertise-client-urls={client_url}"))
            .arg(format!("--exit-with-parent={}", std::process::id()))
            .envs(added.lines().filter_map(setting))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Beside(child.expect("it starts"))
    }
}

#[test]
fn members_are_added_and_removed_beside_up_by_quorate_alone_and_up_says_so() {
    let site = Site::new();
    let base = free_ports(2);
    let (client_url, peer_url) = (
        format!("http://127.0.0.1:{base}"),
        format!("http://127.0.0.1:{}", base + 1),
    );
    let up = site.up(&["--restart"]);
    up.wait_for_line("ready", |line| line.starts_with("ready: "));
    // Its second node, which stays.
    let endpoint = format!("127.0.0.1:{}", site.base_port + 2);
    let ctl = |words: &[&str]| quorate(&[&["ctl", "--endpoints", &endpoint], words].concat());
    let output = |words: &[&str]| {
        let ran = ctl(words);
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
        ran.out
    };
    let added = output(&["member", "add", "n4", "--learner", "--peer-urls", &peer_url]);
    let id = added.split_whitespace().nth(1).expect("an id").to_owned();
    let _beside = Beside::start(site.path(), &added, &peer_url, &client_url);
    wait_for("the learner to be promoted", PATIENCE, || {
        (ctl(&["member", "promote", &id]).code == Some(0)).then_some(())
    });
    output(&["move-leader", &id]);
    up.wait_for_line("who leads", |line| {
        line.starts_with("n4 leads now (term ")
            && line.ends_with("), a member that was started elsewhere")
    });
    let listed = output(&["member", "list"]);
    let first = listed.lines().find(|line| line.contains(", n1, "));
    let first = first.and_then(|line| line.split(',').next()).expect("n1");
    output(&["member", "remove", first]);
    up.wait_for_line("that n1 was removed", |line| {
        line.starts_with("n1 (pid ") && line.contains("was removed from the cluster")
    });
    let (how, lines) = up.end_with(Signal::INT);
    assert_eq!(how.code(), Some(0));
    let again = lines
        .iter()
        .any(|line| line.starts_with("n1 is started again"));
    assert!(!again, "{lines:?}");

    let up = Up::start(site.path(), &[]);
    up.wait_for_line("ready", |line| line.starts_with("ready: "));
    let nodes = announced(&up.lines());
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n2", "n3"]);
    all_stop_on_ctrl_c(up, &nodes);
}
