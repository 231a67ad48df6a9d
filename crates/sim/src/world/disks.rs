//! Disks that fail while they are in use: errors, no room, and snapshots that rot.
//!
//! What must hold, and what the server does (`crates/server/src/threads`): a log that cannot be written
//! or synced ends its process, and what it wrote since its last sync is believed by nobody, also not after
//! a restart; without room a snapshot is given up and taken again later, but a full log ends the process
//! too, and so does a start. Whoever looks after the process starts it again and again.
//!
//! A snapshot rots at rest, and only where another one is left to begin with: a member without any refuses
//! to start until somebody clears its directory, and nobody here does.

use std::time::Duration;

use quorate_disk::{Crash, Disk, Effect, ErrorKind, Operation, SIMULATED};
use quorate_trace::FaultKind;
use quorate_wal::WalError;

use super::event::Event;
use super::{Process, World};
use crate::tally::{Fault, Rare, sometimes};

/// What `quorate_wal` names whole snapshots.
const SNAPSHOT_PREFIX: &str = "snapshot-";

impl World {
    /// A fault of the disk of this node.
    pub(super) fn strike_disk(&mut self, node: usize, lasts: Duration) {
        match self.random.below(6) {
            0 | 1 => self.fail_write(node),
            2 => self.fail_sync(node),
            3 => self.fail_read(node),
            4 => self.fill_disk(node, 3 * self.plan.segment_bytes, lasts),
            _ => self.rot_snapshot(node, lasts),
        }
    }

    fn fail_write(&mut self, node: usize) {
        self.inject(Fault::WriteFailed, Some(node));
        let operation = self.random.pick(&[
            Operation::Write,
            Operation::Write,
            Operation::Create,
            Operation::Rename,
        ]);
        let effect = match self.random.percent(50) {
            true => Effect::Fail(ErrorKind::Io),
            false => Effect::FailHalfway(ErrorKind::Io),
        };
        self.plan_disk_fault(node, operation, effect, "a write to its disk fails");
    }

    fn fail_sync(&mut self, node: usize) {
        self.inject(Fault::SyncFailed, Some(node));
        let effect = Effect::Fail(ErrorKind::Io);
        self.plan_disk_fault(node, Operation::Sync, effect, "a sync of its disk fails");
    }

    fn fail_read(&mut self, node: usize) {
        self.inject(Fault::ReadFailed, Some(node));
        let effect = Effect::Fail(ErrorKind::Io);
        self.plan_disk_fault(node, Operation::Read, effect, "a read from its disk fails");
    }

    fn plan_disk_fault(&mut self, node: usize, operation: Operation, effect: Effect, label: &str) {
        let after = self.random.below(12);
        self.members[node].disk.inject(quorate_disk::Fault {
            operation,
            after,
            effect,
        });
        self.draw_struck(FaultKind::Disk, node, label);
    }

    /// Less room than this is left for a while.
    pub(super) fn fill_disk(&mut self, node: usize, room: u64, lasts: Duration) {
        self.inject(Fault::DiskFull, Some(node));
        let left = self.random.below(room);
        let disk = &self.members[node].disk;
        disk.set_capacity(Some(disk.used_bytes() + left));
        self.draw_struck(FaultKind::Disk, node, "its disk fills up");
        self.after(2 * lasts, Event::DiskFreed { node });
    }

    pub(super) fn on_disk_freed(&mut self, node: usize) {
        self.members[node].disk.set_capacity(None);
    }

    /// The newest snapshot of a member that is down rots, if its start can begin with another.
    fn rot_snapshot(&mut self, node: usize, lasts: Duration) {
        let seed = self.random.next();
        self.crash(node, Crash::Random(seed));
        self.after(lasts, Event::Restart { node });
        self.look_at_damaged_copies(node);
        let disk = self.members[node].disk.clone();
        let mut files = disk.list().unwrap_or_default();
        files.retain(|file| file.starts_with(SNAPSHOT_PREFIX) && !file.contains('.'));
        let [.., _, newest] = &files[..] else {
            return;
        };
        let bytes = disk.contents(newest).map_or(0, |bytes| bytes.len() as u64);
        if bytes == 0 {
            return;
        }
        let (offset, bit) = (self.random.below(bytes), self.random.below(8) as u8);
        disk.flip_bit(newest, offset, bit);
        let (settings, wall_ms) = (self.settings(node), self.wall_ms(node));
        // Without the older one, or the log since then, no start is possible: that is for a person.
        if Process::open(&disk.fork(), &settings, self.now, wall_ms).is_err() {
            disk.flip_bit(newest, offset, bit);
            return;
        }
        self.inject(Fault::SnapshotRot, Some(node));
        self.draw_struck(FaultKind::Disk, node, "a bit of its newest snapshot flips");
    }

    /// The disk is only allowed to fail when it was told to; the process goes with it. Without power so
    /// does all that was not durable; otherwise the page cache stays, with what it holds and never wrote.
    pub(super) fn disk_failed(&mut self, node: usize, error: &dyn std::error::Error) {
        if self.members[node].disk.power_is_off() {
            let seed = self.random.next();
            self.crash(node, Crash::Random(seed));
        } else {
            let words = error.to_string();
            assert!(words.contains(SIMULATED), "{words}");
            let is_sync = words.contains("cannot sync");
            sometimes!(self.tally, Rare::StoppedAfterFailedSync, is_sync);
            let is_full = words.contains("bytes are taken");
            sometimes!(self.tally, Rare::StoppedForWantOfRoom, is_full);
            let is_other = !is_sync && !is_full;
            sometimes!(self.tally, Rare::StoppedByItsDisk, is_other);
            self.note(|_| format!("n{} stops: {words}", node + 1));
            self.kill(node);
        }
        let pause = self.random.micros(1_000, 1_000_000);
        self.after(pause, Event::Restart { node });
    }
}

/// Whether something failed for want of room alone.
pub(super) fn is_full(error: &WalError) -> bool {
    matches!(error, WalError::Disk(disk) if disk.kind == ErrorKind::NoSpace)
}
