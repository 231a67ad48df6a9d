//! Leases with real processes and Debian's etcdctl: every subcommand on each node, and what becomes of a key
//! whose lease is kept alive, is not, or loses its leader.

use std::time::{Duration, Instant};

use quorate_client::stubs::lease_client::LeaseClient;
use quorate_client::{Connection, Options};
use quorate_proto::etcdserverpb::LeaseKeepAliveRequest;
use serde_json::Value;

use crate::cluster::{Cluster, Etcdctl, Plan, runtime};

/// From the end of a lease's time to that of its key: an election that came in between gives it its time again,
/// so tests that measure run alone.
const LATE: Duration = Duration::from_secs(2);

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A lease of so many seconds, in hexadecimal as etcdctl prints it, and when it was asked for.
fn grant(etcdctl: &Etcdctl, seconds: u64) -> (String, Instant) {
    let begun = Instant::now();
    let out = etcdctl.output(&["lease", "grant", &seconds.to_string()]);
    let id = out.split(' ').nth(1).expect("an id").to_owned();
    assert_eq!(out, format!("lease {id} granted with TTL({seconds}s)\n"));
    assert_eq!(id.len(), 16);
    (id, begun)
}

fn put(etcdctl: &Etcdctl, key: &str, lease: &str) {
    let lease = format!("--lease={lease}");
    assert_eq!(etcdctl.output(&["put", key, "value", &lease]), "OK\n");
}

fn is_there(etcdctl: &Etcdctl, key: &str) -> bool {
    !etcdctl.output(&["get", key]).is_empty()
}

/// Waits until the key is gone; gives when that was.
fn end_of(cluster: &Cluster, etcdctl: &Etcdctl, key: &str) -> Instant {
    cluster.wait_for("the key to go", || {
        (!is_there(etcdctl, key)).then(Instant::now)
    })
}

#[test]
fn every_subcommand_prints_on_each_node_what_it_prints_with_etcd() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3).start();
    for node in 0..3 {
        let etcdctl = cluster.etcdctl(node);
        let (id, _) = grant(&etcdctl, 100);
        let number = i64::from_str_radix(&id, 16).expect("hexadecimal");
        let keys = [format!("n{node}/a"), format!("n{node}/b c")];
        keys.iter().for_each(|key| put(&etcdctl, key, &id));
        let run = |words: &[&str]| etcdctl.output(&[&["lease"], words].concat());
        let alive = run(&["keep-alive", "--once", &id]);
        assert_eq!(alive, format!("lease {id} keepalived with TTL(100)\n"));
        let plain = run(&["timetolive", &id]);
        let expected = format!("lease {id} granted with TTL(100s), remaining(");
        assert!(plain.starts_with(&expected), "{plain}");
        let with_keys = run(&["timetolive", &id, "--keys"]);
        let expected = format!("s), attached keys([{} {}])\n", keys[0], keys[1]);
        assert!(with_keys.ends_with(&expected), "{with_keys}");
        let as_json = json(&run(&["timetolive", &id, "--keys", "-w", "json"]));
        assert_eq!(as_json["id"], number);
        assert_eq!(as_json["granted-ttl"], 100);
        assert_eq!(as_json["keys"].as_array().map(Vec::len), Some(2));
        assert!(
            as_json["ttl"]
                .as_i64()
                .is_some_and(|ttl| (95..=100).contains(&ttl))
        );
        let listed = run(&["list"]);
        assert_eq!(listed, format!("found 1 leases\n{id}\n"));
        let got = json(&etcdctl.output(&["get", &keys[0], "-w", "json"]));
        assert_eq!(got["kvs"][0]["lease"], number);
        let before = got["header"]["revision"].as_i64().expect("a revision");
        assert_eq!(run(&["revoke", &id]), format!("lease {id} revoked\n"));
        let gone = json(&etcdctl.output(&["get", &format!("n{node}/"), "--prefix", "-w", "json"]));
        assert_eq!(gone["kvs"], Value::Null);
        assert_eq!(
            gone["header"]["revision"],
            before + 1,
            "both at one revision"
        );
        assert_eq!(
            run(&["timetolive", &id]),
            format!("lease {id} already expired\n")
        );
        assert_eq!(run(&["list"]), "found 0 leases\n");
        let not_found = "etcdserver: requested lease not found";
        assert_eq!(
            etcdctl.error(&["lease", "revoke", &id]),
            format!("Error: failed to revoke lease ({not_found})")
        );
        assert_eq!(
            etcdctl.error(&["lease", "keep-alive", "--once", &id]),
            format!("Error: {not_found}")
        );
        assert_eq!(
            run(&["keep-alive", &id]),
            format!("lease {id} expired or revoked.\n")
        );
        assert_eq!(
            etcdctl.error(&["put", "key", "value", &format!("--lease={id}")]),
            format!("Error: {not_found}")
        );
        assert_eq!(
            etcdctl.error(&["lease", "grant", "9000000001"]),
            "Error: failed to grant lease (etcdserver: too large lease TTL)"
        );
        let short = run(&["grant", "1"]);
        assert!(
            short.ends_with(" granted with TTL(2s)\n"),
            "etcd's least: {short}"
        );
        run(&["revoke", short.split(' ').nth(1).expect("an id")]);
    }
}

