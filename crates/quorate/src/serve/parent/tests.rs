//! A real chain of processes: this test starts a parent, which starts a child; then the parent is
//! killed. Parent and child are this very test program with a role.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

fn with_role(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
    let test = "serve::parent::tests::a_child_does_not_outlive_a_parent_that_is_killed";
    command.args(["--exact", test, "--nocapture", "--", role]);
    command
}

/// Says a word to the test and waits for its end.
fn wait_to_be_killed(word: &str) -> ! {
    println!("\n{word}");
    std::thread::sleep(DEADLINE * 2);
    std::process::exit(1)
}

#[test]
fn a_child_does_not_outlive_a_parent_that_is_killed() {
    let roles: Vec<String> = std::env::args()
        .filter(|word| word.starts_with("role-"))
        .collect();
    match roles.first().and_then(|role| role.strip_prefix("role-")) {
        Some("parent") => {
            let mut child = with_role(&format!("role-{}", std::process::id()))
                .spawn()
                .expect("started");
            let _ = child.wait();
            return;
        }
        Some(parent) => {
            exit_with(parent.parse().expect("a process id")).expect("tied");
            wait_to_be_killed("tied");
        }
        None => {}
    }
    let mut parent = with_role("role-parent")
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut out = BufReader::new(parent.stdout.take().expect("piped"));
    let tied = out
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .any(|line| line == "tied");
    assert!(tied, "the child runs and is tied to its parent");
    parent.kill().expect("killed");
    parent.wait().expect("waited for");
    // Parent and child hold the pipe's other end: it ends when both have ended.
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = out.read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    ended
        .recv_timeout(DEADLINE)
        .expect("the child ends with its parent");
}

#[test]
fn another_process_than_the_parent_is_refused() {
    let line = exit_with(std::process::id())
        .expect_err("nobody is one's own parent")
        .to_string();
    assert!(line.contains("is gone"), "{line}");
}
