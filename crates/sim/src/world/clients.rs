//! What clients ask, and what must be true of what they hear.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use quorate_kv::Reply;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use quorate_raft::{Instant, ReadId};
use quorate_replica::{Consensus, LeaseTime, MemberTable, Proposal, RequestError};

use super::event::Event;
use super::history::{Found, read_shared};
use super::{Input, World};

/// Beyond the request timeout, for an applier that is slow.
const SLACK: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(6);

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// A key that nobody else ever writes, named for the operation.
    PutUnique,
    /// One of a few keys that everybody writes.
    PutShared(u64),
    /// Removes such a key.
    DeleteShared(u64),
    /// If the key has this version, write it.
    Txn(u64, i64),
    /// Forgets what is older than this revision.
    Compact(i64),
    /// A linearizable read.
    Read,
    /// A lease of so many seconds, with an id of its own ([`granted_id`](super::granted_id)).
    GrantLease(i64),
    /// A key that nobody else ever writes, on this lease.
    PutOnLease(i64),
    /// All its time for this lease again.
    RenewLease(i64),
    /// How long this lease lives.
    TimeOfLease(i64),
    /// The end of this lease.
    RevokeLease(i64),
    /// A test's own body.
    Raw,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It took effect, and the client was told so.
    Acknowledged(Reply),
    /// The members were changed, and are these.
    Changed(Arc<MemberTable>),
    /// A linearizable read was allowed at this revision.
    ReadAt(i64),
    /// How long a lease lives, if there is one.
    Lives(Option<LeaseTime>),
    /// The client heard this instead.
    Failed(RequestError),
    /// Its node died.
    Unknown,
}

impl Outcome {
    pub(super) fn words(&self) -> String {
        match self {
            Outcome::Acknowledged(_) => "took effect".to_owned(),
            Outcome::Changed(table) => format!("changed the members to {table:?}"),
            Outcome::ReadAt(revision) => format!("read at revision {revision}"),
            Outcome::Lives(Some(time)) => format!("{} s left", time.remaining_seconds),
            Outcome::Lives(None) => "no such lease".to_owned(),
            Outcome::Failed(error) => format!("failed: {error}"),
            Outcome::Unknown => "lost its node".to_owned(),
        }
    }
}

/// One operation of a client.
#[derive(Clone, Debug)]
pub struct Op {
    /// Who asked; none for a test.
    pub client: Option<usize>,
    /// Whom it was asked.
    pub node: usize,
    /// What.
    pub asked: Asked,
    /// When.
    pub begun: Instant,
    /// When its client heard.
    pub ended: Option<Instant>,
    /// The greatest revision that anyone had been told of when it began.
    pub(crate) floor: i64,
    /// An acknowledged operation whose key a read has to see.
    pub(crate) must_see: Option<usize>,
    /// What a read found.
    pub(super) found: Vec<Found>,
    /// What its client heard, if it has.
    pub outcome: Option<Outcome>,
}

impl Op {
    /// Whether it was a write that took effect, as its client knows.
    pub fn is_acknowledged(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Acknowledged(_)))
    }

    /// Whether it was a read that was served.
    pub fn was_read(&self) -> bool {
        matches!(self.outcome, Some(Outcome::ReadAt(_)))
    }

    /// Whether its client may take it that it had no effect.
    pub fn had_no_effect(&self) -> bool {
        matches!(
            &self.outcome,
            Some(Outcome::Failed(
                RequestError::Refused(_)
                    | RequestError::TooManyRequests
                    | RequestError::TooLarge
                    | RequestError::Undecodable
            ))
        )
    }

    /// What its client heard if it failed.
    pub fn error(&self) -> Option<String> {
        match &self.outcome {
            Some(Outcome::Failed(error)) => Some(error.to_string()),
            _ => None,
        }
    }
}

pub(crate) fn unique_key(op: usize) -> String {
    format!("u/{op}")
}

impl World {
    pub(super) fn on_client(&mut self, client: usize) {
        if !self.load {
            return;
        }
        let node = self.random.below(self.members.len() as u64) as usize;
        if self.members[node].process.is_none() {
            let pause = self.random.micros(1_000, 50_000);
            self.after(pause, Event::Client { client });
            return;
        }
        let asked = self.whatever(node);
        self.ask(node, Some(client), asked);
    }

