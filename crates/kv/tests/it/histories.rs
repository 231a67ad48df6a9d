//! What watchers are told: the events of the past and those that just happened, against the model.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use quorate_kv::{
    HistoryCursor, HistoryError, RevisionContent, RevisionEvents, SharedEvent, Store,
};
use quorate_proto::mvccpb::Event;

use crate::random::{World, action};
use crate::support::*;

fn protos(events: &[SharedEvent]) -> Vec<Event> {
    events.iter().map(|event| event.to_proto(true)).collect()
}

/// All events from `from` on, in steps, with the number of steps.
fn read_all(
    store: &Store,
    (key, range_end): (&str, &str),
    from: i64,
    versions_max: usize,
) -> Result<(Vec<Event>, usize), HistoryError> {
    let (key, range_end) = (bytes(key), bytes(range_end));
    let mut cursor = HistoryCursor::new(&key, &range_end, from, true);
    let (mut events, mut steps) = (Vec::new(), 0);
    loop {
        let step = store.read_history(&mut cursor, versions_max, usize::MAX)?;
        let found = protos(&step.events);
        let revision = |event: &Event| event.kv.as_ref().unwrap().mod_revision;
        assert!(
            found
                .last()
                .is_none_or(|e| revision(e) < cursor.next_revision())
        );
        assert!(
            events.last().is_none_or(|before| {
                found
                    .first()
                    .is_none_or(|event| revision(before) < revision(event))
            }),
            "a revision is given out whole"
        );
        events.extend(found);
        steps += 1;
        if step.is_over {
            assert_eq!(cursor.next_revision(), from.max(store.revision() + 1));
            return Ok((events, steps));
        }
    }
}

const SPANS: [(&str, &str); 6] = [
    ("\0", "\0"),
    ("001", ""),
    ("000, a key too long to be kept inline", ""),
    ("002", "007"),
    ("005", "\0"),
    ("009", "003"),
];

fn check_history(world: &World, versions_max: usize) {
    let (compacted, newest) = (world.model.compacted, world.model.revision);
    for span in SPANS {
        for from in 1..=newest + 2 {
            for store in [&world.whole, &world.pinned] {
                let found = read_all(store, span, from, versions_max);
                if from < compacted {
                    let compact_revision = compacted;
                    assert_eq!(found, Err(HistoryError::Compacted { compact_revision }));
                    continue;
                }
                let (key, range_end) = (span.0.as_bytes(), span.1.as_bytes());
                let expected = world.model.events((key, range_end), (from, newest), true);
                assert_eq!(found.unwrap().0, expected, "{span:?} from {from}");
            }
        }
    }
}

