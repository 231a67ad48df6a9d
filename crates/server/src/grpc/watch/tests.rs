use bytes::Bytes;
use quorate_kv::{Answer, Command, Store, WatchHub};
use quorate_proto::etcdserverpb::PutRequest;

use super::*;
use crate::core::tests::without_threads;
use crate::limits::{WATCH_UNREAD_FOR, WATCH_UNSENT_BYTES};
use crate::watches::CaughtUp;

type Heard = mpsc::Receiver<Result<(WatchResponse, Ahead), Status>>;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A conversation on a core without threads, with a watcher of the key `k`; the client has asked for `asked` besides.
fn converse(core: &Arc<Core>, store: &Store, asked: Option<Asked>) -> Heard {
    converse_on(core, store, asked, ConnectionEnd::default())
}

/// The same on a connection.
fn converse_on(core: &Arc<Core>, store: &Store, asked: Option<Asked>, end: ConnectionEnd) -> Heard {
    let opened = core.watches.open(0, Duration::from_secs(600));
    let (id, bell) = opened.expect("there is room");
    let create = WatchCreateRequest {
        key: "k".into(),
        ..Default::default()
    };
    core.watches
        .with(|hub| create_in(hub, id, &create, store.revision()));
    let core = Arc::clone(core);
    let mut conversation = Conversation::new(Opened { core, id, bell }, None);
    conversation.asked = asked;
    let (answers, heard) = mpsc::channel(1);
    tokio::spawn(conversation.hold(answers, false, Some(end)));
    heard
}

/// One put, told to the hub.
fn put(core: &Core, store: &mut Store, index: u64, value_bytes: usize) {
    store.want_events(true);
    let put = Command::Put(PutRequest {
        key: "k".into(),
        value: Bytes::from(vec![b'v'; value_bytes]),
        ..Default::default()
    });
    store.apply(index, &put, Answer::Wanted).expect("a put");
    core.watches.feed(store);
    let fed = core.watches.wait(Some(Duration::ZERO));
    core.watches.publish(fed);
}

/// The next answer with an event, while watchers that are behind read on.
async fn hear_event(core: &Core, store: &Store, heard: &mut Heard) {
    let hear = hear(heard);
    tokio::pin!(hear);
    loop {
        while core.watches.catch_up(store) != CaughtUp::Done {}
        tokio::select! {
            response = &mut hear => return assert_eq!(response.events.len(), 1),
            () = sleep(FED_POLL) => {}
        }
    }
}

/// The next answer.
async fn hear(heard: &mut Heard) -> WatchResponse {
    let answer = timeout(PATIENCE, heard.recv()).await.expect("in time");
    let (response, _) = answer.expect("it goes on").expect("an answer");
    response
}

async fn hears_nothing(heard: &mut Heard) -> bool {
    let limit = Duration::from_millis(50);
    timeout(limit, heard.recv()).await.is_err()
}

