//! `quorate ctl` against a fake server: forms, exit codes, and what is refused before anything is sent.

use crate::command::{Ran, quorate, quorate_with};
use crate::fake_etcd::FakeEtcd;

/// `quorate ctl` on one server.
struct Ctl(FakeEtcd);

impl Ctl {
    fn new() -> Self {
        Self(FakeEtcd::start())
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], stdin: &str) -> Ran {
        let words = [&["ctl", "--endpoints", &self.0.endpoint], arguments].concat();
        quorate_with(&words, stdin.as_bytes())
    }

    /// The output of a run that succeeds.
    fn output(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
        ran.text().to_owned()
    }
}

#[test]
fn what_was_put_is_there_until_it_is_deleted() {
    let ctl = Ctl::new();
    assert_eq!(ctl.output(&["put", "name", "value"]), "OK\n");
    assert_eq!(ctl.output(&["get", "name"]), "name\nvalue\n");
    assert_eq!(
        ctl.output(&["put", "name", "other", "--prev-kv"]),
        "OK\nname\nvalue\n"
    );
    assert_eq!(
        ctl.output(&["del", "name", "--prev-kv"]),
        "1\nname\nother\n"
    );
    assert_eq!(ctl.output(&["get", "name"]), "");
}

#[test]
fn get_takes_etcdctls_flags_before_and_after_the_key() {
    let ctl = Ctl::new();
    for key in ["a1", "a2", "a3", "b1"] {
        ctl.output(&["put", key, "v"]);
    }
    assert_eq!(
        ctl.output(&["get", "--prefix", "a", "--keys-only"]),
        "a1\n\na2\n\na3\n\n"
    );
    assert_eq!(ctl.output(&["get", "a2", "b"]), "a2\nv\na3\nv\n");
    assert_eq!(ctl.output(&["get", "a3", "--from-key"]), "a3\nv\nb1\nv\n");
    assert_eq!(
        ctl.output(&["get", "a", "--prefix=true", "--limit=1"]),
        "a1\nv\n"
    );
    assert_eq!(ctl.output(&["get", "a1", "--print-value-only"]), "v\n");
    assert_eq!(ctl.output(&["get", "a1", "--hex"]), "\\x61\\x31\n\\x76\n");
    let fields = ctl.output(&["get", "", "--prefix", "--count-only", "-w", "fields"]);
    assert!(
        fields.ends_with("\"More\" : false\n\"Count\" : 4\n"),
        "{fields}"
    );
}

#[test]
fn a_value_may_come_from_standard_input() {
    let ctl = Ctl::new();
    assert_eq!(
        ctl.run_with(&["put", "name"], "two\nlines\n").text(),
        "OK\n"
    );
    assert_eq!(
        ctl.output(&["get", "name", "--print-value-only"]),
        "two\nlines\n\n"
    );
    let ran = ctl.run(&["put", "name"]);
    assert_eq!(ran.code, Some(128));
    assert!(
        ran.stderr
            .contains("put command needs 1 argument and input from stdin or 2 arguments")
    );
}

#[test]
fn a_transaction_is_read_from_standard_input() {
    let ctl = Ctl::new();
    ctl.output(&["put", "name", "old"]);
    let script = "value(\"name\") = \"old\"\nversion(\"name\") = \"1\"\n\nput name new\nget name\n\ndel name\n\n";
    assert_eq!(
        ctl.run_with(&["txn"], script).text(),
        "SUCCESS\n\nOK\n\nname\nnew\n"
    );
    assert_eq!(ctl.run_with(&["txn"], script).text(), "FAILURE\n\n1\n");
    let ran = ctl.run_with(&["txn", "-i"], "\nget name\n\n\n");
    assert_eq!(
        ran.text(),
        "compares:\nsuccess requests (get, put, del):\nfailure requests (get, put, del):\nSUCCESS\n\n"
    );
}

#[test]
fn a_transaction_cut_short_changes_nothing() {
    let ctl = Ctl::new();
    let ran = ctl.run_with(&["txn"], "\nput name value\n");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(3), "Error: EOF\n"));
    assert!(ctl.0.keys().is_empty());
}

