//! The course's clerk, Get, Put and Append, on etcd transactions.
//!
//! A register is a few keys under one prefix:
//!
//! - `h`, the head: written by every change, so its **version** counts them;
//! - `p/N`, a piece of the value, where N is the head's version: the value is all pieces, in order;
//! - `d/C`, for each client the number of its last change.
//!
//! A change is one transaction: *if the head's version is still what I saw*, write the head, my number
//! and my piece (and, for a Put, remove the pieces before it). An Append that wrote the whole value anew
//! would make logs and snapshots grow with its square.
//!
//! **A change whose outcome is unknown** (no answer, or an answer that says so) is resolved by reading:
//! if `d/C` is my number it is done. If not, the attempt that is perhaps still under way can only take
//! effect while the head's version is what it expected, and the next attempt expects the version that
//! was read: the same (then at most one of the two can find it) or a later one (then the first
//! never will). So every change takes effect exactly once.
//!
//! The clerk **compacts** as it goes: what its change made old is forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use quorate_checker::{Outcome as Told, RegisterCall};
use quorate_kv::Reply;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use quorate_raft::Instant;

use super::kv_lab::KvLab;
use crate::world::{Asked, Outcome};

/// How long a clerk waits for an answer before it asks another server.
const PATIENCE: Duration = Duration::from_millis(400);

/// What a register holds.
#[derive(Clone, Debug, Default)]
struct View {
    version: i64,
    value: String,
    /// The number of this client's last change.
    done: u64,
}

/// A client of the store.
pub(crate) struct Clerk {
    lab: KvLab,
    id: u64,
    /// Whom it can ask, in an order of its own.
    servers: Vec<usize>,
    /// Whom of them it asks next.
    next: usize,
    /// Versions of heads, as far as it knows.
    known: BTreeMap<String, i64>,
    changes: u64,
}

impl Clerk {
    /// A clerk that can ask these servers.
    pub(crate) fn new(lab: &KvLab, id: u64, mut servers: Vec<usize>) -> Clerk {
        for place in (1..servers.len()).rev() {
            servers.swap(place, lab.below(place as u64 + 1) as usize);
        }
        Clerk {
            lab: lab.clone(),
            id,
            servers,
            next: 0,
            known: BTreeMap::new(),
            changes: 0,
        }
    }

    /// A clerk that can ask all servers.
    pub(crate) fn of_all(lab: &KvLab, id: u64) -> Clerk {
        Clerk::new(lab, id, (0..lab.servers()).collect())
    }

    /// The value under a key; empty if there is none.
    pub(crate) async fn get(&mut self, key: &str) -> String {
        let asked = self.begin(key, RegisterCall::Read);
        let view = self.view(key).await;
        self.end(asked, Told::Read(Some(view.value.clone().into())));
        view.value
    }

    pub(crate) async fn put(&mut self, key: &str, value: &str) {
        let asked = self.begin(key, RegisterCall::Write(Some(value.into())));
        self.change(key, value, true).await;
        self.end(asked, Told::Written);
    }

    pub(crate) async fn append(&mut self, key: &str, piece: &str) {
        let asked = self.begin(key, RegisterCall::Append(piece.into()));
        self.change(key, piece, false).await;
        self.end(asked, Told::Written);
    }

    fn begin(&self, key: &str, call: RegisterCall) -> quorate_checker::OpId {
        let now = nanos(self.lab.now());
        self.lab
            .history(|history| history.invoke(self.id, key, call, now))
    }

    fn end(&self, asked: quorate_checker::OpId, told: Told) {
        let now = nanos(self.lab.now());
        let completed = self
            .lab
            .history(|history| history.complete(asked, told, now));
        completed.expect("each is completed once, by an answer to what was asked");
        self.lab.count_clerk_operation();
    }

    async fn change(&mut self, key: &str, piece: &str, replaces: bool) {
        self.changes += 1;
        let mut version = match self.known.get(key) {
            Some(version) => *version,
            None => self.view(key).await.version,
        };
        loop {
            let request = self.transaction(key, piece, replaces, version);
            let answer = self.write(CommandKind::Txn, request.encode_to_vec()).await;
            if let Some(Reply::Txn(answer)) = answer
                && answer.succeeded
            {
                let revision = answer.header.expect("answers have headers").revision;
                self.known.insert(key.to_owned(), version + 1);
                self.compact(revision).await;
                return;
            }
            // Another was faster, or the outcome is unknown.
            let view = self.view(key).await;
            version = view.version;
            self.known.insert(key.to_owned(), version);
            if view.done == self.changes {
                self.lab.count_resolved();
                return;
            }
        }
    }

