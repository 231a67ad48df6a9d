//! Clients that watch, and what must be true of what they are told.
//!
//! In some worlds each member has the hub of a real server (`quorate_kv::WatchHub`), fed after each step of its
//! applier as the server feeds it, and a few clients watch: all keys, the keys that everybody writes, or one of them.
//! They take what waits for them, or are slow; they leave, or lose their node, and go on at another one from the first
//! revision that they were not told of.
//!
//! What happened is worked out by the judge itself, from the commands that members are given to apply ([`model`]).
//! Everything a watcher is told is compared with that: all that happened to its keys from where it was to where it is
//! now, in order, nothing twice, nothing left out, all of a revision at once. When all is healed each watcher must
//! have been told of everything.
//!
//! Watchers draw from chance of their own and make no event: the same world takes the same course with them and
//! without.

use bytes::Bytes;
use quorate_kv::{SharedEvent, Store, StreamId, WatchHub, WatchMessage};
use quorate_proto::etcdserverpb::WatchCreateRequest;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_raft::Entry;

use self::model::{Happened, Model, is_within};
use super::World;
use crate::tally::{Rare, sometimes};
use crate::{Random, Recipe};

mod model;

/// What the chance of watchers is drawn for.
const WATCHERS: u64 = 5;

/// Worlds that are watched. It costs them a tenth of their speed, so that most do without.
const WATCHED_PERCENT: u64 = 30;

/// Far more than a step of these worlds writes.
const VERSIONS: usize = 1 << 20;

/// Most turns that a watcher needs to be told of everything, by far.
const MOST_TURNS: usize = 100_000;

/// All watchers of a world, and what there is to be told.
pub(crate) struct Watchers {
    random: Random,
    /// What happened.
    model: Model,
    watchers: Vec<Watcher>,
}

struct Watcher {
    request: WatchCreateRequest,
    /// How often of a hundred times it takes what waits for it.
    takes_percent: u64,
    /// The first revision that it was not told of; zero before it was anywhere.
    next: i64,
    at: Option<Place>,
}

/// Where a watcher is.
#[derive(Clone, Copy)]
struct Place {
    node: usize,
    life: u64,
    stream: StreamId,
}

/// What a message left of a watch.
#[derive(PartialEq, Eq)]
enum Left {
    Going,
    /// Compaction was faster.
    Overtaken,
}

impl Watchers {
    /// Those of this recipe's world, if it has any.
    pub(super) fn of(recipe: &Recipe) -> Watchers {
        let mut random = Random::of(recipe.seed, WATCHERS, recipe.salt);
        let is_watched = random.percent(WATCHED_PERCENT);
        let mut watchers = Watchers::new(random);
        if !is_watched {
            watchers.watchers.clear();
        }
        watchers
    }

    /// Those of a world that is watched.
    fn new(mut random: Random) -> Watchers {
        let spans = [(&b"\0"[..], &b"\0"[..]), (b"s/", b"s0"), (b"s/0", b"")];
        let watchers = spans.map(|(key, range_end)| {
            let filters = match random.below(6) {
                0 => vec![FilterType::Noput.into()],
                1 => vec![FilterType::Nodelete.into()],
                _ => Vec::new(),
            };
            let request = WatchCreateRequest {
                key: Bytes::from_static(key),
                range_end: Bytes::from_static(range_end),
                prev_kv: random.percent(50),
                filters,
                ..WatchCreateRequest::default()
            };
            Watcher {
                request,
                takes_percent: random.pick(&[100, 20, 1]),
                next: 0,
                at: None,
            }
        });
        Watchers {
            random,
            model: Model::new(),
            watchers: watchers.into(),
        }
    }
}

impl Watcher {
    fn wants(&self, event: &Happened) -> bool {
        let request = &self.request;
        let in_span = is_within(&event.kv.key, &request.key, &request.range_end);
        let filter = match event.is_delete {
            true => FilterType::Nodelete,
            false => FilterType::Noput,
        };
        in_span && !request.filters.contains(&filter.into())
    }

