use quorate_raft::{Membership, NodeId};

use super::*;

fn damage(first: u64, last: u64, term: u64) -> Damaged {
    Damaged {
        first: LogIndex(first),
        last: LogIndex(last),
        least_term: Term(term),
        greatest_term: None,
    }
}

/// A log of entries 1 to 9, of terms 1 1 1 2 2 2 3 3 3.
fn log(damaged: Vec<Damaged>) -> Restored {
    Restored {
        last_index: LogIndex(9),
        term_runs: [(1, 1), (4, 2), (7, 3)]
            .map(|(index, term)| (LogIndex(index), Term(term)))
            .to_vec(),
        damaged,
        ..Restored::default()
    }
}

fn after_snapshot(damaged: Vec<Damaged>, index: u64, term: u64) -> Restored {
    let mut restored = log(damaged);
    let snapshot = SnapshotMeta {
        index: LogIndex(index),
        term: Term(term),
        membership: Membership::of_voters(vec![NodeId(1)]),
    };
    begin_after_covered(&mut restored, &snapshot);
    restored
}

fn runs(restored: &Restored) -> Vec<(u64, u64)> {
    let runs = restored.term_runs.iter();
    runs.map(|(index, term)| (index.0, term.0)).collect()
}

#[test]
fn damage_after_the_snapshot_leaves_the_log_as_it_is() {
    let damaged = vec![damage(6, 7, 2)];
    assert_eq!(after_snapshot(damaged.clone(), 5, 2), log(damaged));
}

#[test]
fn the_log_begins_after_damage_that_the_snapshot_covers() {
    let restored = after_snapshot(vec![damage(2, 2, 1), damage(8, 8, 3)], 5, 2);
    assert_eq!(restored.first_index, LogIndex(3));
    assert_eq!(runs(&restored), [(3, 1), (4, 2), (7, 3)]);
    assert_eq!(
        restored.damaged.len(),
        2,
        "the disk is repaired all the same"
    );
}

#[test]
fn damage_on_both_sides_of_the_snapshot_is_cut_in_two() {
    let restored = after_snapshot(vec![damage(5, 7, 1)], 6, 2);
    assert_eq!(restored.first_index, LogIndex(7));
    assert_eq!(runs(&restored), [(7, 3)]);
}

#[test]
fn what_is_damaged_after_the_snapshot_is_of_its_term_or_a_later_one() {
    let restored = after_snapshot(vec![damage(4, 5, 1), damage(6, 6, 1)], 4, 2);
    assert_eq!(runs(&restored), [(5, 2), (7, 3)]);
    let restored = after_snapshot(vec![damage(2, 5, 1)], 3, 2);
    assert_eq!(runs(&restored), [(4, 2), (7, 3)]);
}

/// A snapshot that does not fit is refused with the log as it is; nobody rewrites history for it.
#[test]
fn the_term_of_an_entry_that_can_be_read_is_never_raised() {
    let restored = after_snapshot(vec![damage(3, 4, 1)], 4, 3);
    assert_eq!(runs(&restored), [(5, 2), (7, 3)]);
    let restored = after_snapshot(vec![damage(3, 5, 1)], 4, 3);
    assert_eq!(runs(&restored), [(5, 3), (6, 2), (7, 3)]);
}
