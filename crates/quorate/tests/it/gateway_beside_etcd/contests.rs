//! Locks and elections over JSON: what both servers say of the same requests.

use std::time::Duration;

use serde_json::json;

use super::watching::{Both, agree, head};
use super::{ask_both, post};
use crate::gateway::{Stream, post as send};

const LOCK: &str = "/v3/lock/lock";
const UNLOCK: &str = "/v3/lock/unlock";
const GRANT: &str = "/v3/lease/grant";
const CAMPAIGN: &str = "/v3/election/campaign";
const PROCLAIM: &str = "/v3/election/proclaim";
const LEADER: &str = "/v3/election/leader";
const RESIGN: &str = "/v3/election/resign";

/// `{"leader":…}` with this key (base64), create revision and lease.
fn by(key: &str, rev: u32, lease: u32, value: &str) -> String {
    json!({
        "leader": {"name": "YQ==", "key": key, "rev": rev, "lease": lease},
        "value": value,
    })
    .to_string()
}

/// The same without a value, which resigning has none of.
fn of(key: &str, rev: u32, lease: u32) -> String {
    json!({"leader": {"name": "YQ==", "key": key, "rev": rev, "lease": lease}}).to_string()
}

#[test]
fn locks_are_answered_as_etcd_answers_them() {
    ask_both([
        post(UNLOCK, r#"{"key":"bm9uZQ=="}"#),
        post(UNLOCK, "{}"),
        post(LOCK, r#"{"name":"YmFy","lease":"99"}"#),
        post(GRANT, r#"{"ID":"77","TTL":"600"}"#),
        post(LOCK, r#"{"name":"YmFy","lease":"77"}"#),
        post("/v3/kv/range", r#"{"key":"YmFyLzRk"}"#),
        post(UNLOCK, r#"{"key":"YmFyLzRk"}"#),
        post(UNLOCK, r#"{"key":"YmFyLzRk"}"#),
        post(LOCK, r#"{"lease":"77"}"#),
        post(LOCK, r#"{"name":"YmFy","lease":"-77"}"#),
        post(GRANT, r#"{"ID":"78","TTL":"600"}"#),
        post(LOCK, r#"{"name":"YmFy","lease":"78"}"#),
        post(LOCK, r#"{"name":1}"#),
        post(LOCK, "nonsense"),
        // The last, since what is found is put again here, and revisions differ from then on.
        post(LOCK, r#"{"name":"YmFy","lease":"78"}"#),
    ]);
}

#[test]
fn elections_are_answered_as_etcd_answers_them() {
    ask_both([
        post(LEADER, r#"{"name":"YQ=="}"#),
        post(PROCLAIM, "{}"),
        post(RESIGN, "{}"),
        post(PROCLAIM, r#"{"leader":{}}"#),
        post(RESIGN, r#"{"leader":{}}"#),
        post(GRANT, r#"{"ID":"77","TTL":"600"}"#),
        post(PROCLAIM, by("YQ==", 3, 77, "dg==")),
        post(PROCLAIM, by("YQ==", 3, 1234, "dg==")),
        post(RESIGN, of("YQ==", 3, 77)),
        post(RESIGN, of("YQ==", 3, 1234)),
        post(CAMPAIGN, r#"{"name":"YQ==","value":"djE=","lease":"1234"}"#),
        post(CAMPAIGN, r#"{"name":"YQ==","value":"djE=","lease":"77"}"#),
        post(LEADER, r#"{"name":"YQ=="}"#),
        post(CAMPAIGN, r#"{"name":"YQ==","value":"djI=","lease":"77"}"#),
        post(LEADER, r#"{"name":"YQ=="}"#),
        // `a/4d` was created at revision 2.
        post(PROCLAIM, by("YS80ZA==", 2, 77, "djM=")),
        post(PROCLAIM, by("YS80ZA==", 3, 77, "djQ=")),
        post(PROCLAIM, by("YS80ZA==", 2, 1234, "djU=")),
        post(LEADER, r#"{"name":"YQ=="}"#),
        post(RESIGN, of("YS80ZA==", 3, 77)),
        post(LEADER, r#"{"name":"YQ=="}"#),
        post(RESIGN, of("YS80ZA==", 2, 77)),
        post(RESIGN, of("YS80ZA==", 2, 77)),
        post(LEADER, r#"{"name":"YQ=="}"#),
        post(PROCLAIM, by("YS80ZA==", 2, 77, "djM=")),
        post(CAMPAIGN, r#"{"name":"YQ==","value":"djE=","lease":"77"}"#),
        // The last, as of locks.
        post(CAMPAIGN, r#"{"name":"YQ==","value":"djE=","lease":"77"}"#),
    ]);
}

#[test]
fn observers_are_told_line_by_line_what_etcd_tells_them() {
    let Some(both) = Both::start() else {
        return;
    };
    let observe = |name: &str| {
        let body = json!({ "name": name }).to_string();
        let open = |endpoint: &String| {
            Stream::open(
                endpoint,
                "POST",
                "/v3/election/observe",
                &[],
                body.as_bytes(),
            )
        };
        both.endpoints().each_ref().map(open)
    };
    let campaign = |value: &str, lease: u32| {
        both.post(GRANT, &json!({ "ID": lease, "TTL": 600 }).to_string());
        let body = json!({ "name": "YQ==", "value": value, "lease": lease });
        both.post(CAMPAIGN, &body.to_string());
    };
    campaign("djE=", 77);
    let mut streams = observe("YQ==");
    let [theirs, ours] = streams.each_ref().map(head);
    assert_eq!(ours, theirs);
    agree(&mut streams, 1, "the leader that there is");
    both.post(PROCLAIM, &by("YS80ZA==", 2, 77, "djI="));
    agree(&mut streams, 1, "what it proclaims");
    both.post(RESIGN, &of("YS80ZA==", 2, 77));
    campaign("djM=", 78);
    agree(&mut streams, 1, "its successor");
    // `a/4e`, at the fifth revision.
    both.post(PROCLAIM, &by("YS80ZQ==", 5, 78, "djQ="));
    agree(&mut streams, 1, "what that proclaims");
}

/// A call that waits until its turn comes.
fn waiting(endpoint: &str, path: &'static str, body: &str) -> std::thread::JoinHandle<String> {
    let (endpoint, body) = (endpoint.to_owned(), body.to_owned());
    std::thread::spawn(move || super::shown(&send(&endpoint, path, body.as_bytes())))
}

#[test]
fn one_whose_lease_ends_in_the_line_hears_etcds_words() {
    let Some(both) = Both::start() else {
        return;
    };
    for lease in [77, 78] {
        both.post(GRANT, &json!({ "ID": lease, "TTL": 600 }).to_string());
    }
    both.post(LOCK, r#"{"name":"YmFy","lease":"77"}"#);
    let second = r#"{"name":"YmFy","lease":"78"}"#;
    let calls = both.endpoints().map(|endpoint| {
        let call = waiting(&endpoint, LOCK, second);
        crate::cluster::wait_for("the second in the line", Duration::from_secs(20), || {
            // `bar/4e`
            let found = send(&endpoint, "/v3/kv/range", br#"{"key":"YmFyLzRl"}"#);
            found.text().contains("create_revision").then_some(())
        });
        call
    });
    both.post("/v3/lease/revoke", r#"{"ID":"78"}"#);
    // etcd looks when the turn comes, Quorate at once.
    both.post(UNLOCK, r#"{"key":"YmFyLzRk"}"#);
    let [theirs, ours] = calls.map(|call| call.join().expect("an answer"));
    assert!(theirs.contains("mutex: session is expired"), "{theirs}");
    assert_eq!(ours, theirs);
}
