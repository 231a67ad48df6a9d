//! etcd's guarantees of watches, against a model that keeps every event, in random histories with slow
//! clients, compactions, stores that are replaced, revisions that are not collected and large ones.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use quorate_kv::{Command, StreamId, WatchHub, WatchMessage};
use quorate_proto::etcdserverpb::WatchCreateRequest;
use quorate_proto::mvccpb::Event;

use crate::model::Model;
use crate::support::*;

#[derive(Clone, Debug)]
enum Action {
    Apply(Command),
    Compact(i64),
    /// On one of the streams: a span, and how many revisions back or ahead it begins, or now.
    Watch(usize, usize, Option<i64>, [bool; 3]),
    Cancel(usize, i64),
    /// A client reads messages of up to so many bytes.
    Read(usize, usize),
    Reopen(usize),
    Progress(usize),
    CatchUp(usize),
    Publish,
    /// Tells so many watchers, and leaves the rest for later.
    PublishSome(usize),
    Want(bool),
    Replace,
}

const SPANS: [(&str, &str); 8] = [
    ("b", ""),
    ("c", ""),
    ("\0", "\0"),
    ("a", "c"),
    ("b", "e"),
    ("b", "\0"),
    ("a", "z"),
    ("b", "bb"),
];

fn key() -> impl Strategy<Value = String> {
    "[a-e]b?"
}

fn action() -> impl Strategy<Value = Action> {
    let value = prop_oneof![Just(0), Just(10), Just(200_000_usize)];
    let put_one = (key(), value).prop_map(|(key, size)| put(&key, &"v".repeat(size)).into());
    let delete_some = (key(), key()).prop_map(|(from, to)| delete(&from, &to).into());
    let txn = vec(key(), 1..4).prop_map(|mut keys| {
        keys.sort();
        keys.dedup();
        all(keys.into_iter().map(|key| op(put(&key, "txn")))).into()
    });
    let large =
        (1001..1010).prop_map(|n| all((0..n).map(|n| op(put(&format!("b{n}"), "")))).into());
    let commands = prop_oneof![40 => put_one, 10 => delete_some, 10 => txn, 1 => large];
    let start = prop_oneof![2 => Just(None), 3 => (-12..4_i64).prop_map(Some)];
    prop_oneof![
        20 => commands.prop_map(Action::Apply),
        1 => (0..12_i64).prop_map(Action::Compact),
        6 => (0..3_usize, 0..SPANS.len(), start, any::<[bool; 3]>())
            .prop_map(|(stream, span, start, flags)| Action::Watch(stream, span, start, flags)),
        1 => (0..3_usize, 0..6_i64).prop_map(|(stream, id)| Action::Cancel(stream, id)),
        8 => (0..3_usize, 0..500_000_usize).prop_map(|(s, bytes)| Action::Read(s, bytes)),
        1 => (0..3_usize).prop_map(Action::Reopen),
        2 => (0..3_usize).prop_map(Action::Progress),
        6 => (1..300_usize).prop_map(Action::CatchUp),
        6 => Just(Action::Publish),
        12 => (1..8_usize).prop_map(Action::PublishSome),
        1 => any::<bool>().prop_map(Action::Want),
        1 => Just(Action::Replace),
    ]
}

/// A watcher as its client sees it.
#[derive(Clone, Debug)]
struct Client {
    span: (&'static str, &'static str),
    with_previous: bool,
    filters: [bool; 2],
    /// What it has been told of, all of it, ends before this revision.
    next_revision: i64,
    is_over: bool,
}

struct World {
    member: Member,
    model: Model,
    hub: WatchHub,
    streams: [StreamId; 3],
    clients: [BTreeMap<i64, Client>; 3],
    next_id: [i64; 3],
    /// The greatest revision that each stream has been told of.
    told: [i64; 3],
    /// Requests whose answers have not been read, in order.
    asked: [Vec<Client>; 3],
}

