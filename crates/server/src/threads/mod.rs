//! The threads of a node, one for each machine, and what they do with each other's effects.
//!
//! ```text
//!   handlers, links ──► consensus ──► log ──► consensus, links
//!                           ├───────► applier ──► handlers, snapshot ──► consensus
//!                           │           └──► watch ──► streams of watchers
//!                           └───────► log-reader ──► consensus
//! ```
//!
//! An error that a thread cannot go on from is final for the process: it is told to the
//! [`Fatal`] channel, the server stops, and the process exits with one line that says why.

mod applier;
mod consensus;
mod log;
mod log_reader;
mod prepare;
mod snapshot;
mod standing;
mod watch;

pub(crate) use applier::publish as publish_applied;

use std::sync::Arc;
use std::thread::JoinHandle;

use quorate_disk::Disk;
use quorate_raft::{Fetch, InstallWanted};
use quorate_replica::{Capture, Node, WriteRequest};
use quorate_wal::SnapshotMark;
use tokio::sync::mpsc;
use tokio::sync::watch::Sender;

use crate::core::Core;
use crate::error::ServerError;
use crate::inbox::Inbox;

/// What the log's writer is told.
pub(crate) enum LogInput {
    Write(WriteRequest),
    /// Damaged entries as others have them.
    Repair(Vec<quorate_raft::Entry>),
    /// The log up to this index is no longer needed: two snapshots that cover it are verified.
    Release(u64),
    Stop,
}

/// What the log's reader is told.
pub(crate) enum FetchInput {
    Fetch(Fetch),
    Stop,
}

/// What the taker of snapshots is told.
pub(crate) enum SnapshotInput {
    /// To be taken from the store of this generation.
    Take(Box<Capture>, u64),
    /// This mark is durable in the log.
    Marked(SnapshotMark),
    Stop,
}

/// Where threads say that they cannot go on.
#[derive(Clone)]
pub(crate) struct Fatal(mpsc::UnboundedSender<ServerError>);

impl Fatal {
    pub(crate) fn channel() -> (Fatal, mpsc::UnboundedReceiver<ServerError>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Fatal(sender), receiver)
    }

    pub(crate) fn report(&self, error: ServerError) {
        // An error means that the server is stopping for another reason.
        let _ = self.0.send(error);
    }
}

/// The queues between the threads.
pub(crate) struct Queues {
    pub(crate) log: Inbox<LogInput>,
    pub(crate) fetch: Inbox<FetchInput>,
    pub(crate) prepare: prepare::Signal,
    pub(crate) snapshot: Inbox<SnapshotInput>,
    pub(crate) install: Sender<Option<InstallWanted>>,
}

/// All threads of a node.
pub(crate) struct Threads {
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts them on a node's machines.
    pub(crate) fn start<D: Disk>(
        core: &Arc<Core>,
        node: Node<D>,
        install: Sender<Option<InstallWanted>>,
        fatal: &Fatal,
    ) -> Threads {
        let queues = Arc::new(Queues {
            log: Inbox::new(usize::MAX, usize::MAX),
            fetch: Inbox::new(usize::MAX, usize::MAX),
            prepare: prepare::Signal::default(),
            snapshot: Inbox::new(usize::MAX, usize::MAX),
            install,
        });
        let Node {
            consensus,
            log_writer,
            log_reader,
            preparer,
            applier,
            snapshots,
            records_file,
            ..
        } = node;
        let shared = || (Arc::clone(core), Arc::clone(&queues), fatal.clone());
        let handles = vec![
            spawn("consensus", fatal, {
                let (core, queues, fatal) = shared();
                let files = snapshots.clone();
                move || consensus::run(&core, &queues, &files, consensus, &fatal)
            }),
            spawn("log", fatal, {
                let (core, queues, fatal) = shared();
                move || log::run(&core, &queues, log_writer, &fatal)
            }),
            spawn("log-reader", fatal, {
                let (core, queues, fatal) = shared();
                move || log_reader::run(&core, &queues, &log_reader, &fatal)
            }),
            spawn("applier", fatal, {
                let (core, queues, fatal) = shared();
                let files = snapshots.clone();
                move || applier::run(&core, &queues, &files, applier, &fatal)
            }),
            spawn("snapshot", fatal, {
                let (core, queues, fatal) = shared();
                move || snapshot::run(&core, &queues, &snapshots, &fatal)
            }),
            spawn("watch", fatal, {
                let core = Arc::clone(core);
                move || watch::run(&core)
            }),
            spawn("prepare", fatal, {
                let (_, queues, fatal) = shared();
                move || prepare::run(&queues, &preparer, records_file, &fatal)
            }),
        ];
        Threads { handles }
    }

    /// Asks consensus to stop, which stops the others in turn, and waits for all.
    pub(crate) fn stop(self, core: &Core) {
        core.consensus.push(crate::core::ConsensusInput::Stop);
        core.watches.stop();
        for handle in self.handles {
            // A panic was reported when it happened.
            let _ = handle.join();
        }
    }
}

/// Reports the panic of the thread that it lives on. The binary ends the process at once; others that run a server
/// learn of it here.
struct PanicReport {
    name: &'static str,
    fatal: Fatal,
}

impl Drop for PanicReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fatal.report(ServerError::Panicked(self.name));
        }
    }
}

fn spawn(
    name: &'static str,
    fatal: &Fatal,
    body: impl FnOnce() + Send + 'static,
) -> JoinHandle<()> {
    let fatal = fatal.clone();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _report = PanicReport { name, fatal };
            body();
        })
        .expect("a process that cannot start seven threads cannot serve")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_panic_of_a_thread_is_final_for_the_server() {
        let (fatal, mut reports) = Fatal::channel();
        let thread = spawn("log", &fatal, || panic!("a state that cannot be"));
        assert!(thread.join().is_err());
        let report = reports.try_recv().expect("it was reported");
        assert!(matches!(report, ServerError::Panicked("log")));
    }
}