    /// It has been told of these events, and that there is nothing else up to this revision.
    fn judge(&mut self, model: &Model, events: &[SharedEvent], up_to: i64, store: &Store) {
        assert!(
            up_to <= model.revision(),
            "a watcher was told of revision {up_to}, which nobody has applied"
        );
        let mut told = events.iter();
        for revision in self.next..=up_to {
            let happened = &model.history[revision as usize];
            for event in happened.iter().filter(|event| self.wants(event)) {
                let told = told.next();
                assert!(
                    told.is_some_and(|told| self.is_same(told, event, store)),
                    "a watcher that was told of all before {} was told of {told:?} in place of {event:?}",
                    self.next
                );
            }
        }
        let more = told.next();
        assert!(
            more.is_none(),
            "a watcher that was told of all before {} was told of {more:?}, which did not happen then",
            self.next
        );
        self.next = self.next.max(up_to + 1);
    }

    /// The version before may be missing when it has been compacted.
    fn is_same(&self, told: &SharedEvent, happened: &Happened, store: &Store) -> bool {
        let is_previous_same = match (told.prev_kv(), &happened.previous) {
            (Some(told), Some(happened)) => told == happened,
            (None, Some(_)) => {
                !self.request.prev_kv || happened.kv.mod_revision <= store.compacted_revision()
            }
            (told, None) => told.is_none(),
        };
        let kind = (told.is_delete(), told.kv());
        kind == (happened.is_delete, &happened.kv) && is_previous_same
    }

    fn hear(&mut self, message: WatchMessage, model: &Model, store: &Store) -> Left {
        match message {
            WatchMessage::Created { revision, .. } if self.next == 0 => self.next = revision + 1,
            WatchMessage::Created { .. } => {}
            WatchMessage::Events {
                revision, events, ..
            } => {
                assert!(!events.is_empty(), "a watcher was told of nothing");
                self.judge(model, &events, revision, store);
            }
            WatchMessage::Progress { revision, .. } => self.judge(model, &[], revision, store),
            WatchMessage::Compacted {
                compact_revision, ..
            } => {
                assert!(
                    self.next < compact_revision && compact_revision <= store.compacted_revision(),
                    "a watcher at {} was told that history begins at {compact_revision}",
                    self.next
                );
                self.next = compact_revision;
                return Left::Overtaken;
            }
            WatchMessage::Refused { .. } | WatchMessage::Canceled { .. } => {
                panic!("nobody asked for {message:?}")
            }
        }
        Left::Going
    }

    /// Takes what waits for it at its node.
    fn take(&mut self, model: &Model, hub: &mut WatchHub, store: &Store, bytes_max: usize) -> Left {
        let Some(place) = self.at else {
            return Left::Going;
        };
        for message in hub.take(place.stream, bytes_max) {
            if self.hear(message, model, store) == Left::Overtaken {
                self.leave(hub);
                return Left::Overtaken;
            }
        }
        Left::Going
    }

    fn leave(&mut self, hub: &mut WatchHub) {
        if let Some(place) = self.at.take() {
            hub.close_stream(place.stream);
        }
    }

    /// Begins, or goes on, at a node.
    fn join(&mut self, node: usize, life: u64, hub: &mut WatchHub, store: &Store) {
        if hub.watcher_count() == 0 {
            // As in the server: what it was not told of concerned nobody.
            hub.publish(Default::default(), store.revision());
        }
        let stream = hub.open_stream(0, u64::MAX);
        let request = WatchCreateRequest {
            start_revision: self.next,
            ..self.request.clone()
        };
        hub.create(stream, &request, store.revision());
        self.at = Some(Place { node, life, stream });
    }
}

