//! Segments: prepared, filled, released, recycled.

use quorate_disk::{Crash, Disk, Operation, SimDisk};
use quorate_wal::Batch;
use quorate_wal::{HardState, Options, SnapshotMark, WalError};

use crate::model::{
    History, State, check_recovery, entries_after, hard_state, observe, open, small,
};

#[test]
fn entries_are_found_in_every_segment() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut history = History::new(State::new());
    for round in 1..=40 {
        let batch = entries_after(history.now().last(), round, 1 + round % 4, 350);
        opened.writer.append(&batch).unwrap();
        history.push(&batch);
    }
    opened.writer.sync().unwrap();
    history.all_synced();
    assert!(disk.list().unwrap().len() > 8);
    let all: Vec<_> = history.now().entries.values().cloned().collect();
    assert_eq!(opened.reader.read(1, u64::MAX, usize::MAX).unwrap(), all);
    let bytes = opened.writer.log_bytes();
    let reopened = open(&disk);
    // The new segment's header is all that came on top.
    assert_eq!(reopened.recovered.bytes, bytes + 4096);
    check_recovery(&disk, &history);
}

#[test]
fn a_prepared_segment_is_taken_and_the_writer_fills_no_zeros() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    assert!(opened.preparer.prepare().unwrap());
    assert!(!opened.preparer.prepare().unwrap());
    opened
        .writer
        .append(&entries_after(0, 1, 3, 1_000))
        .unwrap();
    let before = (disk.count(Operation::Create), disk.count(Operation::Write));
    opened
        .writer
        .append(&entries_after(3, 1, 3, 1_000))
        .unwrap();
    let after = (disk.count(Operation::Create), disk.count(Operation::Write));
    assert_eq!(
        (after.0 - before.0, after.1 - before.1),
        (0, 2),
        "a header and a batch"
    );
    assert!(opened.preparer.prepare().unwrap());
}

#[test]
fn a_prepared_segment_survives_a_restart() {
    let disk = SimDisk::new();
    let opened = open(&disk);
    opened.preparer.prepare().unwrap();
    disk.crash(Crash::LoseUnsynced);
    let created = disk.count(Operation::Create);
    drop(open(&disk));
    assert_eq!(disk.count(Operation::Create), created);
}

#[test]
fn release_lets_go_of_whole_segments_only_and_keeps_what_is_above() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut history = History::new(State::new());
    for _ in 0..5 {
        let batch = entries_after(history.now().last(), 1, 3, 1_000);
        opened.writer.append(&batch).unwrap();
        history.push(&batch);
    }
    opened.writer.sync().unwrap();
    history.all_synced();
    // Each segment holds three entries.
    assert_eq!(opened.writer.release(2).unwrap().first_index, 1);
    let released = opened.writer.release(11).unwrap();
    assert_eq!(
        (released.recycled, released.removed, released.first_index),
        (2, 1, 10)
    );
    history.released = 11;
    let gone = opened.reader.read(9, 9, 1);
    assert_eq!(
        gone,
        Err(WalError::Compacted {
            wanted: 9,
            first_index: 10
        })
    );
    assert_eq!(opened.reader.read(10, 15, usize::MAX).unwrap().len(), 6);
    disk.crash(Crash::LoseUnsynced);
    let opened = open(&disk);
    assert_eq!(opened.recovered.first_index, 10);
    assert_eq!(opened.recovered.term_runs, [(10, 1)]);
    check_recovery(&disk, &history);
}

#[test]
fn a_release_of_a_few_segments_at_a_time_comes_to_the_same() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for round in 0..6 {
        let batch = entries_after(3 * round, 1, 3, 1_000);
        opened.writer.append(&batch).unwrap();
    }
    let mut first_indexes = Vec::new();
    loop {
        let syncs = disk.count(Operation::SyncDirectory);
        let released = opened.writer.release_some(15, 2).unwrap();
        let gone = released.recycled + released.removed;
        assert_eq!(disk.count(Operation::SyncDirectory) - syncs, gone as u64);
        first_indexes.push(released.first_index);
        if gone < 2 {
            break;
        }
    }
    assert_eq!(first_indexes, [7, 13, 16]);
}

