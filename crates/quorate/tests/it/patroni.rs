//! What Patroni does with etcd's JSON gateway (its `etcd3` mode), call by call, against each node of three.
//!
//! Leases, watches and users are not served yet. What Patroni does with them is written too; until the service is
//! there, the test holds that it says so. Whoever lands a service turns its constant.

use serde_json::{Value, json};

use crate::cluster::{Cluster, PATIENCE, Plan, wait_for};
use crate::gateway::{Answer, Stream, ask, post};

/// Lease is served.
const LEASES: bool = true;
/// Watch is served.
const WATCHES: bool = true;
/// Auth is served.
const USERS: bool = false;

/// `/service/batman/…` in base64, as Patroni sends it.
const LEADER: &str = "L3NlcnZpY2UvYmF0bWFuL2xlYWRlcg==";
const SCOPE: &str = "L3NlcnZpY2UvYmF0bWFuLw==";
const SCOPE_END: &str = "L3NlcnZpY2UvYmF0bWFuMA==";
const PG0: &str = "cGcw";
const PG1: &str = "cGcx";

/// A client that moves on when a node is older than what it has seen, as Patroni does.
struct Client<'a> {
    cluster: &'a Cluster,
    node: usize,
    cluster_id: Option<String>,
    term: u64,
}

impl Client<'_> {
    fn of(cluster: &Cluster, node: usize) -> Client<'_> {
        Client {
            cluster,
            node,
            cluster_id: None,
            term: 0,
        }
    }

    fn endpoint(&self) -> String {
        self.cluster.endpoint(self.node)
    }

    fn try_call(&self, path: &str, body: &Value) -> Answer {
        post(&self.endpoint(), path, body.to_string().as_bytes())
    }

    /// The answer, whose header must be of this cluster and of no earlier term.
    fn call(&mut self, path: &str, body: &Value) -> Value {
        let answer = self.try_call(path, body);
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        let answer = answer.json();
        let header = &answer["header"];
        let id = header["cluster_id"].as_str().expect("a string").to_owned();
        assert_eq!(*self.cluster_id.get_or_insert(id.clone()), id);
        let term = header["raft_term"].as_str().expect("a string");
        let term: u64 = term.parse().expect("a number");
        assert!(
            term >= self.term,
            "the term fell from {} to {term}",
            self.term
        );
        self.term = term;
        answer
    }

    /// A transaction of one comparison and one operation.
    fn txn(&mut self, compare: &Value, success: &Value) -> bool {
        let answer = self.call(
            "/v3/kv/txn",
            &json!({ "compare": [compare], "success": [success] }),
        );
        answer["succeeded"] == true
    }
}

