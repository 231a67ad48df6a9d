//! `quorate bench` against a fake server.

use crate::cluster::Plan;
use crate::command::{Ran, quorate};
use crate::fake_etcd::FakeEtcd;

fn bench(etcd: &FakeEtcd, arguments: &[&str]) -> Ran {
    let common = [
        "--endpoints",
        &etcd.endpoint,
        "--warmup-seconds",
        "0.1",
        "--clients",
        "4",
    ];
    quorate(&[&["bench"], arguments, &common].concat())
}

fn json(ran: &Ran) -> serde_json::Value {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(ran.text()).expect("exactly one JSON object")
}

#[test]
fn json_is_one_object_with_rate_latency_and_errors() {
    for kind in ["put", "get", "txn", "mixed"] {
        let etcd = FakeEtcd::start();
        let ran = bench(
            &etcd,
            &[
                kind,
                "--total",
                "200",
                "--preload",
                "50",
                "--key-space",
                "50",
                "--json",
            ],
        );
        let json = json(&ran);
        assert_eq!(json["kind"], kind);
        assert_eq!(json["operations"], 200, "{json}");
        assert_eq!(json["errors"], 0, "{json}");
        assert_eq!(json["not_found"], 0, "{json}");
        assert!(json["ops_per_second"].as_f64().unwrap() > 0.0);
        for quantile in ["p50", "p90", "p99", "p999", "max"] {
            assert!(
                json["latency_us"][quantile].as_f64().unwrap() > 0.0,
                "{json}"
            );
        }
        assert_eq!(etcd.keys().len(), 50);
        assert!(etcd.keys().iter().all(|key| key.len() == 8));
    }
}

#[test]
fn the_window_has_the_length_asked_for() {
    let etcd = FakeEtcd::start();
    let json = json(&bench(&etcd, &["put", "--seconds", "0.3", "--json"]));
    assert_eq!(json["seconds"], 0.3);
    let (operations, rate) = (
        json["operations"].as_f64().unwrap(),
        json["ops_per_second"].as_f64().unwrap(),
    );
    assert!((operations / 0.3 - rate).abs() < 1.0, "{json}");
}

#[test]
fn reads_that_find_nothing_are_told() {
    let etcd = FakeEtcd::start();
    let ran = bench(&etcd, &["get", "--total", "20", "--json"]);
    assert_eq!(json(&ran)["not_found"], 20);
    assert!(
        ran.stderr
            .contains("write the keys beforehand with --preload"),
        "{}",
        ran.stderr
    );
}

#[test]
fn when_every_operation_fails_the_exit_code_says_so_and_the_text_is_shown() {
    let etcd = FakeEtcd::start();
    etcd.refuse_all();
    let ran = bench(&etcd, &["put", "--total", "10", "--json"]);
    assert_eq!(ran.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!(
        (&json["operations"], &json["errors"]),
        (&0.into(), &10.into())
    );
    assert_eq!(json["first_errors"]["etcdserver: too many requests"], 10);
    assert!(
        ran.stderr.contains("10 × etcdserver: too many requests"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_endpoint_that_cannot_be_reached_and_flags_that_do_not_fit_are_one_line() {
    let ran = quorate(&["bench", "put", "--endpoints", "127.0.0.1:1"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("cannot reach an endpoint"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("127.0.0.1:1: "), "{}", ran.stderr);
    let ran = quorate(&["bench", "put", "--clients", "0"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.stderr,
        "quorate bench: --clients must be from 1 to 100000, not 0\n"
    );
}

#[test]
fn without_json_there_is_a_short_table() {
    let etcd = FakeEtcd::start();
    let ran = bench(&etcd, &["put", "--total", "50"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.text()
            .starts_with("put: 4 clients on 4 connections to 1 endpoints, 8 + 256 bytes\n")
    );
    assert!(ran.text().contains("throughput"));
}

/// The fake server knows keys alone, so these run against a real one.
#[test]
fn ranges_renewals_and_watchers_are_measured() {
    let cluster = Plan::of(1).start();
    let endpoint = cluster.endpoint(0);
    let run = |arguments: &[&str]| {
        let common = [
            "--endpoints",
            &endpoint,
            "--warmup-seconds",
            "0.1",
            "--json",
        ];
        json(&quorate(&[&["bench"], arguments, &common].concat()))
    };
    let kinds: [&[&str]; 3] = [
        &[
            "range",
            "--total",
            "20",
            "--preload",
            "50",
            "--range-keys",
            "40",
        ],
        &["keep-alive", "--total", "50", "--clients", "5"],
        &[
            "watch",
            "--seconds",
            "1",
            "--clients",
            "25",
            "--watchers-per-stream",
            "10",
        ],
    ];
    for arguments in kinds {
        let json = run(arguments);
        assert_eq!(json["kind"], arguments[0]);
        assert_eq!(json["errors"], 0, "{json}");
        assert_eq!(json["not_found"], 0, "{json}");
        assert!(json["latency_us"]["p50"].as_f64().unwrap() > 0.0, "{json}");
        match arguments[0] {
            // Every write is heard by all of them, but for those on their way when the window opens and closes.
            "watch" => assert!(json["operations"].as_u64().unwrap() >= 25, "{json}"),
            "range" => assert_eq!(json["operations"], 20, "{json}"),
            _ => assert_eq!(json["operations"], 50, "{json}"),
        }
    }
}

#[test]
fn flags_of_other_kinds_are_refused() {
    for arguments in [
        &["put", "--range-keys", "5"][..],
        &["get", "--watchers-per-stream", "5"],
        &["watch", "--total", "5"],
        &["watch", "--value-size", "7"],
        &["range", "--preload", "10", "--range-keys", "11"],
    ] {
        let ran = quorate(&[&["bench"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
    }
}
