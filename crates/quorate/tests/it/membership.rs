//! Members come and go under load, by the stock etcdctl: no acknowledged write is lost, and who was removed stops.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use quorate_client::stubs::cluster_client::ClusterClient;
use quorate_client::stubs::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::{MemberAddRequest, MoveLeaderRequest, PutRequest};
use tonic::Code;
use tonic::transport::Endpoint;

use crate::cluster::{Cluster, Etcdctl, Plan, kv, runtime};

/// A write that takes longer is given up; its outcome is unknown.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Writes key after key to whichever node takes them, and remembers what was acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    endpoints: Arc<Mutex<Vec<String>>>,
    acknowledged: Arc<AtomicU64>,
    writer: thread::JoinHandle<Vec<Vec<u8>>>,
}

impl Load {
    fn start(cluster: &Cluster) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let endpoints = Arc::new(Mutex::new(cluster.endpoints()));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let writer = thread::spawn({
            let (stop, endpoints) = (Arc::clone(&stop), Arc::clone(&endpoints));
            let acknowledged = Arc::clone(&acknowledged);
            move || write_until(&stop, &endpoints, &acknowledged)
        });
        Load {
            stop,
            endpoints,
            acknowledged,
            writer,
        }
    }

    /// These are the nodes from now on.
    fn goes_to(&self, cluster: &Cluster) {
        *self.endpoints.lock().unwrap() = running(cluster)
            .into_iter()
            .map(|i| cluster.endpoint(i))
            .collect();
    }

    /// Waits for some more acknowledged writes.
    fn goes_on(&self, cluster: &Cluster) {
        let enough = self.acknowledged.load(Ordering::SeqCst) + 20;
        cluster.wait_for("more writes to be acknowledged", || {
            (self.acknowledged.load(Ordering::SeqCst) >= enough).then_some(())
        });
    }

    fn end(self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::SeqCst);
        self.writer.join().expect("the writer ends")
    }
}

fn write_until(
    stop: &AtomicBool,
    endpoints: &Mutex<Vec<String>>,
    acknowledged: &AtomicU64,
) -> Vec<Vec<u8>> {
    runtime().block_on(async {
        let mut keys = Vec::new();
        let mut number = 0;
        while !stop.load(Ordering::SeqCst) {
            let endpoints = endpoints.lock().unwrap().clone();
            let mut client = kv(&endpoints[number % endpoints.len()]);
            // A few in a row on one connection.
            for _ in 0..10 {
                let key = format!("key{number:06}").into_bytes();
                number += 1;
                let put = PutRequest {
                    key: key.clone().into(),
                    value: vec![7; 100].into(),
                    ..Default::default()
                };
                match tokio::time::timeout(WRITE_TIMEOUT, client.put(put)).await {
                    Ok(Ok(_)) => {
                        keys.push(key);
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                    _ => break,
                }
            }
        }
        keys
    })
}

fn running(cluster: &Cluster) -> Vec<usize> {
    let nodes = 0..cluster.len();
    nodes.filter(|i| cluster.nodes[*i].is_running()).collect()
}

fn member_id(cluster: &Cluster, i: usize) -> String {
    let page = cluster.nodes[i].page("/quorate/status").expect("a status");
    let status: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    status["member_id"].as_str().expect("an id").to_owned()
}

fn holds_all(cluster: &Cluster, i: usize, keys: &[Vec<u8>]) {
    cluster.wait_until_healthy(i);
    let pairs = cluster.read_all(i);
    let missing = keys.iter().filter(|key| !pairs.contains_key(*key)).count();
    assert_eq!(missing, 0, "of {} on {}", keys.len(), cluster.nodes[i].name);
}

/// Promotes a learner as soon as it has caught up.
fn promote(cluster: &Cluster, by: usize, learner: usize) {
    let id = member_id(cluster, learner);
    let etcdctl = cluster.etcdctl(by);
    cluster.wait_for("the learner to be promoted", || {
        let ran = etcdctl.run(&["member", "promote", &id]);
        if ran.code == Some(0) {
            return Some(());
        }
        let passes = ["in sync with leader", "under way", "timed out"];
        assert!(
            passes.iter().any(|text| ran.error.contains(text)),
            "{ran:?}"
        );
        None
    });
}

/// Removes a member by another and waits until its process has stopped of itself.
fn remove(cluster: &mut Cluster, by: usize, member: usize) {
    let id = member_id(cluster, member);
    let out = cluster.etcdctl(by).output(&["member", "remove", &id]);
    assert!(out.contains("removed from cluster"), "{out}");
    stops_as_removed(cluster, member);
}

fn stops_as_removed(cluster: &mut Cluster, member: usize) {
    let how = cluster.nodes[member].wait_until_ended();
    assert_eq!(how.code(), Some(1), "{}", cluster.nodes[member].log_end());
    let log = cluster.nodes[member].log_end();
    let last = log.lines().last().unwrap_or_default();
    let told = "the member has been permanently removed from the cluster";
    assert!(last.contains(told), "{log}");
}

#[test]
fn members_come_and_go_under_load_and_no_acknowledged_write_is_lost() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    let load = Load::start(&cluster);
    load.goes_on(&cluster);

    let learner = cluster.join(0, true);
    let listed = cluster.etcdctl(0).output(&["member", "list"]);
    assert_eq!(listed.matches(", true").count(), 1, "{listed}");
    promote(&cluster, 0, learner);
    load.goes_to(&cluster);
    load.goes_on(&cluster);
    let listed = cluster.etcdctl(learner).output(&["member", "list"]);
    assert_eq!(listed.matches(", false").count(), 4, "{listed}");

    let voter = cluster.join(1, false);
    load.goes_to(&cluster);
    load.goes_on(&cluster);

    let leader = cluster.wait_for_leader();
    let other = (leader + 1) % cluster.len();
    remove(&mut cluster, other, leader);
    load.goes_to(&cluster);
    cluster.wait_for_leader();
    load.goes_on(&cluster);

    // It does not come back by itself.
    cluster.nodes[leader].spawn();
    stops_as_removed(&mut cluster, leader);

    let from = cluster.wait_for_leader();
    let to = if from == voter { learner } else { voter };
    let endpoints = running(&cluster).into_iter().map(|i| cluster.endpoint(i));
    let all = Etcdctl::new(&endpoints.collect::<Vec<_>>().join(","));
    all.output(&["move-leader", &member_id(&cluster, to)]);
    assert_eq!(cluster.wait_for_leader(), to);
    load.goes_on(&cluster);

    // It may be added anew, on its old ports, with nothing of its old life.
    let again = cluster.join_at(other, false, leader);
    load.goes_to(&cluster);
    load.goes_on(&cluster);
    let keys = load.end();
    for i in running(&cluster) {
        holds_all(&cluster, i, &keys);
    }
    assert!(running(&cluster).contains(&again));
}

