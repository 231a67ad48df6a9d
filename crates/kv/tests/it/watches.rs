//! Watches, one rule of etcd's at a time.

use quorate_kv::{
    KEYS_PER_STEP, StreamId, WATCHERS_PER_STREAM_MAX, WatchHub, WatchMessage, WatchRefusal,
};
use quorate_proto::etcdserverpb::WatchCreateRequest;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;

use crate::support::*;

/// A member whose watchers are told of everything as soon as it is applied.
pub(crate) struct Watched {
    pub(crate) member: Member,
    pub(crate) hub: WatchHub,
}

const MINUTE_MS: u64 = 60_000;

impl Watched {
    pub(crate) fn with_keys(keys: &[&str]) -> Watched {
        let mut member = Member::with_keys(keys);
        member.store.want_events(true);
        let hub = WatchHub::new(member.store.revision());
        Watched { member, hub }
    }

    pub(crate) fn open(&mut self) -> StreamId {
        self.hub.open_stream(0, 10 * MINUTE_MS)
    }

    pub(crate) fn create(&mut self, stream: StreamId, request: &WatchCreateRequest) {
        let revision = self.member.store.revision();
        self.hub.create(stream, request, revision);
    }

    pub(crate) fn cancel(&mut self, stream: StreamId, watch_id: i64) {
        let revision = self.member.store.revision();
        self.hub.cancel(stream, watch_id, revision);
    }

    pub(crate) fn put(&mut self, key: &str, value: &str) {
        self.member.put(put(key, value)).unwrap();
        self.publish();
    }

    pub(crate) fn delete(&mut self, key: &str, range_end: &str) {
        self.member.delete(delete(key, range_end)).unwrap();
        self.publish();
    }

    pub(crate) fn publish(&mut self) {
        let taken = self.member.store.take_events();
        self.hub.publish(taken, self.member.store.revision());
    }

    pub(crate) fn catch_up(&mut self) {
        while self.hub.catch_up(&self.member.store, KEYS_PER_STEP) {}
    }

    /// All that a stream is told by now, in words.
    pub(crate) fn told(&mut self, stream: StreamId) -> Vec<String> {
        self.catch_up();
        let mut told = Vec::new();
        loop {
            let messages = self.hub.take(stream, usize::MAX);
            if messages.is_empty() {
                return told;
            }
            told.extend(messages.iter().map(words));
            self.catch_up();
        }
    }
}

pub(crate) fn watch(key: &str, range_end: &str) -> WatchCreateRequest {
    WatchCreateRequest {
        key: bytes(key),
        range_end: bytes(range_end),
        ..WatchCreateRequest::default()
    }
}

pub(crate) fn from(start_revision: i64, request: WatchCreateRequest) -> WatchCreateRequest {
    WatchCreateRequest {
        start_revision,
        ..request
    }
}

/// `id@revision: what`, and of each event its key and revision, with a minus for a deletion, and in
/// brackets what was there before.
pub(crate) fn words(message: &WatchMessage) -> String {
    match message {
        WatchMessage::Created { watch_id, revision } => format!("{watch_id}@{revision}: created"),
        WatchMessage::Refused { reason, revision } => format!("@{revision}: {reason}"),
        WatchMessage::Canceled { watch_id, revision } => format!("{watch_id}@{revision}: canceled"),
        WatchMessage::Compacted {
            watch_id,
            compact_revision,
        } => format!("{watch_id}: compacted to {compact_revision}"),
        WatchMessage::Progress { watch_id, revision } => match watch_id {
            Some(watch_id) => format!("{watch_id}@{revision}: progress"),
            None => format!("all@{revision}: progress"),
        },
        WatchMessage::Events {
            watch_id,
            revision,
            events,
            with_previous,
            ..
        } => {
            let mut words = format!("{watch_id}@{revision}:");
            for event in events.iter() {
                let key = String::from_utf8_lossy(event.key());
                let sign = if event.is_delete() { "-" } else { "" };
                words += &format!(" {sign}{key}{}", event.revision());
                if let Some(kv) = event.to_proto(*with_previous).prev_kv {
                    words += &format!("[{}]", kv.mod_revision);
                }
            }
            words
        }
    }
}

