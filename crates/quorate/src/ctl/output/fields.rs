//! The form that names every field, one a line: `"Key" : "name"`.

use std::fmt::Display;

use quorate_proto::etcdserverpb::{
    DeleteRangeResponse, Member, PutResponse, RangeResponse, ResponseHeader, StatusResponse,
    TxnResponse, WatchResponse, response_op::Response,
};
use quorate_proto::mvccpb::KeyValue;

use super::{Answer, Health, go_quote};

pub(super) fn render(answer: &Answer) -> String {
    let mut out = Fields(String::new());
    match answer {
        Answer::Range(response) => out.range(response),
        Answer::Put(response) => out.put(response),
        Answer::Delete(response) => out.delete(response),
        Answer::Txn(response) => out.txn(response),
        Answer::Watch(response) => out.watch(response),
        Answer::Members(response) => {
            out.header(response.header.as_ref());
            response
                .members
                .iter()
                .for_each(|member| out.member(member));
        }
        Answer::Statuses(statuses) => {
            statuses
                .iter()
                .for_each(|(endpoint, status)| out.status(endpoint, status));
        }
        Answer::Alarms(response) => {
            out.header(response.header.as_ref());
            for alarm in &response.alarms {
                out.field("MemberID", alarm.member_id);
                out.field("AlarmType", alarm.alarm().as_str_name());
                out.end_block();
            }
        }
        Answer::Hashes(hashes) => {
            for (endpoint, hash) in hashes {
                out.header(hash.header.as_ref());
                out.field("Endpoint", go_quote(endpoint.as_bytes()));
                out.field("Hash", hash.hash);
                out.end_block();
            }
        }
        Answer::Healths(healths) => healths.iter().for_each(|health| out.health(health)),
        Answer::LeaseGranted(granted) => {
            out.header(granted.header.as_ref());
            out.field("ID", granted.id);
            out.field("TTL", granted.ttl);
        }
        Answer::LeaseRevoked { response, .. } => out.header(response.header.as_ref()),
        Answer::LeaseTime { response, .. } => {
            out.header(response.header.as_ref());
            out.field("ID", response.id);
            out.field("TTL", response.ttl);
            out.field("GrantedTTL", response.granted_ttl);
            let keys = response.keys.iter();
            keys.for_each(|key| out.field("Key", go_quote(key)));
        }
        Answer::Leases(response) => {
            out.header(response.header.as_ref());
            let leases = response.leases.iter();
            leases.for_each(|lease| out.field("ID", lease.id));
        }
        Answer::LeaseRenewed(renewed) => {
            out.header(renewed.header.as_ref());
            out.field("ID", renewed.id);
            out.field("TTL", renewed.ttl);
        }
        Answer::MemberAdded { .. } | Answer::MemberChanged { .. } | Answer::LeaderMoved { .. } => {}
    }
    out.0
}

struct Fields(String);

impl Fields {
    fn field(&mut self, name: &str, value: impl Display) {
        self.0 += &format!("\"{name}\" : {value}\n");
    }

    fn end_block(&mut self) {
        self.0.push('\n');
    }

    fn header(&mut self, header: Option<&ResponseHeader>) {
        let header = header.copied().unwrap_or_default();
        self.field("ClusterID", header.cluster_id);
        self.field("MemberID", header.member_id);
        self.field("Revision", header.revision);
        self.field("RaftTerm", header.raft_term);
    }

    fn pair(&mut self, prefix: &str, kv: &KeyValue) {
        self.field(&format!("{prefix}Key"), go_quote(&kv.key));
        self.field(&format!("{prefix}CreateRevision"), kv.create_revision);
        self.field(&format!("{prefix}ModRevision"), kv.mod_revision);
        self.field(&format!("{prefix}Version"), kv.version);
        self.field(&format!("{prefix}Value"), go_quote(&kv.value));
        self.field(&format!("{prefix}Lease"), kv.lease);
    }

    fn range(&mut self, response: &RangeResponse) {
        self.header(response.header.as_ref());
        response.kvs.iter().for_each(|kv| self.pair("", kv));
        self.field("More", response.more);
        self.field("Count", response.count);
    }

    fn put(&mut self, response: &PutResponse) {
        self.header(response.header.as_ref());
        response.prev_kv.iter().for_each(|kv| self.pair("Prev", kv));
    }

    fn delete(&mut self, response: &DeleteRangeResponse) {
        self.header(response.header.as_ref());
        self.field("Deleted", response.deleted);
        response
            .prev_kvs
            .iter()
            .for_each(|kv| self.pair("Prev", kv));
    }

    fn txn(&mut self, response: &TxnResponse) {
        self.header(response.header.as_ref());
        self.field("Succeeded", response.succeeded);
        for response in response
            .responses
            .iter()
            .filter_map(|op| op.response.as_ref())
        {
            match response {
                Response::ResponseRange(response) => self.range(response),
                Response::ResponsePut(response) => self.put(response),
                Response::ResponseDeleteRange(response) => self.delete(response),
                Response::ResponseTxn(response) => self.txn(response),
            }
        }
    }

    fn watch(&mut self, response: &WatchResponse) {
        self.header(response.header.as_ref());
        for event in &response.events {
            self.field("Type", event.r#type().as_str_name());
            event.prev_kv.iter().for_each(|kv| self.pair("Prev", kv));
            event.kv.iter().for_each(|kv| self.pair("", kv));
        }
    }

    fn member(&mut self, member: &Member) {
        self.field("ID", member.id);
        self.field("Name", go_quote(member.name.as_bytes()));
        member
            .peer_ur_ls
            .iter()
            .for_each(|url| self.field("PeerURL", go_quote(url.as_bytes())));
        member
            .client_ur_ls
            .iter()
            .for_each(|url| self.field("ClientURL", go_quote(url.as_bytes())));
        self.field("IsLearner", member.is_learner);
        self.end_block();
    }

    fn status(&mut self, endpoint: &str, status: &StatusResponse) {
        self.header(status.header.as_ref());
        self.field("Version", go_quote(status.version.as_bytes()));
        self.field("DBSize", status.db_size);
        self.field("Leader", status.leader);
        self.field("IsLearner", status.is_learner);
        self.field("RaftIndex", status.raft_index);
        self.field("RaftTerm", status.raft_term);
        self.field("RaftAppliedIndex", status.raft_applied_index);
        self.field("Errors", format!("[{}]", status.errors.join(" ")));
        self.field("Endpoint", go_quote(endpoint.as_bytes()));
        self.end_block();
    }

    fn health(&mut self, health: &Health) {
        self.field("Endpoint", go_quote(health.endpoint.as_bytes()));
        self.field("Health", health.error.is_none());
        self.field("Took", &health.took);
        self.field("Error", health.error.as_deref().unwrap_or_default());
        self.end_block();
    }
}