fn on_each_node(play: impl Fn(&mut Client<'_>)) {
    let cluster = Plan::of(3).start();
    for node in 0..cluster.len() {
        play(&mut Client::of(&cluster, node));
    }
}

#[test]
fn patroni_finds_the_members_and_the_version() {
    on_each_node(|client| {
        let version = ask(&client.endpoint(), "GET", "/version", &[], b"");
        assert_eq!(
            version.text(),
            r#"{"etcdserver":"3.5.21","etcdcluster":"3.5.0"}"#
        );
        let answer = client.call("/v3/cluster/member/list", &json!({}));
        let members = answer["members"].as_array().expect("members");
        let mut urls: Vec<&str> = members
            .iter()
            .flat_map(|member| member["clientURLs"].as_array().expect("a list"))
            .map(|url| url.as_str().expect("a URL"))
            .collect();
        urls.sort_unstable();
        let endpoints = client.cluster.endpoints();
        let mut expected: Vec<String> = endpoints.iter().map(|at| format!("http://{at}")).collect();
        expected.sort_unstable();
        assert_eq!(urls, expected);
    });
}

#[test]
fn patroni_keeps_its_cluster_in_keys() {
    on_each_node(|client| {
        client.call("/v3/kv/put", &json!({ "key": LEADER, "value": PG0 }));
        let all = json!({ "key": SCOPE, "range_end": SCOPE_END, "serializable": true });
        // A node may serve its own state only after it has caught up with the others.
        let answer = wait_for("a serializable read", PATIENCE, || {
            let answer = client.try_call("/v3/kv/range", &all);
            (answer.status == 200).then(|| answer.json())
        });
        assert_eq!(answer["kvs"][0]["key"], LEADER);
        assert_eq!(answer["kvs"][0]["value"], PG0);
        assert_eq!(answer["count"], "1");
        let linearizable = client.call("/v3/kv/range", &json!({ "key": LEADER }));
        let revision = linearizable["kvs"][0]["mod_revision"].clone();

        let is_at =
            |revision: &Value| json!({ "key": LEADER, "target": "MOD", "mod_revision": revision });
        let put = |value| json!({ "request_put": { "key": LEADER, "value": value } });
        assert!(
            client.txn(&is_at(&revision), &put(PG1)),
            "compared by revision"
        );
        assert!(
            !client.txn(&is_at(&revision), &put(PG0)),
            "it is changed by now"
        );
        let is_absent = json!({ "key": LEADER, "target": "CREATE", "create_revision": "0" });
        assert!(!client.txn(&is_absent, &put(PG0)), "it is there");
        let is_pg1 = json!({ "key": LEADER, "target": "VALUE", "value": PG1 });
        let delete = json!({ "request_delete_range": { "key": LEADER } });
        assert!(client.txn(&is_pg1, &delete), "compared by value");
        assert!(client.txn(&is_absent, &put(PG0)), "it is gone");

        let deleted = client.call(
            "/v3/kv/deleterange",
            &json!({ "key": SCOPE, "range_end": SCOPE_END }),
        );
        assert_eq!(deleted["deleted"], "1");
    });
}

/// The one call that nests a transaction: keep the leader's key, or take it when nobody has it.
#[test]
fn patroni_updates_the_leader_in_one_call() {
    on_each_node(|client| {
        let put = json!({ "request_put": { "key": LEADER, "value": PG0 } });
        let absent = json!({ "key": LEADER, "target": "CREATE", "create_revision": "0" });
        let create = json!({ "request_txn": { "compare": [absent], "success": [put] } });
        let mine = json!({ "key": LEADER, "target": "VALUE", "value": PG0 });
        let update = json!({ "compare": [mine], "success": [put], "failure": [create] });
        let answer = client.call("/v3/kv/txn", &update);
        assert_eq!(answer["succeeded"], Value::Null, "nobody's");
        assert_eq!(
            answer["responses"][0]["response_txn"]["succeeded"], true,
            "taken"
        );
        assert_eq!(
            client.call("/v3/kv/txn", &update)["succeeded"],
            true,
            "kept"
        );
        client.call("/v3/kv/put", &json!({ "key": LEADER, "value": PG1 }));
        let answer = client.call("/v3/kv/txn", &update);
        assert_eq!(answer["succeeded"], Value::Null, "another's");
        assert_eq!(
            answer["responses"][0]["response_txn"]["succeeded"],
            Value::Null
        );
        client.call("/v3/kv/deleterange", &json!({ "key": LEADER }));
    });
}

#[test]
fn patroni_knows_errors_by_their_code_and_words() {
    on_each_node(|client| {
        let answer = client.try_call("/v3/kv/range", &json!({}));
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.text(),
            r#"{"error":"etcdserver: key is not provided","code":3,"message":"etcdserver: key is not provided"}"#
        );
    });
}

/// That what is not there yet says so, in gRPC's terms.
fn is_not_served_yet(client: &Client<'_>, path: &str) {
    let answer = client.try_call(path, &json!({}));
    assert_eq!(answer.status, 501, "{path} is served: turn its constant");
    assert_eq!(answer.json()["code"], 12);
}

#[test]
fn patroni_logs_in() {
    on_each_node(|client| {
        if !USERS {
            return is_not_served_yet(client, "/v3/auth/authenticate");
        }
        let who = json!({ "name": "patroni", "password": "secret" });
        let answer = client.try_call("/v3/auth/authenticate", &who);
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.json()["error"],
            "etcdserver: authentication is not enabled"
        );
        assert_eq!(answer.json()["code"], 9);
    });
}