#[test]
fn releasing_everything_keeps_term_vote_snapshot_and_position() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mark = SnapshotMark { index: 9, term: 4 };
    for batch in [
        hard_state(4, 2),
        entries_after(0, 4, 9, 600),
        Batch {
            snapshot: Some(mark),
            ..Batch::default()
        },
    ] {
        opened.writer.append(&batch).unwrap();
    }
    opened.writer.sync().unwrap();
    drop(opened);
    let mut opened = open(&disk);
    assert_eq!(opened.writer.release(9).unwrap().first_index, 10);
    disk.crash(Crash::LoseUnsynced);
    let recovered = open(&disk).recovered;
    assert_eq!(
        recovered.hard_state,
        HardState {
            term: 4,
            vote: 2,
            refilling: false
        }
    );
    assert_eq!(recovered.snapshot, Some(mark));
    assert_eq!((recovered.first_index, recovered.last_index), (10, 9));
}

#[test]
fn spares_are_bounded() {
    let disk = SimDisk::new();
    let options = Options {
        max_spare_segments: 0,
        ..small()
    };
    let mut opened = quorate_wal::open(disk.clone(), options).unwrap();
    assert!(!opened.preparer.prepare().unwrap());
    for round in 0..6 {
        opened
            .writer
            .append(&entries_after(round * 3, 1, 3, 1_000))
            .unwrap();
    }
    let released = opened.writer.release(18).unwrap();
    assert_eq!((released.recycled, released.removed), (0, 5));
    assert_eq!(disk.list().unwrap().len(), 1);
}

#[test]
fn a_process_that_starts_over_and_over_leaves_no_trail() {
    let disk = SimDisk::new();
    let options = Options {
        segment_bytes: 64 << 10,
        ..small()
    };
    let open = || quorate_wal::open(disk.clone(), options).unwrap();
    let mut opened = open();
    opened.writer.append(&entries_after(0, 1, 1, 30)).unwrap();
    opened.writer.sync().unwrap();
    for _ in 0..50 {
        opened = open();
    }
    let names = disk.list().unwrap();
    assert_eq!(names.len(), 2);
    let sealed = disk.contents(&names[0]).unwrap();
    assert_eq!(
        sealed.len(),
        8 << 10,
        "the space beyond the last batch was given back"
    );
    assert_eq!(opened.recovered.last_index, 1);
}

#[test]
fn the_segment_size_may_change_between_starts() {
    let disk = SimDisk::new();
    let mut last = 0;
    for kib in [8, 32, 16, 8] {
        let options = Options {
            segment_bytes: kib << 10,
            ..small()
        };
        let mut opened = quorate_wal::open(disk.clone(), options).unwrap();
        assert_eq!(opened.recovered.last_index, last);
        opened.preparer.prepare().unwrap();
        opened
            .writer
            .append(&entries_after(last, 1, 5, 3_000))
            .unwrap();
        opened.writer.sync().unwrap();
        last += 5;
    }
    let opened = open(&disk);
    assert_eq!(observe(&opened.recovered, &opened.reader).entries.len(), 20);
}

#[test]
fn a_reader_that_is_overtaken_by_release_and_reuse_finds_the_entries_gone() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let reader = opened.reader.clone();
    let mut last = 0;
    for _ in 0..4 {
        opened
            .writer
            .append(&entries_after(last, 1, 3, 1_000))
            .unwrap();
        last += 3;
    }
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut first = 1;
            loop {
                match reader.read(first, u64::MAX, 2_000) {
                    Ok(entries) => {
                        let expected = entries_after(first - 1, 1, entries.len() as u64, 1_000);
                        assert_eq!(entries, expected.entries);
                        if first > 2_000 {
                            return;
                        }
                    }
                    Err(WalError::Compacted { first_index, .. }) => first = first_index,
                    Err(other) => panic!("{other}"),
                }
            }
        });
        while !reading.is_finished() {
            opened
                .writer
                .append(&entries_after(last, 1, 3, 1_000))
                .unwrap();
            last += 3;
            opened.writer.release(last - 6).unwrap();
        }
    });
}
