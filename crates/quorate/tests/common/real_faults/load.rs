//! Clients that write while something fails, and remember what was acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};
use tokio::task::JoinHandle;
use tonic::Status;

use crate::cluster::{Kv, PATIENCE, kv, runtime};

/// Clients at once: enough for groups of several writes in one sync.
const WRITERS: usize = 8;

/// A write without an answer in this time counts as one of unknown outcome.
const PUT_TIMEOUT: Duration = Duration::from_secs(3);

/// After a failure, before the next endpoint is tried.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest value: a batch then takes more than one page, which a cut can tear.
const MAX_VALUE_BYTES: u64 = 6_000;

/// A write that a node said was done.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    /// Written once in the whole test.
    pub(crate) key: Bytes,
    /// What it was set to.
    pub(crate) value: Bytes,
    /// The revision that the node named.
    pub(crate) revision: i64,
}

/// Clients that write to all nodes until they are told to stop.
pub(crate) struct Load {
    runtime: tokio::runtime::Runtime,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    writers: Vec<JoinHandle<Vec<Acknowledged>>>,
}

impl Load {
    /// Starts writing; `label` makes the keys its own.
    pub(crate) fn start(endpoints: &[String], label: &str) -> Load {
        let runtime = runtime();
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let writers = (0..WRITERS)
            .map(|number| {
                runtime.spawn(write(
                    endpoints.to_vec(),
                    format!("{label}-writer-{number}"),
                    number,
                    Arc::clone(&stop),
                    Arc::clone(&acknowledged),
                ))
            })
            .collect();
        Load {
            runtime,
            stop,
            acknowledged,
            writers,
        }
    }

    /// How many writes were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Stops writing; gives what was acknowledged.
    pub(crate) fn stop(self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        for writer in self.writers {
            all.extend(self.runtime.block_on(writer).expect("a writer"));
        }
        all
    }
}

/// One writer: keys of its own, one after the other, at one node as long as that answers.
async fn write(
    endpoints: Vec<String>,
    label: String,
    first_endpoint: usize,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) -> Vec<Acknowledged> {
    let mut clients: Vec<Kv> = endpoints.iter().map(|endpoint| kv(endpoint)).collect();
    let mut at = first_endpoint % clients.len();
    let mut acknowledged = Vec::new();
    for number in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let key = Bytes::from(format!("{label}/{number:06}"));
        let value = value_of(&key, number);
        match tokio::time::timeout(PUT_TIMEOUT, put(&mut clients[at], key, value)).await {
            Ok(Ok(done)) => {
                acknowledged.push(done);
                count.fetch_add(1, Ordering::SeqCst);
            }
            // Done or not, nobody knows: the key is not written again.
            Ok(Err(_)) | Err(_) => {
                at = (at + 1) % clients.len();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    acknowledged
}

async fn put(client: &mut Kv, key: Bytes, value: Bytes) -> Result<Acknowledged, Status> {
    let request = PutRequest {
        key: key.clone(),
        value: value.clone(),
        ..Default::default()
    };
    let header = client.put(request).await?.into_inner().header;
    Ok(Acknowledged {
        key,
        value,
        revision: header.expect("every answer has one").revision,
    })
}

/// One client that writes one key at a time to one node, when it is told to.
pub(crate) struct Writer {
    runtime: tokio::runtime::Runtime,
    client: Kv,
    label: String,
    written: u64,
}

impl Writer {
    /// For the node at `endpoint`; `label` makes the keys its own.
    pub(crate) fn new(endpoint: &str, label: &str) -> Writer {
        let runtime = runtime();
        let client = runtime.block_on(async { kv(endpoint) });
        Writer {
            runtime,
            client,
            label: label.to_owned(),
            written: 0,
        }
    }

    /// The key that is written next.
    pub(crate) fn next_key(&self) -> Bytes {
        Bytes::from(format!("{}/{:06}", self.label, self.written))
    }

    /// Writes the next key with a value of so many bytes.
    pub(crate) fn put(&mut self, value_bytes: usize) -> Result<Acknowledged, Status> {
        let key = self.next_key();
        self.written += 1;
        let value: Bytes = key.iter().copied().cycle().take(value_bytes).collect();
        let put = put(&mut self.client, key, value);
        let put = async { tokio::time::timeout(PATIENCE, put).await };
        self.runtime.block_on(put).unwrap_or_else(|_| {
            panic!("a put is answered within {PATIENCE:?}, with an error if need be")
        })
    }
}

/// The key over and over, mostly short and now and then long.
fn value_of(key: &Bytes, number: u64) -> Bytes {
    let length = match number % 8 {
        0 => MAX_VALUE_BYTES,
        rest => rest * 40,
    };
    key.iter()
        .copied()
        .cycle()
        .take(usize::try_from(length).expect("small"))
        .collect()
}

/// Those of `acknowledged` that a linearizable read at this node does not find as they were
/// acknowledged: the same value at the same revision.
pub(crate) fn find_lost<'a>(
    endpoint: &str,
    acknowledged: &'a [Acknowledged],
) -> Vec<&'a Acknowledged> {
    let everything = RangeRequest {
        key: Bytes::from_static(&[0]),
        range_end: Bytes::from_static(&[0]),
        ..Default::default()
    };
    let read = async {
        let mut client = kv(endpoint);
        tokio::time::timeout(PATIENCE, client.range(everything)).await
    };
    let answer = runtime()
        .block_on(read)
        .unwrap_or_else(|_| panic!("no linearizable read at {endpoint} within {PATIENCE:?}"))
        .unwrap_or_else(|error| panic!("a linearizable read at {endpoint}: {error}"));
    let found: HashMap<Bytes, (Bytes, i64)> = answer
        .into_inner()
        .kvs
        .into_iter()
        .map(|pair| (pair.key, (pair.value, pair.mod_revision)))
        .collect();
    let is_lost = |write: &&Acknowledged| {
        found
            .get(&write.key)
            .is_none_or(|(value, revision)| (value, *revision) != (&write.value, write.revision))
    };
    acknowledged.iter().filter(is_lost).collect()
}
