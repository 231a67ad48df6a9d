//! Drives the applier: applies what is committed under short holds of the store's lock, and
//! answers between them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quorate_kv::KEYS_PER_STEP;
use quorate_replica::{Applier, Progress};

use super::Fatal;
use crate::core::{ApplyInput, Core};
use crate::error::ServerError;
use crate::limits::APPLIED_NOTICE_BYTES;

pub(super) fn run(core: &Core, mut applier: Applier, fatal: &Fatal) {
    let mut inputs = Vec::new();
    let mut unnoticed_bytes = 0;
    let mut more_to_free = false;
    loop {
        // What a compaction left to be freed is freed between batches, not before the next one.
        let wait = more_to_free.then_some(Duration::ZERO);
        core.applier.take(wait, &mut inputs);
        let version = applier.cluster_version();
        for input in inputs.drain(..) {
            match input {
                ApplyInput::Entries(entries) => {
                    unnoticed_bytes += entries
                        .iter()
                        .map(|entry| entry.payload.len())
                        .sum::<usize>();
                    applier.committed(entries);
                }
                ApplyInput::Granted(grant) => applier.granted(grant),
                ApplyInput::Stop => return,
            }
        }
        loop {
            let mut store = core.store_mut();
            let progress = match applier.step(&mut store, KEYS_PER_STEP) {
                Ok(progress) => progress,
                Err(error) => return fatal.report(ServerError::Apply(error)),
            };
            // Under the store's lock, so that whoever holds it sees the index and the state of
            // one moment: members are compared by them.
            publish(core, &applier);
            drop(store);
            let more = progress.more;
            deliver(core, progress);
            if !more {
                break;
            }
        }
        more_to_free = core.store_mut().free_step(KEYS_PER_STEP);
        // On an idle node without peers nothing else would wake consensus to hear of a version.
        if unnoticed_bytes >= APPLIED_NOTICE_BYTES || version != applier.cluster_version() {
            unnoticed_bytes = 0;
            core.consensus.wake();
        }
    }
}

fn publish(core: &Core, applier: &Applier) {
    let applied = &core.applied;
    applied
        .log_time_ms
        .store(applier.log_time_ms(), Ordering::Release);
    applied
        .cluster_version
        .store(u64::from(applier.cluster_version()), Ordering::Release);
    applied.index.store(applier.applied().0, Ordering::Release);
}

fn deliver(core: &Core, progress: Progress) {
    for answer in progress.answers {
        core.answers.answer(answer.sequence, answer.result);
    }
    for id in progress.released {
        core.reads.release(id, &Ok(()));
    }
}
