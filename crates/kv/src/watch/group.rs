//! Watchers of the same keys.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::event::SharedEvent;
use crate::span::{End, Span};
use crate::watch::interval_index::IntervalIndex;
use crate::watch::stream::Options;

/// All who watch one span.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: Bytes,
    pub(super) range_end: Bytes,
    pub(super) live: Vec<LiveWatcher>,
    /// How many of the live ones, from the first on, have had their turn in what is being published.
    pub(super) told: u32,
    /// How many there are, live or behind.
    members: usize,
    /// Events of the revision being published.
    pub(super) pending: Vec<SharedEvent>,
}

/// What is needed of a live watcher to tell it something.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveWatcher {
    /// The number of its stream.
    pub(super) stream: u32,
    pub(super) watch_id: i64,
    /// It is told of revisions from this on; of those between the hub's and this it has been told, or
    /// does not want to be.
    pub(super) from_revision: i64,
    pub(super) options: Options,
    /// Whether it has been given anything since it was last told of its progress.
    pub(super) has_sent: bool,
}

/// All groups, and how to find those that a key concerns.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
    by_key: BTreeMap<Bytes, u32>,
    by_range: BTreeMap<(Bytes, Bytes), u32>,
    ranges: IntervalIndex,
    /// What the spans of all groups hold: a span once, however many watch it.
    span_bytes: usize,
    stack: Vec<u32>,
    /// The groups with pending events, in the order of their first.
    touched: Vec<u32>,
}

impl Groups {
    /// Adds a member to the group of a span, which is founded if need be. The range is not empty.
    pub(super) fn join(&mut self, key: &Bytes, range_end: &Bytes) -> u32 {
        let span = Span::new(key, range_end);
        let found = match span.is_single() {
            true => self.by_key.get(key),
            false => self.by_range.get(&(key.clone(), range_end.clone())),
        };
        if let Some(number) = found.copied() {
            self.get_mut(number).members += 1;
            return number;
        }
        // Copies, so that a few bytes do not keep the whole buffer that they came in.
        let key = Bytes::copy_from_slice(key);
        let range_end = Bytes::copy_from_slice(range_end);
        self.span_bytes += key.len() + range_end.len();
        let number = self.found(Group {
            key: key.clone(),
            range_end: range_end.clone(),
            live: Vec::new(),
            told: 0,
            members: 1,
            pending: Vec::new(),
        });
        if span.is_single() {
            self.by_key.insert(key, number);
        } else {
            let end = Span::new(&key, &range_end).end;
            self.ranges.insert(key.clone(), end, number);
            self.by_range.insert((key, range_end), number);
        }
        number
    }

    /// Takes a member away that is no longer live.
    pub(super) fn leave(&mut self, number: u32) {
        let group = self.get_mut(number);
        group.members -= 1;
        if group.members > 0 {
            return;
        }
        let group = self.groups[number as usize].take();
        let group = group.expect("a group with a member is there");
        assert!(
            group.live.is_empty(),
            "a group of nobody is live: {group:?}"
        );
        self.span_bytes -= group.key.len() + group.range_end.len();
        self.free.push(number);
        let span = Span::new(&group.key, &group.range_end);
        if span.end == End::AtStart {
            self.by_key.remove(&group.key);
        } else {
            self.ranges.remove(&group.key, &span.end);
            self.by_range.remove(&(group.key, group.range_end));
        }
    }

    /// Bytes of the keys and range ends that are kept.
    pub(super) fn span_bytes(&self) -> usize {
        self.span_bytes
    }

    pub(super) fn get(&self, number: u32) -> &Group {
        let group = self.groups[number as usize].as_ref();
        group.expect("a watcher's group is there")
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Group {
        let group = self.groups[number as usize].as_mut();
        group.expect("a watcher's group is there")
    }

    /// The group of a number, if there is one.
    pub(super) fn find(&self, number: u32) -> Option<&Group> {
        self.groups.get(number as usize)?.as_ref()
    }

    pub(super) fn find_mut(&mut self, number: u32) -> Option<&mut Group> {
        self.groups.get_mut(number as usize)?.as_mut()
    }

    /// All groups have lower numbers.
    pub(super) fn number_max(&self) -> u32 {
        u32::try_from(self.groups.len()).expect("watchers are fewer than that")
    }

    /// What was noted for a group; nothing if it has gone.
    pub(super) fn take_pending(&mut self, number: u32) -> Vec<SharedEvent> {
        let group = self.find_mut(number);
        group.map_or_else(Vec::new, |group| std::mem::take(&mut group.pending))
    }

    /// Notes an event with all groups that it concerns, and says how many these are.
    pub(super) fn note(&mut self, event: &SharedEvent) -> usize {
        let Groups {
            groups,
            by_key,
            ranges,
            stack,
            touched,
            ..
        } = self;
        let mut noted = 0;
        let mut note = |number: u32| {
            noted += 1;
            let group = groups[number as usize].as_mut();
            let group = group.expect("what is found is there");
            if !group.live.is_empty() {
                if group.pending.is_empty() {
                    touched.push(number);
                }
                group.pending.push(SharedEvent::clone(event));
            }
        };
        if let Some(number) = by_key.get(event.key().as_ref()) {
            note(*number);
        }
        ranges.ranges_with(event.key(), stack, note);
        noted
    }

    /// The groups for which something was noted.
    pub(super) fn take_touched(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.touched)
    }

    /// Gives back what was taken, so that its room is used again.
    pub(super) fn put_back_touched(&mut self, mut touched: Vec<u32>) {
        touched.clear();
        self.touched = touched;
    }

    fn found(&mut self, group: Group) -> u32 {
        if let Some(number) = self.free.pop() {
            self.groups[number as usize] = Some(group);
            return number;
        }
        self.groups.push(Some(group));
        u32::try_from(self.groups.len() - 1).expect("watchers are fewer than that")
    }
}

impl Group {
    /// The first live watcher that has not had its turn in what is being published.
    pub(super) fn next_untold(&self) -> Option<&LiveWatcher> {
        self.live.get(self.told as usize)
    }

    /// Whether it watches any of the keys from `least` to `greatest`.
    pub(super) fn overlaps(&self, least: &[u8], greatest: &[u8]) -> bool {
        let span = Span::new(&self.key, &self.range_end);
        let key = self.key.as_ref();
        key <= greatest && span.ends_after(least.max(key))
    }
}