impl World {
    /// A member is given these to apply.
    pub(super) fn watch_committed(&mut self, entries: &[Entry]) {
        if !self.watchers.watchers.is_empty() {
            self.watchers.model.committed(entries);
        }
    }

    /// Before a step of an applier.
    pub(super) fn expect_events(&mut self, node: usize) {
        let process = self.process_mut(node);
        let wanted = process.hub.wants_events();
        process.store.want_events(wanted);
    }

    /// After a step of an applier: the hub is told, and watchers take what waits for them, come and go.
    pub(super) fn feed_watchers(&mut self, node: usize) {
        if self.watchers.watchers.is_empty() {
            return;
        }
        let member = &mut self.members[node];
        let (life, process) = (member.life, member.process.as_mut());
        let process = process.expect("it applied");
        let (store, hub) = (&mut process.store, &mut process.hub);
        let Watchers {
            random,
            model,
            watchers,
        } = &mut self.watchers;
        if hub.wants_events() {
            let mut events = store.take_events();
            if random.percent(3) {
                // A feed that has grown too long is forgotten.
                events.clear();
            }
            hub.publish(events, store.revision());
            sometimes!(self.tally, Rare::WatcherBehind, hub.behind_count() > 0);
            let versions = [0, 1, 3, 400][random.below(4) as usize];
            if versions > 0 {
                hub.catch_up(store, versions);
            }
        }
        for watcher in watchers {
            let Some(place) = watcher.at else {
                if random.percent(10) {
                    sometimes!(self.tally, Rare::WatcherResumed, watcher.next > 0);
                    watcher.join(node, life, hub, store);
                }
                continue;
            };
            if (place.node, place.life) != (node, life) {
                continue;
            }
            if random.percent(watcher.takes_percent) {
                let bytes_max = random.pick(&[1, 300, 1 << 20]);
                let left = watcher.take(model, hub, store, bytes_max);
                sometimes!(self.tally, Rare::WatcherOvertaken, left == Left::Overtaken);
            }
            match random.below(100) {
                0 => watcher.leave(hub),
                1..5 => {
                    if let Some(place) = watcher.at {
                        hub.request_progress(place.stream);
                    }
                }
                _ => {}
            }
        }
    }

    /// The process is gone, and with it what it had not told.
    pub(super) fn lose_watchers(&mut self, node: usize) {
        for watcher in &mut self.watchers.watchers {
            watcher.at = watcher.at.filter(|place| place.node != node);
        }
    }

    /// Another store took the place of the one that was watched.
    pub(super) fn watch_replaced(&mut self, node: usize) {
        let process = self.process_mut(node);
        process.hub.store_replaced(process.store.revision());
    }

    /// When all is well each watcher is told, in bounded time, of everything that it was not told yet.
    pub(super) fn judge_watchers(&mut self) {
        let present = self.present();
        for number in 0..self.watchers.watchers.len() {
            let watchers = &mut self.watchers;
            let at = watchers.watchers[number].at.map(|place| place.node);
            let node = at.unwrap_or_else(|| watchers.random.pick(&present));
            let member = &mut self.members[node];
            let process = member.process.as_mut().expect("all members run");
            let (store, hub) = (&mut process.store, &mut process.hub);
            let watcher = &mut watchers.watchers[number];
            hub.publish(store.take_events(), store.revision());
            let mut turns = 0;
            while watcher.next <= store.revision() {
                turns += 1;
                assert!(
                    turns < MOST_TURNS,
                    "a watcher that was told of all before {} is not told of the rest up to {}",
                    watcher.next,
                    store.revision()
                );
                if watcher.at.is_none() {
                    watcher.join(node, member.life, hub, store);
                }
                hub.catch_up(store, VERSIONS);
                if let Some(place) = watcher.at {
                    hub.request_progress(place.stream);
                }
                watcher.take(&watchers.model, hub, store, 1 << 20);
            }
            watcher.leave(hub);
        }
    }
}

#[cfg(test)]
mod tests;
