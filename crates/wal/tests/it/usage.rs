//! How a log is used when nothing goes wrong.

use bytes::Bytes;
use quorate_disk::{Disk, Operation, SimDisk};
use quorate_wal::{
    Batch, BatchNumber, Entry, HardState, MAX_BATCH_BYTES, MAX_ENTRY_BYTES, Options, SnapshotMark,
    WalError,
};

use crate::model::History;
use crate::model::{
    IDENTITY, State, check_recovery, entries_after, entry, hard_state, observe, open, small,
};

#[test]
fn a_new_log_is_empty_and_begins_at_one() {
    let disk = SimDisk::new();
    let opened = open(&disk);
    let recovered = opened.recovered;
    assert!(recovered.is_new);
    assert_eq!((recovered.first_index, recovered.last_index), (1, 0));
    assert_eq!(recovered.hard_state, HardState::default());
    assert_eq!((recovered.snapshot, recovered.notes), (None, vec![]));
    drop(opened.writer);
    assert!(!open(&disk).recovered.is_new);
}

#[test]
fn what_was_synced_comes_back_after_a_crash() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut history = History::new(State::new());
    for batch in [
        hard_state(1, 1),
        entries_after(0, 1, 3, 20),
        Batch {
            truncate_after: Some(2),
            ..entries_after(2, 2, 2, 300)
        },
        Batch {
            snapshot: Some(SnapshotMark { index: 2, term: 1 }),
            ..Batch::default()
        },
    ] {
        opened.writer.append(&batch).unwrap();
        history.push(&batch);
    }
    assert_eq!(opened.writer.sync().unwrap(), BatchNumber(4));
    history.all_synced();
    disk.crash(quorate_disk::Crash::LoseUnsynced);
    check_recovery(&disk, &history);
}

#[test]
fn many_batches_are_made_durable_by_one_sync() {
    let disk = SimDisk::new();
    let mut writer = open(&disk).writer;
    let before = disk.count(Operation::Sync);
    for at in 0..5 {
        writer.append(&entries_after(at, 1, 1, 20)).unwrap();
    }
    assert_eq!(writer.sync().unwrap(), BatchNumber(5));
    assert_eq!(writer.sync().unwrap(), BatchNumber(5));
    assert_eq!(disk.count(Operation::Sync) - before, 1);
}

#[test]
fn the_last_batch_is_covered_once_and_only_when_it_says_something() {
    let disk = SimDisk::new();
    let mut writer = open(&disk).writer;
    assert!(!writer.needs_cover());
    writer.append(&entries_after(0, 1, 1, 20)).unwrap();
    writer.sync().unwrap();
    assert!(writer.needs_cover());
    writer.cover().unwrap();
    assert!(!writer.needs_cover());
    // Appended and never synced: covering syncs first.
    writer.append(&entries_after(1, 1, 1, 20)).unwrap();
    writer.cover().unwrap();
    assert!(!writer.needs_cover());
}

#[test]
fn a_read_gives_at_least_one_entry_and_stops_at_its_budget() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 1, 10, 100)).unwrap();
    opened
        .writer
        .append(&entries_after(10, 1, 10, 100))
        .unwrap();
    let indexes = |first, last, max_bytes| {
        let entries = opened.reader.read(first, last, max_bytes).unwrap();
        entries.iter().map(|entry| entry.index).collect::<Vec<_>>()
    };
    assert_eq!(indexes(3, 20, 0), [3]);
    assert_eq!(indexes(3, 20, 299), [3, 4]);
    assert_eq!(indexes(9, 12, 1 << 20), [9, 10, 11, 12]);
    assert_eq!(indexes(20, u64::MAX, 1 << 20), [20]);
    assert_eq!(opened.reader.read(5, 5, 1).unwrap(), [entry(5, 1, 100)]);
    let zero = opened.reader.read(0, 3, 1);
    assert_eq!(
        zero,
        Err(WalError::Compacted {
            wanted: 0,
            first_index: 1
        })
    );
    let beyond = opened.reader.read(21, 30, 1);
    assert_eq!(
        beyond,
        Err(WalError::BeyondEnd {
            wanted: 21,
            last_index: 20
        })
    );
}

