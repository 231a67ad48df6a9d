//! Clients that read and write a few keys together while something fails, and record all of it.
//!
//! Two clients stay with each node, so that a node that is cut off is asked too: what it answers
//! must be right, or no answer. Six clients in all means at most six writers on a key. The keys
//! change with time: a write of unknown outcome may take effect at any later moment, and with many
//! of those on one key there would be too many orders to look at.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quorate_client::{Client, Error, Options};
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, request_op,
    response_op,
};
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, runtime};
use crate::history::{Action, History, Operation, Outcome, Value, Version};
use crate::real_faults::Dice;

/// Clients that stay with one node.
const CLIENTS_PER_NODE: usize = 2;

/// An operation without an answer in this time has an unknown outcome.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Keys at a time, and how long.
const KEYS_AT_A_TIME: u64 = 4;
const KEYS_LAST: Duration = Duration::from_millis(1_500);

/// Between a client's operations: the machine has other work, and safety is judged, not speed.
const PAUSE_MS: std::ops::Range<u64> = 1..8;
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(30);

/// So many acknowledged writes through one node show that it serves.
const WRITES_THAT_SHOW_PROGRESS: u64 = 6;

/// Far above what it takes: the other work on the machine must not fail the test.
const GOES_ON_WITHIN: Duration = Duration::from_secs(120);

/// Of 100 operations: gets of a current key, gets of an earlier key, puts; the rest are swaps.
const GETS: u64 = 30;
const EARLIER_GETS: u64 = 10;
const PUTS: u64 = 35;

/// Running clients. They stop when told, or when this is dropped.
pub(crate) struct Workload {
    runtime: tokio::runtime::Runtime,
    history: Arc<History>,
    stop: Arc<AtomicBool>,
    /// Acknowledged writes through each node.
    written: Vec<Arc<AtomicU64>>,
    clients: Vec<JoinHandle<()>>,
}

impl Workload {
    /// Starts two clients at each node.
    pub(crate) fn start(cluster: &Cluster, dice: &mut Dice) -> Workload {
        let runtime = runtime();
        let history = Arc::new(History::new());
        let stop = Arc::new(AtomicBool::new(false));
        let written: Vec<Arc<AtomicU64>> = cluster.nodes.iter().map(|_| Arc::default()).collect();
        let mut clients = Vec::new();
        let _context = runtime.enter();
        for (node, endpoint) in cluster.endpoints().into_iter().enumerate() {
            for _ in 0..CLIENTS_PER_NODE {
                let worker = Worker {
                    number: clients.len(),
                    client: client(&endpoint, TIMEOUT),
                    dice: dice.split(),
                    history: Arc::clone(&history),
                    stop: Arc::clone(&stop),
                    written: Arc::clone(&written[node]),
                    writes: 0,
                    last_seen: HashMap::new(),
                };
                clients.push(tokio::spawn(worker.work()));
            }
        }
        drop(_context);
        Workload {
            runtime,
            history,
            stop,
            written,
            clients,
        }
    }

    /// Waits until a few more writes were acknowledged through each of these nodes.
    pub(crate) fn wait_for_progress(&self, cluster: &Cluster, nodes: &[usize]) {
        let count = |node: usize| self.written[node].load(Ordering::SeqCst);
        let wanted: Vec<u64> = nodes
            .iter()
            .map(|node| count(*node) + WRITES_THAT_SHOW_PROGRESS)
            .collect();
        let names: Vec<&str> = nodes
            .iter()
            .map(|node| cluster.nodes[*node].name.as_str())
            .collect();
        let what = format!("writes to be acknowledged by {}", names.join(", "));
        cluster.wait_within(&what, GOES_ON_WITHIN, || {
            let mut pairs = nodes.iter().zip(&wanted);
            pairs
                .all(|(node, wanted)| count(*node) >= *wanted)
                .then_some(())
        });
    }

    /// Stops all clients; gives what they did.
    pub(crate) fn stop(mut self) -> Vec<Operation> {
        self.stop.store(true, Ordering::SeqCst);
        for client in std::mem::take(&mut self.clients) {
            self.runtime.block_on(client).expect("a client");
        }
        self.history.operations()
    }
}

/// A client of one node, which does not try again elsewhere.
pub(crate) fn client(endpoint: &str, timeout: Duration) -> Client {
    let options = Options {
        endpoints: vec![endpoint.to_owned()],
        dial_timeout: timeout / 2,
        command_timeout: timeout,
        ..Options::default()
    };
    Client::new(&options).expect("an endpoint")
}

struct Worker {
    number: usize,
    client: Client,
    dice: Dice,
    history: Arc<History>,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    writes: u64,
    /// What a swap expects.
    last_seen: HashMap<String, Option<Value>>,
}

