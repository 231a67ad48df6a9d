use bytes::Bytes;

use super::*;

const START: (LogIndex, Term) = (LogIndex::ZERO, Term::ZERO);

/// An entry that counts 100 bytes.
fn entry(index: u64, term: u64) -> Entry {
    let payload = Payload::Command(Bytes::from(vec![0; 100 - ENTRY_OVERHEAD_BYTES]));
    Entry {
        index: LogIndex(index),
        term: Term(term),
        payload,
    }
}

/// A log that keeps 500 bytes in memory, with entries 1 to `last` of term 1, none written.
fn log(last: u64) -> Log {
    let terms = TermRuns::restore(START, Vec::new(), LogIndex::ZERO).unwrap();
    let mut log = Log::restore(terms, Gaps::default(), 500);
    for index in 1..=last {
        log.append(entry(index, 1));
    }
    log
}

fn write_all(log: &mut Log) {
    let (id, _) = log.disk.begin_write(log.last_index());
    log.disk.complete(id);
    log.evict();
}

fn indexes(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.index.0).collect()
}

#[test]
fn only_durable_entries_are_evicted() {
    let mut log = log(8);
    log.evict();
    assert_eq!(
        log.memory_bytes(),
        800,
        "nothing is durable, so nothing may go"
    );
    write_all(&mut log);
    assert_eq!(log.memory_bytes(), 500);
    assert_eq!(log.memory_first(), LogIndex(4));
    assert_eq!(log.term(LogIndex(1)), Term(1), "terms are known for ever");
}

#[test]
fn a_slice_is_bounded_by_bytes_but_never_empty() {
    let log = log(5);
    let slice = |max_bytes| log.slice(LogIndex(2), LogIndex(5), max_bytes).unwrap();
    assert_eq!(indexes(&slice(299).0), [2, 3]);
    assert_eq!(slice(300), (slice(usize::MAX).0[..3].to_vec(), 300));
    assert_eq!(indexes(&slice(1).0), [2]);
}

#[test]
fn a_slice_of_what_was_evicted_has_to_be_fetched() {
    let mut log = log(8);
    write_all(&mut log);
    assert_eq!(log.slice(LogIndex(2), LogIndex(8), 1000), None);
    log.fetch(LogIndex(2), LogIndex(8), 1000);
    let wishes = log.fetcher.end_ready(|_, _| true);
    assert_eq!(
        wishes,
        [Fetch {
            first: LogIndex(2),
            last: LogIndex(3),
            max_bytes: 1000
        }]
    );
    log.fetcher
        .arrived(LogIndex(2), vec![entry(2, 1), entry(3, 1)], &log.terms);
    assert_eq!(
        indexes(&log.slice(LogIndex(2), LogIndex(8), 1000).unwrap().0),
        [2, 3]
    );
}

#[test]
fn what_is_unwritten_follows_truncation() {
    let mut log = log(5);
    write_all(&mut log);
    log.append(entry(6, 1));
    assert_eq!(indexes(&log.unwritten()), [6]);
    log.truncate_after(LogIndex(3));
    assert!(log.unwritten().is_empty());
    log.append(entry(4, 2));
    assert_eq!(log.unwritten(), [entry(4, 2)]);
    assert_eq!((log.durable(), log.memory_bytes()), (LogIndex(3), 400));
}

#[test]
fn a_log_is_compared_by_last_term_and_then_by_length() {
    let mut log = log(5);
    log.append(entry(6, 3));
    let not_ahead = |index, term| log.is_not_ahead_of(LogIndex(index), Term(term));
    assert!(not_ahead(6, 3) && not_ahead(7, 3) && not_ahead(1, 4));
    assert!(!not_ahead(5, 3) && !not_ahead(9, 2));
}

#[test]
fn everything_of_a_restored_log_is_read_back() {
    let terms = TermRuns::restore(START, vec![(LogIndex(1), Term(1))], LogIndex(4)).unwrap();
    let mut log = Log::restore(terms, Gaps::default(), 500);
    assert_eq!(log.durable(), LogIndex(4));
    assert_eq!(log.slice(LogIndex(4), LogIndex(4), 1000), None);
    log.append(entry(5, 2));
    assert_eq!(
        indexes(&log.slice(LogIndex(5), LogIndex(5), 1000).unwrap().0),
        [5]
    );
}

#[test]
fn trap_13_what_is_released_is_no_longer_in_memory() {
    let mut log = log(8);
    write_all(&mut log);
    assert_eq!((log.memory_first(), log.memory_bytes()), (LogIndex(4), 500));
    log.release_before(LogIndex(3));
    assert_eq!((log.memory_first(), log.memory_bytes()), (LogIndex(4), 500));
    log.release_before(LogIndex(7));
    assert_eq!((log.memory_first(), log.memory_bytes()), (LogIndex(7), 200));
    assert_eq!(log.base(), (LogIndex(6), Term(1)));
    log.release_before(LogIndex(5));
    assert_eq!(log.first_index(), LogIndex(7), "what is gone stays gone");
    log.release_before(LogIndex(9));
    assert_eq!((log.memory_bytes(), log.last_index()), (0, LogIndex(8)));
    log.append(entry(9, 2));
    assert_eq!(
        indexes(&log.slice(LogIndex(9), LogIndex(9), 1).unwrap().0),
        [9]
    );
}

#[test]
fn a_log_that_goes_on_after_a_snapshot_holds_nothing_of_before() {
    let mut log = log(8);
    log.restart(LogIndex(2), (LogIndex(5), Term(3)));
    assert_eq!((log.memory_bytes(), log.last_index()), (0, LogIndex(5)));
    assert_eq!(log.last_term(), Term(3));
    log.append(entry(6, 3));
    assert_eq!(indexes(&log.unwritten()), [6]);
}

/// Found by a simulated world: a snapshot covered a damaged end of the log, and a refused Append had
/// to be answered with a hint.
#[test]
fn the_entry_before_the_log_is_known_even_if_it_is_damaged() {
    let base = (LogIndex(5), Term(3));
    let damaged = crate::Damaged {
        first: LogIndex(4),
        last: LogIndex(5),
        least_term: Term(2),
        greatest_term: Some(Term(4)),
    };
    let terms = TermRuns::restore(base, Vec::new(), LogIndex(5)).unwrap();
    let gaps = Gaps::restore(std::slice::from_ref(&damaged), LogIndex(5), Term(4)).unwrap();
    let log = Log::restore(terms, gaps, 500);
    assert_eq!(log.known_term(LogIndex(5)), Some(Term(3)));
    assert_eq!(log.last_known(LogIndex(5)), LogIndex(5));
    assert_eq!(log.next_known(LogIndex(5)), Some(base));
    assert!(log.is_not_ahead_of(LogIndex(5), Term(3)));
    assert!(!log.is_in_doubt());

    // And if the damage goes on after it.
    let damaged = crate::Damaged {
        last: LogIndex(7),
        ..damaged
    };
    let terms = TermRuns::restore(base, vec![(LogIndex(6), Term(3))], LogIndex(8)).unwrap();
    let gaps = Gaps::restore(&[damaged], LogIndex(8), Term(4)).unwrap();
    let log = Log::restore(terms, gaps, 500);
    assert_eq!(log.last_known(LogIndex(7)), LogIndex(5));
}
