//! `quorate serve`: one member, in the foreground, until a signal stops it.
//!
//! Flags become [`ServeSettings`] (pure, in [`settings`]); then, in this order: the tie to the parent
//! process, the log, the data directory and its lock, the server. What can be refused is refused
//! before anything is written.

mod data_dir;
mod logging;
#[cfg(target_os = "linux")]
mod notify;
mod parent;
mod settings;
mod urls;

use std::process::ExitCode;

use std::time::Duration;

use anyhow::Context as _;
use quorate_server::{Member, Server, ServerError, ServerSettings};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use data_dir::DataDir;
pub(crate) use settings::ServeSettings;

use crate::flags::{self, Asked};
use crate::{EXIT_USAGE, port_owner, version_line};

/// The exit code when an invariant breaks (`EX_SOFTWARE` of sysexits.h).
const EXIT_PANIC: i32 = 70;

/// Runs `quorate serve` with the words behind `serve`.
pub(crate) fn main(words: &[String]) -> anyhow::Result<ExitCode> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let read_file = |path: &str| std::fs::read_to_string(path).map_err(|e| e.to_string());
    let settings = match flags::read(words, &environment, read_file) {
        Ok(Asked::Help) => return Ok(print(&flags::short_help())),
        Ok(Asked::FullHelp) => return Ok(print(&flags::full_help())),
        Ok(Asked::Version) => return Ok(print(&format!("{}\n", version_line()))),
        Ok(Asked::Serve(given)) => ServeSettings::from_given(&given),
        Err(error) => Err(error),
    };
    match settings {
        Ok(settings) => run(&settings).map(|()| ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("quorate serve: {error}");
            Ok(ExitCode::from(EXIT_USAGE))
        }
    }
}

/// Prepares the process and the data directory, then serves until stopped.
fn run(settings: &ServeSettings) -> anyhow::Result<()> {
    if let Some(parent) = settings.exit_with_parent {
        parent::exit_with(parent)?;
    }
    logging::start(settings).context("cannot start the log")?;
    let (data_dir, notes) = DataDir::open(&settings.data_dir)?;
    tracing::info!("{}", version_line());
    for line in settings.describe() {
        tracing::info!("{line}");
    }
    for note in settings.notes.iter().chain(&notes) {
        tracing::warn!("{note}");
    }
    serve(settings, &data_dir)
}

/// How long work that waits for the disk is waited for at the end; nothing of it was promised to anyone.
const BLOCKING_GRACE: Duration = Duration::from_secs(1);

/// Runs the server until a signal asks it to stop, or until it cannot go on.
fn serve(settings: &ServeSettings, data_dir: &DataDir) -> anyhow::Result<()> {
    end_process_on_panic();
    let runtime = socket_runtime().context("cannot start the runtime")?;
    let done = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut server = match Server::start(server_settings(settings, data_dir)).await {
            Err(ServerError::Listen { address, reason }) => {
                let owner = port_owner::describe(address.port());
                anyhow::bail!("cannot listen on {address}: {reason}; it is in use by {owner}")
            }
            started => started?,
        };
        tracing::info!("serving; stop with Ctrl-C or SIGTERM");
        let ready = tokio::spawn(tell_when_ready(server.leader()));
        let failure = tokio::select! {
            error = server.failed() => Some(error),
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
        };
        ready.abort();
        tracing::info!("stopping");
        #[cfg(target_os = "linux")]
        notify::notify(notify::STOPPING);
        server.stop().await;
        failure.map_or(Ok(()), |error| Err(error.into()))
    });
    // A snapshot that is read or written for a peer on a stuck disk must not hold the process.
    runtime.shutdown_timeout(BLOCKING_GRACE);
    done
}

/// Half the cores for sockets; consensus, the log and the applier have threads of their own.
///
/// On two cores that is one, and then the runtime of one thread is better than one worker of the
/// other kind: it runs tasks in the order in which they were woken, so that all handlers whose
/// answers came together finish before their connection writes, in one system call.
fn socket_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match cores / 2 {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        workers => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    builder.enable_all().build()
}

/// As etcd does: a member is ready when it knows a leader.
async fn tell_when_ready(leader: impl Future<Output = String>) {
    leader.await;
    #[cfg(target_os = "linux")]
    notify::notify(notify::READY);
}

fn server_settings(settings: &ServeSettings, data_dir: &DataDir) -> ServerSettings {
    let members = settings.initial_cluster.iter().map(|(name, urls)| Member {
        name: name.clone(),
        peer_urls: urls.clone(),
    });
    ServerSettings {
        name: settings.name.clone(),
        data_dir: data_dir.path().to_owned(),
        listen_client: settings.listen_client.clone(),
        listen_peer: settings.listen_peer.clone(),
        listen_metrics: settings.listen_metrics.clone(),
        advertise_client_urls: settings.advertise_client.clone(),
        members: members.collect(),
        join_existing: settings.join_existing,
        cluster_token: settings.cluster_token.clone(),
        heartbeat_interval: settings.heartbeat,
        election_timeout: settings.election_timeout,
        pre_vote: settings.pre_vote,
        lease_reads: settings.lease_reads,
        lease_checkpoints: settings.lease_checkpoints,
        protocol_version: settings.protocol_version,
        accepts_old_disk: settings.accepts_old_disk,
        max_request_bytes: settings.max_request_bytes,
        max_txn_ops: settings.max_txn_ops,
        quota_backend_bytes: settings.quota_backend_bytes,
        auto_compaction: settings.auto_compaction,
        initial_corrupt_check: settings.initial_corrupt_check,
        corrupt_check_interval: settings.corrupt_check_interval,
        cors: settings.cors.clone(),
        json_gateway: settings.json_gateway,
        watch_progress_interval: settings.watch_progress_interval,
        snapshot_log_bytes: settings.snapshot_log_bytes as u64,
    }
}

/// A broken invariant in any thread ends the process: what the others would do from there on
/// cannot be trusted. The last line says what broke.
fn end_process_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        eprintln!("quorate: stopped by a broken invariant; please report the lines above");
        std::process::exit(EXIT_PANIC);
    }));
}

fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    // A reader that has seen enough (`| head`) is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