#[test]
fn a_member_that_was_away_finds_those_that_came_meanwhile() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    let away = (cluster.wait_for_leader() + 1) % 3;
    let here = 3 - away - cluster.wait_for_leader();
    cluster.kill(away);
    let learner = cluster.join(here, true);
    promote(&cluster, here, learner);
    let from = cluster.wait_for_leader();
    let id = member_id(&cluster, learner);
    cluster.etcdctl(from).output(&["move-leader", &id]);
    assert_eq!(cluster.wait_for_leader(), learner);
    // All that it knows of the leader is that a stranger dials it.
    cluster.restart(away);
    cluster.wait_until_healthy(away);
    cluster.wait_until_equal();
}

#[test]
fn one_member_becomes_two_and_one_again() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(1).start();
    cluster.etcdctl(0).output(&["put", "a", "1"]);
    let second = cluster.join(0, false);
    assert_eq!(cluster.etcdctl(second).output(&["get", "a"]), "a\n1\n");
    cluster.terminate(second);
    cluster.restart(second);
    cluster.wait_until_healthy(second);
    remove(&mut cluster, second, 0);
    cluster.wait_for_leader();
    assert_eq!(cluster.etcdctl(second).output(&["get", "a"]), "a\n1\n");
    cluster.etcdctl(second).output(&["put", "a", "2"]);
}

/// It could vote twice in one term, and forget what it acknowledged.
#[test]
fn a_member_that_lost_its_data_does_not_come_back_as_the_same() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    let lost = cluster.join(0, true);
    cluster.wait_for("it to have published its name", || {
        let listed = cluster.etcdctl(0).output(&["member", "list"]);
        listed.contains(", n4, ").then_some(())
    });
    cluster.kill(lost);
    std::fs::remove_dir_all(&cluster.nodes[lost].directory).expect("removed");
    cluster.nodes[lost].spawn();
    let how = cluster.nodes[lost].wait_until_ended();
    assert_ne!(how.code(), Some(0));
    let log = cluster.nodes[lost].log_end();
    assert!(log.contains("(n4) has started before"), "{log}");
}