/// "create -> response created=true with watch_id (server assigns from 0 …) then events."
#[test]
fn watchers_are_numbered_from_0_and_told_what_they_watch() {
    let mut watched = Watched::with_keys(&["a"]);
    let stream = watched.open();
    watched.create(stream, &watch("a", ""));
    watched.create(stream, &watch("b", "d"));
    watched.create(stream, &watch("a", ""));
    watched.put("a", "1");
    watched.put("c", "1");
    watched.put("d", "1");
    watched.delete("\0", "\0");
    let expected = [
        "0@2: created",
        "1@2: created",
        "2@2: created",
        "0@3: a3",
        "2@3: a3",
        "1@4: c4",
        "0@6: -a6",
        "2@6: -a6",
        "1@6: -c6",
    ];
    assert_eq!(watched.told(stream), expected);
    assert_eq!(watched.told(stream), [] as [&str; 0]);
}

/// "Errors come as ONE response created=true, canceled=true, watch_id=-1."
#[test]
fn what_cannot_be_watched_is_refused_in_etcds_words() {
    let mut watched = Watched::with_keys(&["a"]);
    let stream = watched.open();
    let with_id = |watch_id, request| WatchCreateRequest {
        watch_id,
        ..request
    };
    watched.create(stream, &with_id(1, watch("a", "")));
    watched.create(stream, &with_id(1, watch("b", "")));
    watched.create(stream, &watch("b", "b"));
    watched.create(stream, &watch("b", "a"));
    watched.create(stream, &watch("b", ""));
    watched.create(stream, &watch("b", ""));
    watched
        .hub
        .refuse(stream, WatchRefusal::PermissionDenied, 2);
    let empty = "@2: mvcc: watcher range is empty";
    let expected = [
        "1@2: created",
        "@2: mvcc: duplicate watch ID provided on the WatchStream",
        empty,
        empty,
        "0@2: created",
        "2@2: created",
        "@2: etcdserver: permission denied",
    ];
    assert_eq!(watched.told(stream), expected);
    assert_eq!(watched.hub.watcher_count(), 3);
}

/// etcd 3.5 takes a start below zero for one that is compacted, though nothing ever was.
#[test]
fn a_start_below_zero_lies_before_all_history() {
    let mut watched = Watched::with_keys(&["a"]);
    let stream = watched.open();
    watched.create(stream, &from(-2, watch("a", "")));
    let expected = ["0@2: created", "0: compacted to -1"];
    assert_eq!(watched.told(stream), expected);
}

/// "empty key = "\0"."
#[test]
fn an_empty_key_is_the_first_one() {
    let mut watched = Watched::with_keys(&[]);
    let stream = watched.open();
    watched.create(stream, &watch("", "\0"));
    watched.create(stream, &watch("", ""));
    watched.put("a", "1");
    watched.put("\0", "1");
    let told = watched.told(stream);
    assert_eq!(told[2..], ["0@2: a2", "1@3: \x003", "0@3: \x003"]);
}

/// "start_revision 0 = from current+1; future revision allowed (no notification before it, bug 20221)."
#[test]
fn a_watcher_begins_where_it_says() {
    let mut watched = Watched::with_keys(&["a", "a", "b", "a"]); // revisions 2 to 5
    let stream = watched.open();
    for start in [1, 3, 5, 0, 6, 7] {
        watched.create(stream, &from(start, watch("a", "")));
    }
    let told = watched.told(stream);
    assert_eq!(told[6..], ["0@5: a2 a3 a5", "1@5: a3 a5", "2@5: a5"]);
    watched.hub.request_progress(stream);
    watched.put("a", "6");
    watched.hub.request_progress(stream);
    watched.put("a", "7");
    watched.hub.request_progress(stream);
    let mut told = watched.told(stream);
    told[..5].sort();
    let sixth = ["0@6: a6", "1@6: a6", "2@6: a6", "3@6: a6", "4@6: a6"];
    assert_eq!(told[..5], sixth);
    told[5..11].sort();
    let seventh = ["0", "1", "2", "3", "4", "5"].map(|id| format!("{id}@7: a7"));
    assert_eq!(told[5..11], seventh);
    assert_eq!(told[11..], ["all@7: progress"]);
}