/// What was handed out as it happened is what the model tells of it.
fn check_live(world: &World, taken: VecDeque<RevisionEvents>, before: i64) {
    let revisions: Vec<i64> = taken.iter().map(|events| events.revision).collect();
    assert_eq!(revisions, Vec::from_iter(before + 1..=world.model.revision));
    for RevisionEvents { revision, content } in taken {
        let all = (b"\0".as_slice(), b"\0".as_slice());
        let expected = world.model.events(all, (revision, revision), true);
        let mut keys: Vec<_> = expected
            .iter()
            .map(|e| &e.kv.as_ref().unwrap().key)
            .collect();
        keys.sort();
        match content {
            RevisionContent::Events(events) => assert_eq!(protos(&events), expected),
            RevisionContent::InHistory {
                keys: Some((least, greatest)),
            } => {
                assert_eq!((keys[0], keys[keys.len() - 1]), (&least, &greatest));
                assert!(keys.windows(2).any(|two| two[0] == two[1]), "no reason");
            }
            RevisionContent::InHistory { keys: None } => panic!("wanted from the beginning"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_told_as_it_was(
        actions in vec(action(12), 1..60),
        versions_max in 1..20_usize,
    ) {
        let mut world = World::new();
        world.stepwise.want_events(true);
        for action in &actions {
            let before = world.model.revision;
            world.act(action);
            let taken = world.stepwise.take_events();
            check_live(&world, taken, before);
        }
        check_history(&world, versions_max);
    }
}

/// "delete event kv = key + mod_revision only."
#[test]
fn a_deletion_tells_its_key_and_its_revision() {
    let mut member = Member::with_keys(&["a"]);
    member.store.want_events(true);
    member.delete(delete("a", "")).unwrap();
    let events = member.store.take_events();
    let RevisionContent::Events(events) = &events[0].content else {
        panic!("{events:?}");
    };
    let (event, kv) = (&events[0], events[0].kv());
    assert!(event.is_delete());
    assert_eq!((&kv.key[..], kv.mod_revision), (&b"a"[..], 3));
    assert_eq!((kv.create_revision, kv.version, kv.value.len()), (0, 0, 0));
    assert_eq!(event.prev_kv().unwrap().value, "a");
    assert_eq!(event.to_proto(false).prev_kv, None);
    for with_previous in [false, true] {
        let length = prost::Message::encoded_len(&event.to_proto(with_previous));
        assert_eq!(event.encoded_len(with_previous), length);
    }
}

/// "prev_kv read at mod_revision-1 (absent for creations or if compacted)."
#[test]
fn the_version_before_is_told_until_its_revision_is_compacted() {
    let mut member = Member::with_keys(&["a", "b", "a", "a"]); // revisions 2 to 5
    let previous = |member: &Member| -> Vec<Option<i64>> {
        let (events, _) = read_all(&member.store, ("a", ""), 4, 10).unwrap();
        let previous = |event: &Event| event.prev_kv.as_ref().map(|kv| kv.mod_revision);
        events.iter().map(previous).collect()
    };
    assert_eq!(previous(&member), [Some(2), Some(4)]);
    member.compact(4).unwrap();
    assert_eq!(previous(&member), [None, Some(4)]);
    member.free();
    assert_eq!(previous(&member), [None, Some(4)]);
}

/// "The tombstone AT the compaction revision must be kept (bug 19179)."
#[test]
fn history_begins_with_what_happened_at_the_compacted_revision() {
    let mut member = Member::with_keys(&["a", "b"]);
    member.delete(delete("a", "")).unwrap(); // revision 4
    member.compact(4).unwrap();
    member.free();
    for span in [("a", ""), ("\0", "\0")] {
        let (events, _) = read_all(&member.store, span, 4, 1).unwrap();
        assert_eq!(events.len(), 1, "{span:?}");
        let refused = read_all(&member.store, span, 3, 1);
        let compact_revision = 4;
        assert_eq!(refused, Err(HistoryError::Compacted { compact_revision }));
    }
}

/// A step looks at a bounded number of changes and gives out a bounded number of bytes, but for one
/// revision that is larger.
#[test]
fn history_is_read_in_bounded_steps() {
    let mut member = Member::default();
    for n in 0..1000 {
        member
            .put(put(&format!("{:03}", n % 100), "value"))
            .unwrap();
    }
    for (span, least_steps) in [(("\0", "\0"), 100), (("050", "060"), 10), (("050", ""), 1)] {
        let (events, steps) = read_all(&member.store, span, 2, 10).unwrap();
        assert!(steps >= least_steps, "{} in {steps} steps", events.len());
    }
    let mut cursor = HistoryCursor::new(&bytes("\0"), &bytes("\0"), 2, false);
    let step = member.store.read_history(&mut cursor, 1000, 1).unwrap();
    assert_eq!((step.events.len(), cursor.next_revision()), (1, 3));
    let puts = (0..300).map(|n| op(put(&format!("{n:03}"), "all")));
    member.txn(all(puts)).unwrap();
    let mut cursor = HistoryCursor::new(&bytes("\0"), &bytes("\0"), 1002, false);
    let mut sizes = Vec::new();
    while sizes.last() != Some(&300) {
        let step = member.store.read_history(&mut cursor, 10, 1).unwrap();
        sizes.push(step.events.len());
    }
    assert!(sizes.len() >= 30 && sizes.iter().sum::<usize>() == 300);
}

/// A reader holds nothing: compaction overtakes it, and it is told from where there is history.
#[test]
fn compaction_overtakes_a_reader() {
    let mut member = Member::with_keys(&["a", "b", "c", "d"]); // revisions 2 to 5
    for span in ["", "\0"] {
        let mut member = Member::with_keys(&["a", "a", "a", "a"]);
        let mut cursor = HistoryCursor::new(&bytes("a"), &bytes(span), 2, false);
        let first = member.store.read_history(&mut cursor, 1, 1).unwrap();
        assert_eq!(first.events.len(), 1);
        let read_to = cursor.next_revision();
        member.compact(read_to).unwrap();
        member.free();
        let next = member.store.read_history(&mut cursor, 1, 1).unwrap();
        assert_eq!(next.events[0].revision(), read_to);
        member.compact(5).unwrap();
        let compact_revision = 5;
        assert_eq!(
            member.store.read_history(&mut cursor, 1, 1),
            Err(HistoryError::Compacted { compact_revision })
        );
    }
    let mut cursor = HistoryCursor::new(&bytes("a"), &bytes("z"), 6, false);
    let step = member.store.read_history(&mut cursor, 1, 1).unwrap();
    assert!(step.is_over && step.events.is_empty());
    member.put(put("e", "")).unwrap();
    let step = member.store.read_history(&mut cursor, 5, 1).unwrap();
    assert_eq!((step.is_over, step.events[0].revision()), (true, 6));
}

/// Nobody waits for events that nobody takes, and a revision too large is left to the history.
#[test]
fn what_is_handed_out_is_bounded() {
    let mut member = Member::default();
    member.put(put("a", "")).unwrap();
    assert_eq!(member.store.take_events(), []);
    member.store.want_events(true);
    member
        .txn(all((0..1001).map(|n| op(put(&format!("{n:04}"), "")))))
        .unwrap();
    let taken = member.store.take_events();
    let keys = Some((bytes("0000"), bytes("1000")));
    let revision = 3;
    let content = RevisionContent::InHistory { keys };
    assert_eq!(taken, [RevisionEvents { revision, content }]);
    for _ in 0..10_001 {
        member.put(put("a", "")).unwrap();
    }
    let taken = member.store.take_events();
    assert_eq!(taken.back().unwrap().revision, member.store.revision());
    assert!(
        taken.front().unwrap().revision > 4,
        "the oldest are missing"
    );
    member.put(put("a", "")).unwrap();
    member.store.want_events(false);
    member.put(put("a", "")).unwrap();
    assert_eq!(member.store.take_events(), []);
}

/// Wanted in the middle of a change, its events are left to the history, all of them.
#[test]
fn events_wanted_too_late_are_in_the_history() {
    use quorate_kv::{Answer, Step};
    let mut member = Member::with_keys(&["a", "b", "c"]);
    let mut application = member
        .store
        .begin(4, delete("a", "z").into(), Answer::Discard);
    assert!(matches!(
        member.store.advance(&mut application, 1),
        Step::More
    ));
    member.store.want_events(true);
    while matches!(member.store.advance(&mut application, 1), Step::More) {}
    let revision = 5;
    let content = RevisionContent::InHistory { keys: None };
    assert_eq!(
        member.store.take_events(),
        [RevisionEvents { revision, content }]
    );
}
