//! Alarms, hashes, the quota and automatic compaction of real members, by Debian's etcdctl, `quorate ctl` and JSON.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Etcdctl, PATIENCE, Plan, quorate};
use crate::gateway;

/// Small enough to be filled at once, and much larger than an empty store.
const QUOTA_BYTES: usize = 1 << 20;

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";
const CORRUPT: &str = "etcdserver: corrupt cluster";

/// What a POST to a member's JSON gateway answers: status and body.
fn post(cluster: &Cluster, i: usize, path: &str, body: &Value) -> (u16, Value) {
    let path = format!("/v3/maintenance/{path}");
    let answer = gateway::post(&cluster.endpoint(i), &path, body.to_string().as_bytes());
    (answer.status, answer.json())
}

/// `quorate ctl` at a member.
fn ctl(cluster: &Cluster, i: usize, words: &[&str]) -> crate::cluster::Ran {
    let endpoint = cluster.endpoint(i);
    let words = [&["ctl", "--endpoints", endpoint.as_str()], words].concat();
    quorate(&words)
}

/// Puts until the quota is reached; the first refusal.
fn fill(etcdctl: &Etcdctl) -> String {
    let value = "v".repeat(QUOTA_BYTES / 16);
    for i in 0..64 {
        let ran = etcdctl.run_with(&["put", &format!("large{i}")], &value);
        if ran.code != Some(0) {
            return ran.error;
        }
    }
    panic!("the quota is not reached");
}

#[test]
fn a_store_over_its_quota_takes_no_writes_until_room_is_made_and_the_alarm_disarmed() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3)
        .flag(&format!("--quota-backend-bytes={QUOTA_BYTES}"))
        .flag("--auto-compaction-retention=0")
        .start();
    let etcdctl = cluster.etcdctl(0);
    assert_eq!(
        cluster.metric(0, "etcd_server_quota_backend_bytes") as usize,
        QUOTA_BYTES
    );
    let refusal = fill(&etcdctl);
    assert!(refusal.contains(NO_SPACE), "{refusal}");
    let alarms = etcdctl.output(&["alarm", "list"]);
    assert!(
        alarms.starts_with("memberID:") && alarms.ends_with(" alarm:NOSPACE \n"),
        "{alarms}"
    );
    // Every member refuses what takes space, whether its own store is full or not, and nothing else.
    for i in 0..3 {
        let etcdctl = cluster.etcdctl(i);
        for words in [
            &["put", "small", "value"][..],
            &["lease", "grant", "60"][..],
        ] {
            let error = etcdctl.error(words);
            assert!(error.contains(NO_SPACE), "{words:?}: {error}");
        }
        let txn = etcdctl.error_with(&["txn"], "\nput a b\n\n\n");
        assert!(txn.contains(NO_SPACE), "{txn}");
        assert!(etcdctl.output(&["get", "large0"]).starts_with("large0\n"));
        let status = etcdctl.output(&["endpoint", "status", "-w", "json"]);
        assert!(status.contains("alarm:NOSPACE \"]"), "{status}");
        let health = ctl(&cluster, i, &["endpoint", "health"]);
        assert!(
            health.error.contains("Active Alarm(s): NOSPACE "),
            "{health:?}"
        );
        let page = gateway::ask(&cluster.endpoint(i), "GET", "/health", &[], b"");
        assert_eq!(page.status, 503);
        assert_eq!(page.json()["reason"], "ALARM NOSPACE");
    }
    let used = cluster.metric(0, "etcd_mvcc_db_total_size_in_bytes");
    assert!(used > QUOTA_BYTES as f64 / 2.0, "{used}");
    let deleted = etcdctl.output(&["del", "large", "--prefix", "-w", "json"]);
    let deleted: Value = serde_json::from_str(&deleted).expect("JSON");
    let revision = deleted["header"]["revision"].to_string();
    etcdctl.output(&["compact", &revision, "--physical"]);
    let disarmed = etcdctl.output(&["alarm", "disarm"]);
    assert!(disarmed.contains("alarm:NOSPACE \n"), "{disarmed}");
    assert_eq!(etcdctl.output(&["alarm", "list"]), "");
    for i in 0..3 {
        // The others free what was compacted in their own time.
        let what = "a member takes writes again";
        cluster.wait_for(what, || {
            (cluster.etcdctl(i).run(&["put", "small", "value"]).code == Some(0)).then_some(())
        });
    }
}