/// "start < compacted -> created, then canceled=true + compact_revision=N (no cancel_reason,
/// header.revision 0)."
#[test]
fn a_watcher_of_what_is_compacted_is_told_where_history_begins() {
    let mut watched = Watched::with_keys(&["a", "a", "a"]);
    watched.member.compact(3).unwrap();
    let stream = watched.open();
    watched.create(stream, &from(2, watch("a", "")));
    watched.create(stream, &from(3, watch("a", "")));
    let expected = [
        "0@4: created",
        "1@4: created",
        "0: compacted to 3",
        "1@4: a3 a4",
    ];
    assert_eq!(watched.told(stream), expected);
    assert_eq!(watched.hub.watcher_count(), 1);
    // Its number is free again only for who asks for it by name.
    watched.create(stream, &watch("b", ""));
    assert_eq!(watched.told(stream), ["2@4: created"]);
}

/// "Cancel -> response canceled=true; unknown id -> silence."
#[test]
fn a_cancelled_watcher_is_told_nothing_more() {
    let mut watched = Watched::with_keys(&["a"]);
    let stream = watched.open();
    watched.create(stream, &watch("a", ""));
    watched.create(stream, &from(1, watch("a", "")));
    watched.put("a", "2");
    watched.cancel(stream, 0);
    watched.cancel(stream, 1);
    watched.cancel(stream, 7);
    watched.put("a", "3");
    let expected = [
        "0@2: created",
        "1@2: created",
        "0@3: a3",
        "0@3: canceled",
        "1@3: canceled",
    ];
    assert_eq!(watched.told(stream), expected);
    assert!(!watched.hub.wants_events());
    watched.create(stream, &from(4, watch("a", "")));
    assert_eq!(watched.told(stream), ["2@4: created", "2@4: a4"]);
}

/// "filters NOPUT/NODELETE", "prev_kv read at mod_revision-1".
#[test]
fn filters_and_previous_versions_are_each_watchers_own() {
    let mut watched = Watched::with_keys(&["a"]);
    let stream = watched.open();
    let filtered = |filters: &[FilterType]| WatchCreateRequest {
        filters: filters.iter().map(|filter| (*filter).into()).collect(),
        ..watch("a", "")
    };
    let previous = WatchCreateRequest {
        prev_kv: true,
        ..watch("a", "")
    };
    let both = [FilterType::Noput, FilterType::Nodelete];
    let requests = [
        filtered(&both[..1]),
        filtered(&both[1..]),
        filtered(&both),
        previous,
    ];
    for live in [true, false] {
        for request in &requests {
            let start = if live { 0 } else { 3 };
            watched.create(stream, &from(start, request.clone()));
        }
        if live {
            watched.put("a", "1");
            watched.delete("a", "");
            watched.put("a", "2");
        }
    }
    let mut told = watched.told(stream);
    told.retain(|words| !words.ends_with("created"));
    let live = [
        "1@3: a3",
        "3@3: a3[2]",
        "0@4: -a4",
        "3@4: -a4[3]",
        "1@5: a5",
        "3@5: a5",
    ];
    assert_eq!(told[..6], live);
    assert_eq!(
        told[6..],
        ["4@5: -a4", "5@5: a3 a5", "7@5: a3[2] -a4[3] a5"]
    );
}

/// "All events of one revision in one response."
#[test]
fn a_transaction_is_told_in_one_message() {
    let mut watched = Watched::with_keys(&["a", "b"]);
    let stream = watched.open();
    watched.create(stream, &watch("a", "z"));
    watched.create(stream, &from(4, watch("a", "z")));
    let ops = [op(put("c", "")), op(delete("a", "b")), op(put("b", ""))];
    watched.member.txn(all(ops)).unwrap();
    watched.create(stream, &from(4, watch("b", "z")));
    watched.publish();
    let told = watched.told(stream);
    assert_eq!(
        told[3..],
        ["0@4: c4 -a4 b4", "1@4: c4 -a4 b4", "2@4: c4 b4"]
    );
}