/// Asks for a watcher of a key, or of a range, of `bytes` bytes; whether it is there.
fn create(hub: &mut WatchHub, id: StreamId, number: usize, bytes: usize, is_range: bool) -> bool {
    let mut key = vec![b'k'; bytes];
    key[..8].copy_from_slice(&number.to_be_bytes());
    let (key, range_end) = match is_range {
        true => {
            let end = key.split_off(bytes / 2);
            (key, [&[0xff; 8], &end[..]].concat())
        }
        false => (key, Vec::new()),
    };
    let request = WatchCreateRequest {
        key: Bytes::from(key),
        range_end: Bytes::from(range_end),
        ..Default::default()
    };
    create_in(hub, id, &request, 1);
    let taken = hub.take(id, usize::MAX);
    match &taken[..] {
        [WatchMessage::Created { .. }] => true,
        [WatchMessage::Refused { reason, .. }] => {
            assert_eq!(reason.to_string(), "etcdserver: too many requests");
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn watchers_of_long_keys_are_refused_when_all_keys_together_are_too_long() {
    const KEY_BYTES: usize = 1 << 20;
    for is_range in [false, true] {
        let mut hub = WatchHub::new(1);
        let id = hub.open_stream(0, 1);
        let mut created = 0;
        while create(&mut hub, id, created, KEY_BYTES, is_range) {
            created += 1;
            assert!(created * KEY_BYTES <= WATCHED_KEYS_BYTES, "{created}");
        }
        assert!(created >= WATCHED_KEYS_BYTES / KEY_BYTES - 1, "{created}");
        assert!(!create(&mut hub, id, created, KEY_BYTES, is_range));
        // One that goes makes room for one.
        hub.cancel(id, 0, 1);
        hub.take(id, usize::MAX);
        assert!(create(&mut hub, id, created, KEY_BYTES, is_range));
        assert!(!create(&mut hub, id, created + 1, KEY_BYTES, is_range));
        hub.close_stream(id);
        assert_eq!(hub.span_bytes(), 0);
    }
}

#[tokio::test]
async fn what_clients_do_not_read_is_not_taken_from_the_queues_beyond_the_limit() {
    const VALUE_BYTES: usize = 2 << 20;
    let (core, mut store) = (without_threads(), Store::default());
    let streams = 2 * WATCH_UNSENT_BYTES / VALUE_BYTES;
    let mut slow: Vec<Heard> = (0..streams)
        .map(|_| converse(&core, &store, None))
        .collect();
    for heard in &mut slow {
        assert!(hear(heard).await.created);
    }
    put(&core, &mut store, 1, VALUE_BYTES);
    let is_full = async {
        while core.watch_answers.has_room() {
            sleep(FED_POLL).await;
        }
    };
    timeout(PATIENCE, is_full).await.expect("all of it is used");
    // One more would have been taken by now by each that may.
    sleep(Duration::from_millis(50)).await;
    let used = core.watch_answers.used_bytes();
    assert!(used <= WATCH_UNSENT_BYTES + 2 * VALUE_BYTES, "{used}");
    // Small answers reach those who read.
    let mut reader = converse(&core, &store, None);
    assert!(hear(&mut reader).await.created);
    // Whoever reads makes room for the next one, until all have heard all.
    for heard in slow.iter_mut() {
        hear_event(&core, &store, heard).await;
    }
    drop((slow, reader));
    let is_empty = async {
        while core.watch_answers.used_bytes() > 0 || core.watches.stream_count() > 0 {
            sleep(FED_POLL).await;
        }
    };
    timeout(PATIENCE, is_empty)
        .await
        .expect("all is given back");
}

#[tokio::test]
async fn a_single_answer_larger_than_the_limit_is_told() {
    let (core, mut store) = (without_threads(), Store::default());
    let mut heard = converse(&core, &store, None);
    assert!(hear(&mut heard).await.created);
    put(&core, &mut store, 1, WATCH_UNSENT_BYTES + 1);
    hear_event(&core, &store, &mut heard).await;
}

#[tokio::test]
async fn a_large_answer_is_held_back_while_there_is_no_room_and_small_ones_are_not() {
    let (core, mut store) = (without_threads(), Store::default());
    let unsent = core.watch_answers.charge_always(WATCH_UNSENT_BYTES);
    let mut heard = converse(&core, &store, None);
    assert!(hear(&mut heard).await.created);
    put(&core, &mut store, 1, 1);
    put(&core, &mut store, 2, WATCH_ANSWERS_BYTES);
    assert_eq!(hear(&mut heard).await.events.len(), 1);
    assert!(hears_nothing(&mut heard).await);
    drop(unsent);
    assert_eq!(hear(&mut heard).await.events.len(), 1);
}

#[tokio::test]
async fn while_a_request_waits_answers_go_out_and_the_end_is_heard() {
    let (core, mut store) = (without_threads(), Store::default());
    let asked = Asked::Progress {
        // The hub does not come there.
        revision: Some(100),
        asked_at: Instant::now() + PATIENCE,
    };
    let mut heard = converse(&core, &store, Some(asked));
    assert!(hear(&mut heard).await.created);
    put(&core, &mut store, 1, 1);
    assert_eq!(hear(&mut heard).await.events.len(), 1);
    core.watches.stop();
    let end = timeout(WATCHES_FED_WITHIN, heard.recv()).await;
    let end = end.expect("at once").expect("the end");
    assert!(end.is_err_and(|end| end.code() == tonic::Code::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_when_the_hub_is_there_or_when_its_time_is_over() {
    let (core, store) = (without_threads(), Store::default());
    for (revision, time) in [(1, Duration::ZERO), (100, WATCHES_FED_WITHIN)] {
        let asked_at = Instant::now();
        let revision = Some(revision);
        let asked = Asked::Progress { revision, asked_at };
        let mut heard = converse(&core, &store, Some(asked));
        assert!(hear(&mut heard).await.created);
        let progress = hear(&mut heard).await;
        assert_eq!((progress.watch_id, progress.events.len()), (-1, 0));
        assert!(asked_at.elapsed() >= time && asked_at.elapsed() < time + FED_POLL * 2);
    }
}

/// What waits in the channel is what HTTP/2 has not taken of a client that does not read.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_ends_when_others_wait_and_its_connection_with_it() {
    let (core, mut store) = (without_threads(), Store::default());
    let end = ConnectionEnd::default();
    let mut heard = converse_on(&core, &store, None, end.clone());
    assert!(hear(&mut heard).await.created);
    put(&core, &mut store, 1, WATCH_ANSWERS_BYTES);
    put(&core, &mut store, 2, WATCH_ANSWERS_BYTES);
    let there_is_room = timeout(20 * WATCH_UNREAD_FOR, end.wanted()).await;
    assert!(there_is_room.is_err(), "nobody waits for what it holds");
    let began = Instant::now();
    let others = core.watch_answers.charge_always(WATCH_UNSENT_BYTES);
    let is_over = timeout(WATCH_UNREAD_FOR, end.wanted()).await;
    is_over.expect("its time was over long ago");
    assert!(began.elapsed() <= OVERDUE_LOOKED_FOR_EVERY + 3 * SHUTDOWN_GRACE);
    assert_eq!(core.watches.stream_count(), 0);
    assert!(
        core.metrics
            .encode(&core)
            .contains("quorate_watch_streams_unread_total 1")
    );
    drop((heard, others));
    assert_eq!(core.watch_answers.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_read_slowly_goes_on_while_others_wait() {
    let (core, mut store) = (without_threads(), Store::default());
    let end = ConnectionEnd::default();
    let mut heard = converse_on(&core, &store, None, end.clone());
    assert!(hear(&mut heard).await.created);
    let _others = core.watch_answers.charge_always(WATCH_UNSENT_BYTES);
    for index in 1..=5 {
        put(&core, &mut store, index, 1);
        sleep(WATCH_UNREAD_FOR - OVERDUE_LOOKED_FOR_EVERY).await;
        assert_eq!(hear(&mut heard).await.events.len(), 1);
    }
    // One that has nothing to read is not slow.
    sleep(10 * WATCH_UNREAD_FOR).await;
    put(&core, &mut store, 6, 1);
    assert_eq!(hear(&mut heard).await.events.len(), 1);
    assert!(timeout(Duration::ZERO, end.wanted()).await.is_err());
}

/// However much happened while nobody watched: the first watcher does not go through it under the hub's lock.
#[test]
fn the_first_watcher_waits_for_nothing_that_it_was_not_there_for() {
    let mut store = Store::default();
    let mut hub = WatchHub::new(1);
    for index in 1..=10 {
        store.want_events(true);
        let put = Command::Put(PutRequest {
            key: "k".into(),
            ..Default::default()
        });
        store.apply(index, &put, Answer::Wanted).expect("a put");
    }
    hub.begin_publish(store.take_events(), 11);
    let id = hub.open_stream(0, 1);
    for start_revision in [8, 0] {
        let request = WatchCreateRequest {
            key: "k".into(),
            start_revision,
            ..Default::default()
        };
        create_in(&mut hub, id, &request, 11);
    }
    assert_eq!(hub.revision(), 1, "nothing was gone through");
    let mut told = Vec::new();
    loop {
        while hub.publish_step(1) {}
        while hub.catch_up(&store, 1) {}
        let taken = hub.take(id, usize::MAX);
        if taken.is_empty() {
            break;
        }
        for message in taken {
            if let WatchMessage::Events {
                watch_id, events, ..
            } = message
            {
                told.extend(events.iter().map(|event| (watch_id, event.revision())));
            }
        }
    }
    assert_eq!(told, [(0, 8), (0, 9), (0, 10), (0, 11)]);
    assert_eq!(hub.revision(), 11);
}