    fn transaction(&self, key: &str, piece: &str, replaces: bool, version: i64) -> TxnRequest {
        let put = |key: String, value: &str| RequestOp {
            request: Some(Request::RequestPut(PutRequest {
                key: key.into(),
                value: Bytes::copy_from_slice(value.as_bytes()),
                ..PutRequest::default()
            })),
        };
        let (pieces, place) = (format!("{key}/p/"), version + 1);
        let mut success = vec![
            put(format!("{key}/h"), ""),
            put(format!("{key}/d/{}", self.id), &self.changes.to_string()),
            put(format!("{pieces}{place:06}"), piece),
        ];
        if replaces {
            let before = DeleteRangeRequest {
                key: pieces.clone().into(),
                range_end: format!("{pieces}{place:06}").into(),
                ..DeleteRangeRequest::default()
            };
            success.push(RequestOp {
                request: Some(Request::RequestDeleteRange(before)),
            });
        }
        TxnRequest {
            compare: vec![Compare {
                result: CompareResult::Equal.into(),
                target: CompareTarget::Version.into(),
                key: format!("{key}/h").into(),
                target_union: Some(TargetUnion::Version(version)),
                ..Compare::default()
            }],
            success,
            failure: Vec::new(),
        }
    }

    /// Lets the store forget what is older than this revision; whether it did does not matter.
    async fn compact(&mut self, revision: i64) {
        let server = self.servers[self.next];
        if self.passes().await && self.is_up(server) {
            let op = self
                .lab
                .world(|world| world.ask(server, None, Asked::Compact(revision)));
            self.lab.wait(PATIENCE, Some(op)).await;
        }
    }

    /// A linearizable read, asked until it is answered.
    async fn view(&mut self, key: &str) -> View {
        loop {
            let server = self.servers[self.next];
            if self.passes().await && self.is_up(server) {
                let lab = self.lab.clone();
                let op = lab.world(|world| world.ask(server, None, Asked::Read));
                if lab.wait(PATIENCE, Some(op)).await {
                    // This very moment is the one at which the read is allowed.
                    let outcome = lab.world(|world| world.ops[op].outcome.clone());
                    let may_read = matches!(outcome, Some(Outcome::ReadAt(_)));
                    let view = may_read.then(|| self.look(server, key));
                    if self.passes().await
                        && let Some(view) = view
                    {
                        return view;
                    }
                }
            }
            self.ask_another().await;
        }
    }

    fn look(&self, server: usize, key: &str) -> View {
        let request = RangeRequest {
            key: format!("{key}/").into(),
            range_end: format!("{key}0").into(),
            ..RangeRequest::default()
        };
        let answer = self
            .lab
            .world(|world| world.process(server).store.range(&request));
        let mut view = View::default();
        let own = format!("d/{}", self.id);
        for found in answer.expect("a read of now is always allowed").kvs {
            let text = |bytes| str::from_utf8(bytes).expect("clerks write text");
            let (name, value) = (text(&found.key), text(&found.value));
            let rest = &name[key.len() + 1..];
            if rest == "h" {
                view.version = found.version;
            } else if rest.starts_with("p/") {
                view.value += value;
            } else if rest == own {
                view.done = value.parse().expect("clerks write numbers there");
            }
        }
        view
    }

    /// The answer to a write that was asked once; none if the outcome is unknown, or if it had none.
    async fn write(&mut self, kind: CommandKind, body: Vec<u8>) -> Option<Reply> {
        let server = self.servers[self.next];
        if self.passes().await && self.is_up(server) {
            let lab = self.lab.clone();
            let op = lab.world(|world| world.ask_raw(server, kind, body));
            if lab.wait(PATIENCE, Some(op)).await && self.passes().await {
                let outcome = lab.world(|world| world.ops[op].outcome.clone());
                if let Some(Outcome::Acknowledged(reply)) = outcome {
                    return Some(reply);
                }
            }
        }
        self.ask_another().await;
        None
    }

    async fn ask_another(&mut self) {
        self.next = (self.next + 1) % self.servers.len();
        self.lab.sleep(Duration::from_millis(10)).await;
    }

    fn is_up(&self, server: usize) -> bool {
        self.lab.count_clerk_rpc();
        self.lab
            .world(|world| world.members[server].process.is_some())
    }

    /// A request or an answer is on its way; whether it arrives.
    async fn passes(&self) -> bool {
        let mut delay_us = 30 + self.lab.below(270);
        let is_unreliable = self.lab.setup().is_unreliable;
        if is_unreliable {
            delay_us += 1_000 * self.lab.below(27);
        }
        self.lab.sleep(Duration::from_micros(delay_us)).await;
        !(is_unreliable && self.lab.percent(10))
    }
}

fn nanos(time: Instant) -> u64 {
    time.as_nanos()
}
