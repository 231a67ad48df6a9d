//! Snapshots: taken in steps, pulled chunk by chunk from a peer's disk, loaded by the applier; as
//! the server's snapshot thread, its puller and its applier do.

use std::time::Duration;

use quorate_disk::{ErrorKind, SimDisk};
use quorate_raft::{InstallWanted, SnapshotMeta};
use quorate_replica::{
    Capture, PullProgress, SnapshotContentError, SnapshotPuller, SnapshotQuery, SnapshotTaker,
    load_snapshot,
};
use quorate_wal::snapshot::{Chunk, SNAPSHOTS_KEPT, SnapshotId};
use quorate_wal::{SnapshotMark, WalError};

use super::disks::is_full;
use super::event::Event;
use super::node::ApplyInput;
use super::{Input, World};
use crate::tally::{Fault, Rare, sometimes};

/// What a process has to do with snapshots.
#[derive(Default)]
pub(crate) struct Snapshots {
    taker: Option<SnapshotTaker<SimDisk>>,
    puller: Option<SnapshotPuller<SimDisk>>,
    /// What consensus wanted last, and has not heard of.
    wanted: Option<InstallWanted>,
}

/// What a peer answers to a query.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Description(SnapshotId),
    Chunk(Chunk),
}

/// What arrives of a snapshot, for the picture.
fn words_of_part(part: &Part) -> String {
    match part {
        Part::Description(id) => {
            let (bytes, chunks) = (id.bytes, id.chunk_count());
            format!("the snapshot has {bytes} bytes, in {chunks} chunks")
        }
        Part::Chunk(chunk) => {
            let (number, bytes) = (chunk.number + 1, chunk.data.len());
            format!("chunk {number} arrives, {bytes} bytes")
        }
    }
}

impl World {
    /// Takes a snapshot if one is due. The applier is between two steps.
    pub(super) fn take_snapshot_if_due(&mut self, node: usize, life: u64) {
        let process = self.process_mut(node);
        let Some(capture) = process.applier.capture_if_due(&mut process.store) else {
            return;
        };
        self.begin_snapshot(node, life, capture);
    }

    fn begin_snapshot(&mut self, node: usize, life: u64, capture: Capture) {
        let process = self.process_mut(node);
        match SnapshotTaker::begin(&process.files, capture) {
            Ok(taker) => {
                process.snapshots.taker = Some(taker);
                let delay = self.random.micros(5, 500);
                self.after(delay, Event::SnapshotStep { node, life });
            }
            Err(error) => self.snapshot_failed(node, &error),
        }
    }

    /// For want of room it is given up, and everything else goes on.
    fn snapshot_failed(&mut self, node: usize, error: &WalError) {
        if !is_full(error) {
            return self.disk_failed(node, error);
        }
        self.tally.reached(Rare::SnapshotGivenUp);
        self.process_mut(node).applier.snapshot_ended(None);
    }

    /// One piece of the store goes into the file, or the file is finished.
    pub(super) fn on_snapshot_step(&mut self, node: usize, life: u64) {
        let delay = self.random.micros(5, 2_000);
        let Some(process) = self.alive(node, life) else {
            return;
        };
        let Some(mut taker) = process.snapshots.taker.take() else {
            return; // It was given up.
        };
        if let Some(piece) = taker.scan(&process.store) {
            return match taker.write(&piece) {
                Ok(()) => {
                    process.snapshots.taker = Some(taker);
                    self.after(delay, Event::SnapshotStep { node, life });
                }
                Err(error) => self.snapshot_failed(node, &of_file(error)),
            };
        }
        match taker.finish() {
            Ok(taken) => {
                process.applier.snapshot_ended(Some(taken.bytes));
                self.tally.reached(Rare::SnapshotTaken);
                let index = taken.meta.index;
                self.note(|_| format!("n{} took a snapshot at {index}", node + 1));
                self.tell(node, Input::SnapshotTaken(taken.meta));
                // The log went on meanwhile; perhaps nothing more is applied for long.
                self.take_snapshot_if_due(node, life);
            }
            Err(error) => self.snapshot_failed(node, &of_file(error)),
        }
    }

    /// A mark is durable in the log: older files may go, and the log before the older of two that
    /// are verified.
    pub(super) fn on_marked(&mut self, node: usize, life: u64, mark: SnapshotMark) {
        let Some(process) = self.alive(node, life) else {
            return;
        };
        match process.files.keep_newest(SNAPSHOTS_KEPT, mark) {
            Ok(kept) => {
                let up_to = kept.release_up_to.unwrap_or(0);
                let delay = self.random.micros(5, 1_000);
                self.after(delay, Event::Release { node, life, up_to });
            }
            Err(error) => self.disk_failed(node, &error),
        }
    }

