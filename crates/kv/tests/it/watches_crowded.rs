//! Streams whose queues are full together: what is large waits for room, what is small does not, and what waits in
//! memory is bounded, however many watch and however large a revision is.

use std::collections::BTreeMap;

use quorate_kv::{QueueLimits, StreamId, WatchHub, WatchMessage};

use crate::support::*;
use crate::watches::{Watched, from, watch, words};

const LIMITS: QueueLimits = QueueLimits {
    all_bytes: 1_000_000,
    stream_bytes: 100_000,
    stream_bytes_always: 4_000,
};

const STREAMS: usize = 50;

/// Of one revision that deletes all of them; more than are told as it happens.
const KEYS: usize = 1_500;

/// What a small answer takes: less than this.
const SMALL_BYTES: usize = 1_000;

fn crowded(member: Member) -> Watched {
    let hub = WatchHub::with_limits(member.store.revision(), LIMITS);
    let mut watched = Watched { member, hub };
    watched.member.store.want_events(true);
    watched
}

/// A store where the last revision deleted many keys, and streams that each watch a span of its own with all of these.
fn with_a_huge_deletion() -> (Watched, Vec<StreamId>) {
    let mut member = Member::default();
    let keys = (0..KEYS).map(|n| op(put(&format!("k{n:04}"), "value")));
    member.txn(all(keys)).unwrap();
    let mut watched = crowded(member);
    let streams: Vec<StreamId> = (0..STREAMS).map(|_| watched.open()).collect();
    for (n, stream) in streams.iter().enumerate() {
        watched.create(*stream, &watch("k", &format!("l{n:02}")));
        watched.hub.take(*stream, usize::MAX);
    }
    watched.delete("k", "l");
    (watched, streams)
}

/// The bytes of the events that wait first in the streams' queues: each copy once, by what it is made of.
fn bytes_waiting(hub: &WatchHub, streams: &[StreamId]) -> usize {
    let mut copies = BTreeMap::new();
    for stream in streams {
        if let Some(WatchMessage::Events { events, .. }) = hub.next_message(*stream) {
            for event in events.iter() {
                let previous = event.prev_kv().map_or(0, |kv| kv.value.len());
                let bytes = event.kv().key.len() + event.kv().value.len() + previous;
                let place = std::ptr::from_ref(event.as_ref());
                copies.insert(place, size_of_val(event.as_ref()) + bytes);
            }
        }
    }
    copies.values().sum()
}

fn is_whole(messages: &[WatchMessage]) -> bool {
    let [WatchMessage::Events { events, .. }] = messages else {
        return false;
    };
    let keys = events.iter().map(|event| event.key().to_vec());
    keys.eq((0..KEYS).map(|n| format!("k{n:04}").into_bytes()))
}

#[test]
fn a_huge_deletion_that_many_spans_hold_waits_in_memory_a_few_times_at_most() {
    let (mut watched, streams) = with_a_huge_deletion();
    let mut told = vec![0; STREAMS];
    let (mut most, mut one) = (0, 0);
    // Clients that read when nothing else happens any more.
    while told.iter().sum::<usize>() < STREAMS {
        let mut is_full = false;
        while watched.hub.catch_up(&watched.member.store, 100) {
            most = most.max(bytes_waiting(&watched.hub, &streams));
            is_full |= watched.hub.queued_bytes() >= LIMITS.all_bytes;
        }
        assert!(is_full || told.iter().sum::<usize>() > 0, "it is a crowd");
        let waits = |hub: &WatchHub, stream: &StreamId| hub.next_message(*stream).is_some();
        let first = streams
            .iter()
            .position(|stream| waits(&watched.hub, stream));
        let first = first.expect("somebody is told something");
        let (messages, bytes) = watched.hub.take_counted(streams[first], usize::MAX);
        assert!(is_whole(&messages), "all of a revision in one message");
        told[first] += 1;
        one = one.max(bytes);
    }
    assert_eq!(told, vec![1; STREAMS]);
    assert!(
        one * STREAMS > 10 * LIMITS.all_bytes,
        "it would be too much"
    );
    assert!(most < LIMITS.all_bytes + one, "{most} bytes");
    assert!(
        most > LIMITS.all_bytes / 2,
        "the room is used: {most} bytes"
    );
    assert_eq!(
        (watched.hub.behind_count(), watched.hub.queued_bytes()),
        (0, 0)
    );
    watched.put("k", "live again");
    for stream in &streams {
        assert_eq!(watched.told(*stream).len(), 1);
    }
}

/// What the hub counts never passes its limit by more than one revision and the little room of each stream.
#[test]
fn what_the_hub_counts_stays_within_its_limit() {
    let (mut watched, streams) = with_a_huge_deletion();
    let mut one = 0;
    for stream in streams.iter().cycle().take(STREAMS * 3) {
        loop {
            let goes_on = watched.hub.catch_up(&watched.member.store, 100);
            let queued = watched.hub.queued_bytes();
            let little = STREAMS * LIMITS.stream_bytes_always;
            let revision = KEYS * SMALL_BYTES;
            assert!(queued < LIMITS.all_bytes + little + revision, "{queued}");
            if !goes_on {
                break;
            }
        }
        one = one.max(watched.hub.take_counted(*stream, usize::MAX).1);
        watched.put("l", "small");
    }
    assert!(one < KEYS * SMALL_BYTES, "{one}");
}

