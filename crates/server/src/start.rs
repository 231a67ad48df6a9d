//! Starts a server: data directory, machines, threads, ports; and stops it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quorate_raft::NodeId;
use quorate_replica::{MemberSeed, Node, NodeSettings, identify};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tonic::service::Routes;

use crate::clock::Clock;
use crate::core::{Core, MemberIdentity};
use crate::data_dir;
use crate::error::ServerError;
use crate::grpc;
use crate::http;
use crate::limits::{SHUTDOWN_GRACE, THREADS_GRACE};
use crate::listen::{self, Port};
use crate::peers::{PeerService, Peers, SnapshotSource, dial, pull};
use crate::real_disk::RealDisk;
use crate::settings::ServerSettings;
use crate::stubs::peer_server::PeerServer;
use crate::threads::{Fatal, Threads, publish_applied};

/// A server that runs.
pub struct Server {
    core: Arc<Core>,
    threads: Threads,
    dialers: JoinSet<()>,
    listeners: JoinSet<()>,
    stop: watch::Sender<bool>,
    fatal: mpsc::UnboundedReceiver<ServerError>,
}

impl Server {
    /// Starts a server. Its ports are open and its log is read when this returns; who leads is
    /// found out afterwards.
    ///
    /// # Errors
    /// When the settings contradict themselves, a port is taken, or the data directory cannot
    /// be used; the message says what to do.
    pub async fn start(settings: ServerSettings) -> Result<Server, ServerError> {
        let identity = identity(&settings)?;
        // Ports first: a second server on the same ports must not touch the first one's data.
        let client_listeners = bind_all(&settings.listen_client).await?;
        let peer_listeners = bind_all(&settings.listen_peer).await?;
        let metrics_listeners = bind_all(&settings.listen_metrics).await?;
        let log_directory = data_dir::open(
            &settings.data_dir,
            identity.cluster_id,
            identity.member_id,
            &settings.name,
        )?;
        let clock = Clock::start();
        let disk = RealDisk::new(&log_directory);
        let node_settings = node_settings(&settings, &identity);
        let mut node = Node::open(disk, &node_settings, clock.now(), clock.wall_ms())?;
        data_dir::note_log(&settings.data_dir)?;
        for note in &node.notes {
            tracing::warn!("{note}");
        }
        let others = identity
            .member_ids
            .iter()
            .copied()
            .filter(|id| *id != identity.member_id);
        let peers = Peers::new(others.map(NodeId));
        let store = std::mem::take(&mut node.store);
        let snapshots = node.snapshots.clone();
        let core = Core::new(settings, identity, clock, store, peers);
        publish_applied(&core, &node.applier);
        let (fatal, fatal_receiver) = Fatal::channel();
        let (install, wanted) = watch::channel(None);
        let threads = Threads::start(&core, node, install, &fatal);
        let (stop, stopped) = watch::channel(false);
        let (mut dialers, mut listeners) = (JoinSet::new(), JoinSet::new());
        spawn_dialers(&core, &mut dialers);
        dialers.spawn({
            let core = Arc::clone(&core);
            async move { core.catch_up().await }
        });
        dialers.spawn(pull(Arc::clone(&core), snapshots.clone(), wanted));
        let clients = http::add_pages(grpc::routes(&core), Arc::clone(&core));
        let peer_service = PeerServer::new(PeerService::new(
            Arc::clone(&core),
            SnapshotSource::new(snapshots),
            stopped.clone(),
        ))
        .max_decoding_message_size(quorate_replica::limits::MAX_INCOMING_FRAME_BYTES)
        .max_encoding_message_size(quorate_replica::limits::MAX_INCOMING_FRAME_BYTES);
        let peers = Routes::new(peer_service).into_axum_router();
        for (opened, router, port) in [
            (client_listeners, clients, Port::Client),
            (peer_listeners, peers, Port::Peer),
            (
                metrics_listeners,
                http::monitoring(Arc::clone(&core)),
                Port::Metrics,
            ),
        ] {
            for listener in opened {
                let (core, router) = (Arc::clone(&core), router.clone());
                listeners.spawn(listen::serve(core, listener, router, port, stopped.clone()));
            }
        }
        Ok(Server {
            core,
            threads,
            dialers,
            listeners,
            stop,
            fatal: fatal_receiver,
        })
    }

