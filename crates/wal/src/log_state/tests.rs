//! The bookkeeping by index, without a disk.

use bytes::Bytes;

use super::*;
use crate::Entry;

fn filled() -> LogState {
    let mut log = LogState::new(0, 0);
    for (first, last, term, segment, offset) in [
        (1, 10, 1, 1, 4096),
        (11, 12, 2, 1, 5120),
        (13, 20, 2, 2, 4096),
        (21, 30, 3, 2, 50_000),
    ] {
        log.append(first, last, segment, offset);
        log.note_term(first, term);
    }
    log
}

fn entries(indexes: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
    indexes
        .map(|index| Entry {
            index,
            term,
            kind: 0,
            data: Bytes::new(),
        })
        .collect()
}

#[test]
fn points_are_sparse_and_lead_to_every_entry() {
    let log = filled();
    let firsts: Vec<u64> = log.points.iter().map(|point| point.first_index).collect();
    // Entry 11 lies within 32 KiB of entry 1 and needs no point.
    assert_eq!(firsts, [1, 13, 21]);
    assert_eq!(log.locate(12).0.first_index, 1);
    assert_eq!(log.locate(12).1.unwrap().first_index, 13);
    assert_eq!(log.locate(30).0.first_index, 21);
}

#[test]
fn a_truncation_moves_the_end_and_the_next_entry_gets_a_point() {
    let mut log = filled();
    log.truncate(15);
    assert_eq!((log.last_index, log.last_term()), (15, 2));
    log.append(16, 16, 2, 51_200);
    log.note_term(16, 4);
    assert_eq!(log.points.back().unwrap().first_index, 16);
    assert_eq!(log.term_at(15), Some(2));
    assert_eq!(log.term_at(16), Some(4));
}

#[test]
fn forgetting_a_segment_keeps_the_runs_of_what_is_left() {
    let mut log = filled();
    assert_eq!(log.first_index_after(1), 13);
    log.forget_through(1);
    assert_eq!((log.first_index, log.base_term), (13, 2));
    assert_eq!(log.term_runs, [(13, 2), (21, 3)]);
    log.forget_through(2);
    assert_eq!(
        (log.first_index, log.last_index, log.last_term()),
        (31, 30, 3)
    );
}

#[test]
fn a_snapshot_mark_that_the_log_agrees_with_keeps_it_and_another_voids_it() {
    let mut log = filled();
    let marked = |index, term| Batch {
        snapshot: Some(SnapshotMark { index, term }),
        ..Batch::default()
    };
    assert!(!log.restarts(&Batch::default()));
    assert!(!log.restarts(&marked(12, 2)));
    log.mark_snapshot(SnapshotMark { index: 12, term: 2 }, false);
    assert_eq!((log.first_index, log.last_index), (1, 30));
    assert!(log.restarts(&marked(20, 9)));
    assert!(log.restarts(&marked(31, 3)));
    assert!(!log.restarts(&Batch {
        entries: entries(31..=32, 3),
        ..marked(31, 3)
    }));
    assert!(log.restarts(&Batch {
        truncate_after: Some(19),
        ..marked(20, 2)
    }));
    log.mark_snapshot(SnapshotMark { index: 20, term: 9 }, true);
    assert_eq!(
        (log.first_index, log.last_index, log.last_term()),
        (21, 20, 9)
    );
    assert_eq!(
        log.check(&Batch {
            entries: entries(21..=22, 9),
            ..Batch::default()
        }),
        Ok(())
    );
}

#[test]
fn a_batch_that_does_not_continue_the_log_is_refused() {
    let mut log = filled();
    log.mark_snapshot(SnapshotMark { index: 12, term: 2 }, false);
    let refused = [
        Batch {
            entries: entries(30..=30, 3),
            ..Batch::default()
        },
        Batch {
            entries: entries(32..=32, 3),
            ..Batch::default()
        },
        Batch {
            entries: entries(31..=31, 2),
            ..Batch::default()
        },
        Batch {
            truncate_after: Some(11),
            ..Batch::default()
        },
        Batch {
            truncate_after: Some(20),
            entries: entries(22..=22, 3),
            ..Batch::default()
        },
        // Below the newest mark, and the log holds another entry there.
        Batch {
            snapshot: Some(SnapshotMark { index: 11, term: 9 }),
            ..Batch::default()
        },
        Batch {
            truncate_after: Some(11),
            snapshot: Some(SnapshotMark { index: 12, term: 2 }),
            ..Batch::default()
        },
    ];
    for batch in refused {
        assert!(log.check(&batch).is_err(), "{batch:?}");
    }
    let taken = [
        Batch {
            entries: entries(31..=33, 3),
            ..Batch::default()
        },
        Batch {
            truncate_after: Some(20),
            entries: entries(21..=21, 2),
            ..Batch::default()
        },
        Batch {
            snapshot: Some(SnapshotMark { index: 40, term: 5 }),
            ..Batch::default()
        },
        // After a start from an older snapshot than the newest.
        Batch {
            snapshot: Some(SnapshotMark { index: 11, term: 2 }),
            ..Batch::default()
        },
        Batch {
            truncate_after: Some(11),
            snapshot: Some(SnapshotMark { index: 25, term: 9 }),
            ..Batch::default()
        },
        Batch::default(),
    ];
    for batch in taken {
        assert_eq!(log.check(&batch), Ok(()), "{batch:?}");
    }
}

fn gap(first: u64, last: u64, term_limit: Option<u64>) -> Gap {
    Gap {
        first,
        last,
        term_limit,
        segment: 2,
        place: DamagedPlace {
            file: "00000000-0000000000000002.wal".to_owned(),
            offset: 4096,
            batch: 3,
            what: "its checksum is wrong".to_owned(),
        },
    }
}

/// Terms never fall, so the next entry that can be read bounds all that is damaged before it.
#[test]
fn gaps_side_by_side_are_bounded_by_what_can_be_read_after_the_last_of_them() {
    let mut log = LogState::new(0, 0);
    log.append(1, 4, 1, 4096);
    log.note_term(1, 1);
    log.lose(gap(5, 6, None));
    log.lose(gap(7, 8, None));
    let ranges =
        |log: &LogState| -> Vec<_> { log.gaps.iter().map(|gap| log.term_range(gap)).collect() };
    assert_eq!(ranges(&log), [(1, None), (1, None)], "nothing follows them");
    log.append(9, 9, 2, 8192);
    log.note_term(9, 2);
    assert_eq!(ranges(&log), [(1, Some(2)), (1, Some(2))]);
    log.gaps[1].term_limit = Some(1);
    assert_eq!(ranges(&log), [(1, Some(1)), (1, Some(1))]);
}
