//! gRPC without any retries: a test must see each answer as it was given.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_client::stubs::kv_client::KvClient;
use quorate_proto::etcdserverpb::RangeRequest;
use tonic::transport::{Channel, Endpoint};

/// Within this a healthy member has caught up.
const CATCHES_UP_IN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// What a store holds.
pub(crate) type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// A client of one node.
pub(crate) type Kv = KvClient<Channel>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Threads for a test's clients; processes are started elsewhere, by the test's own thread.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A client of the node at `endpoint`, which dials when it is first used and again when the connection breaks.
pub(crate) fn kv(endpoint: &str) -> Kv {
    let channel = Endpoint::from_shared(format!("http://{endpoint}"))
        .expect("an address")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .connect_lazy();
    KvClient::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX)
}

/// All keys with their values, as the node alone sees them, once it has caught up since its start.
pub(crate) async fn read_all(endpoint: &str) -> Pairs {
    let deadline = tokio::time::Instant::now() + CATCHES_UP_IN;
    let everything = RangeRequest {
        key: vec![0].into(),
        range_end: vec![0].into(),
        serializable: true,
        ..Default::default()
    };
    let response = loop {
        match kv(endpoint).range(everything.clone()).await {
            Ok(response) => break response,
            Err(status) if status.code() == tonic::Code::Unavailable => {
                assert!(tokio::time::Instant::now() < deadline, "{status}");
                tokio::time::sleep(PAUSE).await;
            }
            Err(status) => panic!("a serializable read: {status}"),
        }
    };
    let pairs = response.into_inner().kvs.into_iter();
    pairs
        .map(|pair| (pair.key.to_vec(), pair.value.to_vec()))
        .collect()
}
