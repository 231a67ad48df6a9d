//! Whole servers in this process, for tests that have to reach into one: real ports, real files.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::PutRequest;
use quorate_replica::AutoCompaction;

use crate::core::Core;
use crate::settings::{Member, ServerSettings};
use crate::start::Server;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts as many servers as one cluster, with changed settings.
pub(crate) async fn start(
    count: usize,
    directory: &Path,
    change: impl Fn(&mut ServerSettings),
) -> Vec<Server> {
    let mut servers = Vec::new();
    for settings in settings(count, directory) {
        let mut settings = settings;
        change(&mut settings);
        servers.push(Server::start(settings).await.expect("it starts"));
    }
    for server in &servers {
        server.leader().await;
    }
    servers
}

/// The settings of each of so many members, on ports that are free.
pub(crate) fn settings(count: usize, directory: &Path) -> Vec<ServerSettings> {
    let held: Vec<TcpListener> = (0..2 * count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free"))
        .collect();
    let addresses: Vec<SocketAddr> = held
        .iter()
        .map(|listener| listener.local_addr().expect("it is bound"))
        .collect();
    let (clients, peers) = addresses.split_at(count);
    let members: Vec<Member> = peers
        .iter()
        .enumerate()
        .map(|(i, peer)| Member {
            name: format!("n{i}"),
            peer_urls: vec![format!("http://{peer}")],
        })
        .collect();
    let of = |i: usize| ServerSettings {
        name: members[i].name.clone(),
        data_dir: directory.join(&members[i].name),
        listen_client: vec![clients[i]],
        listen_peer: vec![peers[i]],
        listen_metrics: Vec::new(),
        advertise_client_urls: vec![format!("http://{}", clients[i])],
        members: members.clone(),
        join_existing: false,
        cluster_token: "test".to_owned(),
        heartbeat_interval: Duration::from_millis(50),
        election_timeout: Duration::from_millis(500),
        pre_vote: true,
        lease_reads: false,
        lease_checkpoints: false,
        protocol_version: crate::HIGHEST_PROTOCOL_VERSION,
        accepts_old_disk: false,
        max_request_bytes: 1 << 20,
        max_txn_ops: 128,
        quota_backend_bytes: 0,
        auto_compaction: AutoCompaction::Off,
        initial_corrupt_check: false,
        corrupt_check_interval: None,
        cors: Vec::new(),
        json_gateway: false,
        watch_progress_interval: Duration::from_secs(600),
        snapshot_log_bytes: 64 << 20,
    };
    (0..count).map(of).collect()
}

/// Puts a key; the member must answer in time.
pub(crate) async fn put(core: &Core, key: &str, value: &str) {
    let put = PutRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Default::default()
    };
    let body = Bytes::from(put.encode_to_vec());
    let put = core.write(CommandKind::Put, body).await;
    put.expect("the cluster takes it");
}

/// Waits until it holds.
pub(crate) async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waited).await;
    assert!(waited.is_ok(), "waited in vain until {what}");
}

/// What a server's threads and handlers share.
pub(crate) fn cores(servers: &[Server]) -> Vec<Arc<Core>> {
    servers.iter().map(Server::core).collect()
}