#[test]
fn members_and_states_have_a_line_a_row_and_an_object_each() {
    let ctl = Ctl::new();
    let endpoint = &ctl.0.endpoint;
    let line = "b, started, fake, http://127.0.0.1:1, http://127.0.0.1:2, false\n";
    assert_eq!(ctl.output(&["members"]), line);
    assert_eq!(ctl.output(&["member", "list"]), line);
    let line = format!("{endpoint}, b, 3.5.21, 25 kB, true, false, 2, 39, 39, \n");
    assert_eq!(ctl.output(&["status"]), line);
    assert_eq!(ctl.output(&["endpoint", "status"]), line);
    let table = ctl.output(&["status", "-w", "table"]);
    assert_eq!(table.lines().count(), 5);
    assert!(table.contains("| IS LEADER |"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&ctl.output(&["status", "-w", "json"])).unwrap();
    assert_eq!(json[0]["Status"]["raftIndex"], 39);
    let health = ctl.run(&["endpoint", "health"]);
    assert_eq!(health.code, Some(0));
    assert!(
        health
            .stderr
            .starts_with(&format!("{endpoint} is healthy: ")),
        "{}",
        health.stderr
    );
}

#[test]
fn members_are_added_promoted_updated_and_removed_in_etcdctls_words() {
    let ctl = Ctl::new();
    let url = "--peer-urls=http://127.0.0.1:3,http://127.0.0.1:4";
    assert_eq!(
        ctl.output(&["member", "add", "n4", "--learner", url]),
        "Member                c added to cluster                a\n\n\
         ETCD_NAME=\"n4\"\n\
         ETCD_INITIAL_CLUSTER=\"fake=http://127.0.0.1:1,n4=http://127.0.0.1:3,n4=http://127.0.0.1:4\"\n\
         ETCD_INITIAL_ADVERTISE_PEER_URLS=\"http://127.0.0.1:3,http://127.0.0.1:4\"\n\
         ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n"
    );
    let listed = ctl.output(&["member", "list"]);
    assert!(listed.contains("c, unstarted, , http://127.0.0.1:3,http://127.0.0.1:4, , true\n"));
    assert_eq!(
        ctl.output(&["member", "promote", "c"]),
        "Member                c promoted in cluster                a\n"
    );
    let moved = ["member", "update", "c", "--peer-urls", "http://127.0.0.1:5"];
    assert_eq!(
        ctl.output(&moved),
        "Member                c updated in cluster                a\n"
    );
    let listed = ctl.output(&["member", "list"]);
    assert!(listed.contains("c, unstarted, , http://127.0.0.1:5, , false\n"));
    let json = ctl.output(&["member", "remove", "c", "-w", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["members"].as_array().unwrap().len(), 1);
    let json = ctl.output(&["member", "add", "n4", url, "-w", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["member"]["ID"], &json["members"][1]["ID"]),
        (&12.into(), &12.into())
    );
    assert_eq!(
        ctl.output(&["member", "remove", "c"]),
        "Member                c removed from cluster                a\n"
    );
    let ran = ctl.run(&["member", "remove", "c"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(1), "Error: etcdserver: member not found\n")
    );
}

#[test]
fn leadership_is_moved_from_whoever_has_it() {
    let ctl = Ctl::new();
    assert_eq!(
        ctl.output(&["move-leader", "b"]),
        "Leadership transferred from b to b\n"
    );
    let ran = ctl.run(&["move-leader", "77"]);
    let text = "Error: etcdserver: bad leader transferee\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), text));
}

#[test]
fn a_refusal_by_the_server_is_code_1_and_its_own_text() {
    let ctl = Ctl::new();
    let ran = ctl.run(&["get", ""]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(1), "Error: etcdserver: key is not provided\n")
    );
    let ran = ctl.run(&["compact", "999"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "Error: etcdserver: mvcc: required revision is a future revision\n"
    );
    assert_eq!(ctl.output(&["compaction", "1"]), "compacted revision 1\n");
}

#[test]
fn wrong_arguments_are_found_before_anything_is_sent() {
    let ctl = Ctl::new();
    let refused = |arguments: &[&str], code: i32, text: &str| {
        let ran = ctl.run(arguments);
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (Some(code), &*format!("Error: {text}\n"))
        );
    };
    refused(
        &["put", "a", "b", "-w", "table"],
        4,
        "table not supported as output format",
    );
    refused(
        &["put", "a", "b", "-w", "nope"],
        4,
        "unsupported output format",
    );
    refused(
        &["put", "a", "b", "--user", "root"],
        4,
        "--user: users and passwords are not built yet",
    );
    refused(
        &["put", "a", "b", "--lease", "zz"],
        128,
        "bad lease ID (strconv.ParseInt: parsing \"zz\": invalid syntax), expecting ID in Hex",
    );
    refused(
        &["get", "a", "--prefix", "--from-key"],
        128,
        "`--prefix` and `--from-key` cannot be set at the same time, choose one",
    );
    refused(&["get", "a", "--order", "up"], 4, "bad sort order up");
    refused(
        &["get", "a", "--consistency", "q"],
        4,
        "unknown consistency flag \"q\"",
    );
    refused(
        &["get", "a", "--print-value-only", "-w", "json"],
        128,
        "print-value-only is only for `--write-out=simple`",
    );
    refused(&["txn", "x"], 128, "txn command does not accept argument");
    refused(&["member", "add"], 128, "member name not provided");
    refused(
        &["member", "add", "n4", "http://127.0.0.1:3"],
        128,
        "too many arguments, did you mean --peer-urls=http://127.0.0.1:3",
    );
    refused(
        &["member", "add", "n4"],
        128,
        "member peer urls not provided",
    );
    refused(&["member", "remove"], 128, "member ID is not provided");
    refused(
        &["member", "promote", "n4"],
        128,
        "bad member ID arg (strconv.ParseUint: parsing \"n4\": invalid syntax), expecting ID in Hex",
    );
    refused(
        &["member", "remove", "b", "-w", "fields"],
        4,
        "fields not supported as output format",
    );
    refused(
        &["move-leader"],
        128,
        "move-leader command needs 1 argument",
    );
    refused(
        &["move-leader", "b", "-w", "table"],
        4,
        "table not supported as output format",
    );
    assert!(ctl.0.keys().is_empty());
    assert_eq!(ctl.output(&["member", "list"]).lines().count(), 1);
}

#[test]
fn an_endpoint_that_refuses_is_named_with_the_reason() {
    let ran = quorate(&[
        "ctl",
        "get",
        "a",
        "--endpoints",
        "127.0.0.1:1",
        "--command-timeout",
        "300ms",
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr
            .starts_with("Error: context deadline exceeded (after 300ms; 127.0.0.1:1: ")
    );
    let ran = quorate(&["ctl", "status", "--endpoints", "127.0.0.1:1"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr
            .starts_with("Failed to get the status of endpoint 127.0.0.1:1 (")
    );
    let ran = quorate(&["ctl", "get", "a", "--endpoints", "localhost"]);
    assert_eq!(ran.code, Some(128));
    assert_eq!(
        ran.stderr,
        "Error: bad endpoint \"localhost\": expected host:port\n"
    );
}

#[test]
fn every_command_has_help_with_examples() {
    let commands = "get, put, del, txn, compact, status, members, endpoint, endpoint status, endpoint health, member, \
                    member list, member add, member promote, member update, member remove, move-leader";
    for command in commands.split(", ") {
        let words: Vec<&str> = ["ctl"].into_iter().chain(command.split(' ')).collect();
        has_help_with(&words, &["Example"]);
    }
    has_help_with(&["ctl"], &["Example", "Exit codes"]);
    has_help_with(&["bench"], &["Example"]);
    for command in ["run", "replay", "shrink", "course", "bugs"] {
        has_help_with(&["sim", command], &["Example", "Exit codes"]);
    }
}

fn has_help_with(words: &[&str], parts: &[&str]) {
    let ran = quorate(&[words, &["--help"]].concat());
    assert_eq!(ran.code, Some(0), "{words:?}");
    for part in parts {
        assert!(ran.text().contains(part), "{words:?}: {}", ran.text());
    }
}
