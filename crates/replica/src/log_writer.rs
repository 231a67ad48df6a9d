//! The log's writer: takes what consensus wants durable and makes it so, in groups.
//!
//! Everything that is queued becomes one group with one sync, however many proposals are in it;
//! the next group fills while this one syncs. Writes complete in the order of their ids. An
//! error is final: after a failed sync nothing may be believed of the page cache, so the process
//! has to stop (pitfall 20).

use chaos::chaos;
use quorate_disk::Disk;
use quorate_raft::limits::ENTRY_OVERHEAD_BYTES;
use quorate_raft::{Entry, LogIndex, Write, WriteId};
use quorate_wal::{Batch, WalError, Writer};

use crate::damage::{Repaired, Repairs};
use crate::entry_format::entry_parts;
use crate::limits::{MAX_LOG_BATCH_BYTES, SEGMENTS_RELEASED_AT_ONCE};

/// Writes groups to the write-ahead log.
pub struct LogWriter<D: Disk> {
    writer: Writer<D>,
    repairs: Repairs,
    /// The last index that consensus does not ask for any more, as its durable marks say.
    forgotten_to: LogIndex,
}

impl<D: Disk> LogWriter<D> {
    pub(crate) fn new(writer: Writer<D>) -> LogWriter<D> {
        LogWriter {
            writer,
            repairs: Repairs::default(),
            forgotten_to: LogIndex::ZERO,
        }
    }

    /// Makes all of `writes` durable with one sync; gives the id of the last.
    ///
    /// # Errors
    /// Any error is final for the process.
    pub fn write(&mut self, writes: Vec<Write>) -> Result<Option<WriteId>, WalError> {
        let Some(last) = writes.last().map(|write| write.id) else {
            return Ok(None);
        };
        let marks = writes.iter().filter_map(|write| write.snapshot);
        let release_before = marks.map(|mark| mark.release_before).max();
        for batch in into_batches(writes) {
            self.writer.append(&batch)?;
        }
        self.writer.sync()?;
        if chaos!("covered-at-once", 20) {
            self.writer.cover()?;
        }
        if let Some(first) = release_before {
            self.forgotten_to = self.forgotten_to.max(first.previous());
        }
        Ok(Some(last))
    }

    /// Writes entries back that were damaged, as other members have them, after every write that was
    /// asked for before; as far as all that is damaged in a file has come by now. Reads and writes
    /// a whole segment for each file.
    ///
    /// # Errors
    /// Any error is final for the process.
    pub fn repair(&mut self, entries: Vec<Entry>) -> Result<Repaired, WalError> {
        self.repairs.write_back(&mut self.writer, entries)
    }

    /// Lets go of some of the log up to this index, and says whether there may be more to let go
    /// of: then call it again, after whatever is urgent. That a snapshot was marked does not allow
    /// it yet; only that the files were verified does
    /// ([`Kept::release_up_to`](quorate_wal::snapshot::Kept)). What consensus may still ask for
    /// stays all the same. With 0 only that goes which an installed snapshot voided.
    ///
    /// # Errors
    /// Any error is final for the process.
    pub fn release(&mut self, up_to: u64) -> Result<bool, WalError> {
        if chaos!("release-put-off", 50) {
            return Ok(false);
        }
        let most = SEGMENTS_RELEASED_AT_ONCE;
        let released = self
            .writer
            .release_some(up_to.min(self.forgotten_to.0), most)?;
        Ok(released.recycled + released.removed >= most as usize)
    }

    /// Whether the last group is not yet named as durable by a later one: after a moment of
    /// quiet, call [`LogWriter::cover`].
    pub fn needs_cover(&self) -> bool {
        self.writer.needs_cover()
    }

    /// Writes one empty batch that names the last group as durable.
    ///
    /// # Errors
    /// Any error is final for the process.
    pub fn cover(&mut self) -> Result<(), WalError> {
        self.writer.cover()
    }

    /// Bytes of log on disk.
    pub fn log_bytes(&self) -> u64 {
        self.writer.log_bytes()
    }
}