/// "explicit WatchProgressRequest answered with watch_id=-1 only when all watchers of the stream are
/// synced (else nothing). Must never be ahead of undelivered events (bug 15220)."
#[test]
fn progress_is_told_when_nothing_is_missing_and_after_what_was_told() {
    let mut watched = Watched::with_keys(&["a", "a"]);
    let stream = watched.open();
    watched.hub.request_progress(stream);
    assert_eq!(watched.told(stream), [] as [&str; 0]);
    watched.create(stream, &watch("a", ""));
    watched.hub.request_progress(stream);
    watched.create(stream, &from(2, watch("a", "")));
    watched.hub.request_progress(stream);
    watched.put("a", "4");
    watched.hub.request_progress(stream);
    watched.put("b", "5");
    watched.catch_up();
    watched.hub.request_progress(stream);
    let expected = [
        "0@3: created",
        "all@3: progress",
        "1@3: created",
        "0@4: a4",
        "1@5: a2 a3 a4",
        "all@5: progress",
    ];
    assert_eq!(watched.told(stream), expected);
    // What is applied but not published does not count.
    watched.member.put(put("c", "6")).unwrap();
    watched.hub.request_progress(stream);
    assert_eq!(watched.told(stream), ["all@5: progress"]);
}

/// "progress_notify default every 10 min + up to 10% jitter, elided if an event was sent."
#[test]
fn idle_watchers_are_told_of_their_progress_now_and_then() {
    let mut watched = Watched::with_keys(&["a"]);
    let stream = watched.hub.open_stream(5 * MINUTE_MS, 10 * MINUTE_MS);
    let notified = |request| WatchCreateRequest {
        progress_notify: true,
        ..request
    };
    watched.create(stream, &notified(watch("a", "")));
    watched.create(stream, &notified(watch("b", "")));
    watched.create(stream, &watch("b", ""));
    watched.create(stream, &notified(from(9, watch("b", ""))));
    watched.told(stream);
    assert_eq!(watched.hub.next_tick_ms(), Some(15 * MINUTE_MS));
    watched.hub.tick(15 * MINUTE_MS - 1);
    assert_eq!(watched.told(stream), [] as [&str; 0]);
    watched.hub.tick(15 * MINUTE_MS);
    assert_eq!(watched.told(stream), ["0@2: progress", "1@2: progress"]);
    watched.put("a", "3");
    watched.hub.tick(26 * MINUTE_MS);
    assert_eq!(watched.told(stream), ["0@3: a3", "1@3: progress"]);
    assert_eq!(watched.hub.next_tick_ms(), Some(36 * MINUTE_MS));
    watched.hub.tick(36 * MINUTE_MS);
    assert_eq!(watched.told(stream), ["0@3: progress", "1@3: progress"]);
    watched.hub.close_stream(stream);
    assert_eq!(watched.hub.next_tick_ms(), None);
}

#[test]
fn limits_are_refused_or_waited_for() {
    let mut watched = Watched::with_keys(&[]);
    let stream = watched.open();
    for _ in 0..WATCHERS_PER_STREAM_MAX {
        watched.create(stream, &watch("a", ""));
    }
    assert!(!watched.hub.has_room(stream), "the client must read first");
    watched.hub.take(stream, usize::MAX);
    assert!(watched.hub.has_room(stream));
    watched.create(stream, &watch("a", ""));
    assert_eq!(watched.told(stream), ["@1: etcdserver: too many requests"]);
    watched.hub.close_stream(stream);
    watched.hub.close_stream(stream);
    assert_eq!(watched.hub.watcher_count(), 0);
    watched.create(stream, &watch("a", ""));
    assert!(!watched.hub.has_room(stream) && watched.hub.take(stream, 1).is_empty());
    let next = watched.open();
    watched.create(next, &watch("a", ""));
    assert_eq!(watched.hub.take(stream, 1), []);
    assert_eq!(watched.told(next), ["0@1: created"]);
}

/// Who has something to take is named once, until it has taken.
#[test]
fn streams_are_woken_once() {
    let mut watched = Watched::with_keys(&[]);
    let (one, other) = (watched.open(), watched.open());
    watched.create(one, &watch("a", ""));
    watched.create(other, &watch("b", ""));
    assert_eq!(watched.hub.take_woken(), [one, other]);
    watched.put("a", "");
    assert_eq!(watched.hub.take_woken(), []);
    watched.told(one);
    watched.told(other);
    watched.put("a", "");
    watched.put("a", "");
    assert_eq!(watched.hub.take_woken(), [one]);
    assert_eq!(watched.hub.take(one, 1).len(), 1);
    assert_eq!(watched.hub.take_woken(), [one], "there is more");
    assert_eq!(watched.hub.take(one, usize::MAX).len(), 1);
    assert_eq!(watched.hub.take_woken(), []);
}
