//! What happened: the events of past revisions, in bounded steps.
//!
//! A watcher that begins in the past, or that fell behind, reads what it has missed from here: for one
//! key from that key's versions, for a range from the list of changes, whose chunks are searched for the
//! first revision. Only whole revisions are given out, since all events of one belong together. Readers
//! hold no pin, which a slow one would keep for ever; when compaction overtakes one it is told so, and
//! where the history begins now. A reader may begin at the compacted revision itself.
//!
//! The version before a change is the one that a reader at the revision before it would see: there is none
//! for what was created, nor when that revision is compacted.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::changes::Position;
use crate::event::{Event, SharedEvent};
use crate::limits::SNAPSHOT_CHANGES_PER_VERSION;
use crate::span::Span;
use crate::store::Store;
use crate::versions::{Version, Versions};

/// A reader of history.
#[derive(Clone, Debug)]
pub struct HistoryCursor {
    span: Span,
    with_previous: bool,
    /// The first revision that has not been given out.
    next_revision: i64,
    /// Where to go on in the list of changes.
    position: Option<Position>,
    /// Where the changes of the next revision begin in it, if the cursor has come there from the one before.
    revision_position: Option<Position>,
    /// What has been read of the next revision.
    partial: Vec<SharedEvent>,
    /// What that takes in memory.
    partial_bytes: usize,
    /// How often each key has been read in it that it changed more than once.
    repeated: BTreeMap<Bytes, usize>,
}

/// What one step of reading gave.
#[derive(Debug, Default, PartialEq)]
pub struct HistoryStep {
    /// Events of whole revisions, in order.
    pub events: Vec<SharedEvent>,
    /// All up to the store's current revision has been read.
    pub is_over: bool,
    /// What it cost, in versions; never more than was allowed.
    pub versions_read: usize,
    /// The next revision is larger than what there was room for, and nothing of it was read.
    pub has_no_room: bool,
}

/// Why history cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// It begins later by now.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted {
        /// The first revision that there is.
        compact_revision: i64,
    },
}

impl HistoryCursor {
    /// A reader of what happens from `from_revision` on to the keys from `key` to `range_end`, in etcd's
    /// notation.
    pub fn new(
        key: &Bytes,
        range_end: &Bytes,
        from_revision: i64,
        with_previous: bool,
    ) -> HistoryCursor {
        HistoryCursor {
            span: Span::new(key, range_end),
            with_previous,
            next_revision: from_revision,
            position: None,
            revision_position: None,
            partial: Vec::new(),
            partial_bytes: 0,
            repeated: BTreeMap::new(),
        }
    }

    /// Whether two readers of one store would read the same from here on.
    pub(crate) fn is_where(&self, other: &HistoryCursor) -> bool {
        // What a reader has of the next revision follows from its place in the list of changes.
        let place = |cursor: &HistoryCursor| {
            let read = cursor.partial.len();
            (
                cursor.with_previous,
                cursor.next_revision,
                cursor.position,
                read,
            )
        };
        place(self) == place(other) && self.span == other.span
    }

    /// Whether it holds events of a revision that it has not read to its end.
    pub(crate) fn holds_any(&self) -> bool {
        !self.partial.is_empty()
    }

    /// What these take in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.partial_bytes
    }

    /// Goes back to the beginning of the revision that it has not read to its end.
    pub(crate) fn rewind(&mut self) {
        // If it began with that revision then the place is sought again.
        self.position = self.revision_position;
        self.partial = Vec::new();
        self.partial_bytes = 0;
        self.repeated.clear();
    }

    /// The first revision that has not been given out: all that happened before has.
    pub fn next_revision(&self) -> i64 {
        self.next_revision
    }
}

impl Store {
    /// Reads on, up to the current revision: at most `versions_max` versions of keys (at least one), of
    /// which passing over what lies outside the cursor's range is a fraction, or until the events take
    /// `bytes_max` bytes of memory, or one revision's more than that. The cursor is of this store: after
    /// another took its place, begin anew at [`HistoryCursor::next_revision`].
    ///
    /// # Errors
    /// When the cursor's next revision has been compacted.
    pub fn read_history(
        &self,
        cursor: &mut HistoryCursor,
        versions_max: usize,
        bytes_max: usize,
    ) -> Result<HistoryStep, HistoryError> {
        self.read_history_within(cursor, StepLimits::new(versions_max, bytes_max))
    }

    /// The same, but a revision that does not fit is left: what the cursor holds and what the events take is
    /// less than `bytes_max` in all, or it holds and is given nothing.
    ///
    /// # Errors
    /// When the cursor's next revision has been compacted.
    pub(crate) fn read_history_that_fits(
        &self,
        cursor: &mut HistoryCursor,
        versions_max: usize,
        bytes_max: usize,
    ) -> Result<HistoryStep, HistoryError> {
        let bytes_left = bytes_max.saturating_sub(cursor.held_bytes());
        let limits = StepLimits {
            must_fit: true,
            ..StepLimits::new(versions_max, bytes_left)
        };
        self.read_history_within(cursor, limits)
    }

    fn read_history_within(
        &self,
        cursor: &mut HistoryCursor,
        mut limits: StepLimits,
    ) -> Result<HistoryStep, HistoryError> {
        let compact_revision = self.compacted_revision;
        if cursor.next_revision < compact_revision {
            return Err(HistoryError::Compacted { compact_revision });
        }
        let budget = limits.budget;
        let mut step = match cursor.span.is_single() {
            true => self.read_key_history(cursor, &mut limits),
            false => self.read_span_history(cursor, &mut limits),
        };
        step.versions_read = (budget - limits.budget).div_ceil(SNAPSHOT_CHANGES_PER_VERSION);
        Ok(step)
    }

