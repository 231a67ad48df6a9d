//! Watchers that cannot be told as it happens, and go on from history.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test compares how long two things take"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use quorate_kv::{
    KEYS_PER_STEP, StreamId, WATCH_STREAM_QUEUE_BYTES_MAX, WATCHERS_PER_STREAM_MAX, WatchMessage,
};
use quorate_proto::etcdserverpb::WatchCreateRequest;

use crate::support::*;
use crate::watches::{Watched, from, watch};

/// "A slow watcher never slows a put: it falls back to reading history, with bounded memory."
#[test]
fn a_stream_that_is_not_read_falls_behind_and_goes_on_from_history() {
    let mut watched = Watched::with_keys(&[]);
    let (slow, fast) = (watched.open(), watched.open());
    for stream in [slow, fast] {
        watched.create(stream, &watch("a", ""));
        watched.create(stream, &watch("\0", "\0"));
    }
    let value = "v".repeat(10_000);
    let mut told = Vec::new();
    let room = WATCH_STREAM_QUEUE_BYTES_MAX + 100_000;
    for n in 0..1000 {
        watched.put(if n % 10 == 0 { "b" } else { "a" }, &value);
        watched.catch_up();
        told.extend(watched.told(fast));
        assert!(
            watched.hub.queued_bytes() < room,
            "{}",
            watched.hub.queued_bytes()
        );
    }
    assert_eq!(watched.hub.behind_count(), 2);
    assert!(
        told.iter().all(|words| words.split(' ').count() == 2),
        "live all the time"
    );
    let events = |told: &[String], id: &str| -> Vec<String> {
        let own = told.iter().filter(|words| words.starts_with(id));
        let events = own.flat_map(|words| words.split(' ').skip(1));
        events.map(str::to_owned).collect()
    };
    let late = watched.told(slow);
    assert_eq!(events(&late, "0@"), events(&told, "0@"));
    assert_eq!(events(&late, "1@"), events(&told, "1@"));
    assert_eq!(events(&late, "1@").len(), 1001);
    assert_eq!(
        (watched.hub.behind_count(), watched.hub.queued_bytes()),
        (0, 0)
    );
    watched.put("a", "live again");
    assert_eq!(watched.told(slow).len(), 2);
}

#[test]
fn compaction_overtakes_a_slow_stream() {
    let mut watched = Watched::with_keys(&[]);
    let stream = watched.open();
    watched.create(stream, &watch("a", ""));
    for _ in 0..1000 {
        watched.put("a", &"v".repeat(10_000));
    }
    watched.member.compact(1001).unwrap();
    watched.member.free();
    let told = watched.told(stream);
    assert!((100..500).contains(&told.len()), "{} messages", told.len());
    assert_eq!(told.last().unwrap(), "0: compacted to 1001");
}

/// "store replaced by a snapshot install: all watchers go on by history from their next revision or are
/// cancelled as compacted."
#[test]
fn watchers_go_on_when_the_store_is_replaced() {
    for compacted in [None, Some(6)] {
        let mut watched = Watched::with_keys(&["a"]);
        let stream = watched.open();
        watched.create(stream, &watch("a", ""));
        watched.create(stream, &from(2, watch("a", "c")));
        watched.create(stream, &from(6, watch("a", "")));
        watched.put("a", "3");
        let mut other = Member::with_keys(&["a", "a", "b", "a", "a"]); // revisions 2 to 6
        if let Some(revision) = compacted {
            other.compact(revision).unwrap();
        }
        watched.member.store = load(&snapshot(&mut other.store), 1000).unwrap();
        watched.member.index = other.index;
        watched.member.store.want_events(true);
        watched.hub.store_replaced(6);
        let mut told = watched.told(stream);
        told.drain(..3);
        told.sort();
        match compacted {
            None => assert_eq!(
                told,
                ["0@3: a3", "0@6: a5 a6", "1@6: a2 a3 b4 a5 a6", "2@6: a6"]
            ),
            Some(_) => assert_eq!(
                told,
                [
                    "0: compacted to 6",
                    "0@3: a3",
                    "1: compacted to 6",
                    "2@6: a6"
                ]
            ),
        }
        watched.put("a", "7");
        let mut told = watched.told(stream);
        told.sort();
        let all = ["0@7: a7", "1@7: a7", "2@7: a7"];
        assert_eq!(told, all[if compacted.is_some() { 2 } else { 0 }..]);
    }
}

