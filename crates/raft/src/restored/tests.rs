use crate::membership::Membership;
use crate::types::NodeId;

use super::*;

/// A log of indexes 5 to 9, terms 2 2 3 3 3, beside a snapshot at `snapshot`.
fn restored(snapshot: (u64, u64)) -> Restored {
    Restored {
        hard_state: HardState {
            term: Term(3),
            vote: None,
            refilling: false,
        },
        snapshot: Some(SnapshotMeta {
            index: LogIndex(snapshot.0),
            term: Term(snapshot.1),
            membership: Membership::of_voters(vec![NodeId(1)]),
        }),
        first_index: LogIndex(5),
        last_index: LogIndex(9),
        term_runs: vec![(LogIndex(5), Term(2)), (LogIndex(7), Term(3))],
        damaged: Vec::new(),
        memberships: Vec::new(),
        applied: LogIndex(snapshot.0),
        records: Vec::new(),
    }
}

fn terms_of(restored: Restored) -> TermRuns {
    restored.into_parts(Membership::default()).unwrap().1
}

#[test]
fn the_snapshots_membership_goes_on_with_those_after_it() {
    let of = |ids: &[u64]| Membership::of_voters(ids.iter().copied().map(NodeId).collect());
    let mut covered = restored((7, 3));
    covered.memberships = vec![(LogIndex(6), of(&[1, 2]))];
    let (memberships, _, _) = covered.into_parts(of(&[9])).unwrap();
    assert_eq!(
        (memberships.in_force(), memberships.in_force_index()),
        (&of(&[1]), LogIndex(7))
    );
    let mut later = restored((7, 3));
    later.memberships = vec![(LogIndex(6), of(&[1, 2])), (LogIndex(8), of(&[1, 3]))];
    let (memberships, _, _) = later.into_parts(of(&[9])).unwrap();
    assert_eq!(memberships.in_force(), &of(&[1, 3]));
}

#[test]
fn a_log_right_after_its_snapshot_has_it_as_base() {
    let terms = terms_of(restored((4, 1)));
    assert_eq!(terms.base(), (LogIndex(4), Term(1)));
    let terms = terms_of(restored((4, 2)));
    assert_eq!(terms.base(), (LogIndex(4), Term(2)));
}

#[test]
fn a_log_that_begins_before_its_snapshot_has_its_own_first_entry_as_base() {
    // Nobody remembers the term of entry 4.
    let terms = terms_of(restored((7, 3)));
    assert_eq!(terms.base(), (LogIndex(5), Term(2)));
    assert_eq!(terms.term(LogIndex(6)), Some(Term(2)));
    assert_eq!(terms.last_index(), LogIndex(9));
}

#[test]
fn an_empty_log_goes_on_after_its_snapshot() {
    let mut restored = restored((4, 1));
    restored.last_index = LogIndex(4);
    restored.term_runs.clear();
    let terms = terms_of(restored);
    assert_eq!(
        (terms.last_index(), terms.last_term()),
        (LogIndex(4), Term(1))
    );
}

#[test]
fn a_log_that_does_not_fit_its_snapshot_is_refused() {
    let refused = |restored: Restored| {
        restored
            .into_parts(Membership::default())
            .unwrap_err()
            .to_string()
    };
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
