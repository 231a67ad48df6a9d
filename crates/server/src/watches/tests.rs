use bytes::Bytes;
use quorate_kv::{Answer, Command, WatchMessage};
use quorate_proto::etcdserverpb::{PutRequest, WatchCreateRequest};

use super::*;

const INTERVAL: Duration = Duration::from_secs(600);

/// One step of the applier: a put of `value_bytes` bytes.
fn put(watches: &Watches, store: &mut Store, index: u64, value_bytes: usize) {
    store.want_events(watches.wants_events());
    let put = Command::Put(PutRequest {
        key: "k".into(),
        value: Bytes::from(vec![b'v'; value_bytes]),
        ..Default::default()
    });
    store.apply(index, &put, Answer::Wanted).expect("a put");
    watches.feed(store);
}

/// Opens a stream with a watcher of the key from `start_revision` on.
fn watch(watches: &Watches, store: &Store, start_revision: i64) -> (StreamId, Arc<Notify>) {
    let (id, bell) = watches.open(0, INTERVAL).expect("there is room");
    let create = WatchCreateRequest {
        key: "k".into(),
        start_revision,
        ..Default::default()
    };
    watches.with(|hub| hub.create(id, &create, store.revision()));
    (id, bell)
}

/// What the thread does once it has been fed.
fn drive(watches: &Watches, store: &Store) {
    watches.publish(watches.wait(Some(Duration::ZERO)));
    while watches.catch_up(store) != CaughtUp::Done {
        watches.publish_fed();
    }
}

/// The revisions of the events that a stream has been told of.
fn told(watches: &Watches, id: StreamId) -> Vec<i64> {
    let mut revisions = Vec::new();
    loop {
        let taken = watches.with(|hub| hub.take(id, usize::MAX));
        if taken.is_empty() {
            return revisions;
        }
        for message in taken {
            if let WatchMessage::Events { events, .. } = message {
                revisions.extend(events.iter().map(|event| event.revision()));
            }
        }
    }
}

#[test]
fn while_nobody_watches_nothing_is_fed() {
    let (watches, mut store) = (Watches::new(1), Store::default());
    put(&watches, &mut store, 1, 1);
    assert!(watches.lock_feed().is_empty());
    let (id, _) = watch(&watches, &store, 0);
    put(&watches, &mut store, 2, 1);
    assert!(!watches.lock_feed().is_empty());
    watches.close(id);
    assert!(!watches.wants_events());
}

#[test]
fn a_feed_that_grew_too_long_is_forgotten_and_read_from_the_history() {
    let (watches, mut store) = (Watches::new(1), Store::default());
    let (id, _) = watch(&watches, &store, 0);
    let large = WATCH_FEED_BYTES / 4;
    for index in 1..=7 {
        put(&watches, &mut store, index, large);
    }
    assert!(watches.lock_feed().bytes <= WATCH_FEED_BYTES);
    assert!(watches.lock_feed().revisions.len() < 7);
    let mut revisions = Vec::new();
    while revisions.len() < 7 {
        drive(&watches, &store);
        let more = told(&watches, id);
        assert!(!more.is_empty(), "after {revisions:?}");
        revisions.extend(more);
    }
    assert_eq!(revisions, [2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_watcher_goes_on_in_the_store_that_takes_the_place_of_its_own() {
    let (watches, mut store) = (Watches::new(1), Store::default());
    let (id, _) = watch(&watches, &store, 1);
    put(&watches, &mut store, 1, 1);
    drive(&watches, &store);
    assert_eq!(told(&watches, id), [2]);
    // What is in the feed is of the old store.
    put(&watches, &mut store, 2, 1);
    let mut other = Store::default();
    let unwatched = Watches::new(1);
    for index in 1..=4 {
        put(&unwatched, &mut other, index, 1);
    }
    watches.replaced(&other);
    put(&watches, &mut other, 5, 1);
    drive(&watches, &other);
    assert_eq!(told(&watches, id), [3, 4, 5, 6]);
}

/// The new store may go on, and a watcher look at it, before the thread hears that the old one was replaced.
#[test]
fn a_watcher_may_come_to_a_new_store_before_the_hub_hears_of_it() {
    let (watches, mut store) = (Watches::new(1), Store::default());
    put(&watches, &mut store, 1, 1);
    watches.replaced(&store);
    put(&watches, &mut store, 2, 1);
    watches.with(|hub| hub.publish(VecDeque::new(), store.revision()));
    let (id, _) = watch(&watches, &store, 0);
    drive(&watches, &store);
    put(&watches, &mut store, 3, 1);
    drive(&watches, &store);
    assert_eq!(told(&watches, id), [4]);
}

#[test]
fn who_holds_the_store_waits_neither_for_the_hub_nor_for_what_is_to_be_told() {
    let (watches, mut store) = (Watches::new(1), Store::default());
    put(&watches, &mut store, 1, 1);
    let (id, _) = watch(&watches, &store, 2);
    put(&watches, &mut store, 2, 1);
    let in_use = watches.with(|_| watches.catch_up(&store));
    assert_eq!(in_use, CaughtUp::NotNow, "somebody is at the hub");
    watches.replaced(&store);
    let not_known = watches.catch_up(&store);
    assert_eq!(not_known, CaughtUp::NotNow, "the hub knows another store");
    watches.publish_fed();
    put(&watches, &mut store, 3, 1);
    assert_eq!(
        watches.catch_up(&store),
        CaughtUp::Done,
        "and 3 is not told yet"
    );
    drive(&watches, &store);
    assert_eq!(told(&watches, id), [2, 3, 4], "each once");
}

#[tokio::test]
async fn a_stream_hears_its_bell_when_it_has_something_to_take_and_when_the_server_stops() {
    let (watches, mut store) = (Watches::new(1), Store::default());
    let (id, bell) = watch(&watches, &store, 0);
    bell.notified().await;
    assert!(told(&watches, id).is_empty(), "that it was created");
    put(&watches, &mut store, 1, 1);
    drive(&watches, &store);
    bell.notified().await;
    assert_eq!(told(&watches, id), [2]);
    watches.stop();
    bell.notified().await;
    assert!(watches.is_stopping());
}

#[test]
fn streams_have_a_limit() {
    let watches = Watches::new(1);
    let open = || watches.open(0, INTERVAL).map(|(id, _)| id);
    let ids: Vec<StreamId> = (0..WATCH_STREAMS).filter_map(|_| open()).collect();
    assert_eq!(ids.len(), WATCH_STREAMS);
    assert!(open().is_none());
    watches.close(ids[0]);
    watches.close(ids[0]);
    assert!(open().is_some());
    assert!(open().is_none(), "closing twice makes room once");
}

#[test]
fn whoever_is_behind_is_looked_after_when_another_goes_and_leaves_its_room() {
    let (watches, mut store) = (Watches::new(1), Store::default());
    let (other, _) = watch(&watches, &store, 0);
    put(&watches, &mut store, 1, 1);
    drive(&watches, &store);
    let (id, _) = watch(&watches, &store, 2);
    watches.wait(Some(Duration::ZERO));
    watches.close(other);
    assert!(watches.lock_feed().is_woken);
    drive(&watches, &store);
    assert_eq!(told(&watches, id), [2]);
    watches.wait(Some(Duration::ZERO));
    watches.close(id);
    assert!(!watches.lock_feed().is_woken, "nobody is behind");
}
