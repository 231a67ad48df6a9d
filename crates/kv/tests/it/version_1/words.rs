//! Commands and answers of version 1 in words, so that a person can read the golden text.

use bytes::Bytes;
use quorate_kv::{Command, Reply};
use quorate_proto::etcdserverpb::compare::TargetUnion;
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp,
    ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
};
use quorate_proto::mvccpb::KeyValue;

pub(crate) fn words(command: &Command) -> String {
    match command {
        Command::Put(request) => put(request),
        Command::DeleteRange(request) => delete(request),
        Command::Txn(request) => txn(request),
        Command::Compact(request) => format!("compact at {}", request.revision),
        other => panic!("version 1 knows no {other:?}"),
    }
}

pub(crate) fn answer(reply: &Reply) -> String {
    match reply {
        Reply::Put(reply) => put_answer(reply),
        Reply::DeleteRange(reply) => format!(
            "{}deleted {} {}",
            header(reply.header.as_ref()),
            reply.deleted,
            pairs(&reply.prev_kvs)
        ),
        Reply::Txn(reply) => txn_answer(reply),
        Reply::Compact(reply) => format!("{}compacted", header(reply.header.as_ref())),
        other => panic!("version 1 gives no {other:?}"),
    }
}

pub(crate) fn pairs(pairs: &[KeyValue]) -> String {
    let pairs: Vec<String> = pairs.iter().map(pair).collect();
    format!("[{}]", pairs.join(", "))
}

/// key=value, created and changed at which revisions, written how many times since, on which lease.
fn pair(pair: &KeyValue) -> String {
    let (created, changed) = (pair.create_revision, pair.mod_revision);
    format!(
        "{}={} @{created}..{changed} v{} l{}",
        text(&pair.key),
        text(&pair.value),
        pair.version,
        pair.lease
    )
}

fn text(bytes: &Bytes) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn span(key: &Bytes, range_end: &Bytes) -> String {
    match range_end.is_empty() {
        true => text(key),
        false => format!("{}..{}", text(key), text(range_end)),
    }
}

fn put(request: &PutRequest) -> String {
    let mut words = format!("put {}={}", text(&request.key), text(&request.value));
    if request.lease != 0 {
        words += &format!(" lease {}", request.lease);
    }
    let flags = [
        (request.prev_kv, " prev_kv"),
        (request.ignore_value, " ignore_value"),
        (request.ignore_lease, " ignore_lease"),
    ];
    words + &set(&flags)
}

fn delete(request: &DeleteRangeRequest) -> String {
    let span = span(&request.key, &request.range_end);
    format!("delete {span}") + &set(&[(request.prev_kv, " prev_kv")])
}

fn range(request: &RangeRequest) -> String {
    let mut words = format!("range {}", span(&request.key, &request.range_end));
    let numbers = [
        (request.revision, "at"),
        (request.limit, "limit"),
        (request.sort_order.into(), "order"),
        (request.sort_target.into(), "by"),
        (request.min_mod_revision, "min_mod"),
        (request.max_mod_revision, "max_mod"),
        (request.min_create_revision, "min_create"),
        (request.max_create_revision, "max_create"),
    ];
    for (number, name) in numbers.iter().filter(|(number, _)| *number != 0) {
        words += &format!(" {name} {number}");
    }
    let flags = [
        (request.keys_only, " keys_only"),
        (request.count_only, " count_only"),
    ];
    words + &set(&flags)
}

fn set(flags: &[(bool, &str)]) -> String {
    let set = flags.iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, name)| *name).collect()
}

fn txn(request: &TxnRequest) -> String {
    let compares: Vec<String> = request.compare.iter().map(compare).collect();
    format!(
        "txn if [{}] then [{}] else [{}]",
        compares.join("; "),
        operations(&request.success),
        operations(&request.failure)
    )
}

fn operations(operations: &[RequestOp]) -> String {
    let operations = operations.iter().map(|operation| match &operation.request {
        Some(Request::RequestRange(request)) => range(request),
        Some(Request::RequestPut(request)) => put(request),
        Some(Request::RequestDeleteRange(request)) => delete(request),
        Some(Request::RequestTxn(request)) => txn(request),
        None => "nothing".to_owned(),
    });
    operations.collect::<Vec<_>>().join("; ")
}

/// Numbers as they are sent, so that those which mean nothing can be told too.
fn compare(compare: &Compare) -> String {
    let target = match compare.target {
        0 => "version".to_owned(),
        1 => "create".to_owned(),
        2 => "mod".to_owned(),
        3 => "value".to_owned(),
        4 => "lease".to_owned(),
        other => format!("target {other}"),
    };
    let result = match compare.result {
        0 => "=".to_owned(),
        1 => ">".to_owned(),
        2 => "<".to_owned(),
        3 => "!=".to_owned(),
        other => format!("result {other}"),
    };
    let operand = match &compare.target_union {
        Some(TargetUnion::Version(number)) => format!("version {number}"),
        Some(TargetUnion::CreateRevision(number)) => format!("create {number}"),
        Some(TargetUnion::ModRevision(number)) => format!("mod {number}"),
        Some(TargetUnion::Value(value)) => text(value),
        Some(TargetUnion::Lease(number)) => format!("lease {number}"),
        None => "nothing".to_owned(),
    };
    let span = span(&compare.key, &compare.range_end);
    format!("{target} of {span} {result} {operand}")
}

fn header(header: Option<&ResponseHeader>) -> String {
    header.map_or("no header: ".to_owned(), |header| {
        format!("r{}: ", header.revision)
    })
}

fn put_answer(reply: &PutResponse) -> String {
    let before = reply.prev_kv.as_ref().map(pair);
    let header = header(reply.header.as_ref());
    format!(
        "{header}put{}",
        before.map_or(String::new(), |before| format!(" over {before}"))
    )
}

fn range_answer(reply: &RangeResponse) -> String {
    format!(
        "{}{} {}{}",
        header(reply.header.as_ref()),
        reply.count,
        pairs(&reply.kvs),
        set(&[(reply.more, " more")])
    )
}

fn txn_answer(reply: &TxnResponse) -> String {
    let responses: Vec<String> = reply.responses.iter().map(response).collect();
    format!(
        "{}{} [{}]",
        header(reply.header.as_ref()),
        if reply.succeeded { "then" } else { "else" },
        responses.join("; ")
    )
}

fn response(response: &ResponseOp) -> String {
    match &response.response {
        Some(Response::ResponseRange(reply)) => range_answer(reply),
        Some(Response::ResponsePut(reply)) => put_answer(reply),
        Some(Response::ResponseDeleteRange(reply)) => answer(&Reply::DeleteRange(reply.clone())),
        Some(Response::ResponseTxn(reply)) => txn_answer(reply),
        None => "nothing".to_owned(),
    }
}
