//! The form that Go's JSON encoder makes of etcd's structs: fields in the order of their numbers, zero values left
//! out, bytes in base64, 64-bit numbers as numbers, one line.
//!
//! This is not the JSON of etcd's HTTP gateway, which writes 64-bit numbers as strings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorate_proto::etcdserverpb::{
    DeleteRangeResponse, LeaseTimeToLiveResponse, Member, PutResponse, RangeResponse,
    ResponseHeader, StatusResponse, TxnResponse, WatchResponse, response_op::Response,
};
use quorate_proto::mvccpb::{Event, KeyValue};

use super::{Answer, Health};

pub(super) fn render(answer: &Answer) -> String {
    let text = match answer {
        Answer::Range(response) => range(response),
        Answer::Put(response) => put(response),
        Answer::Delete(response) => delete(response),
        Answer::Txn(response) => txn(response),
        Answer::Watch(response) => watch(response),
        Answer::Members(response) | Answer::MemberChanged { response, .. } => Object::default()
            .header(response.header.as_ref())
            .list("members", response.members.iter().map(member))
            .finish(),
        Answer::MemberAdded { response, .. } => {
            let object = Object::default().header(response.header.as_ref());
            let object = match &response.member {
                Some(added) => object.raw("member", &member(added)),
                None => object,
            };
            object
                .list("members", response.members.iter().map(member))
                .finish()
        }
        Answer::LeaderMoved { response, .. } => {
            Object::default().header(response.header.as_ref()).finish()
        }
        Answer::LeaseRevoked { response, .. } => {
            Object::default().header(response.header.as_ref()).finish()
        }
        Answer::LeaseGranted(granted) => header_inside(granted.header.as_ref())
            .raw("ID", &granted.id.to_string())
            .raw("TTL", &granted.ttl.to_string())
            .raw("Error", &string(&granted.error))
            .finish(),
        Answer::LeaseTime {
            response,
            with_keys,
        } => lease_time(response, *with_keys),
        Answer::Leases(response) => {
            let leases = response.leases.iter();
            let leases = leases.map(|lease| Object::default().number("id", lease.id).finish());
            header_inside(response.header.as_ref())
                .raw("leases", &array(leases))
                .finish()
        }
        Answer::LeaseRenewed(renewed) => header_inside(renewed.header.as_ref())
            .raw("ID", &renewed.id.to_string())
            .raw("TTL", &renewed.ttl.to_string())
            .finish(),
        Answer::Statuses(statuses) => array(statuses.iter().map(|(endpoint, response)| {
            Object::default()
                .raw("Endpoint", &string(endpoint))
                .raw("Status", &status(response))
                .finish()
        })),
        Answer::Alarms(response) => {
            let alarms = response.alarms.iter().map(|alarm| {
                let object = Object::default().number("memberID", alarm.member_id);
                object.number("alarm", alarm.alarm).finish()
            });
            Object::default()
                .header(response.header.as_ref())
                .list("alarms", alarms)
                .finish()
        }
        Answer::Hashes(hashes) => array(hashes.iter().map(|(endpoint, response)| {
            let hash = Object::default()
                .header(response.header.as_ref())
                .number("hash", response.hash)
                .number("compact_revision", response.compact_revision);
            Object::default()
                .raw("Endpoint", &string(endpoint))
                .raw("HashKV", &hash.finish())
                .finish()
        })),
        Answer::Healths(healths) => array(healths.iter().map(health)),
    };
    text + "\n"
}

/// The answers on leases are structs of Go's client, which carry the header's fields among their own.
fn header_inside(header: Option<&ResponseHeader>) -> Object {
    let header = header.copied().unwrap_or_default();
    Object::default()
        .number("cluster_id", header.cluster_id)
        .number("member_id", header.member_id)
        .number("revision", header.revision)
        .number("raft_term", header.raft_term)
}

fn lease_time(response: &LeaseTimeToLiveResponse, with_keys: bool) -> String {
    let keys = response.keys.iter();
    let keys = keys.map(|key| format!("\"{}\"", STANDARD.encode(key)));
    let keys = match with_keys && !response.keys.is_empty() {
        true => array(keys),
        false => "null".to_owned(),
    };
    header_inside(response.header.as_ref())
        .raw("id", &response.id.to_string())
        .raw("ttl", &response.ttl.to_string())
        .raw("granted-ttl", &response.granted_ttl.to_string())
        .raw("keys", &keys)
        .finish()
}

fn range(response: &RangeResponse) -> String {
    Object::default()
        .header(response.header.as_ref())
        .list("kvs", response.kvs.iter().map(pair))
        .flag("more", response.more)
        .number("count", response.count)
        .finish()
}

fn put(response: &PutResponse) -> String {
    let object = Object::default().header(response.header.as_ref());
    match &response.prev_kv {
        Some(kv) => object.raw("prev_kv", &pair(kv)).finish(),
        None => object.finish(),
    }
}

fn delete(response: &DeleteRangeResponse) -> String {
    Object::default()
        .header(response.header.as_ref())
        .number("deleted", response.deleted)
        .list("prev_kvs", response.prev_kvs.iter().map(pair))
        .finish()
}