    /// Waits until the server cannot go on; gives the reason.
    pub async fn failed(&mut self) -> ServerError {
        match self.fatal.recv().await {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }

    /// Waits until a leader is known; gives its name.
    pub fn leader(&self) -> impl Future<Output = String> + use<> {
        let core = Arc::clone(&self.core);
        async move {
            let mut leadership = core.watch_leadership();
            match leadership.wait_for(|state| state.leader.is_some()).await {
                Ok(state) => core
                    .member_name(state.leader.unwrap_or_default())
                    .to_owned(),
                Err(_) => String::new(),
            }
        }
    }

    /// Stops: refuses what comes, fails what waits, ends the threads.
    pub async fn stop(mut self) {
        self.core.stopping.store(true, Ordering::SeqCst);
        // Ends the links that are heard as well; then only clients are waited for.
        self.stop.send_replace(true);
        self.dialers.shutdown().await;
        self.core.fail_waiting();
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, async {
            while self.core.metrics.client_connections.get() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        self.listeners.shutdown().await;
        let (threads, core) = (self.threads, self.core);
        if !ended_within(THREADS_GRACE, move || threads.stop(&core)).await {
            // Whatever a thread still waits for was not acknowledged.
            tracing::error!(
                "the threads did not end within {THREADS_GRACE:?}: is the disk stuck? Going without them"
            );
        }
    }
}

/// Runs `work` on a thread of its own and waits for it so long. Not the runtime's: it would wait for its threads
/// when it ends, however long they take.
async fn ended_within(limit: Duration, work: impl FnOnce() + Send + 'static) -> bool {
    let (done, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("stop".to_owned());
    let started = thread.spawn(move || {
        work();
        let _ = done.send(());
    });
    started.is_ok() && matches!(tokio::time::timeout(limit, ended).await, Ok(Ok(())))
}

fn identity(settings: &ServerSettings) -> Result<MemberIdentity, ServerError> {
    let seeds: Vec<MemberSeed> = settings
        .members
        .iter()
        .map(|member| MemberSeed {
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
        })
        .collect();
    let ids = identify(&settings.cluster_token, &seeds);
    let own = settings
        .members
        .iter()
        .position(|member| member.name == settings.name);
    let own = own.ok_or_else(|| {
        ServerError::Settings(format!(
            "the name {} is not in the initial cluster",
            settings.name
        ))
    })?;
    Ok(MemberIdentity {
        cluster_id: ids.cluster_id,
        member_id: ids.member_ids[own],
        // The standard library seeds this from the system's randomness, once a process.
        boot_nonce: RandomState::new().build_hasher().finish() as u32,
        member_ids: ids.member_ids,
    })
}

fn node_settings(settings: &ServerSettings, identity: &MemberIdentity) -> NodeSettings {
    NodeSettings {
        cluster_id: identity.cluster_id,
        member_id: identity.member_id,
        member_ids: identity.member_ids.clone(),
        boot_nonce: identity.boot_nonce,
        heartbeat_interval: settings.heartbeat_interval,
        election_timeout: settings.election_timeout,
        pre_vote: settings.pre_vote,
        empty_entry_on_election: true,
        memory_log_bytes: None,
        append_bytes: None,
        seed: u64::from(identity.boot_nonce),
        segment_bytes: None,
        snapshot_log_bytes: settings.snapshot_log_bytes,
        snapshot_chunk_bytes: None,
    }
}

async fn bind_all(addresses: &[std::net::SocketAddr]) -> Result<Vec<TcpListener>, ServerError> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(listen::bind(*address).await?);
    }
    Ok(listeners)
}

fn spawn_dialers(core: &Arc<Core>, tasks: &mut JoinSet<()>) {
    let members = core.settings.members.iter().zip(&core.identity.member_ids);
    for (member, id) in members {
        if *id != core.identity.member_id {
            let urls = member.peer_urls.clone();
            tasks.spawn(dial(Arc::clone(core), NodeId(*id), urls));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_that_does_not_end_is_not_waited_for_without_end() {
        let (release, stuck) = std::sync::mpsc::channel::<()>();
        let limit = Duration::from_millis(10);
        assert!(
            !ended_within(limit, move || {
                let _ = stuck.recv();
            })
            .await
        );
        drop(release);
        assert!(ended_within(Duration::from_secs(10), || ()).await);
    }
}