    /// The log's thread is between two groups, and lets go of a few segments.
    pub(super) fn on_release(&mut self, node: usize, life: u64, up_to: u64) {
        let Some(process) = self.alive(node, life) else {
            return;
        };
        match process.log_writer.release(up_to) {
            Ok(true) => self.after(Duration::ZERO, Event::Release { node, life, up_to }),
            Ok(false) => {}
            Err(error) => self.disk_failed(node, &error),
        }
    }

    /// Consensus wants a snapshot of a peer's.
    pub(super) fn want_snapshot(&mut self, node: usize, life: u64, wanted: InstallWanted) {
        let process = self.process_mut(node);
        let pulls = process.snapshots.puller.is_some();
        process.snapshots.wanted = Some(wanted);
        if !pulls {
            self.pull_what_is_wanted(node, life);
        }
    }

    fn pull_what_is_wanted(&mut self, node: usize, life: u64) {
        let delay = self.random.micros(100, 5_000);
        let process = self.process_mut(node);
        if let Some(wanted) = process.snapshots.wanted.take() {
            let fills = self.chaos && self.plan.disk_faults && self.random.percent(10);
            if fills {
                let room = 2 * u64::from(self.plan.snapshot_chunk_bytes);
                self.fill_disk(node, room, Duration::from_millis(500));
            }
            let process = self.process_mut(node);
            let files = process.files.clone();
            process.snapshots.puller = Some(SnapshotPuller::new(files, wanted, process.speaks));
            let InstallWanted { from, index, .. } = wanted;
            self.draw_note(node, |_| {
                format!("asks n{from} for its snapshot through {index}")
            });
            self.after(delay, Event::PullAsk { node, life });
        }
    }

    /// The next question goes out, and its answer comes or does not.
    pub(super) fn on_pull_ask(&mut self, node: usize, life: u64) {
        let Some(process) = self.alive(node, life) else {
            return;
        };
        let Some(puller) = &process.snapshots.puller else {
            return;
        };
        let query = puller.query();
        let from = (query.to.0 - 1) as usize;
        let lost = self.chaos && self.random.percent(self.plan.loss_percent);
        let passes = self.versions_meet(node, from)
            && self.network.passes(node, from)
            && self.network.passes(from, node);
        let part = if lost || !passes {
            None
        } else {
            self.part_of(from, &query)
        };
        let delay = self.random.micros(100, 2 * self.plan.latency_us);
        let Some(mut part) = part else {
            let patience = delay + Duration::from_millis(50);
            return self.after(patience, Event::PullFailed { node, life });
        };
        if let Part::Chunk(chunk) = &mut part
            && self.chaos
            && self.random.percent(self.plan.loss_percent)
        {
            // The checksum of the connection may let this through; ours must not.
            let mut bytes = chunk.data.to_vec();
            let place = self.random.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1 << self.random.below(8);
            chunk.data = bytes.into();
            self.tally.injected(Fault::ChunkDamaged);
        }
        self.after(delay, Event::PullArrived { node, life, part });
    }

    /// What a member answers, from its disk.
    fn part_of(&mut self, from: usize, query: &SnapshotQuery) -> Option<Part> {
        let process = self.members[from].process.as_ref()?;
        let mut reader = process.files.read(query.mark).ok()?;
        match query.first_chunk {
            None => Some(Part::Description(reader.id())),
            Some(number) => reader.chunk(number).ok().map(Part::Chunk),
        }
    }

