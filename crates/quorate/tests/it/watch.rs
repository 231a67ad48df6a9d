//! Watches on real processes, with Debian's etcdctl, unchanged: what it is told, in which order, and where it goes on.

mod many;
mod requests;
mod stream;
mod watching;

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Etcdctl, PATIENCE, Plan, quorate_command, wait_for};
use watching::Watching;

const WATCHERS: &str = "etcd_debugging_mvcc_watcher_total";

/// Starts a cluster each of whose nodes has caught up, so that it opens streams.
fn start(plan: Plan) -> Cluster {
    let cluster = plan.start();
    for i in 0..cluster.len() {
        cluster.wait_until_healthy(i);
    }
    cluster
}

/// Starts three nodes; nothing when there is no etcdctl.
fn three_nodes() -> Option<Cluster> {
    Etcdctl::is_installed().then(|| Plan::of(3).start())
}

/// Starts etcdctl's watch at node `i`, and waits until it is there.
fn watch(cluster: &Cluster, i: usize, words: &[&str]) -> Watching {
    let before = cluster.metric(i, WATCHERS);
    let watching = Watching::etcdctl(&cluster.endpoint(i), words);
    cluster.wait_for("a watcher", || {
        (cluster.metric(i, WATCHERS) > before).then_some(())
    });
    watching
}

/// The revision of the store of node `i`, after all that was acknowledged before.
fn revision(cluster: &Cluster, i: usize) -> i64 {
    cluster.wait_until_healthy(i);
    cluster.status(i).expect("it answers").revision
}

#[test]
fn each_node_tells_of_puts_and_deletes_in_order_with_the_values_before() {
    let Some(cluster) = three_nodes() else { return };
    let watches: Vec<Watching> = (0..3)
        .map(|i| watch(&cluster, i, &["a/", "--prefix", "--prev-kv"]))
        .collect();
    let etcdctl = cluster.etcdctl(0);
    for (key, value) in [("a/1", "one"), ("b", "not watched"), ("a/1", "two")] {
        etcdctl.output(&["put", key, value]);
    }
    etcdctl.output(&["del", "a/1"]);
    for watching in watches {
        watching.wait_for(&[
            "PUT", "a/1", "one", // A key's first value.
            "PUT", "a/1", "one", "a/1", "two", // One after another.
            "DELETE", "a/1", "two", "a/1", "", // And none.
        ]);
    }
}

