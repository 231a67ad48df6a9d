//! Starts a server: data directory, machines, threads, ports; and stops it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quorate_replica::{MemberSeed, MemberTable, Node, NodeSettings, identify};
use quorate_wal::SnapshotMark;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tonic::service::Routes;

use crate::auto_compaction::compact_by_itself;
use crate::clock::Clock;
use crate::core::{Core, MemberIdentity};
use crate::corruption::{check_before_serving, compare_members};
use crate::data_dir::{self, FOUNDED, JOINED, Origin};
use crate::error::ServerError;
use crate::exports::Newest;
use crate::grpc;
use crate::http;
use crate::join::join;
use crate::limits::{SHUTDOWN_GRACE, THREADS_GRACE};
use crate::listen::{self, Port};
use crate::members::Members;
use crate::peers::{PeerService, SnapshotSource, ask_about_strangers, pull, supervise};
use crate::quota::raise_when_crossed;
use crate::real_disk::RealDisk;
use crate::removal::{publish, stop_when_removed};
use crate::settings::{Member, ServerSettings};
use crate::stubs::peer_server::PeerServer;
use crate::threads::{Fatal, Threads, publish_applied};
use crate::versions::{note_versions, stop_when_outgrown};

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
        // Ports first: a second server on the same ports must not touch the first one's data.
        let client_listeners = bind_all(&settings.listen_client).await?;
        let peer_listeners = bind_all(&settings.listen_peer).await?;
        let metrics_listeners = bind_all(&settings.listen_metrics).await?;
        let (identity, origin) = who_we_are(&settings).await?;
        let log_directory = data_dir::open(
            &settings.data_dir,
            identity.cluster_id,
            identity.member_id,
            &settings.name,
            &origin,
        )?;
        let clock = Clock::start();
        let disk = RealDisk::new(&log_directory);
        let node_settings = node_settings(&settings, &identity, &origin.founders);
        let mut node = Node::open(disk, &node_settings, clock.now(), clock.wall_ms())?;
        data_dir::note_log(&settings.data_dir)?;
        for note in &node.notes {
            tracing::warn!("{note}");
        }
        for damage in &node.damaged {
            tracing::error!("{damage}; what is needed of it is fetched from the other members");
        }
        let members = Members::new(identity.member_id, origin.founders, origin.contacts);
        members.set_durable(node.members.clone());
        members.set_appended(std::mem::take(&mut node.members));
        members.set_in_force(node.consensus.status().raft.membership);
        let store = std::mem::take(&mut node.store);
        let snapshots = node.snapshots.clone();
        // Nothing of the log has been applied yet: this is where the snapshot ended that was loaded.
        let head = node.applier.capture_head();
        let loaded = (head.applied_index > 0).then_some(SnapshotMark {
            index: head.applied_index,
            term: head.applied_term,
        });
        let core = Core::new(settings, identity, clock, store, members);
        core.metrics.snapshots.noted(&node.notes);
        core.exports.serve_from(snapshots.clone());
        if let Some(mark) = loaded {
            let revision = core.store().revision();
            core.exports.set_newest(Newest { mark, revision });
        }
        publish_applied(&core, &node.applier);
        let (fatal, fatal_receiver) = Fatal::channel();
        let (install, wanted) = watch::channel(None);
        let threads = Threads::start(&core, node, install, &fatal);
        let (stop, stopped) = watch::channel(false);
        let (mut dialers, mut listeners) = (JoinSet::new(), JoinSet::new());
        dialers.spawn(supervise(Arc::clone(&core)));
        dialers.spawn(ask_about_strangers(Arc::clone(&core)));
        dialers.spawn(publish(Arc::clone(&core)));
        dialers.spawn(stop_when_removed(Arc::clone(&core), fatal.clone()));
        dialers.spawn(stop_when_outgrown(Arc::clone(&core), fatal.clone()));
        dialers.spawn(note_versions(Arc::clone(&core)));
        dialers.spawn({
            let core = Arc::clone(&core);
            async move { core.catch_up().await }
        });
        dialers.spawn(pull(
            Arc::clone(&core),
            snapshots.clone(),
            wanted,
            fatal.clone(),
        ));
        dialers.spawn(raise_when_crossed(Arc::clone(&core)));
        dialers.spawn(compact_by_itself(Arc::clone(&core)));
        dialers.spawn(compare_members(Arc::clone(&core)));
        let clients = http::add_pages(grpc::routes(&core), Arc::clone(&core));
        let peer_service = PeerServer::new(PeerService::new(
            Arc::clone(&core),
            SnapshotSource::new(snapshots, core.metrics.snapshots.clone()),
            stopped.clone(),
        ))
        .max_decoding_message_size(quorate_replica::limits::MAX_INCOMING_FRAME_BYTES)
        .max_encoding_message_size(quorate_replica::limits::MAX_INCOMING_FRAME_BYTES);
        let peers = Routes::new(peer_service).into_axum_router();
        let (cleared, checked) = watch::channel(!core.settings.initial_corrupt_check);
        if core.settings.initial_corrupt_check {
            let (core, fatal) = (Arc::clone(&core), fatal.clone());
            dialers.spawn(async move {
                match check_before_serving(&core).await {
                    Ok(()) => {
                        cleared.send_replace(true);
                    }
                    Err(error) => fatal.report(error),
                }
            });
        }
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
                let serving = listen::serve(core, listener, router, port, stopped.clone());
                let mut checked = checked.clone();
                listeners.spawn(async move {
                    // If the check fails the sender is gone, and nobody is served.
                    if port != Port::Client || checked.wait_for(|is| *is).await.is_ok() {
                        serving.await;
                    }
                });
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
                Ok(state) => core.member_name(state.leader.unwrap_or_default()),
                Err(_) => String::new(),
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn core(&self) -> Arc<Core> {
        Arc::clone(&self.core)
    }

    /// Stops: refuses what comes, fails what waits, ends the threads.
    pub async fn stop(mut self) {
        self.core.stopping.store(true, Ordering::SeqCst);
        // Ends the links that are heard as well; then only clients are waited for.
        self.stop.send_replace(true);
        self.dialers.shutdown().await;
        self.core.fail_waiting();
        self.core.watches.stop();
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

/// Who this member is: by the flags where it founds a cluster, by what others tell it where it
/// joins one, and by its data directory where it has done so before.
async fn who_we_are(settings: &ServerSettings) -> Result<(MemberIdentity, Origin), ServerError> {
    let known = data_dir::look(&settings.data_dir, settings.protocol_version)?;
    let is_of = |cluster_id, member_id, began_with| MemberIdentity {
        cluster_id,
        member_id,
        began_with,
        // The standard library seeds this from the system's randomness, once a process.
        boot_nonce: RandomState::new().build_hasher().finish() as u32,
        highest_version: settings.protocol_version,
    };
    match known {
        Some(known) if settings.join_existing => {
            tracing::info!("this member has been one before: --initial-cluster is not looked at");
            let identity = is_of(known.cluster_id, known.member_id, known.began_with);
            Ok((identity, known.origin))
        }
        None if settings.join_existing => {
            let joined = join(settings).await?;
            let member = format!("{:x}", joined.member_id);
            tracing::info!(member, "joins a cluster that exists");
            let origin = Origin {
                founders: joined.founders,
                contacts: joined.members,
            };
            let identity = is_of(joined.cluster_id, joined.member_id, JOINED);
            Ok((identity, origin))
        }
        known => {
            let (cluster_id, member_id, founders) =
                founding(&settings.cluster_token, &settings.members, &settings.name)?;
            let by_flags = Origin {
                founders,
                contacts: MemberTable::default(),
            };
            // Names may have changed in the flags; what the log begins with has not.
            let (origin, began_with) = match known {
                Some(known) if known.member_id == member_id => (known.origin, known.began_with),
                _ => (by_flags, FOUNDED),
            };
            Ok((is_of(cluster_id, member_id, began_with), origin))
        }
    }
}

/// The ids of the cluster and of this member, and the first members, as the flags have them.
pub(crate) fn founding(
    cluster_token: &str,
    members: &[Member],
    name: &str,
) -> Result<(u64, u64, MemberTable), ServerError> {
    let seeds: Vec<MemberSeed> = members
        .iter()
        .map(|member| MemberSeed {
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
        })
        .collect();
    let ids = identify(cluster_token, &seeds);
    let own = members.iter().position(|member| member.name == name);
    let own = own.ok_or_else(|| {
        ServerError::Settings(format!("the name {name} is not in the initial cluster"))
    })?;
    let founders = members.iter().zip(&ids.member_ids);
    let founders = founders.map(|(member, id)| {
        let member = quorate_replica::Member {
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            ..quorate_replica::Member::default()
        };
        (*id, member)
    });
    let founders = MemberTable::new(founders);
    Ok((ids.cluster_id, ids.member_ids[own], founders))
}

fn node_settings(
    settings: &ServerSettings,
    identity: &MemberIdentity,
    founders: &MemberTable,
) -> NodeSettings {
    NodeSettings {
        cluster_id: identity.cluster_id,
        member_id: identity.member_id,
        founders: founders.clone(),
        boot_nonce: identity.boot_nonce,
        heartbeat_interval: settings.heartbeat_interval,
        election_timeout: settings.election_timeout,
        pre_vote: settings.pre_vote,
        record_interval: None,
        lease_reads: settings.lease_reads,
        accepts_old_disk: settings.accepts_old_disk,
        empty_entry_on_election: true,
        memory_log_bytes: None,
        append_bytes: None,
        seed: u64::from(identity.boot_nonce),
        segment_bytes: None,
        snapshot_log_bytes: settings.snapshot_log_bytes,
        snapshot_chunk_bytes: None,
        lease_checkpoints: settings.lease_checkpoints,
        highest_version: settings.protocol_version,
    }
}

async fn bind_all(addresses: &[std::net::SocketAddr]) -> Result<Vec<TcpListener>, ServerError> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(listen::bind(*address).await?);
    }
    Ok(listeners)
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
