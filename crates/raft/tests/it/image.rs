//! What lies on a node's disk, as a write-ahead log with snapshot marks keeps it.

use std::collections::BTreeMap;

use quorate_raft::{
    Entry, Fetch, HardState, LogIndex, Membership, Payload, Restored, SnapshotMark, SnapshotMeta,
    Term, Write,
};

/// A log with a term and a vote, as on a disk (or as in memory, once all writes are done).
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) hard_state: HardState,
    /// The newest snapshot that the log knows of.
    pub(crate) mark: Option<SnapshotMark>,
    /// The files of snapshots: the membership in force at each one's index.
    pub(crate) snapshots: BTreeMap<LogIndex, Membership>,
    /// Index of the entry before the first.
    before_first: LogIndex,
    pub(crate) log: Vec<Entry>,
    /// Entries are released by so many at once, as whole segments are.
    release_grain: u64,
}

impl Default for Image {
    fn default() -> Image {
        Image {
            hard_state: HardState::default(),
            mark: None,
            snapshots: BTreeMap::new(),
            before_first: LogIndex::ZERO,
            log: Vec::new(),
            release_grain: 1,
        }
    }
}

impl Image {
    pub(crate) fn with_release_grain(release_grain: u64) -> Image {
        Image {
            release_grain,
            ..Image::default()
        }
    }

    /// Makes a write durable: its parts in the order of the fields.
    pub(crate) fn apply(&mut self, write: &Write) {
        if let Some(hard_state) = write.hard_state {
            assert!(
                hard_state.term >= self.hard_state.term,
                "the durable term fell"
            );
            self.hard_state = hard_state;
        }
        if let Some(after) = write.truncate_after {
            let covered = self.mark.map_or(LogIndex::ZERO, |mark| mark.index);
            assert!(
                after >= covered.max(self.before_first),
                "a cut after {after} into what a snapshot covers through {covered}"
            );
            self.log.truncate((after.0 - self.before_first.0) as usize);
        }
        if let Some(mark) = write.snapshot {
            self.note(mark);
        }
        for entry in &write.entries {
            assert_eq!(
                entry.index,
                self.last_index().next(),
                "a gap in what is written"
            );
            self.log.push(entry.clone());
        }
    }

    fn note(&mut self, mark: SnapshotMark) {
        assert!(
            self.mark.is_none_or(|other| other.index <= mark.index),
            "{mark:?} after {:?}",
            self.mark
        );
        let held = self.get(mark.index).map(|entry| entry.term) == Some(mark.term)
            || mark.index == self.before_first;
        self.mark = Some(mark);
        if !held {
            self.log.clear();
            self.before_first = mark.index;
        }
        assert!(mark.release_before <= mark.index.next());
        let whole = mark.release_before.previous().0 / self.release_grain * self.release_grain;
        let gone = whole.saturating_sub(self.before_first.0);
        self.log.drain(..gone as usize);
        self.before_first = LogIndex(self.before_first.0 + gone);
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        LogIndex(self.before_first.0 + self.log.len() as u64)
    }

    pub(crate) fn get(&self, index: LogIndex) -> Option<&Entry> {
        let place = index.0.checked_sub(self.before_first.0 + 1)?;
        self.log.get(place as usize)
    }

    /// The term at `index`, if the log holds it or its snapshot ends there.
    pub(crate) fn term(&self, index: LogIndex) -> Option<Term> {
        let marked = self.mark.filter(|mark| mark.index == index);
        let entry = self.get(index).map(|entry| entry.term);
        entry.or(marked.map(|mark| mark.term))
    }

    /// Whether the entry is in the log, or is one of those that the snapshot stands for.
    pub(crate) fn holds(&self, entry: &Entry) -> bool {
        self.get(entry.index) == Some(entry) || self.covers(entry.index)
    }

    /// Whether `index` is released, and so covered by the snapshot.
    pub(crate) fn covers(&self, index: LogIndex) -> bool {
        index <= self.before_first
    }

    /// The membership in force at `index`; `None` if it is the one that the node began with.
    pub(crate) fn membership_at(&self, index: LogIndex) -> Option<&Membership> {
        let mut entries = self.log.iter().rev();
        let of_log = entries.find_map(|entry| {
            let membership = membership_of(entry)?;
            (entry.index <= index).then_some((entry.index, membership))
        });
        let of_snapshot = self.mark.filter(|mark| mark.index <= index);
        match (of_log, of_snapshot) {
            (Some((at, membership)), mark) if mark.is_none_or(|mark| mark.index < at) => {
                Some(membership)
            }
            (_, mark) => mark.map(|mark| &self.snapshots[&mark.index]),
        }
    }

    /// What a log reader finds: nothing, if the start of the range is released or beyond the end.
    pub(crate) fn read(&self, fetch: Fetch) -> Vec<Entry> {
        let mut bytes = 0;
        let mut entries = Vec::new();
        let mut index = fetch.first;
        while let Some(entry) = self.get(index).filter(|entry| entry.index <= fetch.last) {
            if !entries.is_empty() && bytes >= fetch.max_bytes {
                break;
            }
            bytes += entry.payload.len();
            entries.push(entry.clone());
            index = index.next();
        }
        entries
    }

    /// What a node that starts from this disk is told.
    pub(crate) fn restored(&self) -> Restored {
        let mut term_runs: Vec<(LogIndex, Term)> = Vec::new();
        for entry in &self.log {
            if term_runs.last().is_none_or(|(_, term)| *term < entry.term) {
                term_runs.push((entry.index, entry.term));
            }
        }
        let of_entry = |entry: &Entry| Some((entry.index, membership_of(entry)?.clone()));
        let memberships: Vec<_> = self.log.iter().filter_map(of_entry).collect();
        let snapshot = self.mark.map(|mark| SnapshotMeta {
            index: mark.index,
            term: mark.term,
            membership: self.snapshots[&mark.index].clone(),
        });
        Restored {
            hard_state: self.hard_state,
            applied: snapshot.as_ref().map_or(LogIndex::ZERO, |meta| meta.index),
            snapshot,
            first_index: self.before_first.next(),
            last_index: self.last_index(),
            term_runs,
            memberships,
        }
    }
}

/// The membership that an entry carries.
pub(crate) fn membership_of(entry: &Entry) -> Option<&Membership> {
    match &entry.payload {
        Payload::Membership { membership, .. } => Some(membership),
        Payload::Empty | Payload::Command(_) => None,
    }
}