#[test]
fn patroni_holds_the_leaders_key_by_a_lease() {
    on_each_node(|client| {
        if !LEASES {
            is_not_served_yet(client, "/v3/lease/grant");
            return is_not_served_yet(client, "/v3/lease/keepalive");
        }
        let lease = client.call("/v3/lease/grant", &json!({ "TTL": 30 }))["ID"].clone();
        let keep_alive = |id: &Value| {
            let answer = client.try_call("/v3/lease/keepalive", &json!({ "ID": id }));
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()["result"].clone()
        };
        assert_eq!(keep_alive(&lease)["TTL"], "30");
        assert_eq!(
            keep_alive(&json!("77"))["TTL"],
            Value::Null,
            "a lease that is lost"
        );
        let absent = json!({ "key": LEADER, "target": "CREATE", "create_revision": "0" });
        let put = json!({ "request_put": { "key": LEADER, "value": PG0, "lease": lease } });
        assert!(client.txn(&absent, &put));
        let answer = client.call("/v3/kv/range", &json!({ "key": LEADER }));
        assert_eq!(answer["kvs"][0]["lease"], lease);
        client.call("/v3/lease/revoke", &json!({ "ID": lease }));
        let answer = client.call("/v3/kv/range", &json!({ "key": LEADER }));
        assert_eq!(answer["kvs"], Value::Null, "gone with its lease");
        let answer = client.try_call(
            "/v3/kv/put",
            &json!({ "key": LEADER, "value": PG0, "lease": lease }),
        );
        assert_eq!(answer.status, 404);
        assert_eq!(
            answer.json()["error"],
            "etcdserver: requested lease not found"
        );
    });
}

#[test]
fn patroni_watches_its_keys() {
    on_each_node(|client| {
        if !WATCHES {
            return is_not_served_yet(client, "/v3/watch");
        }
        let answer = client.call("/v3/kv/put", &json!({ "key": LEADER, "value": PG0 }));
        let revision = answer["header"]["revision"].clone();
        let create = json!({ "create_request": {
            "key": SCOPE, "range_end": SCOPE_END, "start_revision": revision,
        } });
        let body = create.to_string();
        let mut watch = Stream::open(
            &client.endpoint(),
            "POST",
            "/v3/watch",
            &[],
            body.as_bytes(),
        );
        assert_eq!(watch.status, 200);
        assert_eq!(watch.message()["result"]["created"], true);
        let put = watch.message()["result"]["events"][0].clone();
        assert_eq!(put["kv"]["value"], PG0);
        assert_eq!(put["type"], Value::Null, "a put is the type of no name");
        client.call("/v3/kv/deleterange", &json!({ "key": LEADER }));
        let delete = watch.message()["result"]["events"][0].clone();
        assert_eq!(delete["type"], "DELETE");
        assert_eq!(delete["kv"]["key"], LEADER);
    });
}

#[test]
fn pages_of_other_origins_may_read_answers_only_if_they_are_named() {
    let cors = |flags: &[&str], origin: &str| {
        let plan = flags.iter().fold(Plan::of(1), |plan, flag| plan.flag(flag));
        let cluster = plan.start();
        let answer = ask(
            &cluster.endpoint(0),
            "POST",
            "/v3/kv/range",
            &[("Origin", origin)],
            br#"{"key":"YQ=="}"#,
        );
        assert_eq!(answer.status, 200);
        let allowed = answer.header("access-control-allow-origin");
        allowed.map(str::to_owned)
    };
    assert_eq!(cors(&[], "http://a.example"), None);
    let named = ["--cors=http://a.example"];
    assert_eq!(
        cors(&named, "http://a.example").as_deref(),
        Some("http://a.example")
    );
    assert_eq!(cors(&named, "http://b.example"), None);
}

#[test]
fn who_wants_no_gateway_has_none() {
    let cluster = Plan::of(1).flag("--enable-grpc-gateway=false").start();
    let answer = post(&cluster.endpoint(0), "/v3/kv/range", b"{}");
    assert_eq!(answer.status, 404);
}
