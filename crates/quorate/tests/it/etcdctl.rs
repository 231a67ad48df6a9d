//! The same words to etcdctl and to `quorate ctl`, each on a fresh etcd of its own with the same name and ports: the
//! same bytes must come out, and the same exit code. Needs Debian's `etcd-server` and `etcd-client`.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::{self, Ran, quorate_with};

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Words, and what is on standard input. The revisions they make are the same in both runs.
const SCRIPT: &[(&[&str], &str)] = &[
    (&["put", "foo", "bar"], ""),
    (&["put", "foo", "baz", "--prev-kv"], ""),
    (&["put", "foo2", "a\nb\u{1}\"é<>&\u{200b}"], ""),
    (&["put", "foo", "x", "--prev-kv", "--hex"], ""),
    (&["put", "foo", "x", "--prev-kv", "-w", "json"], ""),
    (&["put", "foo", "x", "--prev-kv", "-w", "fields"], ""),
    (&["put", "foo", "x", "--prev-kv", "-w", "protobuf"], ""),
    (&["put", "foo", "--ignore-value"], ""),
    (&["put", "foo", "y", "--ignore-lease"], ""),
    (&["put", "nokey", "--ignore-value"], ""),
    (&["put", "foo", "y", "--ignore-value"], ""),
    (&["put", "stdin"], "from\nstandard input"),
    (&["put", "stdin"], ""),
    (&["put"], ""),
    (&["put", "", "x"], ""),
    (&["put", "--", "-k", "-v"], ""),
    (&["put", "a", "b", "--lease=zz"], ""),
    (&["put", "a", "b", "--lease=1234"], ""),
    (&["put", "a", "b", "--lease", "ffffffffffffffffff"], ""),
    (&["get", "foo"], ""),
    (&["get", "nope"], ""),
    (&["get", "nope", "-w", "json"], ""),
    (&["get", "nope", "-w", "fields"], ""),
    (&["get", "foo", "--prefix"], ""),
    (&["get", "foo", "--prefix", "--hex"], ""),
    (&["get", "foo", "--prefix", "-w", "json"], ""),
    (&["get", "foo", "--prefix", "-w", "fields"], ""),
    (&["get", "foo", "--prefix", "-w", "protobuf"], ""),
    (&["get", "foo", "--prefix", "-w", "table"], ""),
    (&["get", "foo", "--prefix", "-w", "nope"], ""),
    (&["get", "foo", "--prefix", "--keys-only"], ""),
    (&["get", "foo", "--prefix", "--keys-only", "-w", "json"], ""),
    (&["get", "foo", "--prefix", "--print-value-only"], ""),
    (&["get", "foo", "--print-value-only", "-w", "json"], ""),
    (&["get", "", "--prefix", "--keys-only"], ""),
    (&["get", "", "--from-key", "--limit", "1", "-w", "json"], ""),
    (
        &[
            "get",
            "",
            "--prefix",
            "--order=DESCEND",
            "--sort-by=VALUE",
            "--keys-only",
        ],
        "",
    ),
    (
        &[
            "get",
            "",
            "--prefix",
            "--order",
            "ascend",
            "--sort-by",
            "modify",
        ],
        "",
    ),
    (&["get", "", "--prefix", "--sort-by", "version"], ""),
    (
        &[
            "get",
            "",
            "--prefix",
            "--order",
            "DESCEND",
            "--sort-by",
            "create",
        ],
        "",
    ),
    (&["get", "foo", "foo2"], ""),
    (&["get", "foo2", "--from-key"], ""),
    (&["get", "foo", "--rev", "2"], ""),
    (&["get", "foo", "--rev", "1000"], ""),
    (&["get", "foo", "--consistency", "s"], ""),
    (&["get", "foo", "--consistency", "q"], ""),
    (&["get", "foo", "--order", "foo"], ""),
    (&["get", "foo", "--sort-by", "x"], ""),
    (&["get", "foo", "--prefix", "--from-key"], ""),
    (&["get", "foo", "bar", "--prefix"], ""),
    (&["get"], ""),
    (&["get", ""], ""),
    (&["get", "--", "-k"], ""),
    (&["del"], ""),
    (&["del", "a", "b", "c"], ""),
    (&["del", "nope"], ""),
    (&["del", "nope", "-w", "json"], ""),
    (&["del", "stdin", "--prev-kv", "-w", "json"], ""),
    (&["del", "-w", "fields", "--prev-kv", "--", "-k"], ""),
    (
        &["txn"],
        "value(\"foo\") = \"y\"\nmod(\"foo2\") > \"0\"\n\nput r1 v1\nget foo\ndel r2\n\nget a\n\n",
    ),
    (
        &["txn", "-w", "json"],
        "val(\"foo\") != \"y\"\n\nput r1 v1\n\nget foo\nput b 2 --prev-kv\ndel r1 --prev-kv\nget foo --prefix --keys-only\n\n",
    ),
    (
        &["txn", "-w", "fields"],
        "ver(\"foo\") < \"1\"\n\nput r1 v1\n\nget foo\nput b 2 --prev-kv\ndel b --prev-kv\n\n",
    ),
    (
        &["txn", "-w", "protobuf"],
        "c(\"foo\") > \"1\"\n\nput r1 v1\n\n\n",
    ),
    (&["txn", "-i"], "create(\"foo\") = \"2\"\n\nget foo\n\n\n"),
    (
        &["txn"],
        "version(\"none\") = \"0\"\n\nput \"k 1\" \"v\\n2\"\nget \"k 1\"\n\n\n",
    ),
    (&["txn"], "value(\"foo\") = \"\\x79\"\n\nget foo\n\n\n"),
    (&["txn"], "\nput a b\nput a c\n\n\n"),
    (&["txn"], ""),
    (&["txn"], "value(\"foo\") = \"bar\""),
    (&["txn"], "bad\n"),
    (&["txn"], "foo(\"x\") = \"y\"\n"),
    (&["txn"], "mod(\"x\") = \"y\"\n"),
    (&["txn"], "mod(x) = \"1\"\n"),
    (&["txn"], "m(\"x\")=\"0\"\n"),
    (&["txn"], "value(\"foo\") > ba\n"),
    (&["txn"], "\nbad x\n"),
    (&["txn"], "\nput\n"),
    (&["txn", "x"], ""),
    (&["compact"], ""),
    (&["compact", "x"], ""),
    (&["compact", "10000"], ""),
    (&["compact", "5"], ""),
    (&["compaction", "6", "--physical"], ""),
    (&["compact", "6"], ""),
    (&["get", "foo", "--rev", "2"], ""),
    (&["lease", "grant"], ""),
    (&["lease", "grant", "1", "2"], ""),
    (&["lease", "grant", "x"], ""),
    (&["lease", "grant", "9000000001"], ""),
    (&["lease", "grant", "10", "-w", "nope"], ""),
    (&["lease", "list"], ""),
    (&["lease", "list", "-w", "json"], ""),
    (&["lease", "list", "-w", "fields"], ""),
    (&["lease", "list", "-w", "protobuf"], ""),
    (&["lease", "timetolive"], ""),
    (&["lease", "timetolive", "zz"], ""),
    (&["lease", "timetolive", "1234"], ""),
    (&["lease", "timetolive", "1234", "-w", "json"], ""),
    (&["lease", "timetolive", "1234", "--keys", "-w", "json"], ""),
    (&["lease", "timetolive", "1234", "-w", "fields"], ""),
    (&["lease", "timetolive", "1234", "-w", "protobuf"], ""),
    (&["lease", "revoke"], ""),
    (&["lease", "revoke", "zz"], ""),
    (&["lease", "revoke", "1234"], ""),
    (&["lease", "keep-alive"], ""),
    (&["lease", "keep-alive", "zz"], ""),
    (&["lease", "keep-alive", "1234"], ""),
    (&["lease", "keep-alive", "--once", "1234"], ""),
    (&["member", "list"], ""),
    (&["member", "list", "-w", "json"], ""),
    (&["member", "list", "-w", "table"], ""),
    (&["member", "list", "-w", "fields"], ""),
    (&["member", "list", "-w", "protobuf"], ""),
    (&["member", "add"], ""),
    (&["member", "add", "x"], ""),
    (&["member", "add", "x", "y"], ""),
    (&["member", "add", "x", "http://127.0.0.1:1"], ""),
    (
        &[
            "member",
            "add",
            "x",
            "--peer-urls",
            "http://127.0.0.1:1",
            "-w",
            "nope",
        ],
        "",
    ),
    (&["member", "promote"], ""),
    (&["member", "promote", "zz"], ""),
    (&["member", "promote", "1"], ""),
    (&["member", "update", "1"], ""),
    (
        &[
            "member",
            "update",
            "zz",
            "--peer-urls",
            "http://127.0.0.1:1",
        ],
        "",
    ),
    (
        &["member", "update", "1", "--peer-urls", "http://127.0.0.1:1"],
        "",
    ),
    (&["member", "remove"], ""),
    (&["member", "remove", "1", "2"], ""),
    (&["member", "remove", "1"], ""),
    (&["move-leader"], ""),
    (&["move-leader", "zz"], ""),
    (&["move-leader", "1"], ""),
    (&["endpoint", "status"], ""),
    (&["endpoint", "status", "-w", "json"], ""),
    (&["endpoint", "status", "-w", "table"], ""),
    (&["endpoint", "status", "-w", "fields"], ""),
    (&["endpoint", "status", "--cluster"], ""),
    (&["endpoint", "status", "-w", "protobuf"], ""),
    (&["endpoint", "hashkv"], ""),
    (&["endpoint", "hashkv", "-w", "json"], ""),
    (&["endpoint", "hashkv", "-w", "fields"], ""),
    (&["endpoint", "hashkv", "-w", "table"], ""),
    (&["endpoint", "hashkv", "-w", "protobuf"], ""),
    (&["endpoint", "hashkv", "--rev", "2"], ""),
    (&["endpoint", "hashkv", "--rev", "1000"], ""),
    (&["endpoint", "hashkv", "--cluster"], ""),
    (&["alarm", "list"], ""),
    (&["alarm", "list", "-w", "json"], ""),
    (&["alarm", "list", "-w", "fields"], ""),
    (&["alarm", "list", "-w", "protobuf"], ""),
    (&["alarm", "list", "-w", "table"], ""),
    (&["alarm", "list", "x"], ""),
    (&["alarm", "disarm"], ""),
    (&["alarm", "disarm", "-w", "json"], ""),
    (&["defrag"], ""),
    (&["defrag", "--cluster"], ""),
    (&["del", "", "--prefix"], ""),
];