/// No alarm is on when each of them comes: only the member that takes it can refuse it, before it is in the log.
#[test]
fn what_a_member_has_no_room_for_is_refused_before_it_is_applied_and_raises_the_alarm() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(1).flag("--quota-backend-bytes=1").start();
    let etcdctl = cluster.etcdctl(0);
    // It waits until alarms can be raised: before that there is no quota.
    etcdctl.output(&["alarm", "disarm"]);
    for (words, input) in [
        (&["put", "a", "b"][..], ""),
        (&["txn"][..], "\nput a b\n\n\n"),
        (&["lease", "grant", "60"][..], ""),
    ] {
        assert_eq!(etcdctl.output(&["alarm", "list"]), "");
        let error = etcdctl.error_with(words, input);
        assert!(error.contains(NO_SPACE), "{words:?}: {error}");
        let disarmed = etcdctl.output(&["alarm", "disarm"]);
        assert!(
            disarmed.ends_with(" alarm:NOSPACE \n"),
            "{words:?}: {disarmed}"
        );
    }
    assert_eq!(etcdctl.output(&["get", "a"]), "");
    assert_eq!(etcdctl.output(&["lease", "list"]), "found 0 leases\n");
    assert_eq!(etcdctl.output(&["del", "a"]), "0\n");
}

/// The member that takes the writes has room for them; the one that has none takes no writes itself.
#[test]
fn a_member_whose_quota_is_crossed_by_what_others_take_raises_the_alarm() {
    if !Etcdctl::is_installed() {
        return;
    }
    let mut cluster = Plan::of(3).start();
    let small = 2;
    cluster.terminate(small);
    let quota = format!("--quota-backend-bytes={QUOTA_BYTES}");
    cluster.nodes[small].flags.push(quota);
    cluster.restart(small);
    let etcdctl = cluster.etcdctl(0);
    let value = "v".repeat(QUOTA_BYTES / 4);
    for i in 0..4 {
        etcdctl.output_with(&["put", &format!("large{i}")], &value);
    }
    cluster.wait_for("the alarm is on", || {
        (etcdctl.output(&["alarm", "list"]))
            .contains("alarm:NOSPACE")
            .then_some(())
    });
    assert!(etcdctl.error(&["put", "one", "more"]).contains(NO_SPACE));
}

#[test]
fn without_a_quota_nothing_is_refused() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(1).flag("--quota-backend-bytes=-1").start();
    let etcdctl = cluster.etcdctl(0);
    assert_eq!(cluster.metric(0, "etcd_server_quota_backend_bytes"), 0.0);
    etcdctl.output(&["put", "a", "b"]);
    assert_eq!(etcdctl.output(&["alarm", "list"]), "");
}

#[test]
fn a_corrupt_cluster_answers_nothing_until_the_alarm_is_disarmed() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3).start();
    let etcdctl = cluster.etcdctl(0);
    etcdctl.output(&["put", "a", "b"]);
    let raise = json!({"action": "ACTIVATE", "memberID": "3", "alarm": "CORRUPT"});
    let (status, raised) = post(&cluster, 1, "alarm", &raise);
    assert_eq!(status, 200, "{raised}");
    assert_eq!(
        raised["alarms"],
        json!([{"memberID": "3", "alarm": "CORRUPT"}])
    );
    for words in [
        &["put", "a", "c"][..],
        &["get", "a"][..],
        &["get", "a", "--consistency=s"][..],
        &["del", "a"][..],
        &["lease", "grant", "10"][..],
        &["compact", "2"][..],
    ] {
        let error = etcdctl.error(words);
        assert!(error.contains(CORRUPT), "{words:?}: {error}");
    }
    let hash = etcdctl.run(&["endpoint", "hashkv"]);
    assert_eq!(
        hash.code,
        Some(0),
        "members can still be compared: {hash:?}"
    );
    assert_eq!(
        etcdctl.output(&["alarm", "disarm"]),
        "memberID:3 alarm:CORRUPT \n"
    );
    assert_eq!(etcdctl.output(&["get", "a"]), "a\nb\n");
}

#[test]
fn ctl_lists_and_disarms_alarms_in_etcdctls_forms() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(1).start();
    for member in ["0", "7"] {
        let raise = json!({"action": "ACTIVATE", "memberID": member, "alarm": "NOSPACE"});
        assert_eq!(post(&cluster, 0, "alarm", &raise).0, 200);
    }
    let etcdctl = cluster.etcdctl(0);
    // Protobuf is no text; `etcdctl.rs` compares it.
    for form in ["simple", "json", "fields", "table"] {
        let words = ["alarm", "list", "-w", form];
        let (ours, theirs) = (ctl(&cluster, 0, &words), etcdctl.run(&words));
        assert_eq!((&ours.out, ours.code), (&theirs.out, theirs.code), "{form}");
    }
    let listed = ctl(&cluster, 0, &["alarm", "list"]).out;
    assert_eq!(listed, "alarm:NOSPACE \nmemberID:7 alarm:NOSPACE \n");
    assert_eq!(ctl(&cluster, 0, &["alarm", "list", "more"]).code, Some(128));
    assert_eq!(ctl(&cluster, 0, &["alarm", "disarm"]).out, listed);
    assert_eq!(ctl(&cluster, 0, &["alarm", "list"]).out, "");
}