impl World {
    fn new() -> World {
        let mut hub = WatchHub::new(1);
        let streams = [0; 3].map(|_| hub.open_stream(0, 1));
        World {
            member: Member::default(),
            model: Model::new(),
            hub,
            streams,
            clients: Default::default(),
            next_id: [0; 3],
            told: [0; 3],
            asked: Default::default(),
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Apply(command) => {
                let reply = self.member.apply(command.clone());
                assert_eq!(reply, self.model.apply(command));
            }
            Action::Compact(back) => {
                let command: Command = compact(self.model.revision - back).into();
                let reply = self.member.apply(command.clone());
                assert_eq!(reply, self.model.apply(&command));
                self.member.free();
            }
            Action::Watch(stream, span, start, flags) => self.watch(*stream, *span, *start, *flags),
            Action::Cancel(stream, id) => {
                let revision = self.member.store.revision();
                self.hub.cancel(self.streams[*stream], *id, revision);
            }
            Action::Read(stream, bytes) => drop(self.read(*stream, *bytes)),
            Action::Reopen(stream) => {
                self.told[*stream] = 0;
                self.hub.close_stream(self.streams[*stream]);
                self.streams[*stream] = self.hub.open_stream(0, 1);
                self.clients[*stream].clear();
                self.asked[*stream].clear();
                self.next_id[*stream] = 0;
            }
            Action::Progress(stream) => self.hub.request_progress(self.streams[*stream]),
            Action::CatchUp(versions) => drop(self.hub.catch_up(&self.member.store, *versions)),
            Action::Publish => {
                let taken = self.member.store.take_events();
                self.hub.publish(taken, self.member.store.revision());
            }
            Action::PublishSome(deliveries) => {
                let taken = self.member.store.take_events();
                let revision = self.member.store.revision();
                self.hub.begin_publish(taken, revision);
                self.hub.publish_step(*deliveries);
            }
            Action::Want(wanted) => self.member.store.want_events(*wanted),
            Action::Replace => {
                let bytes = snapshot(&mut self.member.store);
                self.member.store = load(&bytes, 10_000).unwrap();
                // The rest comes with what is published in steps.
                self.hub.begin_replace(self.member.store.revision());
            }
        }
    }

    fn watch(&mut self, stream: usize, span: usize, start: Option<i64>, flags: [bool; 3]) {
        let now = self.member.store.revision();
        let start_revision = start.map_or(0, |ahead| (now + ahead).max(1));
        let [prev_kv, noput, nodelete] = flags;
        let mut filters = Vec::new();
        filters.extend(noput.then_some(0));
        filters.extend(nodelete.then_some(1));
        let (key, range_end) = SPANS[span];
        let request = WatchCreateRequest {
            key: bytes(key),
            range_end: bytes(range_end),
            start_revision,
            prev_kv,
            filters,
            ..WatchCreateRequest::default()
        };
        self.hub.create(self.streams[stream], &request, now);
        self.asked[stream].push(Client {
            span: SPANS[span],
            with_previous: prev_kv,
            filters: [noput, nodelete],
            next_revision: if start_revision == 0 {
                now + 1
            } else {
                start_revision
            },
            is_over: false,
        });
    }

    /// What a client reads is what the model says that it should, no more, no less, in order; how many
    /// messages it was.
    fn read(&mut self, stream: usize, bytes_max: usize) -> usize {
        let messages = self.hub.take(self.streams[stream], bytes_max);
        for message in &messages {
            self.check(stream, message);
        }
        messages.len()
    }

