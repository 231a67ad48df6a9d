//! `quorate ctl make-mirror` and `check perf` against real clusters.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use quorate_client::{Client, Options};
use quorate_proto::etcdserverpb::WatchCreateRequest;

use crate::cluster::{Cluster, Plan, quorate_command, run, runtime};

/// A mirror that goes on until it is dropped.
struct Mirror(Child);

impl Drop for Mirror {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Mirror {
    fn start(from: &Cluster, to: &Cluster, flags: &[&str]) -> Mirror {
        let child = Mirror::command(from, to, flags).spawn();
        Mirror(child.expect("it starts"))
    }

    /// With its standard error for the test.
    fn start_telling(from: &Cluster, to: &Cluster, flags: &[&str]) -> Mirror {
        let child = Mirror::command(from, to, flags)
            .stderr(Stdio::piped())
            .spawn();
        Mirror(child.expect("it starts"))
    }

    fn command(from: &Cluster, to: &Cluster, flags: &[&str]) -> Command {
        let mut command = quorate_command();
        command
            .args(["ctl", "--endpoints", &from.endpoint(0), "make-mirror"])
            .args(flags)
            .arg(to.endpoint(0))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }
}

fn ctl(cluster: &Cluster, words: &[&str], input: &str) -> String {
    let mut command = quorate_command();
    command
        .args(["ctl", "--endpoints", &cluster.endpoint(0)])
        .args(words);
    let ran = run(&mut command, input);
    assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
    ran.out
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    pairs
        .iter()
        .map(|(key, value)| (bytes(key), bytes(value)))
        .collect()
}

fn wait_until_it_has(cluster: &Cluster, expected: &[(&str, &str)]) {
    let expected = pairs(expected);
    cluster.wait_for(&format!("{expected:?}"), || {
        (cluster.read_all(0) == expected).then_some(())
    });
}

#[test]
fn a_mirror_has_what_was_there_and_follows_puts_deletes_and_transactions() {
    let (from, to) = (Plan::of(1).start(), Plan::of(1).start());
    for i in 0..3 {
        ctl(&from, &["put", &format!("a/{i}"), "before"], "");
    }
    ctl(&from, &["put", "b", "other"], "");
    ctl(&from, &["put", "a/gone", "x"], "");
    ctl(&from, &["del", "a/gone"], "");
    let mirror = Mirror::start(&from, &to, &[]);
    let before = [
        ("a/0", "before"),
        ("a/1", "before"),
        ("a/2", "before"),
        ("b", "other"),
    ];
    wait_until_it_has(&to, &before);
    ctl(&from, &["put", "a/1", "after"], "");
    ctl(&from, &["txn"], "\nput a/3 new\ndel a/0\nput c \"\"\n\n\n");
    ctl(&from, &["del", "b"], "");
    let after = [
        ("a/1", "after"),
        ("a/2", "before"),
        ("a/3", "new"),
        ("c", ""),
    ];
    wait_until_it_has(&to, &after);
    drop(mirror);
    // One transaction came as one: of its revision both puts.
    let a3 = ctl(&to, &["get", "a/3", "-w", "json"], "");
    let c = ctl(&to, &["get", "c", "-w", "json"], "");
    let revision = |text: &str| {
        let read: serde_json::Value = serde_json::from_str(text).expect("JSON");
        read["kvs"][0]["mod_revision"].clone()
    };
    assert_eq!(revision(&a3), revision(&c));
}

#[test]
fn a_mirror_may_have_another_prefix_or_none_begin_late_and_send_in_parts() {
    let (from, to) = (Plan::of(1).start(), Plan::of(1).start());
    ctl(&from, &["put", "a/1", "one"], "");
    ctl(&from, &["put", "a/2", "two"], "");
    ctl(&from, &["put", "ab", "no"], "");
    let flags = ["--prefix", "a/", "--dest-prefix", "copy/"];
    let mirror = Mirror::start(&from, &to, &flags);
    wait_until_it_has(&to, &[("copy/1", "one"), ("copy/2", "two")]);
    drop(mirror);
    let flags = ["--prefix=a/", "--no-dest-prefix", "--max-txn-ops=1"];
    let mirror = Mirror::start(&from, &to, &flags);
    let both = [
        ("1", "one"),
        ("2", "two"),
        ("copy/1", "one"),
        ("copy/2", "two"),
    ];
    wait_until_it_has(&to, &both);
    ctl(&from, &["txn"], "\nput a/3 three\ndel a/1\n\n\n");
    let both = [
        ("2", "two"),
        ("3", "three"),
        ("copy/1", "one"),
        ("copy/2", "two"),
    ];
    wait_until_it_has(&to, &both);
    drop(mirror);
    // `a/2` is of the third revision.
    ctl(&to, &["del", "", "--prefix"], "");
    let _mirror = Mirror::start(&from, &to, &["--rev", "3"]);
    wait_until_it_has(&to, &[("a/2", "two"), ("a/3", "three"), ("ab", "no")]);
}

#[test]
fn a_mirror_of_a_quiet_prefix_goes_on_after_a_compaction_and_a_lost_connection() {
    let soon = "--experimental-watch-progress-notify-interval=100ms";
    let mut from = Plan::of(1).flag(soon).start();
    let to = Plan::of(1).start();
    ctl(&from, &["put", "a/1", "one"], "");
    let _mirror = Mirror::start(&from, &to, &["--prefix", "a/"]);
    wait_until_it_has(&to, &[("a/1", "one")]);
    ctl(&from, &["put", "a/2", "two"], "");
    wait_until_it_has(&to, &[("a/1", "one"), ("a/2", "two")]);
    // Nothing more happens under the prefix, while revisions go on.
    for _ in 0..5 {
        ctl(&from, &["put", "b", "other"], "");
    }
    // Another stream of the same interval has heard of the last one several times: so has the mirror's, once.
    hear_progress(&from, 5);
    ctl(&from, &["compact", "8"], "");
    from.kill(0);
    from.restart(0);
    from.wait_for_leader();
    ctl(&from, &["put", "a/3", "three"], "");
    let all = [("a/1", "one"), ("a/2", "two"), ("a/3", "three")];
    wait_until_it_has(&to, &all);
}

/// Waits until a watch that begins now was told so often how far it has come.
fn hear_progress(cluster: &Cluster, times: usize) {
    let options = Options {
        endpoints: vec![cluster.endpoint(0)],
        ..Options::default()
    };
    runtime().block_on(async {
        let client = Client::new(&options).expect("a client");
        let mut watcher = client.watch(WatchCreateRequest {
            key: "a/".into(),
            range_end: "a0".into(),
            progress_notify: true,
            ..Default::default()
        });
        for _ in 0..=times {
            watcher.next().await.expect("an answer").expect("no end");
        }
    });
}

#[test]
fn a_mirror_says_when_its_source_has_gone() {
    use std::io::BufRead as _;
    let (mut from, to) = (Plan::of(1).start(), Plan::of(1).start());
    ctl(&from, &["put", "a", "1"], "");
    let mut mirror = Mirror::start_telling(&from, &to, &[]);
    wait_until_it_has(&to, &[("a", "1")]);
    from.kill(0);
    let error = mirror.0.stderr.take().expect("it is piped");
    let mut said = std::io::BufReader::new(error).lines().map_while(Result::ok);
    let line = said.next();
    let expected = "The source has not answered for 5 seconds; trying again";
    assert_eq!(line.as_deref(), Some(expected));
    from.restart(0);
    from.wait_for_leader();
    ctl(&from, &["put", "b", "2"], "");
    wait_until_it_has(&to, &[("a", "1"), ("b", "2")]);
}

#[test]
fn an_interrupted_check_of_performance_leaves_nothing_behind() {
    use rustix::process::Signal;
    for signal in [Signal::INT, Signal::TERM] {
        let cluster = Plan::of(1).alone().start();
        let mut command = quorate_command();
        command.args(["ctl", "--endpoints", &cluster.endpoint(0)]);
        command
            .args(["check", "perf", "--load=l"])
            .stdin(Stdio::null());
        let started = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut check = Mirror(started.expect("it starts"));
        cluster.wait_for("some writes", || {
            (cluster.read_all(0).len() > 100).then_some(())
        });
        crate::cluster::signal(&check.0, signal);
        let ended = check.0.wait().expect("it ends");
        assert_eq!(ended.code(), Some(1));
        assert_eq!(cluster.read_all(0), BTreeMap::new());
    }
}

#[test]
fn a_mirror_that_cannot_go_on_says_why_and_wrong_flags_are_refused() {
    let from = Plan::of(1).start();
    let said = |flags: &[&str]| {
        let mut command = quorate_command();
        command.args(["ctl", "--endpoints", &from.endpoint(0), "make-mirror"]);
        let ran = run(command.args(flags), "");
        (ran.code, ran.error)
    };
    assert_eq!(
        said(&[]),
        (
            Some(128),
            "Error: make-mirror takes one destination argument\n".to_owned()
        )
    );
    let both = "Error: `--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one\n";
    let flags = ["--dest-prefix=b", "--no-dest-prefix", "127.0.0.1:1"];
    assert_eq!(said(&flags), (Some(128), both.to_owned()));
    for value in ["one", "two", "three"] {
        ctl(&from, &["put", "key", value], "");
    }
    ctl(&from, &["compact", "4"], "");
    let compacted = "Error: etcdserver: mvcc: required revision has been compacted\n";
    let flags = ["--rev=2", "127.0.0.1:1"];
    assert_eq!(said(&flags), (Some(1), compacted.to_owned()));
    let (code, error) = said(&["127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("Connection refused"), "{error}");
}

#[test]
fn a_mirror_prints_how_much_it_has_copied() {
    use std::io::BufRead as _;
    let (from, to) = (Plan::of(1).start(), Plan::of(1).start());
    ctl(&from, &["put", "a", "1"], "");
    ctl(&from, &["put", "b", "2"], "");
    let mut mirror = Mirror::start(&from, &to, &["--report-interval=100ms"]);
    let out = mirror.0.stdout.take().expect("it is piped");
    let mut counts = std::io::BufReader::new(out).lines().map_while(Result::ok);
    // It ends with the mirror, so the test does.
    assert!(counts.any(|count| count == "2"));
}

#[test]
fn a_short_check_of_performance_prints_etcdctls_lines_and_leaves_nothing_behind() {
    let cluster = Plan::of(1).alone().start();
    let endpoint = cluster.endpoint(0);
    let check = |flags: &[&str]| {
        let mut command = quorate_command();
        command.args(["ctl", "--endpoints", &endpoint, "check", "perf"]);
        run(command.args(flags), "")
    };
    let ran = check(&["--duration=2s", "--auto-compact", "--auto-defrag"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    let begins = |line: usize, words: &[&str]| {
        let is_one = words.iter().any(|word| lines[line].starts_with(word));
        assert!(is_one, "{ran:?}");
    };
    assert_eq!(lines.len(), 8, "{ran:?}");
    begins(0, &["Compacting with revision "]);
    begins(1, &["Compacted with revision "]);
    begins(2, &["Defragmenting \""]);
    begins(3, &["Defragmented \""]);
    begins(4, &["PASS: Throughput is ", "FAIL: Throughput too low: "]);
    begins(
        5,
        &[
            "PASS: Slowest request took ",
            "Slowest request took too long: ",
        ],
    );
    begins(6, &["PASS: Stddev is ", "Stddev too high: "]);
    // A loaded machine may fail it; the last line and the exit code agree.
    let code = if lines[7] == "PASS" { 0 } else { 1 };
    assert!(matches!(lines[7], "PASS" | "FAIL"), "{ran:?}");
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert_eq!(ran.error, "");
    assert_eq!(cluster.read_all(0), BTreeMap::new());
    let header: serde_json::Value =
        serde_json::from_str(&ctl(&cluster, &["get", "x", "-w", "json"], "")).expect("JSON");
    let revision = header["header"]["revision"].as_i64().expect("a number");
    assert!(
        (200..=310).contains(&revision),
        "150 writes a second: {revision}"
    );
    ctl(&cluster, &["put", "/etcdctl-check-perf/mine", "x"], "");
    let refused = check(&[]);
    assert_eq!(refused.code, Some(3));
    assert!(
        refused
            .error
            .starts_with("Error: prefix \"/etcdctl-check-perf/\" has keys."),
        "{refused:?}"
    );
    let unknown = check(&["--load=huge"]);
    assert_eq!(unknown.error, "Error: unknown load option huge\n");
    assert_eq!(unknown.code, Some(4));
}