/// A revision too large to be handed out is read from the history, by those whom it concerns.
#[test]
fn a_large_revision_reaches_its_watchers_in_one_message() {
    let mut watched = Watched::with_keys(&[]);
    let stream = watched.open();
    watched.create(stream, &watch("0500", ""));
    watched.create(stream, &watch("\0", "\0"));
    watched.create(stream, &watch("x", "\0"));
    watched.told(stream);
    let puts = (0..2000).map(|n| op(put(&format!("{n:04}"), "")));
    watched.member.txn(all(puts)).unwrap();
    watched.publish();
    assert_eq!(watched.hub.behind_count(), 2);
    watched.catch_up();
    let told = watched.hub.take(stream, usize::MAX);
    let counts: Vec<usize> = told
        .iter()
        .map(|message| match message {
            WatchMessage::Events { events, .. } => events.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [1, 2000]);
    assert_eq!(watched.hub.behind_count(), 0);
}

/// Nothing is collected while nobody watches, and nothing is missed by who comes then.
#[test]
fn a_watcher_that_comes_before_events_are_collected_misses_nothing() {
    let mut watched = Watched::with_keys(&["a"]);
    watched.member.store.want_events(watched.hub.wants_events());
    let stream = watched.open();
    watched.create(stream, &watch("a", ""));
    watched.put("a", "not collected");
    watched.member.store.want_events(watched.hub.wants_events());
    watched.put("a", "collected");
    assert_eq!(watched.told(stream), ["0@2: created", "0@4: a3 a4"]);
    watched.put("a", "live");
    assert_eq!(watched.told(stream), ["0@5: a5"]);
}

/// Those who fall behind together go on together: one reading, one copy.
#[test]
fn watchers_that_are_behind_at_one_place_share_what_is_read() {
    let mut watched = Watched::with_keys(&["a", "b", "a", "b"]);
    let streams: Vec<StreamId> = (0..3).map(|_| watched.open()).collect();
    for stream in &streams {
        for _ in 0..3 {
            watched.create(*stream, &from(2, watch("a", "c")));
        }
        watched.create(*stream, &from(3, watch("a", "c")));
    }
    watched.catch_up();
    let mut copies = Vec::new();
    for stream in streams {
        for message in watched.hub.take(stream, usize::MAX) {
            if let WatchMessage::Events { events, .. } = &message {
                assert!([3, 4].contains(&events.len()));
                copies.extend((events.len() == 4).then(|| Arc::as_ptr(&events[0])));
            }
        }
    }
    assert_eq!(copies.len(), 9);
    copies.dedup();
    assert!(
        copies.len() <= 3,
        "{} copies for nine watchers",
        copies.len()
    );
}

/// A client that leaves with all its watchers behind, or cancels them one by one, holds up the others no
/// longer than it did by creating them: what is slow on this machine is slow in both.
#[test]
fn watchers_that_are_behind_go_as_cheaply_as_they_came() {
    let mut watched = Watched::with_keys(&["a"]);
    let create_all = |watched: &mut Watched| {
        let stream = watched.open();
        let began = Instant::now();
        for _ in 0..WATCHERS_PER_STREAM_MAX {
            watched.create(stream, &from(1, watch("a", "")));
        }
        assert_eq!(watched.hub.behind_count(), WATCHERS_PER_STREAM_MAX);
        (stream, began.elapsed())
    };
    let (stream, coming) = create_all(&mut watched);
    let began = Instant::now();
    watched.hub.close_stream(stream);
    let going = began.elapsed();
    assert_eq!(watched.hub.behind_count(), 0);
    assert!(going < coming * 10, "{going:?} after {coming:?}");
    let (stream, coming) = create_all(&mut watched);
    let began = Instant::now();
    // The last one first: who searched for it would search them all.
    for watch_id in (0..WATCHERS_PER_STREAM_MAX as i64).rev() {
        watched.cancel(stream, watch_id);
    }
    let going = began.elapsed();
    assert_eq!(watched.hub.watcher_count(), 0);
    assert!(going < coming * 10, "{going:?} after {coming:?}");
}

/// A watcher's number can be used again while it was behind; the new one has its own turn.
#[test]
fn a_number_that_is_used_again_is_told_once() {
    let mut watched = Watched::with_keys(&["a", "a"]);
    let stream = watched.open();
    let named = |start, key| WatchCreateRequest {
        watch_id: 7,
        ..from(start, watch(key, ""))
    };
    watched.create(stream, &named(1, "a"));
    watched.cancel(stream, 7);
    watched.create(stream, &named(3, "a"));
    watched.cancel(stream, 7);
    watched.create(stream, &named(2, "a"));
    let told = watched.told(stream);
    assert_eq!(told[4..], ["7@3: created", "7@3: a2 a3"]);
}

/// The hub may hear of the revisions of the store that took the place of another before it hears that.
#[test]
fn a_store_that_was_replaced_may_have_gone_on_before_the_hub_is_told() {
    let mut watched = Watched::with_keys(&["a", "a"]);
    let stream = watched.open();
    watched.create(stream, &from(2, watch("a", "")));
    watched.cancel(stream, 0);
    // At revision 3 the store is replaced; then there is another revision, and a watcher comes.
    watched.put("a", "4");
    watched.create(stream, &watch("a", ""));
    watched.create(stream, &from(3, watch("a", "")));
    watched.hub.store_replaced(3);
    assert_eq!(watched.hub.revision(), 4);
    watched.put("a", "5");
    let mut told = watched.told(stream);
    told.drain(..4);
    told.sort();
    assert_eq!(told, ["1@5: a5", "2@5: a3 a4 a5"]);
}

/// A large revision is read once for all who watch the same, by one reader at a time; what that one holds
/// is counted; and neither other watchers nor a store that goes on meanwhile change that.
#[test]
fn a_large_revision_is_read_once_for_each_span() {
    const KEYS: usize = 2500;
    const STREAMS: usize = 30;
    let mut watched = Watched::with_keys(&[]);
    let puts = (0..KEYS).map(|n| op(put(&format!("b{n:04}"), "")));
    watched.member.txn(all(puts)).unwrap();
    watched.publish();
    let streams: Vec<StreamId> = (0..STREAMS).map(|_| watched.open()).collect();
    let previous = WatchCreateRequest {
        prev_kv: true,
        ..watch("a", "x")
    };
    for stream in &streams {
        for request in [&watch("a", "x"), &previous, &watch("b", "\0")] {
            watched.create(*stream, request);
        }
        watched.hub.take(*stream, usize::MAX);
    }
    watched.delete("b", "c");
    let large = watched.member.store.revision();
    assert_eq!(
        (watched.hub.behind_count(), watched.hub.queued_bytes()),
        (3 * STREAMS, 0)
    );
    let (mut steps, mut held_max, mut copies, mut told) = (0, 0, BTreeSet::new(), Vec::new());
    while told.len() < 3 * STREAMS {
        watched.hub.catch_up(&watched.member.store, KEYS_PER_STEP);
        steps += 1;
        assert!(steps < 3 * STREAMS, "each watcher reads for itself");
        if watched.hub.take_woken().is_empty() {
            held_max = held_max.max(watched.hub.queued_bytes());
        }
        watched.put("y", "");
        for (number, stream) in streams.iter().enumerate() {
            for message in watched.hub.take(*stream, usize::MAX) {
                if let WatchMessage::Events {
                    watch_id, events, ..
                } = &message
                    && events[0].revision() == large
                {
                    assert_eq!(events.len(), KEYS);
                    copies.insert(Arc::as_ptr(&events[0]) as usize);
                    told.push((number, *watch_id, message));
                }
            }
        }
    }
    assert_eq!(copies.len(), 3, "copies for three kinds of watchers");
    let one: usize = match &told[0].2 {
        WatchMessage::Events { events, .. } => events.iter().map(|e| e.memory_bytes()).sum(),
        other => panic!("{other:?}"),
    };
    assert!(held_max > one / 2, "{held_max} bytes of {one} are counted");
    assert!(held_max < one * 2, "{held_max} bytes are held of {one}");
    told.sort_by_key(|(number, watch_id, _)| (*number, *watch_id));
    told.dedup_by_key(|(number, watch_id, _)| (*number, *watch_id));
    assert_eq!(told.len(), 3 * STREAMS, "each is told once");
}

/// Who holds a part of a revision and goes takes that along: nothing stays counted, and the others read on.
#[test]
fn a_reader_that_goes_leaves_nothing_behind() {
    for closes in [true, false] {
        let mut watched = Watched::with_keys(&[]);
        let (first, second) = (watched.open(), watched.open());
        for stream in [first, second] {
            watched.create(stream, &watch("a", "z"));
            watched.hub.take(stream, usize::MAX);
        }
        let puts = (0..2000).map(|n| op(put(&format!("b{n:04}"), "")));
        watched.member.txn(all(puts)).unwrap();
        watched.publish();
        assert!(watched.hub.catch_up(&watched.member.store, 500));
        assert!(watched.hub.queued_bytes() > 0, "the first holds a part");
        match closes {
            true => watched.hub.close_stream(first),
            false => watched.cancel(first, 0),
        }
        watched.hub.take(first, usize::MAX);
        assert_eq!(watched.hub.queued_bytes(), 0);
        watched.catch_up();
        let told = watched.hub.take(second, usize::MAX);
        assert!(matches!(&told[..], [WatchMessage::Events { events, .. }] if events.len() == 2000));
        assert_eq!(
            (watched.hub.queued_bytes(), watched.hub.behind_count()),
            (0, 0)
        );
    }
}
