//! Reads old entries back from the log for consensus, which must not wait for a disk.

use quorate_disk::Disk;
use quorate_replica::LogReader;

use super::{Fatal, FetchInput, Queues};
use crate::core::{ConsensusInput, Core};
use crate::error::ServerError;

pub(super) fn run<D: Disk>(core: &Core, queues: &Queues, reader: &LogReader<D>, fatal: &Fatal) {
    let mut inputs = Vec::new();
    loop {
        queues.fetch.take(None, &mut inputs);
        for input in inputs.drain(..) {
            let FetchInput::Fetch(fetch) = input else {
                return;
            };
            match reader.read(fetch) {
                Ok(entries) => {
                    core.consensus.push(ConsensusInput::Fetched {
                        first: fetch.first,
                        entries,
                    });
                }
                Err(error) => return fatal.report(ServerError::Log(error)),
            }
        }
    }
}
