//! Drives the applier: applies what is committed under short holds of the store's lock, and
//! answers between them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quorate_disk::Disk;
use quorate_kv::KEYS_PER_STEP;
use quorate_raft::{LogIndex, NodeId, SnapshotMeta};
use quorate_replica::{Applier, Progress, SnapshotContentError, load_snapshot};
use quorate_wal::SnapshotMark;
use quorate_wal::snapshot::SnapshotFiles;

use super::{Fatal, Queues, SnapshotInput};
use crate::answers::Outcome;
use crate::core::{ApplyInput, Core};
use crate::error::ServerError;
use crate::exports::Newest;
use crate::limits::{APPLIED_NOTICE_BYTES, SLOW_APPLY};

pub(super) fn run<D: Disk>(
    core: &Core,
    queues: &Queues,
    snapshots: &SnapshotFiles<D>,
    mut applier: Applier,
    fatal: &Fatal,
) {
    let mut inputs = Vec::new();
    let mut unnoticed_bytes = 0;
    let mut more_to_free = false;
    loop {
        // What a compaction left to be freed is freed between batches, not before the next one.
        let wait = more_to_free.then_some(Duration::ZERO);
        core.applier.take(wait, &mut inputs);
        ApplyInput::keep_newest_restore(&mut inputs);
        let version = applier.cluster_version();
        let mut told_of_leases = false;
        let mut had_entries = false;
        let mut time_of_batch = Duration::ZERO;
        for input in inputs.drain(..) {
            match input {
                ApplyInput::Entries(entries) => {
                    unnoticed_bytes += entries
                        .iter()
                        .map(|entry| entry.payload.len())
                        .sum::<usize>();
                    applier.committed(entries);
                    had_entries = true;
                }
                ApplyInput::Granted(grant) => applier.granted(grant),
                ApplyInput::Restore(meta) => {
                    if let Err(error) = restore(core, snapshots, &mut applier, &meta) {
                        return fatal.report(ServerError::Snapshot(error));
                    }
                }
                ApplyInput::SnapshotEnded(bytes) => applier.snapshot_ended(bytes),
                ApplyInput::SnapshotWanted(index) => applier.want_snapshot(LogIndex(index)),
                ApplyInput::Stop => return,
            }
        }
        loop {
            let mut store = core.store_mut();
            let started = Instant::now();
            store.want_events(core.watches.wants_events());
            let mut progress = match applier.step(&mut store, KEYS_PER_STEP) {
                Ok(progress) => progress,
                Err(error) => return fatal.report(ServerError::Apply(error)),
            };
            if let Some(news) = progress.leases.take() {
                core.metrics.leases.learn(&news);
                core.tell_of_leases(news);
                told_of_leases = true;
            }
            // Under the store's lock, so that whoever holds it sees the index and the state of
            // one moment: members are compared by them.
            publish(core, &applier);
            core.quota.note(store.memory_bytes(), progress.takes_space);
            core.watches.feed(&mut store);
            time_of_batch += started.elapsed();
            let capture = applier.capture_if_due(&mut store);
            drop(store);
            if let Some(capture) = capture {
                let capture = Box::new(capture);
                let generation = core.store_generation();
                queues
                    .snapshot
                    .push(SnapshotInput::Take(capture, generation));
            }
            let more = progress.more;
            deliver(core, progress);
            if !more {
                note_time(core, had_entries, time_of_batch);
                break;
            }
        }
        let mut store = core.store_mut();
        more_to_free = store.free_step(KEYS_PER_STEP);
        core.quota.note(store.memory_bytes(), false);
        drop(store);
        // On an idle node without peers nothing else would wake consensus to hear of a version.
        let is_much = unnoticed_bytes >= APPLIED_NOTICE_BYTES;
        if is_much || told_of_leases || version != applier.cluster_version() {
            unnoticed_bytes = 0;
            core.consensus.wake();
        }
    }
}

/// How long a batch of entries held the store, all steps together.
fn note_time(core: &Core, had_entries: bool, took: Duration) {
    if !had_entries {
        return;
    }
    let metrics = &core.metrics;
    metrics.backend_commit_seconds.observe(took.as_secs_f64());
    if took > SLOW_APPLY {
        metrics.slow_applies.inc();
    }
}

/// Puts the store of a snapshot in the place of the present one, which is given up first: two of
/// them may not fit into memory. Meanwhile nothing is read: not from an empty store.
fn restore<D: Disk>(
    core: &Core,
    snapshots: &SnapshotFiles<D>,
    applier: &mut Applier,
    meta: &SnapshotMeta,
) -> Result<(), SnapshotContentError> {
    let started = Instant::now();
    let _loading = core.metrics.snapshots.loads();
    core.begin_restore();
    let mark = SnapshotMark {
        index: meta.index.0,
        term: meta.term.0,
    };
    let loaded = load_snapshot(snapshots, mark, core.identity.highest_version)?;
    let answers = applier.restore(loaded.head, loaded.bytes);
    let revision = loaded.store.revision();
    core.end_restore(loaded.store, || publish(core, applier));
    for answer in answers {
        let result = answer.result.map(Outcome::Store);
        core.answers.answer(answer.sequence, result);
    }
    core.exports.set_newest(Newest { mark, revision });
    core.metrics.snapshots.loaded(started.elapsed());
    tracing::info!(
        index = meta.index.0,
        milliseconds = started.elapsed().as_millis() as u64,
        "goes on from a peer's snapshot"
    );
    Ok(())
}

pub(crate) fn publish(core: &Core, applier: &Applier) {
    // Before the index: whoever reads that first finds a table that is at least as new.
    core.members
        .set_applied(applier.members(), applier.membership());
    let (me, membership) = (NodeId(core.identity.member_id), applier.membership());
    let is_gone = applier.members().is_removed(me.0) && !membership.members().contains(&me);
    if is_gone && !membership.is_joint() {
        core.removed.send_replace(true);
    }
    let applied = &core.applied;
    applied
        .log_time_ms
        .store(applier.log_time_ms(), Ordering::Release);
    applied
        .cluster_version
        .store(u64::from(applier.cluster_version()), Ordering::Release);
    applied.index.store(applier.applied().0, Ordering::Release);
    let version = applier.cluster_version();
    core.cluster_version
        .send_if_modified(|known| std::mem::replace(known, version) != version);
}

fn deliver(core: &Core, progress: Progress) {
    for answer in progress.answers {
        let result = answer.result.map(Outcome::Store);
        core.answers.answer(answer.sequence, result);
    }
    for (sequence, table) in progress.changes {
        core.answers.answer(sequence, Ok(Outcome::Members(table)));
    }
    for id in progress.released {
        core.release_read(id, &Ok(()));
    }
}