    /// What a client asks next of this node.
    fn whatever(&mut self, node: usize) -> Asked {
        if self.random.percent(self.plan.compact_percent) {
            let revision = self.process(node).store.revision();
            return Asked::Compact((revision - self.random.below(20) as i64).max(1));
        }
        let key = self.random.below(4);
        match self.random.below(19) {
            0..8 => Asked::PutUnique,
            8..14 => Asked::Read,
            14 | 15 => Asked::PutShared(key),
            16 => Asked::DeleteShared(key),
            _ => Asked::Txn(key, self.random.below(4) as i64),
        }
    }

    /// A client asks; gives the number of the operation.
    pub fn ask(&mut self, node: usize, client: Option<usize>, asked: Asked) -> usize {
        let op = self.begin(node, client, asked);
        if self.ask_of_leases(op) {
            return op;
        }
        let body = self.body_of(op, &asked);
        match body {
            None => self.line_up(op),
            Some((kind, body)) => self.propose(op, kind, body),
        }
        op
    }

    /// A test's client writes what it likes.
    pub fn ask_raw(&mut self, node: usize, kind: CommandKind, body: Vec<u8>) -> usize {
        let op = self.begin(node, None, Asked::Raw);
        self.propose(op, kind, body);
        op
    }

    fn begin(&mut self, node: usize, client: Option<usize>, asked: Asked) -> usize {
        let op = self.ops.len();
        let acknowledged = self.judge.acknowledged.len() as u64;
        let must_see = (acknowledged > 0)
            .then(|| self.judge.acknowledged[self.random.below(acknowledged) as usize]);
        self.ops.push(Op {
            client,
            node,
            asked,
            begun: self.now,
            ended: None,
            floor: self.judge.greatest_revision,
            must_see,
            found: Vec::new(),
            outcome: None,
        });
        self.note(|_| format!("operation {op} at n{}: {asked:?}", node + 1));
        self.draw_asked(op);
        self.after(REQUEST_TIMEOUT + SLACK, Event::Overdue { op });
        op
    }

    fn body_of(&self, op: usize, asked: &Asked) -> Option<(CommandKind, Vec<u8>)> {
        let put = |key: String| PutRequest {
            key: key.into(),
            value: self.value_of(op).into(),
            ..PutRequest::default()
        };
        Some(match asked {
            Asked::PutUnique => (CommandKind::Put, put(unique_key(op)).encode_to_vec()),
            Asked::PutShared(key) => (CommandKind::Put, put(format!("s/{key}")).encode_to_vec()),
            Asked::DeleteShared(key) => {
                let request = DeleteRangeRequest {
                    key: format!("s/{key}").into(),
                    ..DeleteRangeRequest::default()
                };
                (CommandKind::DeleteRange, request.encode_to_vec())
            }
            Asked::Txn(key, version) => {
                let compare = Compare {
                    result: CompareResult::Equal.into(),
                    target: CompareTarget::Version.into(),
                    key: format!("s/{key}").into(),
                    target_union: Some(TargetUnion::Version(*version)),
                    ..Compare::default()
                };
                let write = RequestOp {
                    request: Some(Request::RequestPut(put(format!("s/{key}")))),
                };
                let request = TxnRequest {
                    compare: vec![compare],
                    success: vec![write],
                    failure: Vec::new(),
                };
                (CommandKind::Txn, request.encode_to_vec())
            }
            Asked::Compact(revision) => {
                let request = CompactionRequest {
                    revision: *revision,
                    physical: false,
                };
                (CommandKind::Compact, request.encode_to_vec())
            }
            Asked::Read => return None,
            Asked::GrantLease(_)
            | Asked::PutOnLease(_)
            | Asked::RenewLease(_)
            | Asked::TimeOfLease(_)
            | Asked::RevokeLease(_) => unreachable!("is asked elsewhere"),
            Asked::Raw => unreachable!("has a body of its own"),
        })
    }

    /// What an operation writes: its number, with zeros in front.
    pub(super) fn value_of(&self, op: usize) -> Vec<u8> {
        let number = op.to_string();
        let zeros = self.plan.value_bytes.saturating_sub(number.len());
        let mut value = vec![b'0'; zeros];
        value.extend_from_slice(number.as_bytes());
        value
    }

