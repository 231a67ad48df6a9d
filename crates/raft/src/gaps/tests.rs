use super::*;
use crate::types::Payload;

fn damaged(first: u64, last: u64, terms: (u64, u64)) -> Damaged {
    Damaged {
        first: LogIndex(first),
        last: LogIndex(last),
        least_term: Term(terms.0),
        greatest_term: Some(Term(terms.1)),
    }
}

/// Gaps 3 to 5 of term 2, and 8 to 9 of term 2 or 3, in a log of 10 entries.
fn sample() -> Gaps {
    let damaged = [damaged(3, 5, (2, 2)), damaged(8, 9, (2, 3))];
    Gaps::restore(&damaged, LogIndex(10), Term(4)).unwrap()
}

fn entries(indexes: RangeInclusive<u64>, term: u64) -> Vec<Entry> {
    let entry = |index| Entry {
        index: LogIndex(index),
        term: Term(term),
        payload: Payload::Empty,
    };
    indexes.map(entry).collect()
}

#[test]
fn every_index_knows_whether_it_is_damaged_and_of_what_term() {
    let gaps = sample();
    let terms = |index| gaps.at(LogIndex(index)).map(Gap::term);
    let expected = [
        (2, None),
        (3, Some(Some(Term(2)))),
        (5, Some(Some(Term(2)))),
    ];
    for (index, expected) in expected {
        assert_eq!(terms(index), expected, "{index}");
    }
    assert_eq!((terms(6), terms(8), terms(10)), (None, Some(None), None));
    assert_eq!(
        (
            gaps.next_damaged(LogIndex(1)),
            gaps.entries_after(LogIndex(0))
        ),
        (Some(LogIndex(3)), 5)
    );
    assert_eq!(gaps.next_damaged(LogIndex(4)), Some(LogIndex(4)));
    assert_eq!(gaps.next_damaged(LogIndex(6)), Some(LogIndex(8)));
    assert_eq!(gaps.next_unknown(LogIndex(4)), Some(LogIndex(8)));
    assert_eq!(gaps.next_damaged(LogIndex(10)), None);
}

#[test]
fn gaps_that_contradict_the_log_are_refused() {
    let restore = |damaged: &[Damaged]| Gaps::restore(damaged, LogIndex(10), Term(4)).is_ok();
    assert!(restore(&[damaged(3, 10, (1, 4))]));
    assert!(!restore(&[damaged(0, 3, (1, 1))]), "before the first");
    assert!(!restore(&[damaged(9, 11, (1, 1))]), "beyond its end");
    assert!(!restore(&[damaged(5, 4, (1, 1))]), "of no entry");
    assert!(!restore(&[damaged(3, 5, (1, 1)), damaged(5, 6, (1, 1))]));
    assert!(!restore(&[damaged(3, 5, (5, 6))]), "of a term to come");
}

#[test]
fn a_gap_is_filled_in_pieces_handed_out_once_and_gone_when_it_is_written() {
    let mut gaps = sample();
    assert!(!gaps.fill(&entries(4..=5, 2), Term::ZERO), "3 comes first");
    assert!(gaps.fill(&entries(3..=4, 2), Term::ZERO) && !gaps.has_found());
    assert!(
        gaps.fill(&entries(5..=7, 2), Term::ZERO),
        "and no more than is missing"
    );
    assert_eq!(gaps.take_found(), entries(3..=5, 2));
    assert!(gaps.take_found().is_empty());
    assert_eq!(
        gaps.wanted(LogIndex(0), 0).map(|gap| gap.first),
        Some(LogIndex(8))
    );
    assert!(gaps.repaired(&[LogIndex(3)..=LogIndex(9)]).is_empty());
    assert_eq!(
        gaps.repaired(&[LogIndex(8)..=LogIndex(9)]),
        entries(3..=5, 2)
    );
    assert_eq!(
        (
            gaps.next_damaged(LogIndex(1)),
            gaps.entries_after(LogIndex(0))
        ),
        (Some(LogIndex(8)), 2)
    );
}

#[test]
fn what_two_leaders_say_is_not_put_together() {
    let mut gaps = sample();
    assert!(gaps.fill(&entries(8..=8, 2), Term(5)));
    assert!(
        !gaps.fill(&entries(9..=9, 3), Term(6)),
        "another leader's second half"
    );
    assert!(gaps.fill(&entries(8..=9, 3), Term(6)));
    assert_eq!(gaps.take_found(), entries(8..=9, 3));
}

#[test]
fn what_could_not_be_written_is_wanted_again() {
    let mut gaps = sample();
    gaps.fill(&entries(3..=5, 2), Term::ZERO);
    gaps.take_found();
    gaps.repair_failed();
    assert_eq!(
        gaps.wanted(LogIndex(0), 0).map(Gap::next),
        Some(LogIndex(3))
    );
}

#[test]
fn what_leaves_the_log_is_missing_no_more() {
    let mut gaps = sample();
    gaps.truncate_after(LogIndex(8));
    assert_eq!(gaps.entries_after(LogIndex(0)), 4);
    gaps.truncate_after(LogIndex(2));
    assert_eq!(gaps.entries_after(LogIndex(0)), 0);
}

#[test]
fn what_a_snapshot_covers_is_asked_for_last() {
    let mut gaps = sample();
    let wanted = |gaps: &Gaps, turn| gaps.wanted(LogIndex(8), turn).map(|gap| gap.first.0);
    assert_eq!(
        (gaps.entries_after(LogIndex(8)), wanted(&gaps, 0)),
        (1, Some(8))
    );
    gaps.fill(&entries(8..=9, 2), Term::ZERO);
    assert_eq!((wanted(&gaps, 0), wanted(&gaps, 1)), (Some(3), Some(3)));
}

#[test]
fn what_was_found_is_handed_out_again_when_the_rest_is_cut() {
    let mut gaps = sample();
    gaps.fill(&entries(3..=5, 2), Term::ZERO);
    assert_eq!(gaps.take_found().len(), 3);
    gaps.truncate_after(LogIndex(7));
    assert_eq!(gaps.take_found().len(), 3, "its file may be complete now");
}
