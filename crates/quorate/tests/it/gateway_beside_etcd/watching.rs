//! Watches over JSON: a body of requests, one behind the other, and an answer that comes in lines.

use serde_json::json;

use super::{Etcd, without_number};
use crate::cluster::Plan;
use crate::gateway::{Stream, post};

/// Both servers.
pub(super) struct Both {
    etcd: Etcd,
    cluster: crate::cluster::Cluster,
}

impl Both {
    pub(super) fn start() -> Option<Both> {
        let etcd = Etcd::start()?;
        let cluster = Plan::of(1).start();
        // Before that it opens no stream.
        cluster.wait_until_healthy(0);
        Some(Both { etcd, cluster })
    }

    pub(super) fn endpoints(&self) -> [String; 2] {
        [self.etcd.endpoint.clone(), self.cluster.endpoint(0)]
    }

    /// The same unary request to both.
    pub(super) fn post(&self, path: &str, body: &str) {
        for endpoint in self.endpoints() {
            let answer = post(&endpoint, path, body.as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }

    fn put(&self, value: &str) {
        self.post(
            "/v3/kv/put",
            &json!({ "key": "Zm9v", "value": value }).to_string(),
        );
    }

    fn watch(&self, body: &str) -> [Stream; 2] {
        let open =
            |endpoint: &String| Stream::open(endpoint, "POST", "/v3/watch", &[], body.as_bytes());
        self.endpoints().each_ref().map(open)
    }
}

/// Status and headers, but for the date and the like.
pub(super) fn head(stream: &Stream) -> String {
    let names = [
        "content-type",
        "grpc-metadata-content-type",
        "transfer-encoding",
    ];
    let headers = stream.headers.iter();
    let mut headers: Vec<String> = headers
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    headers.sort();
    format!("{} {headers:?}", stream.status)
}

/// So many lines, without ids and terms.
fn lines(stream: &mut Stream, count: usize) -> Vec<String> {
    let mut line = || {
        let chunk = stream.chunk().expect("a line");
        let mut line = String::from_utf8(chunk).expect("text");
        for name in ["cluster_id", "member_id", "raft_term"] {
            line = without_number(&line, name);
        }
        line
    };
    (0..count).map(|_| line()).collect()
}

/// Both say so many equal lines.
pub(super) fn agree(streams: &mut [Stream; 2], count: usize, why: &str) {
    let [theirs, ours] = streams.each_mut().map(|stream| lines(stream, count));
    assert_eq!(ours, theirs, "{why}");
}

#[test]
fn watches_are_answered_line_by_line_as_etcd_answers_them() {
    let Some(both) = Both::start() else {
        return;
    };
    for value in ["YmFy", "YmF6", "eA=="] {
        both.put(value);
    }
    both.post("/v3/kv/compaction", r#"{"revision":"3"}"#);
    let cases = [
        (
            r#"{"create_request":{"key":"Zm9v","start_revision":"4"}}"#,
            2,
        ),
        (
            r#"{"createRequest":{"key":"Zm9v","startRevision":4,"prevKv":true}}"#,
            2,
        ),
        (
            r#"{"create_request":{"key":"Zm9v","start_revision":"2"}}"#,
            2,
        ),
        (
            r#"{"create_request":{"key":"Zm9v","start_revision":"-2"}}"#,
            2,
        ),
        (r#"{"create_request":{"key":"Zm9v","range_end":"Zm8="}}"#, 1),
        (
            r#"{"create_request":{"key":"Zm9v","start_revision":"99","watch_id":"5"}}"#,
            1,
        ),
        (
            r#"{"create_request":{"key":"Zm9v","watch_id":"7"}}{"create_request":{"key":"Zm9v","watch_id":"7"}}
            {"progress_request":{}}{"cancel_request":{"watch_id":"7"}}"#,
            4,
        ),
        (
            r#"{"create_request":{"key":"Zm9v"}}{"progress_request":{}}"#,
            2,
        ),
        // What is no message ends the requests, not the answers.
        (r#"{"create_request":{"key":"Zm9v"}}{x"#, 1),
    ];
    for (body, count) in cases {
        let mut streams = both.watch(body);
        let [theirs, ours] = streams.each_ref().map(head);
        assert_eq!(ours, theirs, "{body}");
        agree(&mut streams, count, body);
    }
    for body in ["x", "{", r#"{"create_request":5}"#] {
        let [theirs, ours] = both.endpoints().map(|endpoint| {
            let answer = post(&endpoint, "/v3/watch", body.as_bytes());
            (answer.status, answer.text())
        });
        assert_eq!(ours, theirs, "{body}");
    }
}

#[test]
fn events_come_while_the_answer_lasts() {
    let Some(both) = Both::start() else {
        return;
    };
    let filtered = r#"{"create_request":{"key":"Zm9v","prev_kv":true,"filters":["NOPUT"]}}"#;
    let all = r#"{"create_request":{"key":"AA==","range_end":"AA==","fragment":true}}"#;
    let mut filtered = both.watch(filtered);
    let mut all = both.watch(all);
    agree(&mut filtered, 1, "created");
    agree(&mut all, 1, "created");
    both.put("YmFy");
    agree(&mut all, 1, "a put");
    both.post(
        "/v3/kv/txn",
        r#"{"success":[{"request_put":{"key":"eg==","value":"eA=="}},{"request_delete_range":{"key":"Zm9v"}}]}"#,
    );
    agree(&mut all, 1, "a transaction");
    agree(&mut filtered, 1, "a deletion");
}