/// The one member that it reaches knows of its addition, and not that it has started since.
#[test]
fn a_member_that_lost_its_data_takes_nobodys_word_but_the_leaders() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).flag("--snapshot-log-bytes=262144").start();
    let leader = cluster.wait_for_leader();
    let (behind, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let lost = cluster.add(leader, true);
    // From a snapshot it knows of the addition even before it hears of any leader.
    let value = "v".repeat(16 << 10);
    let etcdctl = cluster.etcdctl(leader);
    for number in 0..40 {
        etcdctl.output(&["put", &format!("key{number}"), &value]);
    }
    cluster.wait_for("a snapshot", || {
        let log = cluster.nodes[behind].log_text();
        log.contains("took a snapshot").then_some(())
    });
    cluster.kill(behind);
    cluster.restart(lost);
    cluster.wait_for("it to have published its name", || {
        let listed = cluster.etcdctl(leader).output(&["member", "list"]);
        listed.contains(", n4, ").then_some(())
    });
    for node in [lost, leader, other] {
        cluster.kill(node);
    }
    std::fs::remove_dir_all(&cluster.nodes[lost].directory).expect("removed");
    cluster.restart(behind);
    cluster.nodes[lost].spawn();
    let how = cluster.nodes[lost].wait_until_ended();
    assert_ne!(how.code(), Some(0));
    let log = cluster.nodes[lost].log_end();
    assert!(log.contains("takes nobody else's word"), "{log}");
}

/// What etcdctl itself does not let through.
async fn refused_before_any_leader_is_asked(follower: &str) {
    let channel = Endpoint::from_shared(format!("http://{follower}"));
    let channel = channel.expect("an address").connect_lazy();
    let mut maintenance = MaintenanceClient::new(channel.clone());
    let status = maintenance.move_leader(MoveLeaderRequest::default()).await;
    let status = status.expect_err("only the leader hands over");
    let expected = (Code::FailedPrecondition, "etcdserver: not leader");
    assert_eq!((status.code(), status.message()), expected);
    let mut members = ClusterClient::new(channel);
    for url in [
        "http://127.0.0.1:9/a",
        "127.0.0.1:9",
        "ftp://127.0.0.1:9",
        "",
    ] {
        let added = MemberAddRequest {
            peer_ur_ls: vec![url.to_owned()],
            is_learner: true,
        };
        let status = members.member_add(added).await.expect_err("no peer URL");
        let expected = "etcdserver: given member URLs are invalid";
        assert_eq!(
            (status.code(), status.message()),
            (Code::InvalidArgument, expected),
            "{url}"
        );
    }
}

#[test]
fn changes_that_cannot_be_made_are_refused_in_etcds_words() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    let leader = cluster.wait_for_leader();
    let follower = (leader + 1) % 3;
    let known = member_id(&cluster, leader);
    let url = format!(
        "--peer-urls=http://127.0.0.1:{}",
        cluster.nodes[0].peer_port
    );
    for i in [leader, follower] {
        let etcdctl = cluster.etcdctl(i);
        let cases: [(&[&str], &str); 5] = [
            (&["member", "remove", "abc"], "member not found"),
            (&["member", "promote", "abc"], "member not found"),
            (
                &["member", "promote", &known],
                "can only promote a learner member",
            ),
            (&["member", "add", "n9", &url], "Peer URLs already exists"),
            (
                &["member", "update", "abc", "--peer-urls=http://127.0.0.1:9"],
                "member not found",
            ),
        ];
        for (words, text) in cases {
            let error = etcdctl.error(words);
            assert!(
                error.ends_with(&format!("etcdserver: {text}")),
                "{words:?}: {error}"
            );
        }
    }
    let error = cluster.etcdctl(leader).error(&["move-leader", "abc"]);
    assert!(
        error.ends_with("etcdserver: bad leader transferee"),
        "{error}"
    );
    runtime().block_on(refused_before_any_leader_is_asked(
        &cluster.endpoint(follower),
    ));

    let add_learner = |url: &str| {
        let url = format!("--peer-urls={url}");
        cluster
            .etcdctl(0)
            .run(&["member", "add", "x", "--learner", &url])
    };
    assert_eq!(add_learner("http://127.0.0.1:9").code, Some(0));
    let second = add_learner("http://127.0.0.1:10");
    let text = "etcdserver: too many learner members in cluster";
    assert!(second.error.contains(text), "{second:?}");

    cluster.kill(follower);
    let error = cluster.etcdctl(leader).run(&["member", "remove", &known]);
    assert!(
        error.error.contains("etcdserver: unhealthy cluster"),
        "{error:?}"
    );
}

#[test]
fn peer_urls_are_updated_and_the_links_follow() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    let follower = (cluster.wait_for_leader() + 1) % 3;
    let id = member_id(&cluster, follower);
    cluster.terminate(follower);
    cluster.nodes[follower].move_peer_port();
    let url = format!(
        "--peer-urls=http://127.0.0.1:{}",
        cluster.nodes[follower].peer_port
    );
    let by = cluster.wait_for_leader();
    let out = cluster.etcdctl(by).output(&["member", "update", &id, &url]);
    assert!(out.contains("updated in cluster"), "{out}");
    cluster.restart(follower);
    cluster.wait_until_healthy(follower);
    cluster.wait_until_equal();
}