fn txn(response: &TxnResponse) -> String {
    let operations = response.responses.iter().map(|op| {
        let inner = match &op.response {
            None => "null".to_owned(),
            Some(response) => operation(response),
        };
        Object::default().raw("Response", &inner).finish()
    });
    Object::default()
        .header(response.header.as_ref())
        .flag("succeeded", response.succeeded)
        .list("responses", operations)
        .finish()
}

/// Of the struct of etcd's client, not of the message: all fields are there.
fn watch(response: &WatchResponse) -> String {
    let header = header(response.header.as_ref().copied().unwrap_or_default());
    let events = array(response.events.iter().map(event));
    Object::default()
        .raw("Header", &header)
        .raw("Events", &events)
        .raw("CompactRevision", &response.compact_revision.to_string())
        .raw("Canceled", &response.canceled.to_string())
        .raw("Created", &response.created.to_string())
        .finish()
}

fn event(event: &Event) -> String {
    let mut object = Object::default().number("type", event.r#type);
    for (name, kv) in [("kv", &event.kv), ("prev_kv", &event.prev_kv)] {
        if let Some(kv) = kv {
            object = object.raw(name, &pair(kv));
        }
    }
    object.finish()
}

fn header(header: ResponseHeader) -> String {
    Object::default()
        .number("cluster_id", header.cluster_id)
        .number("member_id", header.member_id)
        .number("revision", header.revision)
        .number("raft_term", header.raft_term)
        .finish()
}

fn operation(response: &Response) -> String {
    let (name, inner) = match response {
        Response::ResponseRange(response) => ("ResponseRange", range(response)),
        Response::ResponsePut(response) => ("ResponsePut", put(response)),
        Response::ResponseDeleteRange(response) => ("ResponseDeleteRange", delete(response)),
        Response::ResponseTxn(response) => ("ResponseTxn", txn(response)),
    };
    Object::default().raw(name, &inner).finish()
}

fn pair(kv: &KeyValue) -> String {
    Object::default()
        .bytes("key", &kv.key)
        .number("create_revision", kv.create_revision)
        .number("mod_revision", kv.mod_revision)
        .number("version", kv.version)
        .bytes("value", &kv.value)
        .number("lease", kv.lease)
        .finish()
}

fn member(member: &Member) -> String {
    Object::default()
        .number("ID", member.id)
        .text("name", &member.name)
        .list("peerURLs", member.peer_ur_ls.iter().map(|url| string(url)))
        .list(
            "clientURLs",
            member.client_ur_ls.iter().map(|url| string(url)),
        )
        .flag("isLearner", member.is_learner)
        .finish()
}

fn status(status: &StatusResponse) -> String {
    Object::default()
        .header(status.header.as_ref())
        .text("version", &status.version)
        .number("dbSize", status.db_size)
        .number("leader", status.leader)
        .number("raftIndex", status.raft_index)
        .number("raftTerm", status.raft_term)
        .number("raftAppliedIndex", status.raft_applied_index)
        .list("errors", status.errors.iter().map(|error| string(error)))
        .number("dbSizeInUse", status.db_size_in_use)
        .flag("isLearner", status.is_learner)
        .finish()
}

fn health(health: &Health) -> String {
    Object::default()
        .raw("endpoint", &string(&health.endpoint))
        .raw(
            "health",
            if health.error.is_none() {
                "true"
            } else {
                "false"
            },
        )
        .raw("took", &string(&health.took))
        .text("error", health.error.as_deref().unwrap_or_default())
        .finish()
}

/// A JSON object under construction; all but `raw` leave zero values out.
#[derive(Default)]
struct Object(String);

impl Object {
    fn raw(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0 += &format!("\"{name}\":{value}");
        self
    }

    fn number(self, name: &str, value: impl Into<i128>) -> Self {
        match value.into() {
            0 => self,
            value => self.raw(name, &value.to_string()),
        }
    }

    fn flag(self, name: &str, value: bool) -> Self {
        if value { self.raw(name, "true") } else { self }
    }

    fn text(self, name: &str, value: &str) -> Self {
        if value.is_empty() {
            self
        } else {
            self.raw(name, &string(value))
        }
    }

    fn bytes(self, name: &str, value: &[u8]) -> Self {
        if value.is_empty() {
            self
        } else {
            self.raw(name, &format!("\"{}\"", STANDARD.encode(value)))
        }
    }

    fn list(self, name: &str, items: impl Iterator<Item = String>) -> Self {
        match array(items).as_str() {
            "[]" => self,
            array => self.raw(name, array),
        }
    }

    fn header(self, header: Option<&ResponseHeader>) -> Self {
        match header {
            Some(of) => self.raw("header", &self::header(*of)),
            None => self,
        }
    }

    fn finish(self) -> String {
        if self.0.is_empty() {
            "{}".to_owned()
        } else {
            self.0 + "}"
        }
    }
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// A JSON string; like Go's encoder it escapes what HTML or JavaScript would trip over.
fn string(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
