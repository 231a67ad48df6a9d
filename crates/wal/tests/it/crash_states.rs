//! Every legal crash state of short traces: up to eight unsynced operations, batches of one to
//! four records.

use quorate_disk::SimDisk;
use quorate_wal::{Batch, Options};

use crate::model::{History, State, check_recovery, entries_after, hard_state, small};

enum Step {
    Append(Batch),
    Sync,
}
use Step::{Append, Sync};

/// Runs the trace step by step on a log that already holds something, and after each step visits
/// every state that a crash could leave. Gives the number of states visited.
fn visit_all(segment_kib: u64, trace: Vec<Step>) -> usize {
    let disk = SimDisk::new();
    let options = Options {
        segment_bytes: segment_kib << 10,
        ..small()
    };
    let mut opened = quorate_wal::open(disk.clone(), options).unwrap();
    let mut history = History::new(State::new());
    for batch in [hard_state(1, 1), entries_after(0, 1, 2, 60)] {
        opened.writer.append(&batch).unwrap();
        history.push(&batch);
    }
    opened.writer.sync().unwrap();
    history.all_synced();
    let mut visited = 0;
    for step in trace {
        match step {
            Append(batch) => {
                opened.writer.append(&batch).unwrap();
                history.push(&batch);
            }
            Sync => {
                opened.writer.sync().unwrap();
                history.all_synced();
            }
        }
        assert!(
            disk.unsynced_operations() <= 8,
            "eight unsynced operations at most"
        );
        assert!(
            disk.crash_state_bound() <= 1 << 13,
            "{} states",
            disk.crash_state_bound()
        );
        for state in disk.crash_states() {
            check_recovery(&state, &history);
            visited += 1;
        }
    }
    visited
}

#[test]
fn eight_batches_of_one_record_are_recovered_rightly_from_every_crash() {
    let trace = (0..8)
        .map(|at| Append(entries_after(2 + at, 1, 1, 30)))
        .collect();
    let states: usize = (1..=8).map(|count| 1 << count).sum();
    assert_eq!(visit_all(32, trace), states);
}

#[test]
fn batches_of_one_to_four_records_are_recovered_rightly_from_every_crash() {
    let trace = vec![
        Append(entries_after(2, 1, 1, 150)),
        Append(entries_after(3, 1, 2, 150)),
        Append(entries_after(5, 1, 3, 150)),
        Append(entries_after(8, 2, 4, 150)),
        Append(entries_after(12, 2, 4, 100)),
        Append(entries_after(16, 2, 3, 100)),
        Append(entries_after(19, 3, 2, 100)),
        Append(entries_after(21, 3, 1, 100)),
    ];
    assert!(visit_all(32, trace) >= 1 << 11);
}

#[test]
fn records_that_span_sectors_are_recovered_rightly_from_every_crash() {
    let trace = vec![
        Append(entries_after(2, 1, 1, 1_000)),
        Append(entries_after(3, 1, 4, 300)),
        Append(entries_after(7, 1, 2, 700)),
        Append(entries_after(9, 1, 1, 10)),
    ];
    assert!(visit_all(32, trace) >= 1 << 10);
}

#[test]
fn changes_of_term_and_vote_are_recovered_rightly_from_every_crash() {
    let trace = vec![
        Append(hard_state(2, 0)),
        Append(hard_state(2, 3)),
        Append(Batch {
            entries: entries_after(2, 2, 2, 60).entries,
            ..hard_state(3, 1)
        }),
        Append(entries_after(4, 3, 1, 60)),
        Append(hard_state(4, 4)),
        Append(entries_after(5, 4, 1, 60)),
    ];
    assert!(visit_all(32, trace) >= 1 << 10);
}

#[test]
fn truncations_are_recovered_rightly_from_every_crash() {
    let trace = vec![
        Append(entries_after(2, 1, 4, 60)),
        Append(Batch {
            truncate_after: Some(4),
            ..entries_after(4, 2, 2, 60)
        }),
        Append(Batch {
            truncate_after: Some(1),
            ..Batch::default()
        }),
        Append(entries_after(1, 3, 3, 60)),
        Append(Batch {
            truncate_after: Some(3),
            ..hard_state(5, 5)
        }),
        Append(entries_after(3, 5, 1, 60)),
        Append(Batch {
            truncate_after: Some(0),
            ..entries_after(0, 6, 2, 60)
        }),
        Append(entries_after(2, 6, 2, 60)),
    ];
    assert!(visit_all(32, trace) >= 1 << 9);
}

#[test]
fn what_was_synced_in_between_survives_every_crash() {
    let trace = vec![
        Append(entries_after(2, 1, 1, 60)),
        Append(entries_after(3, 1, 2, 60)),
        Sync,
        Append(hard_state(2, 2)),
        Append(entries_after(5, 2, 3, 60)),
        Sync,
        Append(entries_after(8, 2, 4, 60)),
        Append(Batch {
            truncate_after: Some(9),
            ..entries_after(9, 3, 1, 60)
        }),
        Append(entries_after(10, 3, 1, 600)),
        Append(Batch::default()),
        Append(entries_after(11, 3, 1, 60)),
    ];
    assert!(visit_all(32, trace) >= 100);
}

#[test]
fn a_change_of_segments_is_recovered_rightly_from_every_crash() {
    // A segment of 8 KiB has room for eight sectors of batches.
    let trace = vec![
        Append(entries_after(2, 1, 3, 400)),
        Append(entries_after(5, 1, 2, 500)),
        Append(entries_after(7, 1, 2, 500)),
        Append(entries_after(9, 1, 2, 500)),
        Append(hard_state(3, 2)),
    ];
    assert!(visit_all(8, trace) >= 100);
}