    /// The server's `Core::write`.
    pub(super) fn propose(&mut self, op: usize, kind: CommandKind, body: Vec<u8>) {
        let node = self.ops[op].node;
        let process = self.process_mut(node);
        let sequence = process.next_sequence;
        process.next_sequence += 1;
        process.answers.insert(sequence, op);
        let proposal = Proposal {
            sequence,
            kind,
            body: body.into(),
        };
        self.tell(node, Input::Propose(proposal));
    }

    /// The server's `Core::read_barrier`.
    fn line_up(&mut self, op: usize) {
        let node = self.ops[op].node;
        let process = self.process_mut(node);
        process.reads_waiting.push(op);
        if process.reads_waiting.len() == 1 {
            self.tell(node, Input::ReadsWait);
        }
    }

    /// The first answer to a sequence counts, as in the server.
    pub(super) fn answer(
        &mut self,
        node: usize,
        sequence: u64,
        result: Result<Reply, RequestError>,
    ) {
        if let Some(op) = self.process_mut(node).answers.remove(&sequence) {
            match result {
                Ok(reply) => self.ended(op, Outcome::Acknowledged(reply)),
                Err(error) => self.ended(op, Outcome::Failed(error)),
            }
        }
    }

    pub(super) fn answer_change(&mut self, node: usize, sequence: u64, table: Arc<MemberTable>) {
        if let Some(op) = self.process_mut(node).answers.remove(&sequence) {
            self.ended(op, Outcome::Changed(table));
        }
    }

    /// A batch of reads may read, or hears why not.
    pub(super) fn release(&mut self, node: usize, id: ReadId, error: Option<&RequestError>) {
        if Consensus::is_round_of_leases(id) {
            return self.wake(node);
        }
        let batch = self.process_mut(node).read_batches.remove(&id);
        for op in batch.unwrap_or_default() {
            let outcome = match error {
                Some(error) => Outcome::Failed(error.clone()),
                None => {
                    self.ops[op].found = read_shared(&self.process(node).store);
                    Outcome::ReadAt(self.read(op))
                }
            };
            self.ended(op, outcome);
        }
    }

    /// Reads the store, which must show all that was acknowledged before the read began.
    fn read(&self, op: usize) -> i64 {
        let read = &self.ops[op];
        let store = &self.process(read.node).store;
        assert!(
            store.revision() >= read.floor,
            "operation {op} reads at revision {}, but {} was acknowledged before it began: {read:?}",
            store.revision(),
            read.floor
        );
        if let Some(write) = read.must_see {
            let key = unique_key(write);
            let found = store.range(&RangeRequest {
                key: key.clone().into(),
                ..RangeRequest::default()
            });
            let found = found.expect("a read of now is always allowed");
            assert_eq!(found.kvs.len(), 1, "operation {op} does not see {key}");
        }
        store.revision()
    }

    pub(super) fn ended(&mut self, op: usize, outcome: Outcome) {
        if let Outcome::Acknowledged(reply) = &outcome {
            let revision = reply.header().expect("answers have headers").revision;
            self.judge.greatest_revision = self.judge.greatest_revision.max(revision);
            if matches!(self.ops[op].asked, Asked::PutUnique) {
                self.judge.acknowledged.push(op);
            }
        }
        if let Outcome::ReadAt(revision) = outcome {
            self.judge.greatest_revision = self.judge.greatest_revision.max(revision);
        }
        let now = self.now;
        let words = self.trace.is_some().then(|| outcome.words());
        let ended = &mut self.ops[op];
        assert!(ended.outcome.is_none(), "operation {op} hears twice");
        ended.outcome = Some(outcome);
        ended.ended = Some(now);
        if let Some(words) = words {
            self.note(|_| format!("operation {op} {words}"));
        }
        self.draw_ended(op);
        self.absorb(op as u64);
        self.lease_op_ended(op);
        if let Some(client) = self.ops[op].client
            && client < self.plan.clients
        {
            let pause = self.random.micros(100, 2_000 * self.plan.think_ms);
            self.after(pause, Event::Client { client });
        }
    }

    pub(super) fn on_overdue(&mut self, op: usize) {
        // A process that stood still could not look at its clock.
        let until = self.members[self.ops[op].node].stood_until + SLACK;
        if self.ops[op].outcome.is_none() && self.now < until {
            return self.at(until, Event::Overdue { op });
        }
        assert!(
            self.ops[op].outcome.is_some(),
            "operation {op} has heard nothing in time: {:?}\n{}",
            self.ops[op],
            self.describe()
        );
    }
}
