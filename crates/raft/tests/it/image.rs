//! What lies on a node's disk, as a write-ahead log with snapshot marks keeps it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use quorate_raft::{
    Damaged, Entry, Fetch, HardState, LogIndex, Membership, Payload, Record, Restored,
    SnapshotMark, SnapshotMeta, Term, Write,
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
    /// What members acknowledged: a file of its own.
    pub(crate) records: Vec<Record>,
    /// Entries that cannot be read back, and whether their terms can.
    pub(crate) damaged: BTreeMap<LogIndex, bool>,
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
            records: Vec::new(),
            damaged: BTreeMap::new(),
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

    /// An empty disk of the same kind.
    pub(crate) fn without_entries(&self) -> Image {
        Image::with_release_grain(self.release_grain)
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
            self.damaged.retain(|index, _| *index <= after);
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
            self.damaged.clear();
            self.before_first = mark.index;
        }
        assert!(mark.release_before <= mark.index.next());
        let whole = mark.release_before.previous().0 / self.release_grain * self.release_grain;
        let gone = whole.saturating_sub(self.before_first.0);
        self.log.drain(..gone as usize);
        self.before_first = LogIndex(self.before_first.0 + gone);
        let before_first = self.before_first;
        self.damaged.retain(|index, _| *index > before_first);
    }

    /// The entry's content is lost, and its term if `term_too`.
    pub(crate) fn damage(&mut self, index: LogIndex, term_too: bool) {
        assert!(self.get(index).is_some(), "{index} is not there");
        self.damaged.insert(index, !term_too);
    }

    /// Writes entries back that were damaged; gives what still is. What is not damaged (any more)
    /// is passed over.
    pub(crate) fn repair(&mut self, entries: Vec<Entry>) -> Vec<RangeInclusive<LogIndex>> {
        for entry in entries {
            if self.damaged.contains_key(&entry.index) {
                let (least, greatest) = self.terms_of(entry.index);
                assert!(
                    least <= entry.term && greatest.is_none_or(|most| entry.term <= most),
                    "{entry:?} cannot be what was lost"
                );
                self.damaged.remove(&entry.index);
                let place = (entry.index.0 - self.before_first.0 - 1) as usize;
                let lost = &self.log[place];
                assert!(
                    lost.term != entry.term || *lost == entry,
                    "{entry:?} in the place of {lost:?}"
                );
                self.log[place] = entry;
            }
        }
        self.damaged.keys().map(|index| *index..=*index).collect()
    }

    /// The least and greatest term of a damaged entry, by what is left.
    fn terms_of(&self, index: LogIndex) -> (Term, Option<Term>) {
        let of = |index: LogIndex| self.get(index).map(|entry| entry.term);
        match self.damaged.get(&index) {
            Some(false) => {
                let before = index.previous();
                let least = if before == self.before_first {
                    self.term(before).unwrap_or(Term(1))
                } else {
                    self.terms_of(before).0
                };
                let next = index.next();
                let lost = self.damaged.get(&next) == Some(&false);
                (least, of(next).filter(|_| !lost))
            }
            _ => (of(index).unwrap_or(Term(1)), of(index)),
        }
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
        let hit = |index: &&LogIndex| fetch.first <= **index && **index <= fetch.last;
        assert_eq!(self.damaged.keys().find(hit), None, "{fetch:?}");
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
        // What is damaged and covered by the snapshot is not needed, nor what comes before it.
        let covered = self.mark.map_or(LogIndex::ZERO, |mark| mark.index);
        let covered = self.damaged.keys().rfind(|index| **index <= covered);
        let before_first = covered.map_or(self.before_first, |index| *index);
        for entry in self.log.iter().filter(|entry| entry.index > before_first) {
            let least = self.terms_of(entry.index).0;
            if term_runs.last().is_none_or(|(_, term)| *term < least) {
                term_runs.push((entry.index, least));
            }
        }
        let damaged = self.damaged.keys().map(|index| {
            let (least_term, greatest_term) = self.terms_of(*index);
            Damaged {
                first: *index,
                last: *index,
                least_term,
                greatest_term,
            }
        });
        let of_entry = |entry: &Entry| {
            let membership = membership_of(entry)?.clone();
            let intact = !self.damaged.contains_key(&entry.index);
            intact.then_some((entry.index, membership))
        };
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
            first_index: before_first.next(),
            last_index: self.last_index(),
            term_runs,
            damaged: damaged.collect(),
            memberships,
            records: self.records.clone(),
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