/// A real etcd of one member.
struct Etcd {
    process: Child,
    endpoint: String,
}

impl Etcd {
    fn start(data: &Path, client_port: u16, peer_port: u16) -> Self {
        let client = format!("http://127.0.0.1:{client_port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        let process = Command::new("etcd")
            .args(["--name", "one", "--log-level", "error", "--data-dir"])
            .arg(data)
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &format!("one={peer}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        let etcd = Self {
            process,
            endpoint: format!("127.0.0.1:{client_port}"),
        };
        let deadline = Instant::now() + START_TIMEOUT;
        while etcd.etcdctl(&["get", "ready"], "").code != Some(0) {
            assert!(Instant::now() < deadline, "etcd did not come up");
            thread::sleep(Duration::from_millis(50));
        }
        etcd
    }

    fn etcdctl(&self, words: &[&str], stdin: &str) -> Ran {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.endpoint])
            .args(words);
        command::run(&mut command, stdin.as_bytes())
    }

    fn quorate(&self, words: &[&str], stdin: &str) -> Ran {
        let words = [&["ctl", "--endpoints", &self.endpoint], words].concat();
        quorate_with(&words, stdin.as_bytes())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--help")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Whether the answer tells the size of the database: two etcds that were asked the same may have taken
/// another number of pages each, by how long their transactions happened to be open. So etcdctl is
/// asked about the very same one, before and after.
fn tells_size(words: &[&str]) -> bool {
    words.contains(&"status")
}

/// The line that says what is wrong; etcdctl also logs its retries there.
fn error_line(ran: &Ran) -> Option<&str> {
    ran.stderr.lines().find(|line| line.starts_with("Error: "))
}

#[test]
fn every_form_is_etcdctls_byte_for_byte() {
    if !installed("etcd") || !installed("etcdctl") {
        crate::cluster::skip("etcd and etcdctl are not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (client_port, peer_port) = (free_port(), free_port());
    let run_all = |name: &str, run: &mut dyn FnMut(&Etcd, &[&str], &str) -> Ran| -> Vec<Ran> {
        let etcd = Etcd::start(&directory.path().join(name), client_port, peer_port);
        SCRIPT
            .iter()
            .map(|(words, stdin)| run(&etcd, words, stdin))
            .collect()
    };
    let theirs = run_all("etcdctl", &mut Etcd::etcdctl);
    let mut sizes = Vec::new();
    let ours = run_all("quorate", &mut |etcd, words, stdin| {
        let ask = || match tells_size(words) {
            true => vec![etcd.etcdctl(words, stdin)],
            false => Vec::new(),
        };
        let before = ask();
        let ran = etcd.quorate(words, stdin);
        sizes.push(before.into_iter().chain(ask()).collect::<Vec<Ran>>());
        ran
    });
    for ((((words, stdin), theirs), ours), of_this) in
        SCRIPT.iter().zip(&theirs).zip(&ours).zip(&sizes)
    {
        let same = of_this.iter().find(|one| one.stdout == ours.stdout);
        let theirs = same.or(of_this.first()).unwrap_or(theirs);
        let what = format!("{words:?} with {stdin:?}\netcdctl: {theirs:?}\nquorate: {ours:?}");
        assert_eq!(
            String::from_utf8_lossy(&ours.stdout),
            String::from_utf8_lossy(&theirs.stdout),
            "{what}"
        );
        assert_eq!(ours.stdout, theirs.stdout, "{what}");
        assert_eq!(ours.code, theirs.code, "{what}");
        assert_eq!(error_line(ours), error_line(theirs), "{what}");
    }
}
