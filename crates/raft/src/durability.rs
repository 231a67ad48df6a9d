//! How much of the log is on this node's disk: which writes were asked for, which are done.
//!
//! Writes complete in the order of their ids, but the log may change while they are under way:
//! a new leader's entries replace a conflicting suffix that an earlier write is still carrying
//! to the disk. When that earlier write completes, it must not vouch for the entries that now
//! stand at those indexes. So each outstanding write remembers through which index it vouches
//! for the log *as it is now*, and a truncation lowers that for all of them.
//!
//! Invariants:
//! - `durable <= written <= last index of the log`. After a restart from a snapshot, `durable` is
//!   before the log's base until the write of the snapshot's mark is done.
//! - The disk, after every outstanding write, holds exactly the log through `written`, unless
//!   `void_after` says that it holds more, which the next write will void.

use std::collections::VecDeque;

use crate::types::{LogIndex, WriteId};

#[derive(Clone, Debug)]
pub(crate) struct Durability {
    /// The log through here is part of some write that was asked for.
    written: LogIndex,
    /// The log through here is on the disk.
    durable: LogIndex,
    /// What the next write must cut before it appends.
    void_after: Option<LogIndex>,
    /// Writes asked for and not done: id, and through where each vouches for the log.
    outstanding: VecDeque<(WriteId, LogIndex)>,
    last_id: WriteId,
    done_id: WriteId,
}

impl Durability {
    /// A disk that holds the log through `last`.
    pub(crate) fn new(last: LogIndex) -> Durability {
        Durability {
            written: last,
            durable: last,
            void_after: None,
            outstanding: VecDeque::new(),
            last_id: WriteId::ZERO,
            done_id: WriteId::ZERO,
        }
    }

    pub(crate) fn written(&self) -> LogIndex {
        self.written
    }

    pub(crate) fn durable(&self) -> LogIndex {
        self.durable
    }

    /// Whether the write with this id is done.
    pub(crate) fn is_done(&self, id: WriteId) -> bool {
        id <= self.done_id
    }

    /// Whether the disk has to be told something about a log that ends at `last`.
    pub(crate) fn is_behind(&self, last: LogIndex) -> bool {
        self.written < last || self.void_after.is_some()
    }

    /// Entries after `index` left the log.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        if index >= self.written {
            return; // They were never sent to the disk.
        }
        self.written = index;
        self.void_after = Some(index);
        self.durable = self.durable.min(index);
        for (_, vouched) in &mut self.outstanding {
            *vouched = (*vouched).min(index);
        }
    }

    /// The log is void and goes on after `base`: a snapshot takes the place of what came before.
    /// The next write carries the snapshot's mark; until it is done, the disk holds of this log no
    /// more than what was committed, `kept`. What was to be cut is cut before the mark: a disk that
    /// held the snapshot's last entry in a void suffix would else keep that suffix.
    pub(crate) fn restart(&mut self, kept: LogIndex, base: LogIndex) {
        assert!(
            kept < base,
            "restart after {base} of a log committed through {kept}"
        );
        self.durable = self.durable.min(kept);
        for (_, vouched) in &mut self.outstanding {
            *vouched = (*vouched).min(kept);
        }
        self.written = base;
    }

    /// Begins the write that brings the disk to a log that ends at `last`. Returns its id and
    /// what it must cut first.
    pub(crate) fn begin_write(&mut self, last: LogIndex) -> (WriteId, Option<LogIndex>) {
        assert!(
            last >= self.written,
            "write through {last} after {}",
            self.written
        );
        self.last_id = self.last_id.next();
        self.written = last;
        self.outstanding.push_back((self.last_id, last));
        (self.last_id, self.void_after.take())
    }

    /// The write `id` and all before it are done.
    pub(crate) fn complete(&mut self, id: WriteId) {
        assert!(
            id <= self.last_id,
            "write {id} completed, the last one begun is {}",
            self.last_id
        );
        self.done_id = self.done_id.max(id);
        while let Some((_, vouched)) = self.outstanding.pop_front_if(|(first, _)| *first <= id) {
            self.durable = self.durable.max(vouched);
        }
        assert!(self.durable <= self.written, "{self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_vouches_for_what_it_carried() {
        let mut disk = Durability::new(LogIndex(0));
        let (first, _) = disk.begin_write(LogIndex(3));
        let (second, _) = disk.begin_write(LogIndex(5));
        disk.complete(first);
        assert_eq!(disk.durable(), LogIndex(3));
        disk.complete(second);
        assert_eq!(disk.durable(), LogIndex(5));
    }

    #[test]
    fn a_completion_covers_all_writes_before_it() {
        let mut disk = Durability::new(LogIndex(0));
        disk.begin_write(LogIndex(3));
        let (second, _) = disk.begin_write(LogIndex(5));
        disk.complete(second);
        assert_eq!(disk.durable(), LogIndex(5));
    }

    #[test]
    fn a_write_never_vouches_for_entries_that_replaced_its_own() {
        // Entries 1..5 are on their way; 3..5 are replaced by others, then those by a third
        // lot of the same indexes.
        let mut disk = Durability::new(LogIndex(0));
        let (first, _) = disk.begin_write(LogIndex(5));
        disk.truncate_after(LogIndex(2));
        let (second, void) = disk.begin_write(LogIndex(5));
        assert_eq!(void, Some(LogIndex(2)));
        disk.truncate_after(LogIndex(3));
        let (third, void) = disk.begin_write(LogIndex(5));
        assert_eq!(void, Some(LogIndex(3)));
        disk.complete(first);
        assert_eq!(disk.durable(), LogIndex(2));
        disk.complete(second);
        assert_eq!(disk.durable(), LogIndex(3));
        disk.complete(third);
        assert_eq!(disk.durable(), LogIndex(5));
    }

    #[test]
    fn what_the_disk_never_saw_need_not_be_cut_there() {
        let mut disk = Durability::new(LogIndex(5));
        // The log grew to 9 and shrank to 6 between two writes.
        disk.truncate_after(LogIndex(6));
        assert_eq!(disk.begin_write(LogIndex(6)).1, None);
    }

    #[test]
    fn a_restarted_log_is_durable_with_the_write_that_says_so() {
        // 1..8 are on their way and committed through 4; a snapshot at 6 takes their place.
        let mut disk = Durability::new(LogIndex(2));
        let (first, _) = disk.begin_write(LogIndex(8));
        disk.restart(LogIndex(4), LogIndex(6));
        let (second, void) = disk.begin_write(LogIndex(7));
        assert_eq!(void, None, "the mark voids what is there");
        disk.complete(first);
        assert_eq!(disk.durable(), LogIndex(4));
        disk.complete(second);
        assert_eq!(disk.durable(), LogIndex(7));
    }

    #[test]
    fn a_cut_that_is_not_written_yet_comes_before_the_restart() {
        let mut disk = Durability::new(LogIndex(8));
        disk.truncate_after(LogIndex(5));
        disk.restart(LogIndex(5), LogIndex(6));
        assert_eq!(disk.begin_write(LogIndex(6)).1, Some(LogIndex(5)));
    }

    #[test]
    fn two_cuts_before_one_write_become_the_deeper_one() {
        let mut disk = Durability::new(LogIndex(9));
        disk.truncate_after(LogIndex(6));
        disk.truncate_after(LogIndex(7)); // Of entries that grew back meanwhile.
        disk.truncate_after(LogIndex(4));
        assert!(disk.is_behind(LogIndex(4)));
        assert_eq!(disk.begin_write(LogIndex(4)).1, Some(LogIndex(4)));
        assert_eq!(disk.durable(), LogIndex(4));
    }
}
