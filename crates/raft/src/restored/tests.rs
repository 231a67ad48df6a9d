use crate::membership::Membership;
use crate::types::NodeId;

use super::*;

/// A log of indexes 5 to 9, terms 2 2 3 3 3, beside a snapshot at `snapshot`.
fn restored(snapshot: (u64, u64)) -> Restored {
    Restored {
        hard_state: HardState {
            term: Term(3),
            vote: None,
        },
        snapshot: Some(SnapshotMeta {
            index: LogIndex(snapshot.0),
            term: Term(snapshot.1),
            membership: Membership::of_voters(vec![NodeId(1)]),
        }),
        first_index: LogIndex(5),
        last_index: LogIndex(9),
        term_runs: vec![(LogIndex(5), Term(2)), (LogIndex(7), Term(3))],
        applied: LogIndex(snapshot.0),
    }
}

#[test]
fn a_log_right_after_its_snapshot_has_it_as_base() {
    let terms = restored((4, 1)).into_terms().unwrap();
    assert_eq!(terms.base(), (LogIndex(4), Term(1)));
    let terms = restored((4, 2)).into_terms().unwrap();
    assert_eq!(terms.base(), (LogIndex(4), Term(2)));
}

#[test]
fn a_log_that_begins_before_its_snapshot_has_its_own_first_entry_as_base() {
    // Nobody remembers the term of entry 4.
    let terms = restored((7, 3)).into_terms().unwrap();
    assert_eq!(terms.base(), (LogIndex(5), Term(2)));
    assert_eq!(terms.term(LogIndex(6)), Some(Term(2)));
    assert_eq!(terms.last_index(), LogIndex(9));
}

#[test]
fn an_empty_log_goes_on_after_its_snapshot() {
    let mut restored = restored((4, 1));
    restored.last_index = LogIndex(4);
    restored.term_runs.clear();
    let terms = restored.into_terms().unwrap();
    assert_eq!(
        (terms.last_index(), terms.last_term()),
        (LogIndex(4), Term(1))
    );
}

#[test]
fn a_log_that_does_not_fit_its_snapshot_is_refused() {
    let refused = |restored: Restored| restored.into_terms().unwrap_err().to_string();
    assert!(refused(restored((3, 1))).contains("begins after"));
    assert!(refused(restored((7, 2))).contains("last entry"));
    assert!(refused(restored((10, 3))).contains("last entry"));
    assert!(
        refused(restored((4, 3))).contains("span"),
        "terms never fall"
    );
    let without = Restored {
        snapshot: None,
        ..restored((4, 1))
    };
    assert!(refused(without).contains("begins after"));
    let mut unapplied = restored((7, 3));
    unapplied.applied = LogIndex(6);
    assert!(refused(unapplied).contains("less is applied"));
}