#[test]
fn all_that_one_transaction_changed_is_told_at_once_and_history_from_any_revision() {
    let Some(cluster) = three_nodes() else { return };
    let etcdctl = cluster.etcdctl(1);
    etcdctl.output_with(&["txn"], "\nput a 1\nput b 2\ndel c\n\n\n");
    let first = revision(&cluster, 1);
    etcdctl.output(&["put", "a", "2"]);
    let from = format!("--rev={first}");
    let watching = watch(&cluster, 2, &["", "--prefix", &from, "-w", "json"]);
    let lines = watching.wait_for_lines(1);
    let mut revisions = Vec::new();
    let mut answers = 0;
    for line in &lines {
        let answer: serde_json::Value = serde_json::from_str(line).expect("JSON");
        answers += 1;
        for event in answer["Events"].as_array().expect("events") {
            revisions.push(event["kv"]["mod_revision"].as_i64().expect("a revision"));
        }
    }
    assert_eq!(
        (answers, revisions),
        (1, vec![first, first, first + 1]),
        "{lines:?}"
    );
    etcdctl.output_with(&["txn"], "\nput a 3\nput b 3\n\n\n");
    let lines = watching.wait_for_lines(2);
    let answer: serde_json::Value = serde_json::from_str(&lines[1]).expect("JSON");
    assert_eq!(answer["Events"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_watch_of_what_is_compacted_ends_and_says_so() {
    let Some(cluster) = three_nodes() else { return };
    let etcdctl = cluster.etcdctl(0);
    for value in ["1", "2", "3"] {
        etcdctl.output(&["put", "a", value]);
    }
    etcdctl.output(&["compact", "3"]);
    cluster.wait_until_healthy(2);
    let ran = cluster.etcdctl(2).run(&["watch", "a", "--rev=2"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    let text = "watch was canceled (etcdserver: mvcc: required revision has been compacted)\n\
                Error: watch is canceled by the server\n";
    assert!(ran.error.ends_with(text), "{ran:?}");
}

#[test]
fn a_watch_goes_on_at_another_node_when_its_own_is_killed() {
    let Some(mut cluster) = three_nodes() else {
        return;
    };
    let watching = Watching::etcdctl(&cluster.endpoints().join(","), &["k", "--prefix"]);
    let watched_at = |cluster: &Cluster| {
        (0..3).find(|i| cluster.nodes[*i].is_running() && cluster.metric(*i, WATCHERS) > 0.0)
    };
    let at = cluster.wait_for("the watch", || watched_at(&cluster));
    let writer = Etcdctl::new(&cluster.endpoint((at + 1) % 3));
    writer.output(&["put", "k", "before"]);
    watching.wait_for(&["PUT", "k", "before"]);
    cluster.kill(at);
    cluster.wait_for_leader();
    writer.output(&["put", "k", "meanwhile"]);
    cluster.wait_for("the watch elsewhere", || watched_at(&cluster));
    writer.output(&["put", "k", "after"]);
    watching.wait_for(&[
        "PUT",
        "k",
        "before",
        "PUT",
        "k",
        "meanwhile",
        "PUT",
        "k",
        "after",
    ]);
}

#[test]
fn a_client_that_reads_nothing_slows_no_put_and_misses_nothing() {
    let Some(cluster) = three_nodes() else { return };
    let watching = watch(&cluster, 0, &["k", "--prefix"]);
    watching.stop_reading();
    let etcdctl = cluster.etcdctl(0);
    let value = "v".repeat(100_000);
    let started = Instant::now();
    let puts = 300;
    for i in 0..puts {
        let key = format!("k{i:04}");
        etcdctl.output(&["put", &key, &value]);
    }
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    let behind = cluster.metric(0, "etcd_debugging_mvcc_slow_watcher_total");
    assert_eq!(behind, 1.0, "thirty megabytes are more than a queue holds");
    watching.go_on_reading();
    let lines = watching.wait_for_lines(3 * puts);
    let keys: Vec<&String> = lines.iter().skip(1).step_by(3).collect();
    let expected: Vec<String> = (0..puts).map(|i| format!("k{i:04}")).collect();
    assert_eq!(keys, expected.iter().collect::<Vec<_>>());
    cluster.wait_for("the watcher to have caught up", || {
        let behind = cluster.metric(0, "etcd_debugging_mvcc_slow_watcher_total");
        (behind == 0.0).then_some(())
    });
}

#[test]
fn a_server_with_watchers_stops_at_once_and_they_go_with_it() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(1).start();
    let _watching = watch(&cluster, 0, &["k"]);
    let started = Instant::now();
    assert!(cluster.terminate(0).success());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_member_that_starts_again_shows_watchers_no_past() {
    let Some(mut cluster) = three_nodes() else {
        return;
    };
    let etcdctl = cluster.etcdctl(0);
    etcdctl.output(&["put", "k", "old"]);
    cluster.terminate(2);
    etcdctl.output(&["put", "k", "new"]);
    cluster.restart(2);
    // etcdctl gives up where there is no leader.
    cluster.wait_for_leader();
    let watching = Watching::etcdctl(&cluster.endpoint(2), &["k"]);
    wait_for("a watcher", PATIENCE, || {
        (cluster.metric(2, WATCHERS) > 0.0).then_some(())
    });
    etcdctl.output(&["put", "k", "newer"]);
    watching.wait_for(&["PUT", "k", "newer"]);
}

#[test]
fn quorate_ctl_prints_what_etcdctl_prints() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(1).start();
    let (endpoint, etcdctl) = (cluster.endpoint(0), cluster.etcdctl(0));
    etcdctl.output(&["put", "k", "1"]);
    etcdctl.output(&["put", "k", "2"]);
    etcdctl.output(&["del", "k"]);
    for (form, lines) in [("simple", 13), ("json", 1), ("fields", 37)] {
        let words = ["k", "--prefix", "--prev-kv", "--rev=2", "-w", form];
        let theirs = Watching::etcdctl(&endpoint, &words).wait_for_lines(lines);
        let mut command = quorate_command();
        command.args(["ctl", "--endpoints", &endpoint, "watch"]);
        let ours = Watching::start(command.args(words)).wait_for_lines(lines);
        assert_eq!(ours, theirs, "{form}");
    }
}

#[test]
fn commands_and_lines_of_input_do_what_they_do_with_etcdctl() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(1).start();
    let (endpoint, etcdctl) = (cluster.endpoint(0), cluster.etcdctl(0));
    etcdctl.output(&["put", "k", "1"]);
    etcdctl.output(&["put", "k", "2 and \"more\""]);
    etcdctl.output(&["del", "k"]);
    let shell = "env | grep ETCD_WATCH_ | sort; echo";
    let interactive = "watch k k9 --rev=3 --prev-kv -- echo told\n";
    let cases: [(&[&str], &str, usize); 4] = [
        (&["k", "--rev=2", "--", "echo", "told"], "", 12),
        (&["--rev=3", "k", "--", "sh", "-c", shell], "", 16),
        (&["-i"], "watch --rev=2 --prefix k\n", 9),
        (&["-i"], interactive, 12),
    ];
    for (words, input, lines) in cases {
        let theirs = Watching::etcdctl_with(&endpoint, words, input).wait_for_lines(lines);
        let mut command = quorate_command();
        command.args(["ctl", "--endpoints", &endpoint, "watch"]);
        let ours = Watching::start_with(command.args(words), input).wait_for_lines(lines);
        assert_eq!(ours, theirs, "{words:?} {input:?}");
    }
}