#[test]
fn a_key_goes_when_its_lease_ends_and_not_before() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3).alone().start();
    for node in 0..3 {
        let (here, there) = (cluster.etcdctl(node), cluster.etcdctl((node + 1) % 3));
        let (lease, _) = grant(&here, 2);
        put(&here, "key", &lease);
        std::thread::sleep(Duration::from_millis(1_000));
        let renewed = Instant::now();
        there.output(&["lease", "keep-alive", "--once", &lease]);
        let ended = end_of(&cluster, &there, "key");
        let lived = ended.duration_since(renewed);
        assert!(lived >= Duration::from_secs(2), "early: {lived:?}");
        assert!(lived < Duration::from_secs(2) + LATE, "late: {lived:?}");
    }
}

#[test]
fn a_lease_that_is_kept_alive_outlives_its_leader_and_one_that_is_not_gets_its_time_again() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).alone().start();
    let leader = cluster.wait_for_leader();
    let survivor = (leader + 1) % 3;
    let etcdctl = cluster.etcdctl(survivor);
    let [(kept, _), (left, _)] = [3, 3].map(|seconds| grant(&etcdctl, seconds));
    put(&etcdctl, "kept", &kept);
    put(&etcdctl, "left", &left);
    let killed = Instant::now();
    cluster.kill(leader);
    // Longer than both have.
    let mut ended = None;
    while killed.elapsed() < Duration::from_secs(7) {
        etcdctl.output(&["lease", "keep-alive", "--once", &kept]);
        assert!(is_there(&etcdctl, "kept"), "{:?}", killed.elapsed());
        if ended.is_none() && !is_there(&etcdctl, "left") {
            ended = Some(killed.elapsed());
        }
    }
    let ended = ended.expect("the other has ended");
    assert!(ended >= Duration::from_secs(3), "{ended:?}");
    cluster.restart(leader);
    end_of(&cluster, &etcdctl, "kept");
}

#[test]
fn leases_outlive_a_restart_of_the_cluster() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    let etcdctl = cluster.etcdctl(0);
    let (short, _) = grant(&etcdctl, 3);
    let (long, _) = grant(&etcdctl, 3_600);
    put(&etcdctl, "short", &short);
    put(&etcdctl, "long", &long);
    for node in 0..3 {
        cluster.kill(node);
    }
    let killed = Instant::now();
    for node in 0..3 {
        cluster.nodes[node].spawn();
    }
    cluster.wait_for_leader();
    let ended = end_of(&cluster, &etcdctl, "short");
    assert!(ended.duration_since(killed) >= Duration::from_secs(3));
    assert!(is_there(&etcdctl, "long"));
    let time = etcdctl.output(&["lease", "timetolive", &long, "--keys"]);
    assert!(time.contains("attached keys([long])"), "{time}");
}

