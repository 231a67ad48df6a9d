//! What the hub does for many watchers takes steps, each of them bounded, and between two of them anything may happen.

use std::collections::BTreeMap;

use quorate_kv::{
    DELIVERIES_PER_STEP, StreamId, WATCH_STREAM_QUEUE_BYTES_MAX, WatchHub, WatchMessage,
};
use quorate_proto::etcdserverpb::WatchCreateRequest;

use crate::support::*;
use crate::watches::{Watched, from, watch, words};

/// Watchers are told a part at a time; between the parts they come and go, and each is told once of what it
/// wants, all of a revision in one message.
#[test]
fn telling_many_takes_steps_and_misses_nobody() {
    const WATCHERS: i64 = 10;
    for (gone, told_before) in (0..WATCHERS).flat_map(|gone| (0..WATCHERS).map(move |n| (gone, n)))
    {
        let mut watched = Watched::with_keys(&["a"]);
        let stream = watched.open();
        for _ in 0..WATCHERS {
            watched.create(stream, &watch("a", "c"));
        }
        watched.hub.take(stream, usize::MAX);
        let puts = [op(put("a", "3")), op(put("b", "3"))];
        watched.member.txn(all(puts)).unwrap();
        watched.member.put(put("b", "4")).unwrap();
        let taken = watched.member.store.take_events();
        watched.hub.begin_publish(taken, 4);
        let mut told = Vec::new();
        while told.len() < told_before as usize {
            assert!(watched.hub.publish_step(1), "one step tells one, or none");
            let messages = watched.hub.take(stream, usize::MAX);
            assert!(messages.len() <= 1);
            told.extend(messages.iter().map(words));
        }
        watched.cancel(stream, gone);
        watched.create(stream, &from(3, watch("a", "c")));
        watched.create(stream, &from(4, watch("a", "c")));
        watched.create(stream, &watch("a", "c"));
        while watched.hub.publish_step(3) {}
        watched.put("a", "5");
        told.extend(watched.told(stream));
        let others = (0..WATCHERS).filter(|watch_id| *watch_id != gone);
        for watch_id in others {
            let own = format!("{watch_id}@");
            let own: Vec<&String> = told
                .iter()
                .filter(|words| words.starts_with(&own))
                .collect();
            let expected = ["3: a3 b3", "4: b4", "5: a5"].map(|w| format!("{watch_id}@{w}"));
            assert_eq!(own, expected.iter().collect::<Vec<_>>());
        }
        for (watch_id, expected) in [(10, "a3 b3 b4 a5"), (11, "b4 a5"), (12, "a5")] {
            let own = format!("{watch_id}@");
            let own = told.iter().filter(|words| words.starts_with(&own));
            let events = own.filter_map(|words| words.split_once(": "));
            let events: Vec<&str> = events.map(|(_, events)| events).collect();
            assert_eq!(events[1..].join(" "), expected);
        }
    }
}

/// However many watch, a step tells as many as it may and no more; sending them to the history too.
#[test]
fn a_step_of_telling_is_bounded() {
    let mut watched = Watched::with_keys(&[]);
    let stream = watched.open();
    for _ in 0..5000 {
        watched.create(stream, &watch("a", "c"));
    }
    watched.hub.take(stream, usize::MAX);
    watched.member.put(put("a", "2")).unwrap();
    watched.member.put(put("b", "3")).unwrap();
    let taken = watched.member.store.take_events();
    watched.hub.begin_publish(taken, 3);
    let (mut steps, mut told) = (1, 0);
    loop {
        let goes_on = watched.hub.publish_step(DELIVERIES_PER_STEP);
        let messages = watched.hub.take(stream, usize::MAX).len();
        assert!(messages <= DELIVERIES_PER_STEP);
        told += messages;
        if !goes_on {
            break;
        }
        steps += 1;
    }
    assert_eq!(told, 10_000);
    assert!(steps <= 10_000 / DELIVERIES_PER_STEP + 2, "{steps} steps");
    watched.member.put(put("a", "4")).unwrap();
    watched.hub.begin_publish(Default::default(), 4);
    let mut behind = 0;
    while watched.hub.publish_step(DELIVERIES_PER_STEP) {
        assert!(watched.hub.behind_count() - behind <= DELIVERIES_PER_STEP);
        behind = watched.hub.behind_count();
    }
    assert_eq!(
        (watched.hub.behind_count(), watched.hub.revision()),
        (5000, 4)
    );
}

