//! Real processes that speak an older protocol version are replaced one by one by newer ones, under load,
//! and one goes back on the way. An older program is the same binary, told to speak less.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quorate_proto::etcdserverpb::PutRequest;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, Etcdctl, Pairs, Plan, contents, kv, quorate_command, run, runtime};

const OLDER: &str = "--experimental-protocol-version=1";

/// Clients that write one new key after the other.
const WRITERS: usize = 8;

/// Writes at least this many between two steps, so that each step meets a load.
const WRITES_PER_STEP: usize = 200;

/// Writers, each at one node until that refuses, and what was acknowledged to them.
struct Load {
    runtime: tokio::runtime::Runtime,
    ends: Arc<AtomicBool>,
    written: Arc<std::sync::atomic::AtomicUsize>,
    writers: Vec<JoinHandle<Pairs>>,
}

impl Load {
    fn start(endpoints: &[String]) -> Load {
        let runtime = runtime();
        let ends = Arc::new(AtomicBool::new(false));
        let written = Arc::default();
        let writers = (0..WRITERS).map(|writer| {
            let (endpoints, ends) = (endpoints.to_vec(), Arc::clone(&ends));
            runtime.spawn(write(writer, endpoints, ends, Arc::clone(&written)))
        });
        let writers = writers.collect();
        Load {
            runtime,
            ends,
            written,
            writers,
        }
    }

    /// Waits for some more writes.
    fn goes_on(&self, cluster: &Cluster) {
        let before = self.written.load(Ordering::SeqCst);
        cluster.wait_for("writes to go on", || {
            (self.written.load(Ordering::SeqCst) >= before + WRITES_PER_STEP).then_some(())
        });
    }

    /// All that was acknowledged.
    fn end(self) -> Pairs {
        self.ends.store(true, Ordering::SeqCst);
        let writers = self.writers.into_iter();
        let written = writers.map(|writer| self.runtime.block_on(writer).expect("it ends"));
        written.flatten().collect()
    }
}