#[test]
fn members_have_equal_hashes_at_equal_revisions() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3).start();
    let etcdctl = cluster.etcdctl(0);
    for i in 0..20 {
        etcdctl.output(&["put", &format!("k{}", i % 7), &i.to_string()]);
    }
    etcdctl.output(&["del", "k3"]);
    let hashes = |revision: &str| -> Vec<(u64, i64)> {
        let of = |i| {
            let words = ["endpoint", "hashkv", "--rev", revision, "-w", "json"];
            let told = cluster.etcdctl(i).run(&words);
            let told: Value = serde_json::from_str(&told.out).expect("JSON");
            let hash = &told[0]["HashKV"];
            let compacted = hash["compact_revision"].as_i64().expect("it is told");
            (hash["hash"].as_u64().expect("a hash"), compacted)
        };
        (0..3).map(of).collect()
    };
    cluster.wait_until_equal();
    let all_equal = |hashes: &[(u64, i64)]| hashes.iter().all(|hash| *hash == hashes[0]);
    let (now, then) = (hashes("0"), hashes("10"));
    assert!(all_equal(&now) && all_equal(&then), "{now:?} {then:?}");
    assert_ne!(now[0], then[0]);
    assert_eq!(now[0].1, -1, "nothing is compacted");
    etcdctl.output(&["compact", "12"]);
    cluster.wait_until_equal();
    let compacted = hashes("0");
    assert!(
        all_equal(&compacted) && compacted[0].1 == 12,
        "{compacted:?}"
    );
    let future = etcdctl.run(&["endpoint", "hashkv", "--rev", "1000"]);
    assert!(
        future
            .error
            .contains("required revision is a future revision"),
        "{future:?}"
    );
    let past = etcdctl.run(&["endpoint", "hashkv", "--rev", "5"]);
    assert!(
        past.error.contains("required revision has been compacted"),
        "{past:?}"
    );
    let (status, all) = post(&cluster, 0, "hash", &json!({}));
    assert!(status == 200 && all["hash"].is_u64(), "{all}");
    let ours = ctl(&cluster, 0, &["endpoint", "hashkv", "--cluster"]);
    assert_eq!(ours.out.lines().count(), 3, "{ours:?}");
    for form in ["simple", "json", "fields", "table"] {
        let words = ["endpoint", "hashkv", "-w", form];
        let (ours, theirs) = (ctl(&cluster, 0, &words), etcdctl.run(&words));
        assert_eq!((&ours.out, ours.code), (&theirs.out, theirs.code), "{form}");
    }
    let (ours, theirs) = (ctl(&cluster, 0, &["defrag"]), etcdctl.run(&["defrag"]));
    assert_eq!((&ours.out, ours.code), (&theirs.out, theirs.code));
}

#[test]
fn old_versions_are_forgotten_by_themselves_when_a_period_is_given() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3).flag("--auto-compaction-retention=1s").start();
    let etcdctl = cluster.etcdctl(0);
    etcdctl.output(&["put", "a", "1"]);
    etcdctl.output(&["put", "a", "2"]);
    cluster.wait_within("revision 2 is compacted on all members", PATIENCE, || {
        let is_gone = |i| {
            let ran = cluster.etcdctl(i).run(&["get", "a", "--rev=2"]);
            ran.error.contains("required revision has been compacted")
        };
        (0..3).all(is_gone).then_some(())
    });
    assert_eq!(etcdctl.output(&["get", "a"]), "a\n2\n");
}

#[test]
fn members_that_compare_themselves_start_and_find_nothing() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3)
        .flag("--experimental-initial-corrupt-check")
        .flag("--experimental-corrupt-check-time=200ms")
        .start();
    let etcdctl = cluster.etcdctl(0);
    for i in 0..50 {
        etcdctl.output(&["put", "key", &i.to_string()]);
    }
    let leader = cluster.wait_for_leader();
    let compared = || cluster.metric(leader, "quorate_members_compared_total");
    cluster.wait_for("each of the others is compared twice", || {
        (compared() >= 4.0).then_some(())
    });
    assert_eq!(etcdctl.output(&["alarm", "list"]), "");
}

#[test]
fn a_downgrade_is_refused_and_says_why() {
    let cluster = Plan::of(1).start();
    let (status, answer) = post(&cluster, 0, "downgrade", &json!({"version": "3.4.0"}));
    assert_eq!(status, 501, "{answer}");
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("does not serve downgrades: the protocol version"),
        "{message}"
    );
}
