//! Debian's etcdctl, unchanged, against each of three nodes: every KV subcommand with every flag, and what it prints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::cluster::{Cluster, Etcdctl, Plan};

/// Starts a cluster and runs `check` with etcdctl for each node in turn, and a prefix for its keys.
fn on_each_node(nodes: usize, check: impl Fn(&Cluster, &Etcdctl, &str)) {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(nodes).start();
    for i in 0..nodes {
        check(&cluster, &cluster.etcdctl(i), &format!("n{i}/"));
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn revision(text: &str) -> i64 {
    json(text)["header"]["revision"]
        .as_i64()
        .expect("a revision")
}

fn base64(text: &str) -> String {
    BASE64.encode(text)
}

#[test]
fn put_takes_every_flag() {
    on_each_node(3, |_, etcdctl, at| {
        let key = format!("{at}key");
        assert_eq!(etcdctl.output(&["put", &key, "one"]), "OK\n");
        assert_eq!(
            etcdctl.output(&["put", &key, "two", "--prev-kv"]),
            format!("OK\n{key}\none\n")
        );
        assert_eq!(
            etcdctl.output(&["put", &key, "--ignore-value", "--prev-kv"]),
            format!("OK\n{key}\ntwo\n")
        );
        assert_eq!(
            etcdctl.output(&["put", &key, "three", "--ignore-lease"]),
            "OK\n"
        );
        assert_eq!(etcdctl.output(&["get", &key]), format!("{key}\nthree\n"));
        assert_eq!(
            etcdctl.output_with(&["put", &format!("{at}input")], "line one\nline two"),
            "OK\n"
        );
        assert_eq!(
            etcdctl.output(&["get", "--print-value-only", &format!("{at}input")]),
            "line one\nline two\n"
        );

        let answer = json(&etcdctl.output(&["put", &key, "four", "--prev-kv", "-w", "json"]));
        assert_eq!(answer["prev_kv"]["key"], base64(&key));
        assert_eq!(answer["prev_kv"]["value"], base64("three"));
        assert_eq!(answer["prev_kv"]["version"], 4);
        assert_eq!(answer["prev_kv"]["lease"], Value::Null);
        for field in ["cluster_id", "member_id", "revision", "raft_term"] {
            assert!(
                answer["header"][field].as_u64() > Some(0),
                "{field}: {answer}"
            );
        }
        let fields = etcdctl.output(&["put", &key, "five", "--prev-kv", "-w", "fields"]);
        assert!(fields.contains("\"PrevValue\" : \"four\"\n"), "{fields}");

        let missing = format!("{at}missing");
        for flag in ["--ignore-value", "--ignore-lease"] {
            let words: &[&str] = match flag {
                "--ignore-value" => &["put", &missing, flag],
                _ => &["put", &missing, "value", flag],
            };
            assert_eq!(etcdctl.error(words), "Error: etcdserver: key not found");
        }
        assert_eq!(
            etcdctl.error(&["put", &key, "value", "--lease=12ab"]),
            "Error: etcdserver: requested lease not found"
        );
        assert_eq!(
            etcdctl.error(&["put", "", "value"]),
            "Error: etcdserver: key is not provided"
        );
    });
}

/// Keys a to d: created in that order, with values that sort the other way round, and changed 1, 0, 3 and 2 times more.
fn prepare(etcdctl: &Etcdctl, at: &str) -> i64 {
    for (key, value) in [("a", "z"), ("b", "y"), ("c", "x"), ("d", "w")] {
        etcdctl.output(&["put", &format!("{at}{key}"), value]);
    }
    let created = revision(&etcdctl.output(&["get", "x", "-w", "json"]));
    for (key, value, times) in [("c", "x", 3), ("d", "w", 2), ("a", "z", 1)] {
        for _ in 0..times {
            etcdctl.output(&["put", &format!("{at}{key}"), value]);
        }
    }
    created
}

/// The letters of keys that `get` prints, in its order.
fn letters(etcdctl: &Etcdctl, at: &str, words: &[&str]) -> String {
    let out = etcdctl.output(&[words, &["--keys-only"]].concat());
    out.lines()
        .filter(|line| !line.is_empty())
        .map(|key| {
            key.strip_prefix(at)
                .unwrap_or_else(|| panic!("{words:?}: {out}"))
        })
        .collect()
}

#[test]
fn get_reads_keys_ranges_prefixes_and_from_a_key_on() {
    on_each_node(3, |_, etcdctl, at| {
        prepare(etcdctl, at);
        let [a, b, d] = ["a", "b", "d"].map(|key| format!("{at}{key}"));
        assert_eq!(etcdctl.output(&["get", &a]), format!("{a}\nz\n"));
        assert_eq!(etcdctl.output(&["get", &format!("{at}none")]), "");
        assert_eq!(letters(etcdctl, at, &["get", &b, &d]), "bc");
        assert_eq!(letters(etcdctl, at, &["get", at, "--prefix"]), "abcd");
        assert_eq!(letters(etcdctl, at, &["get", &d, &b]), "");
        let from = etcdctl.output(&["get", &b, "--from-key", "--keys-only", "--limit=3"]);
        assert_eq!(from, format!("{at}b\n\n{at}c\n\n{at}d\n\n"));
        let all = etcdctl.output(&["get", "", "--prefix", "--keys-only"]);
        assert!(all.contains(&a) && all.contains(&d), "{all}");
        assert_eq!(
            etcdctl.output(&["get", at, "--prefix", "--print-value-only"]),
            "z\ny\nx\nw\n"
        );
        assert_eq!(
            etcdctl.output(&["get", &a, "--hex"]),
            format!("{}\n\\x7a\n", hex(&a))
        );
        assert_eq!(
            etcdctl.error(&["get", ""]),
            "Error: etcdserver: key is not provided"
        );
    });
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
}

#[test]
fn get_limits_and_sorts() {
    on_each_node(3, |_, etcdctl, at| {
        prepare(etcdctl, at);
        let sorted = |by: &str, order: &str| {
            let by = format!("--sort-by={by}");
            letters(
                etcdctl,
                at,
                &["get", at, "--prefix", &by, &format!("--order={order}")],
            )
        };
        for (by, ascending) in [
            ("KEY", "abcd"),
            ("CREATE", "abcd"),
            ("VALUE", "dcba"),
            ("MODIFY", "bcda"),
            ("VERSION", "badc"),
        ] {
            assert_eq!(sorted(by, "ASCEND"), ascending, "{by}");
            let descending: String = ascending.chars().rev().collect();
            assert_eq!(sorted(by, "DESCEND"), descending, "{by}");
        }
        let limited = ["get", at, "--prefix", "--limit=2"];
        assert_eq!(letters(etcdctl, at, &limited), "ab");
        let last = ["get", at, "--prefix", "--limit=2", "--order=DESCEND"];
        assert_eq!(letters(etcdctl, at, &last), "dc");
        let answer = json(&etcdctl.output(&[&limited[..], &["-w", "json"]].concat()));
        assert_eq!(
            (&answer["count"], &answer["more"]),
            (&4.into(), &true.into())
        );
        assert_eq!(answer["kvs"].as_array().map(Vec::len), Some(2));
        assert_eq!(answer["kvs"][0]["value"], base64("z"));
    });
}

#[test]
fn get_reads_the_past_and_at_either_consistency() {
    on_each_node(3, |cluster, etcdctl, at| {
        let created = prepare(etcdctl, at);
        let c = format!("{at}c");
        etcdctl.output(&["put", &c, "new"]);
        let then = format!("--rev={created}");
        assert_eq!(etcdctl.output(&["get", &c, &then]), format!("{c}\nx\n"));
        assert_eq!(
            etcdctl.output(&["get", &c, "--consistency=l"]),
            format!("{c}\nnew\n")
        );
        // This node has applied the write: it answered it.
        assert_eq!(
            etcdctl.output(&["get", &c, "--consistency=s"]),
            format!("{c}\nnew\n")
        );
        for i in 0..cluster.len() {
            assert_eq!(
                cluster.etcdctl(i).output(&["get", &c]),
                format!("{c}\nnew\n")
            );
        }
        assert_eq!(
            etcdctl.error(&["get", &c, "--rev=1000000"]),
            "Error: etcdserver: mvcc: required revision is a future revision"
        );
    });
}

#[test]
fn del_removes_keys_ranges_and_prefixes_and_tells_what_was_there() {
    on_each_node(3, |_, etcdctl, at| {
        prepare(etcdctl, at);
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|key| format!("{at}{key}"));
        assert_eq!(etcdctl.output(&["del", &format!("{at}none")]), "0\n");
        assert_eq!(
            etcdctl.output(&["del", &a, "--prev-kv"]),
            format!("1\n{a}\nz\n")
        );
        assert_eq!(etcdctl.output(&["get", &a]), "");
        let answer = json(&etcdctl.output(&["del", &b, &c, "--prev-kv", "-w", "json"]));
        assert_eq!(answer["deleted"], 1);
        assert_eq!(answer["prev_kvs"][0]["key"], base64(&b));
        assert_eq!(
            etcdctl.output(&["del", at, "--prefix", "--prev-kv"]),
            format!("2\n{c}\nx\n{d}\nw\n")
        );
        etcdctl.output(&["put", &d, "again"]);
        let version = json(&etcdctl.output(&["get", &d, "-w", "json"]));
        assert_eq!(version["kvs"][0]["version"], 1);
        assert_eq!(etcdctl.output(&["del", &d, "--from-key"]), "1\n");
        assert_eq!(
            etcdctl.error(&["del", ""]),
            "Error: etcdserver: key is not provided"
        );
    });
}

#[test]
fn txn_compares_and_runs_either_branch() {
    on_each_node(3, |_, etcdctl, at| {
        let key = format!("{at}key");
        etcdctl.output(&["put", &key, "one"]);
        let script = format!(
            "value(\"{key}\") = \"one\"\nversion(\"{key}\") = \"1\"\ncreate(\"{key}\") > \"1\"\n\
             mod(\"{key}\") > \"1\"\n\nput {key} two\nget {key}\n\nget {key}\n\n"
        );
        assert_eq!(
            etcdctl.output_with(&["txn"], &script),
            format!("SUCCESS\n\nOK\n\n{key}\ntwo\n")
        );
        assert_eq!(
            etcdctl.output_with(&["txn"], &script),
            format!("FAILURE\n\n{key}\ntwo\n")
        );
        let only_if_new = format!("version(\"{key}\") = \"0\"\n\nput {key} three\n\ndel {key}\n\n");
        let answer = json(&etcdctl.output_with(&["txn", "-w", "json"], &only_if_new));
        assert_eq!(answer["succeeded"], Value::Null);
        let deleted = &answer["responses"][0]["Response"]["ResponseDeleteRange"]["deleted"];
        assert_eq!(*deleted, 1, "{answer}");
        let answer = json(&etcdctl.output_with(&["txn", "-w", "json"], &only_if_new));
        assert_eq!(answer["succeeded"], true);

        let asked = etcdctl.output_with(&["txn", "--interactive"], &script);
        assert!(
            asked.starts_with("compares:\n")
                && asked.ends_with(&format!("FAILURE\n\n{key}\nthree\n")),
            "{asked}"
        );
        let twice = format!("\nput {key} 1\nput {key} 2\n\n\n");
        assert_eq!(
            etcdctl.error_with(&["txn"], &twice),
            "Error: etcdserver: duplicate key given in txn request"
        );
    });
}

#[test]
fn compaction_forgets_the_past_and_says_so_afterwards() {
    on_each_node(3, |_, etcdctl, at| {
        let key = format!("{at}key");
        let old = revision(&etcdctl.output(&["put", &key, "old", "-w", "json"]));
        let new = revision(&etcdctl.output(&["put", &key, "new", "-w", "json"]));
        assert_eq!(
            etcdctl.output(&["compaction", &old.to_string()]),
            format!("compacted revision {old}\n")
        );
        // At the compacted revision reading is still allowed.
        assert_eq!(
            etcdctl.output(&["get", &key, &format!("--rev={old}")]),
            format!("{key}\nold\n")
        );
        assert_eq!(
            etcdctl.output(&["compaction", "--physical", &new.to_string()]),
            format!("compacted revision {new}\n")
        );
        let compacted = "Error: etcdserver: mvcc: required revision has been compacted";
        assert_eq!(
            etcdctl.error(&["get", &key, &format!("--rev={old}")]),
            compacted
        );
        assert_eq!(etcdctl.error(&["compaction", &new.to_string()]), compacted);
        assert_eq!(
            etcdctl.error(&["compaction", "1000000"]),
            "Error: etcdserver: mvcc: required revision is a future revision"
        );
        assert_eq!(etcdctl.output(&["get", &key]), format!("{key}\nnew\n"));
    });
}

#[test]
fn status_health_and_members_are_told_by_every_node() {
    if !Etcdctl::is_installed() {
        return;
    }
    let cluster = Plan::of(3).start();
    let leader = cluster.wait_for_leader();
    let members = members_are_listed(&cluster);
    for i in 0..cluster.len() {
        let etcdctl = cluster.etcdctl(i);
        let ran = etcdctl.run(&["endpoint", "health"]);
        // 3.4 says it on standard error, 3.5 on standard output.
        let said = format!("{}{}", ran.out, ran.error);
        assert_eq!(ran.code, Some(0), "{said}");
        assert!(
            said.contains(&format!("{} is healthy", cluster.endpoint(i))),
            "{said}"
        );
        let answer = &json(&etcdctl.output(&["endpoint", "status", "-w", "json"]))[0];
        let status = &answer["Status"];
        assert_eq!(answer["Endpoint"], cluster.endpoint(i));
        assert_eq!(status["version"], "3.5.21");
        assert_eq!(status["leader"].as_u64(), Some(members[leader]));
        assert_eq!(status["header"]["member_id"].as_u64(), Some(members[i]));
        assert!(status["dbSize"].as_u64() > Some(0), "{status}");
        let simple = etcdctl.output(&["endpoint", "status"]);
        let leads = (i == leader).to_string();
        let words: Vec<&str> = simple.trim_end().split(", ").collect();
        assert_eq!(
            (words[0], words[2], words[4]),
            (&*cluster.endpoint(i), "3.5.21", &*leads)
        );
    }
    let everywhere = Etcdctl::new(&cluster.endpoints().join(","));
    let table = everywhere.output(&["endpoint", "status", "-w", "table"]);
    assert_eq!(
        table.lines().filter(|row| row.contains("3.5.21")).count(),
        3,
        "{table}"
    );
    assert_eq!(
        table.lines().filter(|row| row.contains(" true ")).count(),
        1,
        "{table}"
    );
}

/// Each node lists the same members in each form; gives their ids, in the order of the nodes.
fn members_are_listed(cluster: &Cluster) -> Vec<u64> {
    let mut lists = Vec::new();
    for i in 0..cluster.len() {
        let etcdctl = cluster.etcdctl(i);
        let list = json(&etcdctl.output(&["member", "list", "-w", "json"]))["members"].clone();
        let table = etcdctl.output(&["member", "list", "-w", "table"]);
        let simple = etcdctl.output(&["member", "list"]);
        assert_eq!(simple.lines().count(), cluster.len(), "{simple}");
        for node in &cluster.nodes {
            let client = format!("http://127.0.0.1:{}", node.client_port);
            let peer = format!("http://127.0.0.1:{}", node.peer_port);
            let row = format!("started, {}, {peer}, {client}, false", node.name);
            assert!(simple.contains(&row), "{simple}");
            assert!(table.contains(&client) && table.contains(&peer), "{table}");
        }
        lists.push(list);
    }
    assert!(lists.iter().all(|list| *list == lists[0]), "{lists:?}");
    let id_of = |name: &str| {
        let members = lists[0].as_array().expect("a list");
        let found = members.iter().find(|member| member["name"] == name);
        found
            .and_then(|member| member["ID"].as_u64())
            .expect("a member")
    };
    cluster.nodes.iter().map(|node| id_of(&node.name)).collect()
}

#[test]
fn there_are_no_alarms_and_nothing_to_defragment() {
    on_each_node(3, |_, etcdctl, _| {
        assert_eq!(etcdctl.output(&["alarm", "list"]), "");
        assert_eq!(etcdctl.output(&["alarm", "disarm"]), "");
        let defragmented = etcdctl.output(&["defrag"]);
        assert!(
            defragmented.starts_with("Finished defragmenting"),
            "{defragmented}"
        );
    });
}

#[test]
fn what_is_not_served_yet_is_refused_in_a_plain_sentence() {
    on_each_node(1, |_, etcdctl, _| {
        let directory = crate::cluster::real_directory();
        let backup = directory.path().join("backup.db");
        let backup = backup.to_str().expect("a path in UTF-8");
        let calls: &[&[&str]] = &[
            &["snapshot", "save", backup],
            &["auth", "enable"],
            &["user", "list"],
            &["role", "list"],
        ];
        for words in calls {
            let ran = etcdctl.run(words);
            let said = format!("{}{}", ran.out, ran.error);
            assert_ne!(ran.code, Some(0), "{words:?}: {said}");
            assert!(
                said.contains(concat!(
                    "quorate ",
                    env!("CARGO_PKG_VERSION"),
                    " does not serve "
                )),
                "{words:?}: {said}"
            );
        }
        assert_eq!(etcdctl.output(&["put", "still", "there"]), "OK\n");
    });
}