/// Joins neighbouring writes into one batch wherever the order of their parts allows it (a
/// truncation must come after all entries written before it, and a batch truncates first; what
/// comes after a snapshot's mark must not be voided by it, and a batch marks last), and cuts at
/// [`MAX_LOG_BATCH_BYTES`].
fn into_batches(writes: Vec<Write>) -> Vec<Batch> {
    let mut batches = vec![Batch::default()];
    let mut batch_bytes = 0;
    let max_bytes = match chaos!("one-entry-a-batch", 50) {
        true => 1,
        false => MAX_LOG_BATCH_BYTES,
    };
    for write in writes {
        let mut batch = batches.pop().expect("there is always a last batch");
        if write.truncate_after.is_some()
            && !(batch.entries.is_empty() && batch.truncate_after.is_none())
        {
            batches.push(std::mem::take(&mut batch));
            batch_bytes = 0;
        }
        let cuts = write.truncate_after.is_some();
        let both = cuts && write.hard_state.is_some();
        if !(both && planted::bug("cut-lost-beside-a-vote")) {
            batch.truncate_after = write
                .truncate_after
                .map(|index| index.0)
                .or(batch.truncate_after);
        }
        let forgotten = cuts && planted::bug("vote-lost-beside-a-cut");
        if let Some(state) = write.hard_state.filter(|_| !forgotten) {
            let vote = state.vote.map_or(0, |vote| vote.0);
            batch.hard_state = Some(quorate_wal::HardState {
                term: state.term.0,
                vote,
                refilling: state.refilling,
            });
        }
        if let Some(mark) = write.snapshot {
            batch.snapshot = Some(quorate_wal::SnapshotMark {
                index: mark.index.0,
                term: mark.term.0,
            });
            batches.push(std::mem::take(&mut batch));
            batch_bytes = 0;
        }
        for entry in write.entries {
            let (kind, data) = entry_parts(entry.payload);
            let entry_bytes = data.len() + ENTRY_OVERHEAD_BYTES;
            batch_bytes += entry_bytes;
            if !batch.entries.is_empty() && batch_bytes > max_bytes {
                batch_bytes = entry_bytes;
                batches.push(std::mem::take(&mut batch));
            }
            let (index, term) = (entry.index.0, entry.term.0);
            batch.entries.push(quorate_wal::Entry {
                index,
                term,
                kind,
                data,
            });
        }
        batches.push(batch);
    }
    // After a mark that nothing follows.
    if batches.len() > 1 {
        batches.pop_if(|last| *last == Batch::default());
    }
    batches
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use quorate_raft::{HardState, LogIndex, NodeId, Payload, SnapshotMark, Term};

    use super::*;

    fn write(id: u64, truncate_after: Option<u64>, indexes: &[u64]) -> Write {
        Write {
            id: WriteId(id),
            hard_state: None,
            truncate_after: truncate_after.map(LogIndex),
            snapshot: None,
            entries: indexes
                .iter()
                .map(|index| Entry {
                    index: LogIndex(*index),
                    term: Term(1),
                    payload: Payload::Command(Bytes::from_static(b"x")),
                })
                .collect(),
        }
    }

    fn shape(batches: &[Batch]) -> Vec<(Option<u64>, Vec<u64>)> {
        batches
            .iter()
            .map(|b| {
                (
                    b.truncate_after,
                    b.entries.iter().map(|entry| entry.index).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn neighbouring_writes_become_one_batch() {
        let batches = into_batches(vec![write(1, None, &[5]), write(2, None, &[6, 7])]);
        assert_eq!(shape(&batches), [(None, vec![5, 6, 7])]);
    }

    #[test]
    fn a_truncation_starts_a_batch_of_its_own() {
        let writes = vec![
            write(1, None, &[5, 6]),
            write(2, Some(5), &[6]),
            write(3, None, &[7]),
        ];
        let batches = into_batches(writes);
        assert_eq!(shape(&batches), [(None, vec![5, 6]), (Some(5), vec![6, 7])]);
    }

    #[test]
    fn a_snapshot_mark_ends_a_batch_before_the_entries_that_follow_it() {
        let mut marked = write(2, Some(5), &[9]);
        marked.snapshot = Some(SnapshotMark {
            index: LogIndex(8),
            term: Term(1),
            release_before: LogIndex(9),
        });
        let batches = into_batches(vec![write(1, None, &[5, 6]), marked, write(3, None, &[10])]);
        let marks: Vec<_> = batches
            .iter()
            .map(|batch| batch.snapshot.map(|mark| mark.index))
            .collect();
        assert_eq!(
            shape(&batches),
            [(None, vec![5, 6]), (Some(5), vec![]), (None, vec![9, 10])]
        );
        assert_eq!(marks, [None, Some(8), None]);
    }

    #[test]
    fn a_mark_that_nothing_follows_ends_the_last_batch() {
        let mut marked = write(1, None, &[]);
        marked.snapshot = Some(SnapshotMark {
            index: LogIndex(8),
            term: Term(1),
            release_before: LogIndex(9),
        });
        let batches = into_batches(vec![write(1, None, &[8]), marked]);
        assert_eq!(shape(&batches), [(None, vec![8])]);
        assert_eq!(batches[0].snapshot.map(|mark| mark.index), Some(8));
    }

    #[test]
    fn a_batch_is_bounded_and_an_entry_is_never_split() {
        let mut big = write(1, None, &[1, 2, 3]);
        for entry in &mut big.entries {
            entry.payload = Payload::Command(Bytes::from(vec![0; MAX_LOG_BATCH_BYTES / 2 + 1]));
        }
        let batches = into_batches(vec![big, write(2, None, &[4])]);
        assert_eq!(
            shape(&batches),
            [(None, vec![1]), (None, vec![2]), (None, vec![3, 4])]
        );
    }

    #[test]
    fn the_latest_term_and_vote_win() {
        let mut first = write(1, None, &[]);
        first.hard_state = Some(HardState {
            term: Term(2),
            vote: None,
            refilling: false,
        });
        let mut second = write(2, None, &[]);
        second.hard_state = Some(HardState {
            term: Term(2),
            vote: Some(NodeId(3)),
            refilling: false,
        });
        let batches = into_batches(vec![first, second, write(3, None, &[1])]);
        assert_eq!(batches.len(), 1);
        assert_eq!(
            batches[0].hard_state,
            Some(quorate_wal::HardState {
                term: 2,
                vote: 3,
                refilling: false,
            })
        );
    }
}
