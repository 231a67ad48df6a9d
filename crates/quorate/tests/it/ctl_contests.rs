//! `quorate ctl lock` and `elect` beside etcdctl's, in one line: both exclude each other, and print the same.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::cluster::{Cluster, Etcdctl, PATIENCE, Plan, quorate_command, run, runtime, wait_for};
use crate::locks::{line, wait_for_line};

/// A command that goes on until it is told to end; it ends with this value.
struct Running {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (tell, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines }
    }

    /// The next lines on standard output.
    fn next(&self, count: usize) -> Vec<String> {
        let line = || self.lines.recv_timeout(PATIENCE).expect("a line in time");
        (0..count).map(|_| line()).collect()
    }

    fn is_quiet(&self) -> bool {
        self.lines.try_recv().is_err()
    }

    /// As Ctrl-C does.
    fn interrupt(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status();
        assert!(sent.expect("kill runs").success());
        wait_for("it to end", PATIENCE, || {
            self.child.try_wait().expect("it can be waited for")
        })
    }
}

fn ours(cluster: &Cluster, node: usize, words: &[&str]) -> Command {
    let mut command = quorate_command();
    command.args(["ctl", "--endpoints", &cluster.endpoint(node)]);
    command.args(words);
    command
}

fn theirs(cluster: &Cluster, node: usize, words: &[&str]) -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3");
    command.arg(format!("--endpoints={}", cluster.endpoint(node)));
    command.args(words);
    command
}

#[test]
fn locks_of_ctl_and_of_etcdctl_exclude_each_other_and_go_on_in_turn() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3).start();
    let words = ["lock", "shared"];
    let mut holders = Vec::new();
    for turn in 0..4 {
        let command = match turn % 2 {
            0 => ours(&cluster, turn % 3, &words),
            _ => theirs(&cluster, turn % 3, &words),
        };
        holders.push(Running::start(command));
        wait_for_line(&cluster, 0, "shared", turn + 1);
    }
    let keys = wait_for_line(&cluster, 0, "shared", 4);
    for (turn, mut holder) in holders.into_iter().enumerate() {
        let printed = holder.next(2);
        let key = String::from_utf8_lossy(&keys[turn].key).into_owned();
        assert_eq!(printed, [key, String::new()], "turn {turn}");
        assert!(holder.is_quiet());
        wait_for_line(&cluster, 1, "shared", 4 - turn);
        assert_eq!(holder.interrupt().code(), Some(0), "turn {turn}");
        let left = wait_for_line(&cluster, 1, "shared", 3 - turn);
        assert_eq!(left, keys[turn + 1..]);
    }
}

#[test]
fn a_command_runs_under_the_lock_and_its_exit_code_is_the_commands() {
    let cluster = Plan::of(1).start();
    let shell = "echo $ETCD_LOCK_KEY $ETCD_LOCK_REV; exit 7";
    let ran = run(
        &mut ours(&cluster, 0, &["lock", "job", "sh", "-c", shell]),
        "",
    );
    assert_eq!(ran.code, Some(7), "{ran:?}");
    let (key, revision) = ran.out.trim().split_once(' ').expect("two words");
    assert!(key.starts_with("job/"), "{ran:?}");
    assert_eq!(revision, "2", "{ran:?}");
    assert!(ran.error.contains("exit status 7"), "{ran:?}");
    assert_eq!(runtime().block_on(line(&cluster.endpoint(0), "job")), []);
    // etcdctl wants dashes before a command that has flags.
    let with_dashes = ["lock", "job", "--", "sh", "-c", "exit 3"];
    let ran = run(&mut ours(&cluster, 0, &with_dashes), "");
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let ran = run(&mut ours(&cluster, 0, &["lock", "job", "true"]), "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:?}");
    let ran = run(&mut ours(&cluster, 0, &["lock"]), "");
    assert_eq!(ran.code, Some(128), "{ran:?}");
    let missing = ["lock", "job", "/no/such/program"];
    let ran = run(&mut ours(&cluster, 0, &missing), "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

#[test]
fn one_who_is_interrupted_while_it_waits_leaves_the_line() {
    let cluster = Plan::of(1).start();
    let holder = Running::start(ours(&cluster, 0, &["lock", "busy"]));
    holder.next(2);
    let mut waiter = Running::start(ours(&cluster, 0, &["lock", "busy"]));
    wait_for_line(&cluster, 0, "busy", 2);
    assert_eq!(waiter.interrupt().code(), Some(1));
    wait_for_line(&cluster, 0, "busy", 1);
    assert!(waiter.is_quiet());
}

#[test]
fn candidates_of_ctl_and_etcdctl_succeed_each_other_and_observers_of_both_print_the_same() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3).start();
    let listen = ["elect", "--listen", "chief"];
    let observers = [
        Running::start(ours(&cluster, 0, &listen)),
        Running::start(theirs(&cluster, 1, &listen)),
    ];
    let mut first = Running::start(ours(&cluster, 1, &["elect", "chief", "one"]));
    let led = first.next(2);
    assert_eq!(led[1], "one");
    let mut second = Running::start(theirs(&cluster, 2, &["elect", "chief", "two"]));
    wait_for_line(&cluster, 0, "chief", 2);
    for observer in &observers {
        assert_eq!(observer.next(2), led);
    }
    assert!(second.is_quiet());
    assert_eq!(first.interrupt().code(), Some(0));
    let led = second.next(2);
    assert_eq!(led[1], "two");
    for observer in &observers {
        assert_eq!(observer.next(2), led);
    }
    assert_eq!(second.interrupt().code(), Some(0));
    let [mut ours, mut theirs] = observers;
    assert_eq!(ours.interrupt().code(), theirs.interrupt().code());
}

#[test]
fn wrong_arguments_are_refused_in_etcdctls_words() {
    let cases: [(&[&str], &str); 4] = [
        (
            &["lock"],
            "Error: lock takes a lock name argument and an optional command to execute\n",
        ),
        (
            &["elect", "name"],
            "Error: no proposal argument but -l not set\n",
        ),
        (
            &["elect", "-l", "name", "value"],
            "Error: proposal given but -l is set\n",
        ),
        (
            &["elect"],
            "Error: elect takes one election name argument and an optional proposal argument\n",
        ),
    ];
    for (words, said) in cases {
        let ran = run(quorate_command().arg("ctl").args(words), "");
        assert_eq!((ran.code, ran.error.as_str()), (Some(128), said));
    }
}

#[test]
fn a_port_that_is_no_clients_port_is_named() {
    let cluster = Plan::of(1).start();
    let peers = format!("127.0.0.1:{}", cluster.nodes[0].peer_port);
    let words = ["ctl", "--endpoints", peers.as_str(), "put", "a", "b"];
    let ran = crate::cluster::quorate(&words);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.error.contains("peer port"), "{ran:?}");
}