    pub(super) fn on_pull_arrived(&mut self, node: usize, life: u64, part: Part) {
        let pulls = self
            .alive(node, life)
            .is_some_and(|process| process.snapshots.puller.is_some());
        if !pulls {
            return;
        }
        self.draw_note(node, |_| words_of_part(&part));
        let Some(puller) = &mut self.process_mut(node).snapshots.puller else {
            return;
        };
        let described = matches!(part, Part::Description(_));
        let progress = match part {
            Part::Description(id) => puller.described(id),
            Part::Chunk(chunk) => puller.arrived(&chunk),
        };
        let went_on = described && puller.bytes().is_some_and(|(here, _)| here > 0);
        match progress {
            Ok(PullProgress::More) => {
                sometimes!(self.tally, Rare::PullWentOn, went_on);
                self.after(Duration::ZERO, Event::PullAsk { node, life });
            }
            Ok(PullProgress::Done(meta)) => {
                self.process_mut(node).snapshots.puller = None;
                let index = meta.index;
                self.note(|_| format!("n{} has pulled the snapshot at {index}", node + 1));
                self.draw_note(node, |_| format!("has all of the snapshot through {index}"));
                self.tell(node, Input::Installed(meta));
                self.pull_what_is_wanted(node, life);
            }
            Err(SnapshotContentError::File(WalError::ChunkRefused { .. })) => {
                self.tally.reached(Rare::ChunkRefused);
                self.draw_note(node, |_| "refuses the chunk: bad checksum".to_owned());
                self.after(Duration::ZERO, Event::PullAsk { node, life });
            }
            // The part is gone: what was marked meanwhile covers it. Or the source has another now.
            Err(error)
                if matches!(&error, SnapshotContentError::SourceChanged { .. })
                    || error.of_disk().map(|disk| disk.kind) == Some(ErrorKind::NotFound) =>
            {
                self.on_pull_failed(node, life);
            }
            Err(error) if error.of_disk().map(|disk| disk.kind) == Some(ErrorKind::NoSpace) => {
                self.tally.reached(Rare::PullGivenUp);
                self.on_pull_failed(node, life);
            }
            Err(error) => self.disk_failed(node, &error),
        }
    }

    pub(super) fn on_pull_failed(&mut self, node: usize, life: u64) {
        let Some(process) = self.alive(node, life) else {
            return;
        };
        if let Some(puller) = process.snapshots.puller.take() {
            self.draw_note(node, |_| "no answer: the pull is broken off".to_owned());
            self.tell(node, Input::InstallFailed(puller.wanted()));
        }
        self.pull_what_is_wanted(node, life);
    }

    /// The applier loads the store from a snapshot that is durable here.
    pub(super) fn restore(&mut self, node: usize, meta: &SnapshotMeta) {
        let mark = SnapshotMark {
            index: meta.index.0,
            term: meta.term.0,
        };
        let process = self.process_mut(node);
        if process.snapshots.taker.take().is_some() {
            process.applier.snapshot_ended(None);
        }
        let loaded = match load_snapshot(&process.files, mark, process.speaks) {
            Ok(loaded) => loaded,
            Err(error) => return self.disk_failed(node, &error),
        };
        let loaded_store = loaded.store;
        self.watch_behind(node);
        let process = self.process_mut(node);
        process.store = loaded_store;
        let answers = process.applier.restore(loaded.head, loaded.bytes);
        self.watch_replaced(node);
        self.tally.reached(Rare::SnapshotInstalled);
        let index = meta.index;
        self.note(|_| format!("n{} is at {index} by a snapshot", node + 1));
        self.draw_note(node, |_| {
            format!("its store is now the snapshot's, through {index}")
        });
        for answer in answers {
            self.answer(node, answer.sequence, answer.result);
        }
    }

    /// Between two turns of the applier: hands it what arrived. False when its process is gone.
    pub(super) fn feed_applier(&mut self, node: usize, life: u64) -> bool {
        let inbox = std::mem::take(&mut self.process_mut(node).apply_inbox);
        // The file of an older one may be gone already.
        let is_restore = |input: &ApplyInput| matches!(input, ApplyInput::Restore(_));
        let newest_restore = inbox.iter().rposition(is_restore);
        for (place, input) in inbox.into_iter().enumerate() {
            if is_restore(&input) && Some(place) != newest_restore {
                continue;
            }
            let Some(process) = self.alive(node, life) else {
                return false;
            };
            match input {
                ApplyInput::Entries(entries) => {
                    let bytes = entries.iter().map(|entry| entry.payload.len());
                    process.unnoticed_bytes += bytes.sum::<usize>();
                    process.applier.committed(entries);
                }
                ApplyInput::Granted(grant) => process.applier.granted(grant),
                ApplyInput::Restore(meta) => self.restore(node, &meta),
            }
        }
        self.alive(node, life).is_some()
    }
}

/// The disk may fail a snapshot that is taken, but what was written must be what can be loaded.
fn of_file(error: SnapshotContentError) -> WalError {
    match error {
        SnapshotContentError::File(error) => error,
        error => panic!("a member took a snapshot that cannot be loaded: {error}"),
    }
}