/// A store that is replaced while a revision is being told: who was told is not told again.
#[test]
fn a_store_that_is_replaced_in_the_midst_of_telling_doubles_nothing() {
    let mut watched = Watched::with_keys(&["a"]);
    let stream = watched.open();
    for _ in 0..4 {
        watched.create(stream, &watch("a", ""));
    }
    watched.hub.take(stream, usize::MAX);
    watched.member.put(put("a", "3")).unwrap();
    let taken = watched.member.store.take_events();
    watched.hub.begin_publish(taken, 3);
    assert!(watched.hub.publish_step(4));
    watched.hub.store_replaced(3);
    assert!(watched.hub.behind_count() > 0, "some have yet to be told");
    let mut told = watched.told(stream);
    told.sort();
    assert_eq!(told, ["0@3: a3", "1@3: a3", "2@3: a3", "3@3: a3"]);
}

/// While a revision is being told a stream may have been told of it and the hub be at the one before: progress is
/// then told when the hub has come there, and a cancelled watcher hears no revision before its last event's.
#[test]
fn between_two_steps_no_answer_falls_back_behind_an_event() {
    let mut watched = Watched::with_keys(&["a"]);
    let (first, second) = (watched.open(), watched.open());
    for stream in [first, first, second] {
        watched.create(stream, &watch("a", ""));
    }
    for stream in [first, second] {
        watched.told(stream);
    }
    watched.member.put(put("a", "3")).unwrap();
    let taken = watched.member.store.take_events();
    watched.hub.begin_publish(taken, 3);
    while watched.hub.behind_count() == 0 && watched.told(first).is_empty() {
        assert!(watched.hub.publish_step(1));
    }
    assert_eq!(watched.hub.revision(), 2, "not all have been told");
    for stream in [first, second] {
        watched.hub.request_progress(stream);
    }
    watched.hub.cancel(first, 0, 2);
    assert_eq!(watched.told(first), ["0@3: canceled"], "and no progress");
    assert_eq!(
        watched.told(second),
        ["all@2: progress"],
        "before its event"
    );
    while watched.hub.publish_step(1) {}
    assert_eq!(watched.told(first), ["1@3: a3", "all@3: progress"]);
    assert_eq!(watched.told(second), ["0@3: a3"]);
}

/// History may tell a stream of more than the hub has heard of.
#[test]
fn progress_that_is_wanted_is_told_once_the_hub_is_where_history_was() {
    let mut watched = Watched::with_keys(&["a"]);
    let (stream, gone) = (watched.open(), watched.open());
    for stream in [stream, gone] {
        watched.create(stream, &from(2, watch("a", "")));
    }
    watched.member.put(put("a", "3")).unwrap();
    assert_eq!(watched.told(stream)[1..], ["0@3: a2 a3"]);
    watched.told(gone);
    for stream in [stream, stream, gone] {
        watched.hub.request_progress(stream);
    }
    watched.hub.close_stream(gone);
    assert_eq!(watched.told(stream), [] as [&str; 0]);
    watched.put("b", "4");
    assert_eq!(
        watched.told(stream),
        ["all@3: progress"],
        "asked for twice, told once"
    );
    watched.put("b", "5");
    assert_eq!(watched.told(stream), [] as [&str; 0]);
}

/// Of what is wanted the hub tells as many as a step may, and goes on before it tells more.
#[test]
fn many_who_want_progress_are_told_in_steps() {
    let mut watched = Watched::with_keys(&["a"]);
    let streams: Vec<StreamId> = (0..1000).map(|_| watched.open()).collect();
    for stream in &streams {
        watched.create(*stream, &from(2, watch("a", "")));
    }
    watched.member.put(put("a", "3")).unwrap();
    watched.catch_up();
    for stream in &streams {
        watched.hub.take(*stream, usize::MAX);
        watched.hub.request_progress(*stream);
    }
    watched.hub.take_woken();
    watched.hub.begin_publish(Default::default(), 3);
    let mut told = 0;
    loop {
        let goes_on = watched.hub.publish_step(100);
        let woken = watched.hub.take_woken();
        assert!(woken.len() <= 100, "{}", woken.len());
        told += woken.len();
        if !goes_on {
            break;
        }
    }
    assert_eq!(told, streams.len());
}