/// etcd's users expect leases to work as soon as a majority runs.
#[test]
fn a_cluster_whose_third_member_never_came_has_leases() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    // As if it had never been: the others begin anew too.
    for node in 0..3 {
        cluster.kill(node);
        std::fs::remove_dir_all(&cluster.nodes[node].directory).expect("removed");
    }
    for node in 0..2 {
        cluster.nodes[node].spawn();
    }
    let etcdctl = cluster.etcdctl(0);
    cluster.wait_for("a write", || {
        (etcdctl.run(&["put", "key", "value"]).code == Some(0)).then_some(())
    });
    let (lease, _) = grant(&etcdctl, 60);
    put(&cluster.etcdctl(1), "key", &lease);
    cluster.restart(2);
    cluster.wait_until_equal();
    let renewed = cluster
        .etcdctl(2)
        .output(&["lease", "keep-alive", "--once", &lease]);
    assert_eq!(renewed, format!("lease {lease} keepalived with TTL(60)\n"));
}

/// A stream of renewals at this node: one is answered, then `trouble` comes, and the next must be answered or the
/// stream end within this time.
fn renew_in_trouble(endpoint: &str, lease: i64, limit: Duration, trouble: impl FnOnce()) -> String {
    let runtime = runtime();
    let endpoint = endpoint.parse().expect("an endpoint");
    let mut stream = runtime.block_on(async {
        let connection = Connection::lazy(&endpoint, &Options::default());
        let mut stream = connection.keep_alive();
        let first = stream.renew(lease).await.expect("an answer");
        assert!(first.ttl > 0);
        stream
    });
    trouble();
    runtime.block_on(async {
        let next = tokio::time::timeout(limit, stream.renew(lease)).await;
        match next.unwrap_or_else(|_| panic!("nothing within {limit:?}")) {
            Ok(answer) => format!("ttl {}", answer.ttl),
            Err(error) => error.to_string(),
        }
    })
}

#[test]
fn a_stream_of_renewals_that_requires_a_leader_ends_when_there_is_none() {
    let mut cluster = Plan::of(3).start();
    cluster.wait_for_leader();
    let endpoint = cluster.endpoint(0);
    let runtime = runtime();
    let (ask, questions) = tokio::sync::mpsc::channel(1);
    let mut answers = runtime.block_on(async {
        let lease = crate::locks::grant(&endpoint, 60).await;
        let question = LeaseKeepAliveRequest { id: lease };
        ask.send(question).await.expect("there is room");
        let questions = tokio_stream::wrappers::ReceiverStream::new(questions);
        let mut request = tonic::Request::new(questions);
        let metadata = request.metadata_mut();
        metadata.insert("hasleader", "true".parse().expect("a value"));
        let mut leases = LeaseClient::new(crate::locks::channel(&endpoint));
        let answers = leases.lease_keep_alive(request).await;
        let mut answers = answers.expect("a stream").into_inner();
        let first = answers.message().await.expect("an answer");
        assert_eq!(first.expect("no end").ttl, 60);
        answers
    });
    cluster.kill(1);
    cluster.kill(2);
    // Nobody asks for anything more.
    let end = runtime.block_on(async {
        let end = tokio::time::timeout(Duration::from_secs(20), answers.message()).await;
        end.expect("in time").expect_err("there is no leader")
    });
    assert_eq!(end.code(), tonic::Code::Unavailable);
    assert_eq!(end.message(), "etcdserver: no leader");
}

#[test]
fn a_stream_of_renewals_ends_with_its_node_and_hears_of_a_lost_quorum_in_time() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    let (lease, _) = grant(&cluster.etcdctl(0), 60);
    let lease = i64::from_str_radix(&lease, 16).expect("hexadecimal");
    let endpoint = cluster.endpoint(0);
    let asked = Instant::now();
    renew_in_trouble(&endpoint, lease, Duration::from_secs(5), || {
        assert!(
            cluster.terminate(0).success(),
            "an open stream does not hold it up"
        );
    });
    assert!(asked.elapsed() < Duration::from_secs(10));
    cluster.restart(0);
    cluster.wait_for_leader();
    let heard = renew_in_trouble(&endpoint, lease, Duration::from_secs(10), || {
        cluster.kill(1);
        cluster.kill(2);
    });
    assert_eq!(heard, "etcdserver: request timed out");
}