#[test]
fn a_reader_sees_the_new_entries_after_a_truncation() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 1, 9, 100)).unwrap();
    opened
        .writer
        .append(&Batch {
            truncate_after: Some(4),
            ..entries_after(4, 2, 3, 50)
        })
        .unwrap();
    let terms: Vec<u64> = opened
        .reader
        .read(1, 9, 1 << 20)
        .unwrap()
        .iter()
        .map(|entry| entry.term)
        .collect();
    assert_eq!(terms, [1, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_of_its_own() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut history = History::new(State::new());
    for (count, bytes) in [(1, 50), (1, 1_600_000), (3, 9_000), (2, 50)] {
        let batch = entries_after(history.now().last(), 1, count, bytes);
        opened.writer.append(&batch).unwrap();
        history.push(&batch);
    }
    opened.writer.sync().unwrap();
    history.all_synced();
    disk.crash(quorate_disk::Crash::LoseUnsynced);
    check_recovery(&disk, &history);
    // Released, it is removed: it is of no use to others.
    let mut opened = open(&disk);
    let released = opened.writer.release(7).unwrap();
    assert_eq!(released.first_index, 8);
    let longest = disk
        .list()
        .unwrap()
        .iter()
        .map(|name| disk.contents(name).unwrap().len())
        .max();
    assert_eq!(longest, Some(8 << 10));
}

#[test]
fn what_is_over_a_limit_is_refused_and_changes_nothing() {
    let disk = SimDisk::new();
    let mut opened = quorate_wal::open(disk.clone(), Options::new(IDENTITY)).unwrap();
    let giant = |index, bytes| Entry {
        index,
        term: 1,
        kind: 0,
        data: Bytes::from(vec![0; bytes]),
    };
    let one = Batch {
        entries: vec![giant(1, MAX_ENTRY_BYTES + 1)],
        ..Batch::default()
    };
    let refused = opened.writer.append(&one).unwrap_err();
    assert!(
        matches!(refused, WalError::EntryTooLarge { index: 1, .. }),
        "{refused}"
    );
    let count = MAX_BATCH_BYTES / MAX_ENTRY_BYTES as u64;
    let entries = (1..=count)
        .map(|index| giant(index, MAX_ENTRY_BYTES))
        .collect();
    let refused = opened
        .writer
        .append(&Batch {
            entries,
            ..Batch::default()
        })
        .unwrap_err();
    assert!(
        matches!(refused, WalError::BatchTooLarge { .. }),
        "{refused}"
    );
    let gap = opened
        .writer
        .append(&entries_after(1, 1, 1, 10))
        .unwrap_err();
    assert!(matches!(gap, WalError::BadBatch { .. }), "{gap}");
    assert_eq!(
        opened.writer.append(&entries_after(0, 1, 1, 10)),
        Ok(BatchNumber(1))
    );
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for options in [
        Options {
            segment_bytes: 0,
            ..small()
        },
        Options {
            segment_bytes: 10_000,
            ..small()
        },
        Options {
            block_bytes: 100,
            ..small()
        },
        Options {
            max_spare_segments: 1_000_000,
            ..small()
        },
    ] {
        let refused = quorate_wal::open(SimDisk::new(), options).err();
        assert!(
            matches!(refused, Some(WalError::BadOptions { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_snapshot_ahead_of_the_log_voids_it_and_the_log_goes_on_after_it() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut history = History::new(State::new());
    for batch in [
        entries_after(0, 1, 5, 20),
        Batch {
            snapshot: Some(SnapshotMark {
                index: 100,
                term: 7,
            }),
            ..Batch::default()
        },
        entries_after(100, 7, 2, 20),
    ] {
        opened.writer.append(&batch).unwrap();
        history.push(&batch);
    }
    opened.writer.sync().unwrap();
    history.all_synced();
    let gone = opened.reader.read(5, 5, 1);
    assert_eq!(
        gone,
        Err(WalError::Compacted {
            wanted: 5,
            first_index: 101
        })
    );
    check_recovery(&disk, &history);
}

#[test]
fn writes_end_on_whole_blocks() {
    let disk = SimDisk::new();
    let options = Options {
        segment_bytes: 64 << 10,
        ..Options::new(IDENTITY)
    };
    let mut opened = quorate_wal::open(disk.clone(), options).unwrap();
    for at in 0..40 {
        opened.writer.append(&entries_after(at, 1, 1, 300)).unwrap();
    }
    opened.writer.sync().unwrap();
    drop(opened);
    disk.crash(quorate_disk::Crash::LoseUnsynced);
    let opened = quorate_wal::open(disk, options).unwrap();
    assert_eq!(observe(&opened.recovered, &opened.reader).last(), 40);
    // 40 batches of one sector each fill their 20 KiB, not 40 blocks.
    assert!(
        opened.recovered.bytes < 36 << 10,
        "{} bytes",
        opened.recovered.bytes
    );
}

#[test]
fn the_parts_can_go_to_different_threads() {
    fn goes_anywhere<T: Send + 'static>(_: &T) {}
    let opened = open(&SimDisk::new());
    goes_anywhere(&opened.writer);
    goes_anywhere(&opened.reader.clone());
    goes_anywhere(&opened.preparer);
}