    fn check(&mut self, stream: usize, message: &WatchMessage) {
        let clients = &mut self.clients[stream];
        let told = &mut self.told[stream];
        let header = message.to_response().header.unwrap().revision;
        if let WatchMessage::Canceled { .. } | WatchMessage::Progress { .. } = message {
            assert!(header >= *told, "{message:?} after {told}");
        }
        *told = header.max(*told);
        match message {
            WatchMessage::Created { watch_id, .. } => {
                assert_eq!(*watch_id, self.next_id[stream]);
                self.next_id[stream] += 1;
                clients.insert(*watch_id, self.asked[stream].remove(0));
            }
            WatchMessage::Refused { .. } => panic!("{message:?}"),
            WatchMessage::Canceled { watch_id, .. } => {
                clients.get_mut(watch_id).unwrap().is_over = true;
            }
            WatchMessage::Compacted {
                watch_id,
                compact_revision,
            } => {
                let client = clients.get_mut(watch_id).unwrap();
                assert!(!client.is_over && client.next_revision < *compact_revision);
                client.is_over = true;
            }
            WatchMessage::Progress { watch_id, revision } => {
                assert_eq!(*watch_id, None);
                for client in clients.values_mut().filter(|client| !client.is_over) {
                    client.expect_nothing_until(&self.model, *revision);
                }
            }
            WatchMessage::Events {
                watch_id,
                revision,
                events,
                with_previous,
                ..
            } => {
                let client = clients.get_mut(watch_id).unwrap();
                assert!(!client.is_over, "told after the end: {message:?}");
                assert_eq!(*with_previous, client.with_previous);
                let events: Vec<Event> = events
                    .iter()
                    .map(|event| event.to_proto(*with_previous))
                    .collect();
                client.expect(&self.model, &events);
                client.expect_nothing_until(&self.model, *revision);
            }
        }
    }

    /// When everything is published, caught up and read, nobody misses anything.
    fn settle(&mut self) {
        self.act(&Action::Publish);
        let mut rounds = 0;
        loop {
            while self.hub.catch_up(&self.member.store, 1000) {}
            if (0..3)
                .map(|stream| self.read(stream, 100_000))
                .sum::<usize>()
                == 0
            {
                break;
            }
            rounds += 1;
            assert!(rounds < 10_000, "it does not come to an end");
        }
        assert_eq!((self.hub.behind_count(), self.hub.queued_bytes()), (0, 0));
        let mut living = 0;
        for client in self.clients.iter_mut().flat_map(BTreeMap::values_mut) {
            if !client.is_over {
                client.expect_nothing_until(&self.model, self.model.revision);
                living += 1;
            }
        }
        assert_eq!(self.hub.watcher_count(), living);
    }
}

impl Client {
    fn events(&self, model: &Model, to: i64) -> Vec<Event> {
        let span = (self.span.0.as_bytes(), self.span.1.as_bytes());
        let mut events = model.events(span, (self.next_revision, to), self.with_previous);
        events.retain(|event| !self.filters[event.r#type as usize]);
        events
    }

    /// Ordered, unique, reliable and atomic: the next events, whole revisions of them.
    fn expect(&mut self, model: &Model, events: &[Event]) {
        let last = events.last().unwrap().kv.as_ref().unwrap().mod_revision;
        let expected = self.events(model, last);
        assert_eq!(events.len(), expected.len(), "{self:?} is told {events:?}");
        for (event, expected) in events.iter().zip(&expected) {
            assert_eq!((event.r#type, &event.kv), (expected.r#type, &expected.kv));
            // A compaction since it was applied takes the version before from later readers, not from
            // those who were told in time.
            if expected.prev_kv.is_some() || event.prev_kv.is_none() {
                assert_eq!(event.prev_kv, expected.prev_kv);
            }
        }
        self.next_revision = last + 1;
    }

    /// Bookmarkable: there is nothing that it has yet to be told of up to `revision`.
    fn expect_nothing_until(&mut self, model: &Model, revision: i64) {
        assert_eq!(
            self.events(model, revision),
            [],
            "{self:?} misses something"
        );
        self.next_revision = self.next_revision.max(revision + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_watcher_is_told_everything_once_and_in_order(actions in vec(action(), 1..120)) {
        let mut world = World::new();
        world.member.store.want_events(true);
        for action in &actions {
            world.act(action);
        }
        world.settle();
    }
}