async fn write(
    writer: usize,
    endpoints: Vec<String>,
    ends: Arc<AtomicBool>,
    written: Arc<std::sync::atomic::AtomicUsize>,
) -> Pairs {
    let mut clients: Vec<_> = endpoints.iter().map(|endpoint| kv(endpoint)).collect();
    let (mut acknowledged, mut at) = (BTreeMap::new(), writer);
    for number in 0.. {
        if ends.load(Ordering::SeqCst) {
            break;
        }
        let (key, value) = (format!("w{writer}/{number}"), format!("{number}"));
        let request = PutRequest {
            key: key.clone().into(),
            value: value.clone().into(),
            ..PutRequest::default()
        };
        let node = at % clients.len();
        match clients[node].put(request).await {
            Ok(_) => {
                acknowledged.insert(key.into_bytes(), value.into_bytes());
                written.fetch_add(1, Ordering::SeqCst);
            }
            // Its fate is unknown; the next one is another key, at another node.
            Err(_) => {
                at += 1;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    }
    acknowledged
}

/// Node `i` is stopped, and started to speak the older version, or the newest.
fn replace(cluster: &mut Cluster, i: usize, older: bool) {
    cluster.terminate(i);
    cluster.nodes[i].flags = if older {
        vec![OLDER.to_owned()]
    } else {
        Vec::new()
    };
    cluster.restart(i);
    cluster.wait_until_healthy(i);
}

fn assert_leases_are_refused(cluster: &Cluster) {
    for i in 0..cluster.len() {
        let refused = cluster.etcdctl(i).error(&["lease", "grant", "60"]);
        assert!(refused.contains("etcdserver: not capable"), "{refused}");
    }
}

fn assert_holds(cluster: &Cluster, acknowledged: &Pairs) {
    cluster.wait_until_equal();
    for i in 0..cluster.len() {
        let held = cluster.read_all(i);
        let lost = acknowledged
            .iter()
            .find(|(key, value)| held.get(*key) != Some(*value));
        assert_eq!(lost, None, "lost at node {i}");
    }
}

/// Starts node `i`, which does not run, with these flags; it must end at once, say why in one line, and
/// change nothing. Gives that line.
fn refusal(cluster: &mut Cluster, i: usize, flags: &[&str]) -> String {
    let node = &mut cluster.nodes[i];
    node.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let is_there = node.directory.exists();
    let before = is_there.then(|| contents(&node.directory));
    let ran = run(
        quorate_command()
            .args(node.words())
            .arg("--log-level=error"),
        "",
    );
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.error.lines().count(), 1, "{ran:?}");
    if let Some(before) = before {
        assert_eq!(contents(&node.directory), before, "something was changed");
    }
    ran.error
}

#[test]
fn a_cluster_is_upgraded_node_by_node_under_load_and_nothing_is_lost() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).flag(OLDER).start();
    let load = Load::start(&cluster.endpoints());
    load.goes_on(&cluster);
    assert_leases_are_refused(&cluster);
    for (i, older) in [(0, false), (1, false), (1, true), (1, false)] {
        replace(&mut cluster, i, older);
        load.goes_on(&cluster);
    }
    assert_leases_are_refused(&cluster);
    replace(&mut cluster, 2, false);
    for i in 0..3 {
        let granted = cluster.etcdctl(i).output(&["lease", "grant", "600"]);
        let lease = granted.split(' ').nth(1).expect("an id").to_owned();
        let put = [
            "put",
            &format!("leased{i}"),
            "x",
            &format!("--lease={lease}"),
        ];
        assert_eq!(cluster.etcdctl((i + 1) % 3).output(&put), "OK\n");
    }
    load.goes_on(&cluster);
    let acknowledged = load.end();
    assert_holds(&cluster, &acknowledged);

    // There is no way back, and whoever tries it is told so.
    cluster.wait_for("the directory to say so", || {
        let identity = cluster.nodes[0].directory.join("member.json");
        let identity = std::fs::read_to_string(identity).expect("readable");
        identity.contains("\"format_version\": 2").then_some(())
    });
    cluster.terminate(0);
    let refused = refusal(&mut cluster, 0, &[OLDER]);
    assert!(refused.contains("needs protocol version 2"), "{refused}");
    assert!(refused.contains("speaks at most 1"), "{refused}");
    replace_stopped(&mut cluster, 0);
    assert_holds(&cluster, &acknowledged);
}

fn replace_stopped(cluster: &mut Cluster, i: usize) {
    cluster.nodes[i].flags = Vec::new();
    cluster.restart(i);
    cluster.wait_until_healthy(i);
}

#[test]
fn a_member_that_speaks_less_than_its_cluster_is_refused_with_a_sentence() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    let granted = cluster.etcdctl(0).output(&["lease", "grant", "600"]);
    assert!(granted.starts_with("lease "), "{granted}");
    let newcomer = cluster.add(0, true);
    let refused = refusal(&mut cluster, newcomer, &[OLDER]);
    assert!(
        refused.contains("cannot join: the cluster needs protocol version 2"),
        "{refused}"
    );
    assert!(
        !cluster.nodes[newcomer]
            .directory
            .join("member.json")
            .exists()
    );
    replace_stopped(&mut cluster, newcomer);
    cluster.wait_until_equal();

    // A founder that has forgotten everything has nothing of its own to go by: the others tell it.
    cluster.kill(2);
    let node = &mut cluster.nodes[2];
    std::fs::remove_dir_all(&node.directory).expect("removed");
    node.flags = vec![OLDER.to_owned()];
    node.spawn();
    assert_eq!(node.wait_until_ended().code(), Some(1));
    let log = node.log_text();
    assert!(
        log.contains("takes this member in no more, because it needs protocol version 2"),
        "{log}"
    );
}
