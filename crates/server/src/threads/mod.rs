//! The threads of a node, one for each machine, and what they do with each other's effects.
//!
//! ```text
//!   handlers, links ──► consensus ──► log ──► consensus, links
//!                           ├───────► applier ──► handlers
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

use std::sync::Arc;
use std::thread::JoinHandle;

use quorate_disk::Disk;
use quorate_raft::Fetch;
use quorate_replica::{Node, WriteRequest};
use tokio::sync::mpsc;

use crate::core::Core;
use crate::error::ServerError;
use crate::inbox::Inbox;

/// What the log's writer is told.
pub(crate) enum LogInput {
    Write(WriteRequest),
    Stop,
}

/// What the log's reader is told.
pub(crate) enum FetchInput {
    Fetch(Fetch),
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
}

/// All threads of a node.
pub(crate) struct Threads {
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts them on a node's machines.
    pub(crate) fn start<D: Disk>(core: &Arc<Core>, node: Node<D>, fatal: &Fatal) -> Threads {
        let queues = Arc::new(Queues {
            log: Inbox::new(usize::MAX, usize::MAX),
            fetch: Inbox::new(usize::MAX, usize::MAX),
            prepare: prepare::Signal::default(),
        });
        let Node {
            consensus,
            log_writer,
            log_reader,
            preparer,
            applier,
            ..
        } = node;
        let shared = || (Arc::clone(core), Arc::clone(&queues), fatal.clone());
        let handles = vec![
            spawn("consensus", {
                let (core, queues, _) = shared();
                move || consensus::run(&core, &queues, consensus)
            }),
            spawn("log", {
                let (core, queues, fatal) = shared();
                move || log::run(&core, &queues, log_writer, &fatal)
            }),
            spawn("log-reader", {
                let (core, queues, fatal) = shared();
                move || log_reader::run(&core, &queues, &log_reader, &fatal)
            }),
            spawn("applier", {
                let (core, _, fatal) = shared();
                move || applier::run(&core, applier, &fatal)
            }),
            spawn("prepare", {
                let (_, queues, fatal) = shared();
                move || prepare::run(&queues, &preparer, &fatal)
            }),
        ];
        Threads { handles }
    }

    /// Asks consensus to stop, which stops the others in turn, and waits for all.
    pub(crate) fn stop(self, core: &Core) {
        core.consensus.push(crate::core::ConsensusInput::Stop);
        for handle in self.handles {
            // A panic has ended the process already.
            let _ = handle.join();
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .expect("a process that cannot start five threads cannot serve")
}
