//! What a node asks of the kernel, seen with strace: that it syncs before it acknowledges, and
//! what becomes of it when a sync fails.

use crate::cluster::{Plan, real_directory};
use crate::real_faults::{
    Dice, STRACE, Strace, Writer, find_lost, only_line_of_its_own, requirements,
};

const VALUE_BYTES: usize = 100;
const PUTS: usize = 20;

/// What a node writes to its log and syncs, with enough of each write to find a key in it.
const WRITES_AND_SYNCS: [&str; 4] = ["-e", "trace=pwrite64,fdatasync,fsync", "-s", "4096"];

#[test]
fn a_single_node_calls_fdatasync_on_what_it_wrote_before_it_acknowledges_each_put() {
    if !requirements::are_met(&[STRACE]) {
        return;
    }
    let cluster = Plan::of(1).start();
    let directory = real_directory();
    let strace = Strace::attach(cluster.nodes[0].pid(), directory.path(), &WRITES_AND_SYNCS);
    let mut writer = Writer::new(&cluster.endpoint(0), "put");
    for number in 1..=PUTS {
        let put = writer.put(VALUE_BYTES).expect("acknowledged");
        let lines = strace.lines();
        assert!(
            wrote_and_synced(&lines, &put.key),
            "{:?}: {lines:#?}",
            put.key
        );
        let syncs = lines.iter().filter(|line| is_sync(line)).count();
        assert!(syncs >= number, "{number} puts, {syncs} syncs: {lines:#?}");
    }
}

#[test]
fn a_cluster_of_three_has_synced_each_put_on_two_nodes_before_it_acknowledges_it() {
    if !requirements::are_met(&[STRACE]) {
        return;
    }
    let cluster = Plan::of(3).start();
    let directory = real_directory();
    let traced: Vec<Strace> = cluster
        .nodes
        .iter()
        .map(|node| Strace::attach(node.pid(), directory.path(), &WRITES_AND_SYNCS))
        .collect();
    let mut writer = Writer::new(&cluster.endpoint(0), "put");
    for _ in 0..PUTS {
        let put = writer.put(VALUE_BYTES).expect("acknowledged");
        let traces: Vec<Vec<String>> = traced.iter().map(Strace::lines).collect();
        let synced = traces
            .iter()
            .filter(|lines| wrote_and_synced(lines, &put.key));
        assert!(synced.count() >= 2, "{:?}: {traces:#?}", put.key);
    }
}

/// Whether a write with `key` in it was followed by a completed `fdatasync` of the same file.
fn wrote_and_synced(lines: &[String], key: &[u8]) -> bool {
    let key = std::str::from_utf8(key).expect("a key of ours");
    let write = lines
        .iter()
        .position(|line| line.contains("pwrite64(") && line.contains(key));
    let Some(write) = write else {
        return false;
    };
    let Some(file) = first_argument(&lines[write], "pwrite64(") else {
        return false;
    };
    // Another thread's call may come in between; then strace writes begin and end of this one
    // on lines of their own, both with the number of the thread.
    let begins = format!("fdatasync({file}");
    let mut after = lines[write..].iter();
    let Some(sync) = after.find(|line| line.contains(&begins)) else {
        return false;
    };
    let thread = sync.split(' ').next();
    is_sync(sync) || after.any(|line| line.split(' ').next() == thread && is_sync(line))
}

/// The words of the first argument of a call.
fn first_argument<'a>(line: &'a str, call: &str) -> Option<&'a str> {
    let (_, arguments) = line.split_once(call)?;
    arguments.split([',', ' ', ')']).next()
}

/// Whether the line tells of an `fdatasync` that succeeded.
fn is_sync(line: &str) -> bool {
    (line.contains("fdatasync(") || line.contains("fdatasync resumed>")) && line.ends_with("= 0")
}

#[test]
fn a_node_whose_fdatasync_fails_answers_the_put_with_an_error_stops_with_one_line_and_keeps_the_rest()
 {
    if !requirements::are_met(&[STRACE]) {
        return;
    }
    let mut dice = Dice::new();
    let mut cluster = Plan::of(1).start();
    let directory = real_directory();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let failing = format!(
            "inject=fdatasync:error=EIO:when={}",
            dice.draw(1..PUTS as u64)
        );
        let said_before = cluster.nodes[0].log_text().len();
        let strace = Strace::attach(
            cluster.nodes[0].pid(),
            directory.path(),
            &["-e", "trace=fdatasync", "-e", &failing],
        );
        let mut writer = Writer::new(&cluster.endpoint(0), &format!("round-{round}"));
        // Every put needs a sync, so one of these many has none.
        let puts: Vec<_> = (0..PUTS).map(|_| writer.put(VALUE_BYTES)).collect();
        let before = puts.iter().take_while(|put| put.is_ok()).count();
        assert!(before < PUTS, "{failing}, but all were acknowledged");
        assert!(puts[before..].iter().all(Result::is_err), "{puts:#?}");
        acknowledged.extend(puts.into_iter().filter_map(Result::ok));
        let how = cluster.nodes[0].wait_until_ended();
        assert_eq!(how.code(), Some(1), "{how}");
        drop(strace);
        let said = cluster.nodes[0].log_text().split_off(said_before);
        let line = only_line_of_its_own(&said);
        for part in [
            "cannot sync",
            cluster.nodes[0].directory.to_str().expect("UTF-8"),
            "/wal/",
            "Input/output error",
            "check that disk",
            "start the node again",
        ] {
            assert!(line.contains(part), "{part:?} is not in: {line}");
        }
        cluster.restart(0);
        cluster.wait_for_leader();
        let lost = find_lost(&cluster.endpoint(0), &acknowledged);
        assert!(lost.is_empty(), "lost: {lost:#?}");
    }
    eprintln!("{} writes acknowledged, none lost", acknowledged.len());
}