/// A store that takes the place of another sends all watchers to its history, in steps, whatever the hub was at.
#[test]
fn a_store_is_replaced_in_steps_whatever_was_being_told() {
    const WATCHERS: usize = 300;
    for steps_before in 0..90 {
        let mut watched = Watched::with_keys(&["a"]);
        let stream = watched.open();
        for number in 0..WATCHERS {
            // Of a hundred spans, so that telling a revision has stages.
            let end = format!("b{:02}", number % 100);
            watched.create(stream, &watch("a", &end));
        }
        watched.hub.take(stream, usize::MAX);
        for _ in 0..3 {
            watched.member.put(put("a", "v")).unwrap();
        }
        let taken = watched.member.store.take_events();
        watched.hub.begin_publish(taken, 5);
        for _ in 0..steps_before {
            watched.hub.publish_step(10);
        }
        let store = snapshot(&mut watched.member.store);
        watched.member.store = load(&store, 1000).unwrap();
        watched.member.store.want_events(true);
        watched.hub.begin_replace(5);
        let mut behind = watched.hub.behind_count();
        while watched.hub.publish_step(10) {
            let more = watched.hub.behind_count() - behind;
            assert!(more <= 10, "{more} in a step");
            behind += more;
        }
        watched.put("a", "last");
        let mut told: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        loop {
            watched.catch_up();
            let messages = watched.hub.take(stream, usize::MAX);
            if messages.is_empty() {
                break;
            }
            for message in messages {
                let WatchMessage::Events {
                    watch_id, events, ..
                } = message
                else {
                    panic!("{message:?}")
                };
                let revisions = events.iter().map(|event| event.revision());
                told.entry(watch_id).or_default().extend(revisions);
            }
        }
        assert_eq!(told.len(), WATCHERS);
        for told in told.into_values() {
            assert_eq!(told, [3, 4, 5, 6], "after {steps_before} steps");
        }
    }
}

/// Watchers who asked to be told of their progress now and then are told in steps, and no more than there is room
/// for.
#[test]
fn telling_many_of_their_progress_takes_steps() {
    const WATCHERS: usize = 50_000;
    let mut hub = WatchHub::new(1);
    let stream = hub.open_stream(0, 10);
    let request = WatchCreateRequest {
        progress_notify: true,
        ..watch("a", "")
    };
    for _ in 0..WATCHERS {
        hub.create(stream, &request, 1);
    }
    hub.take(stream, usize::MAX);
    let mut told = 0;
    while hub.tick_step(10, 100) {
        let messages = hub.take(stream, usize::MAX);
        assert!(messages.len() <= 100, "{}", messages.len());
        told += messages.len();
    }
    told += hub.take(stream, usize::MAX).len();
    assert_eq!(told, WATCHERS);
    // A client that does not read is not told without end.
    hub.tick(20);
    let queued = hub.queued_bytes();
    assert!(queued < WATCH_STREAM_QUEUE_BYTES_MAX + 1000, "{queued}");
    // It may close its stream in the midst of that.
    assert!(hub.tick_step(30, 100));
    hub.close_stream(stream);
    assert!(!hub.tick_step(30, 100));
    assert_eq!((hub.watcher_count(), hub.queued_bytes()), (0, 0));
}

#[test]
fn a_stream_with_many_watchers_is_closed_in_steps() {
    let mut watched = Watched::with_keys(&["a"]);
    let (stream, other) = (watched.open(), watched.open());
    for stream in [stream, stream, stream, other] {
        watched.create(stream, &watch("a", ""));
    }
    watched.told(other);
    assert!(watched.hub.close_step(stream, 2));
    assert_eq!(watched.hub.watcher_count(), 2);
    watched.put("a", "3");
    assert!(!watched.hub.close_step(stream, 2));
    assert!(
        !watched.hub.close_step(stream, 2),
        "closed again it stays closed"
    );
    assert_eq!(watched.told(other), ["0@3: a3"]);
    assert_eq!(watched.hub.watcher_count(), 1);
    assert_eq!(watched.hub.queued_bytes(), 0);
}