impl Worker {
    async fn work(mut self) {
        while !self.stop.load(Ordering::SeqCst) {
            let (key, action) = self.draw();
            let called = self.history.now();
            let answer = ask(&self.client, &key, action).await;
            let returned = self.history.now();
            let pause = match answer {
                Ok(_) => Duration::from_millis(self.dice.draw(PAUSE_MS)),
                Err(_) => PAUSE_AFTER_FAILURE,
            };
            let outcome = match answer {
                Ok(outcome) => outcome,
                Err(error) if action != Action::Get && error.may_have_been_applied() => {
                    Outcome::Unknown
                }
                // Nothing was asked, or nothing came of it.
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
            };
            let operation = Operation {
                client: self.number,
                key,
                action,
                outcome,
                called,
                returned,
            };
            if operation.is_written() {
                self.written.fetch_add(1, Ordering::SeqCst);
            }
            if operation.revision().is_some() {
                let seen = operation.version().map(|version| version.value);
                self.last_seen.insert(operation.key.clone(), seen);
            }
            self.history.record(operation);
            tokio::time::sleep(pause).await;
        }
    }

    fn draw(&mut self) -> (String, Action) {
        let period = (self.history.now().as_millis() / KEYS_LAST.as_millis()) as u64;
        let drawn = self.dice.draw(0..100);
        let is_earlier = (GETS..GETS + EARLIER_GETS).contains(&drawn);
        let period = match is_earlier {
            true => self.dice.draw(0..period + 1),
            false => period,
        };
        let key = format!("{period:04}/{}", self.dice.draw(0..KEYS_AT_A_TIME));
        let action = if drawn < GETS + EARLIER_GETS {
            Action::Get
        } else if drawn < GETS + EARLIER_GETS + PUTS {
            Action::Put(self.new_value())
        } else {
            Action::Swap {
                expected: self.last_seen.get(&key).copied().flatten(),
                value: self.new_value(),
            }
        };
        (key, action)
    }

    fn new_value(&mut self) -> Value {
        self.writes += 1;
        Value((self.number as u64) << 32 | self.writes)
    }
}

/// Asks once; a read that meets a node without a leader is asked again by the client itself.
async fn ask(client: &Client, key: &str, action: Action) -> Result<Outcome, Error> {
    let key = Bytes::from(key.to_owned());
    match action {
        Action::Get => {
            let answer = client.range(get(key)).await?;
            let revision = answer.header.as_ref().expect("a header").revision;
            Ok(found(revision, &answer))
        }
        Action::Put(value) => {
            let answer = client.put(put(key, value)).await?;
            let revision = answer.header.expect("a header").revision;
            Ok(Outcome::Written { revision })
        }
        Action::Swap { expected, value } => {
            let answer = client.txn(swap(&key, expected, value)).await?;
            let revision = answer.header.expect("a header").revision;
            if answer.succeeded {
                return Ok(Outcome::Written { revision });
            }
            let response = answer.responses.into_iter().next();
            match response.and_then(|response| response.response) {
                Some(response_op::Response::ResponseRange(range)) => Ok(found(revision, &range)),
                other => panic!("a get answers with a range, not {other:?}"),
            }
        }
    }
}

fn get(key: Bytes) -> RangeRequest {
    RangeRequest {
        key,
        ..Default::default()
    }
}

fn put(key: Bytes, value: Value) -> PutRequest {
    PutRequest {
        key,
        value: value.bytes(),
        ..Default::default()
    }
}

/// A put if the key is as expected, a get otherwise.
fn swap(key: &Bytes, expected: Option<Value>, value: Value) -> TxnRequest {
    let (target, union) = match expected {
        Some(expected) => (CompareTarget::Value, TargetUnion::Value(expected.bytes())),
        None => (CompareTarget::Version, TargetUnion::Version(0)),
    };
    let operation = |request| RequestOp {
        request: Some(request),
    };
    TxnRequest {
        compare: vec![Compare {
            result: CompareResult::Equal.into(),
            target: target.into(),
            key: key.clone(),
            target_union: Some(union),
            ..Default::default()
        }],
        success: vec![operation(request_op::Request::RequestPut(put(
            key.clone(),
            value,
        )))],
        failure: vec![operation(request_op::Request::RequestRange(get(
            key.clone()
        )))],
    }
}

fn found(revision: i64, range: &RangeResponse) -> Outcome {
    let version = range.kvs.first().map(|pair| Version {
        value: Value::of(&pair.value).unwrap_or_else(|| {
            panic!("nobody wrote {:?}, the value of {:?}", pair.value, pair.key)
        }),
        mod_revision: pair.mod_revision,
    });
    Outcome::Found { revision, version }
}