    fn read_key_history(&self, cursor: &mut HistoryCursor, limits: &mut StepLimits) -> HistoryStep {
        let mut step = HistoryStep::default();
        let key = cursor.span.start.clone();
        let versions = self.keyspace.get(&key);
        let since = versions.map(|versions| (versions, versions.since(cursor.next_revision)));
        for (versions, version) in since
            .into_iter()
            .flat_map(|(all, since)| since.map(move |version| (all, version)))
        {
            let revision = version.revision();
            if revision > self.revision {
                break;
            }
            // Versions of one revision are few, and stay together.
            if revision > cursor.next_revision && limits.are_reached() {
                cursor.next_revision = revision;
                return step;
            }
            cursor.next_revision = revision;
            limits.budget = limits.budget.saturating_sub(1);
            let event = self.event(&key, versions, version, cursor.with_previous);
            limits.take(&event);
            if limits.are_broken() {
                step.events.retain(|event| event.revision() < revision);
                step.has_no_room = step.events.is_empty();
                return step;
            }
            step.events.push(event);
        }
        cursor.next_revision = self.revision.max(cursor.next_revision - 1) + 1;
        step.is_over = true;
        step
    }

    fn read_span_history(
        &self,
        cursor: &mut HistoryCursor,
        limits: &mut StepLimits,
    ) -> HistoryStep {
        let mut step = HistoryStep::default();
        let position = cursor.position;
        let mut position = position.unwrap_or_else(|| self.changes.seek(cursor.next_revision));
        while let Some((change, after)) = self.changes.next(position)
            && change.revision <= self.revision
        {
            if change.revision > cursor.next_revision {
                cursor.end_revision(change.revision, &mut step);
                cursor.revision_position = Some(position);
                if limits.bytes == 0 {
                    break;
                }
            }
            if limits.budget == 0 {
                break;
            }
            limits.budget -= 1;
            position = after;
            let is_wanted = change.revision == cursor.next_revision;
            if is_wanted
                && change.key >= cursor.span.start.as_ref()
                && cursor.span.ends_after(change.key)
            {
                let event = self.event_of_change(cursor, change.key);
                limits.take(&event);
                cursor.partial_bytes += event.memory_bytes();
                cursor.partial.push(event);
                if limits.are_broken() {
                    cursor.rewind();
                    step.has_no_room = step.events.is_empty();
                    return step;
                }
            }
        }
        cursor.position = Some(position);
        let next = self.changes.next(position);
        if next.is_none_or(|(change, _)| change.revision > self.revision) {
            cursor.end_revision(self.revision.max(cursor.next_revision - 1) + 1, &mut step);
            step.is_over = true;
        }
        step
    }

    /// The event of a change of `key` at the cursor's next revision.
    fn event_of_change(&self, cursor: &mut HistoryCursor, key: &[u8]) -> SharedEvent {
        let revision = cursor.next_revision;
        let versions = self.keyspace.get(key);
        let versions = versions.expect("a change that is not compacted has its version");
        let mut written = versions.since(revision);
        let first = written.next();
        let again = written.next().filter(|again| again.revision() == revision);
        let version = if again.is_some() {
            let count = cursor.repeated.entry(Bytes::copy_from_slice(key));
            let count = count.or_insert(0);
            *count += 1;
            versions.since(revision).nth(*count - 1)
        } else {
            first
        };
        let version = version.filter(|version| version.revision() == revision);
        let version = version.expect("each change of a key has a version of its own");
        self.event(key, versions, version, cursor.with_previous)
    }

    fn event(
        &self,
        key: &[u8],
        versions: &Versions,
        version: &Version,
        with_previous: bool,
    ) -> SharedEvent {
        let before = version.revision() - 1;
        let is_kept = with_previous && before >= self.compacted_revision;
        let previous = is_kept.then(|| versions.live_at(before)).flatten();
        Arc::new(Event::new(key, version, previous))
    }
}

impl HistoryCursor {
    /// All of the next revision has been read, and the one after it that there is anything of is `next`.
    fn end_revision(&mut self, next: i64, step: &mut HistoryStep) {
        step.events.append(&mut self.partial);
        self.partial_bytes = 0;
        self.repeated.clear();
        self.next_revision = next;
    }
}

/// What is left of a step.
struct StepLimits {
    /// In changes looked at; a version costs many.
    budget: usize,
    bytes: usize,
    /// A revision that needs more is not read.
    must_fit: bool,
}

impl StepLimits {
    fn new(versions_max: usize, bytes_max: usize) -> StepLimits {
        StepLimits {
            budget: versions_max.max(1) * SNAPSHOT_CHANGES_PER_VERSION,
            bytes: bytes_max,
            must_fit: false,
        }
    }

    fn take(&mut self, event: &Event) {
        self.budget = self.budget.saturating_sub(SNAPSHOT_CHANGES_PER_VERSION - 1);
        self.bytes = self.bytes.saturating_sub(event.memory_bytes());
    }

    fn are_reached(&self) -> bool {
        self.budget == 0 || self.bytes == 0
    }

    fn are_broken(&self) -> bool {
        self.must_fit && self.bytes == 0
    }
}