#[test]
fn who_is_held_back_is_told_no_progress_can_be_cancelled_and_holds_up_no_other() {
    let (mut watched, streams) = with_a_huge_deletion();
    watched.catch_up();
    let waits = |hub: &WatchHub, stream: StreamId| hub.next_message(stream).is_some();
    let held_back: Vec<StreamId> = streams
        .iter()
        .copied()
        .filter(|stream| !waits(&watched.hub, *stream))
        .collect();
    assert!(held_back.len() > STREAMS / 2);
    let stream = held_back[0];
    // Another watcher of the stream is told as it happens, and one of the past too.
    watched.create(stream, &watch("a", ""));
    watched.create(stream, &from(3, watch("a", "b")));
    watched.put("a", "1");
    watched.hub.request_progress(stream);
    watched.catch_up();
    let messages = watched.hub.take(stream, usize::MAX);
    let mut told: Vec<String> = messages.iter().map(words).collect();
    told.sort();
    assert_eq!(told, ["1@3: created", "1@4: a4", "2@3: created", "2@4: a4"]);
    watched.cancel(stream, 0);
    let messages = watched.hub.take(stream, usize::MAX);
    assert_eq!(messages.len(), 1);
    assert_eq!(words(&messages[0]), "0@4: canceled");
    watched.hub.request_progress(stream);
    assert_eq!(watched.told(stream), ["all@4: progress"]);
    // One goes away altogether, and those who filled the queues too: the others have room.
    watched.hub.close_stream(held_back[1]);
    for stream in &streams {
        if waits(&watched.hub, *stream) {
            watched.hub.close_stream(*stream);
        }
    }
    let last = *held_back.last().unwrap();
    assert!(!waits(&watched.hub, last));
    for stream in &held_back[2..] {
        watched.catch_up();
        let messages = watched.hub.take(*stream, usize::MAX);
        assert!(is_whole(&messages), "{}", messages.len());
    }
    watched.catch_up();
    assert_eq!(
        (watched.hub.behind_count(), watched.hub.queued_bytes()),
        (0, 0)
    );
}

#[test]
fn a_large_event_waits_for_room_and_a_small_one_does_not() {
    let mut watched = crowded(Member::default());
    let reader = watched.open();
    watched.create(reader, &watch("k", "l"));
    watched.told(reader);
    let value = "v".repeat(LIMITS.stream_bytes);
    let mut lazy = Vec::new();
    while watched.hub.queued_bytes() < LIMITS.all_bytes {
        let stream = watched.open();
        watched.create(stream, &watch("x", ""));
        watched.hub.take(stream, usize::MAX);
        watched.put("x", &value);
        lazy.push(stream);
    }
    let full = watched.hub.queued_bytes();
    watched.put("k", "small");
    assert_eq!(watched.told(reader).len(), 1);
    watched.put("k", &value);
    watched.put("k", "small");
    assert_eq!(watched.told(reader), [] as [&str; 0], "in order");
    assert_eq!(watched.hub.queued_bytes(), full);
    for stream in lazy {
        watched.hub.close_stream(stream);
    }
    assert_eq!(watched.told(reader).len(), 2, "the large one, and the next");
    watched.put("k", "small");
    assert_eq!(watched.told(reader).len(), 1);
}

/// A revision of many events that very many spans hold is not noted with each of them: that alone would fill memory.
#[test]
fn a_revision_that_concerns_too_many_spans_is_read_from_the_history() {
    const SPANS: usize = 5_000;
    let mut watched = Watched::with_keys(&["a"]);
    let (stream, many) = (watched.open(), watched.open());
    for n in 0..SPANS {
        let stream = if n % 1_000 == 0 { stream } else { many };
        watched.create(stream, &watch("k", &format!("l{n:04}")));
    }
    watched.hub.take(stream, usize::MAX);
    let puts = (0..1_000).map(|n| op(put(&format!("k{n:03}"), "")));
    watched.member.txn(all(puts)).unwrap();
    watched.publish();
    assert_eq!(watched.hub.behind_count(), SPANS);
    watched.hub.close_stream(many);
    watched.put("k", "next");
    let mut told = BTreeMap::new();
    loop {
        watched.catch_up();
        let messages = watched.hub.take(stream, usize::MAX);
        if messages.is_empty() {
            break;
        }
        for message in &messages {
            let WatchMessage::Events {
                watch_id, events, ..
            } = message
            else {
                panic!("{message:?}")
            };
            *told.entry(*watch_id).or_insert(0) += events.len();
        }
    }
    assert_eq!(told.len(), SPANS / 1_000);
    assert!(told.values().all(|events| *events == 1_001));
}
