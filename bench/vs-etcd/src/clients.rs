//! Clients in this process, where what is asked is too little for a load generator: who leads, one read, one write.

use std::time::Duration;

use anyhow::{Context as _, bail};
use quorate_client::{Connection, Endpoint, Options};
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout};

/// One call; a member that takes longer is as good as gone.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// For calls of the main thread, which also starts the servers.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")
}

/// A connection to each member, dialled when first needed. Within a runtime.
pub(crate) fn connect(endpoints: &[String]) -> anyhow::Result<Vec<Connection>> {
    let options = Options::default();
    let connect = |endpoint: &String| -> anyhow::Result<Connection> {
        let endpoint: Endpoint = endpoint.parse()?;
        Ok(Connection::lazy(&endpoint, &options))
    };
    endpoints.iter().map(connect).collect()
}

/// Reads one key, linearizably.
pub(crate) async fn read(connection: &Connection, key: &[u8]) -> anyhow::Result<bool> {
    let request = RangeRequest {
        key: key.to_vec().into(),
        ..RangeRequest::default()
    };
    let answer = timeout(CALL_TIMEOUT, connection.range(request)).await??;
    Ok(answer.count > 0)
}

/// Writes one key.
pub(crate) async fn write(connection: &Connection, key: &str) -> anyhow::Result<()> {
    let request = PutRequest {
        key: key.to_owned().into(),
        value: "probe".into(),
        ..PutRequest::default()
    };
    timeout(CALL_TIMEOUT, connection.put(request)).await??;
    Ok(())
}

/// Which member leads, once all say the same of it and have applied as much.
pub(crate) async fn leader(connections: &[Connection], within: Duration) -> anyhow::Result<usize> {
    let deadline = Instant::now() + within;
    loop {
        if let Ok(Some(leader)) = agreed_leader(connections).await {
            return Ok(leader);
        }
        if Instant::now() > deadline {
            bail!("the members do not agree on a leader within {within:?}");
        }
        sleep(POLL).await;
    }
}

async fn agreed_leader(connections: &[Connection]) -> anyhow::Result<Option<usize>> {
    let mut leaders = Vec::new();
    let mut found = None;
    let mut applied = Vec::new();
    for (member, connection) in connections.iter().enumerate() {
        let status = timeout(CALL_TIMEOUT, connection.status()).await??;
        let own = status.header.map_or(0, |header| header.member_id);
        if status.leader != 0 && own == status.leader {
            found = Some(member);
        }
        leaders.push(status.leader);
        applied.push(status.raft_applied_index);
    }
    let same = |values: &[u64]| values.windows(2).all(|two| two[0] == two[1]);
    Ok(found.filter(|_| same(&leaders) && same(&applied)))
}
