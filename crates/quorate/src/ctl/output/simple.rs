//! The form for people and pipes: keys and values a line each, bytes as they are.

use quorate_proto::etcdserverpb::{
    DeleteRangeResponse, LeaseKeepAliveResponse, LeaseTimeToLiveResponse, Member,
    MemberAddResponse, PutResponse, RangeResponse, ResponseHeader, TxnResponse, WatchResponse,
    response_op::Response,
};
use quorate_proto::mvccpb::KeyValue;

use super::{Answer, Health, Style, table, text};

pub(super) fn render(answer: &Answer, style: Style) -> Vec<u8> {
    let mut out = Vec::new();
    match answer {
        Answer::Range(response) => range(response, style, &mut out),
        Answer::Put(response) => put(response, style, &mut out),
        Answer::Delete(response) => delete(response, style, &mut out),
        Answer::Txn(response) => txn(response, style, &mut out),
        Answer::Watch(response) => watch(response, style, &mut out),
        Answer::Members(response) => {
            table::member_rows(response)
                .iter()
                .for_each(|row| line(row, &mut out));
        }
        Answer::MemberAdded { name, response } => {
            out.extend_from_slice(member_added(name, response).as_bytes());
        }
        Answer::MemberChanged { id, done, response } => {
            out.extend_from_slice(changed(*id, done, response.header.as_ref()).as_bytes());
        }
        Answer::LeaderMoved { from, to, .. } => out.extend_from_slice(
            format!("Leadership transferred from {from:x} to {to:x}\n").as_bytes(),
        ),
        Answer::LeaseGranted(granted) => out.extend_from_slice(
            format!(
                "lease {:016x} granted with TTL({}s)\n",
                granted.id, granted.ttl
            )
            .as_bytes(),
        ),
        Answer::LeaseRevoked { id, .. } => {
            out.extend_from_slice(format!("lease {id:016x} revoked\n").as_bytes());
        }
        Answer::LeaseTime {
            response,
            with_keys,
        } => lease_time(response, *with_keys, &mut out),
        Answer::Leases(response) => {
            out.extend_from_slice(format!("found {} leases\n", response.leases.len()).as_bytes());
            for lease in &response.leases {
                out.extend_from_slice(format!("{:016x}\n", lease.id).as_bytes());
            }
        }
        Answer::LeaseRenewed(LeaseKeepAliveResponse { id, ttl, .. }) => out
            .extend_from_slice(format!("lease {id:016x} keepalived with TTL({ttl})\n").as_bytes()),
        Answer::Statuses(statuses) => {
            table::status_rows(statuses)
                .iter()
                .for_each(|row| line(row, &mut out));
        }
        Answer::Alarms(response) => {
            for alarm in &response.alarms {
                out.extend_from_slice(text::alarm(alarm).as_bytes());
                out.push(b'\n');
            }
        }
        Answer::Hashes(hashes) => {
            table::hash_rows(hashes)
                .iter()
                .for_each(|row| line(row, &mut out));
        }
        Answer::Healths(healths) => healths.iter().for_each(|health| sentence(health, &mut out)),
    }
    out
}

fn lease_time(response: &LeaseTimeToLiveResponse, with_keys: bool, out: &mut Vec<u8>) {
    let LeaseTimeToLiveResponse {
        id,
        ttl,
        granted_ttl,
        keys,
        ..
    } = response;
    if *granted_ttl == 0 && *ttl == -1 {
        return out.extend_from_slice(format!("lease {id:016x} already expired\n").as_bytes());
    }
    let times = format!("lease {id:016x} granted with TTL({granted_ttl}s), remaining({ttl}s)");
    out.extend_from_slice(times.as_bytes());
    if with_keys {
        out.extend_from_slice(b", attached keys([");
        out.extend_from_slice(&keys.join(&b' '));
        out.extend_from_slice(b"])");
    }
    out.push(b'\n');
}

fn range(response: &RangeResponse, style: Style, out: &mut Vec<u8>) {
    response.kvs.iter().for_each(|kv| pair(kv, style, out));
}

fn put(response: &PutResponse, style: Style, out: &mut Vec<u8>) {
    out.extend_from_slice(b"OK\n");
    response.prev_kv.iter().for_each(|kv| pair(kv, style, out));
}

fn delete(response: &DeleteRangeResponse, style: Style, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}\n", response.deleted).as_bytes());
    response.prev_kvs.iter().for_each(|kv| pair(kv, style, out));
}

fn txn(response: &TxnResponse, style: Style, out: &mut Vec<u8>) {
    out.extend_from_slice(if response.succeeded {
        b"SUCCESS\n"
    } else {
        b"FAILURE\n"
    });
    for response in response
        .responses
        .iter()
        .filter_map(|op| op.response.as_ref())
    {
        out.push(b'\n');
        match response {
            Response::ResponseRange(response) => range(response, style, out),
            Response::ResponsePut(response) => put(response, style, out),
            Response::ResponseDeleteRange(response) => delete(response, style, out),
            Response::ResponseTxn(response) => txn(response, style, out),
        }
    }
}

fn watch(response: &WatchResponse, style: Style, out: &mut Vec<u8>) {
    for event in &response.events {
        out.extend_from_slice(event.r#type().as_str_name().as_bytes());
        out.push(b'\n');
        let pairs = event.prev_kv.iter().chain(&event.kv);
        pairs.for_each(|kv| pair(kv, style, out));
    }
}

fn pair(kv: &KeyValue, style: Style, out: &mut Vec<u8>) {
    let parts = if style.value_only {
        &[&kv.value][..]
    } else {
        &[&kv.key, &kv.value]
    };
    for part in parts {
        if style.hex {
            out.extend_from_slice(text::hex(part).as_bytes());
        } else {
            out.extend_from_slice(part);
        }
        out.push(b'\n');
    }
}

fn line(cells: &[String], out: &mut Vec<u8>) {
    out.extend_from_slice(cells.join(", ").as_bytes());
    out.push(b'\n');
}

fn changed(id: u64, done: &str, header: Option<&ResponseHeader>) -> String {
    let cluster = header.map_or(0, |header| header.cluster_id);
    format!("Member {id:16x} {done} cluster {cluster:16x}\n")
}

/// What was added, and the settings to start it with.
fn member_added(name: &str, response: &MemberAddResponse) -> String {
    let added = response.member.clone().unwrap_or_default();
    let urls_of = |member: &Member| {
        let name = if member.id == added.id {
            name
        } else {
            &member.name
        };
        let urls = member.peer_ur_ls.iter();
        urls.map(|url| format!("{name}={url}")).collect::<Vec<_>>()
    };
    let cluster: Vec<String> = response.members.iter().flat_map(urls_of).collect();
    let quoted = |text: &str| text::go_quote(text.as_bytes());
    format!(
        "{}\nETCD_NAME={}\nETCD_INITIAL_CLUSTER={}\nETCD_INITIAL_ADVERTISE_PEER_URLS={}\n\
         ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
        changed(added.id, "added to", response.header.as_ref()),
        quoted(name),
        quoted(&cluster.join(",")),
        quoted(&added.peer_ur_ls.join(","))
    )
}

fn sentence(health: &Health, out: &mut Vec<u8>) {
    let Health {
        endpoint,
        took,
        error,
    } = health;
    let sentence = match error {
        None => {
            format!("{endpoint} is healthy: successfully committed proposal: took = {took}\n")
        }
        Some(error) => format!("{endpoint} is unhealthy: failed to commit proposal: {error}\n"),
    };
    out.extend_from_slice(sentence.as_bytes());
}
