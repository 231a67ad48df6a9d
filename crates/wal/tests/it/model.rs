//! What a log should hold, kept the simple way, and how a real one is compared with it.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_disk::SimDisk;
use quorate_wal::{
    Batch, Entry, HardState, Identity, Opened, Options, Reader, Recovered, SnapshotMark, WalError,
};

pub(crate) const IDENTITY: Identity = Identity {
    cluster_id: 0xC1,
    member_id: 0xA1,
    group_id: 0,
};

/// Small segments and no padding: every sector that is written matters.
pub(crate) fn small() -> Options {
    Options {
        segment_bytes: 8 << 10,
        block_bytes: 512,
        ..Options::new(IDENTITY)
    }
}

pub(crate) fn open(disk: &SimDisk) -> Opened<SimDisk> {
    quorate_wal::open(disk.clone(), small()).expect("this log opens")
}

/// What a log holds after some batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) hard_state: HardState,
    pub(crate) snapshot: Option<SnapshotMark>,
    pub(crate) first: u64,
    pub(crate) entries: BTreeMap<u64, Entry>,
}

impl State {
    pub(crate) fn new() -> State {
        State {
            hard_state: HardState::default(),
            snapshot: None,
            first: 1,
            entries: BTreeMap::new(),
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.entries
            .last_key_value()
            .map_or(self.first - 1, |(index, _)| *index)
    }

    pub(crate) fn last_term(&self) -> u64 {
        let before = self.snapshot.filter(|mark| mark.index + 1 == self.first);
        let last = self.entries.values().next_back().map(|entry| entry.term);
        last.or(before.map(|mark| mark.term)).unwrap_or_default()
    }

    pub(crate) fn apply(&mut self, batch: &Batch) {
        if let Some(hard_state) = batch.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(after) = batch.truncate_after {
            self.entries.retain(|index, _| *index <= after);
        }
        for entry in &batch.entries {
            self.entries.insert(entry.index, entry.clone());
        }
        if let Some(mark) = batch.snapshot {
            if self
                .entries
                .get(&mark.index)
                .is_none_or(|entry| entry.term != mark.term)
            {
                self.entries.clear();
                self.first = mark.index + 1;
            }
            self.snapshot = Some(mark);
        }
    }
}

/// Reads a log back through its public face and checks that the face does not contradict itself.
pub(crate) fn observe(recovered: &Recovered, reader: &Reader<SimDisk>) -> State {
    let mut entries = BTreeMap::new();
    let mut next = recovered.first_index;
    while next <= recovered.last_index {
        let read = reader
            .read(next, recovered.last_index, 700)
            .expect("what is there is read");
        for entry in read {
            assert_eq!(entry.index, next, "entries come in order and without gaps");
            entries.insert(next, entry);
            next += 1;
        }
    }
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (index, entry) in &entries {
        if runs.last().is_none_or(|run| run.1 != entry.term) {
            runs.push((*index, entry.term));
        }
    }
    assert_eq!(
        recovered.term_runs, runs,
        "term runs say what the entries say"
    );
    let beyond = reader.read(recovered.last_index + 1, u64::MAX, 1);
    assert!(
        matches!(beyond, Err(WalError::BeyondEnd { .. })),
        "{beyond:?}"
    );
    State {
        hard_state: recovered.hard_state,
        snapshot: recovered.snapshot,
        first: recovered.first_index,
        entries,
    }
}

/// Everything that was done to a log, and which of it must have survived.
#[derive(Clone)]
pub(crate) struct History {
    /// What the log held after 0, 1, 2, … batches.
    pub(crate) states: Vec<State>,
    /// How many batches were synced.
    pub(crate) synced: usize,
    /// Up to here entries may be gone.
    pub(crate) released: u64,
}

impl History {
    pub(crate) fn new(start: State) -> History {
        History {
            states: vec![start],
            synced: 0,
            released: 0,
        }
    }

    pub(crate) fn now(&self) -> &State {
        self.states.last().expect("there is always the start")
    }

    pub(crate) fn push(&mut self, batch: &Batch) {
        let mut next = self.now().clone();
        next.apply(batch);
        self.states.push(next);
    }

    pub(crate) fn all_synced(&mut self) {
        self.synced = self.states.len() - 1;
    }

    /// Checks what was recovered: a prefix of what was appended, with everything that was synced,
    /// and the term and vote of that prefix or of a later batch. Gives the prefix's length.
    pub(crate) fn check(&self, found: &State) -> usize {
        let fits = |state: &State| {
            let mut expected = state.clone();
            if found.first > expected.first && found.first <= self.released + 1 {
                expected.entries.retain(|index, _| *index >= found.first);
                expected.first = found.first;
            }
            expected.hard_state = found.hard_state;
            expected == *found
        };
        let prefix = (self.synced..self.states.len())
            .rev()
            .find(|at| fits(&self.states[*at]));
        let Some(prefix) = prefix else {
            panic!(
                "recovered {found:#?}\nwhich is no prefix of what was appended that includes the \
                 {} synced batches; all: {:#?}",
                self.synced, self.states
            );
        };
        let hard_state_known = self.states[self.synced..]
            .iter()
            .any(|state| state.hard_state == found.hard_state);
        assert!(
            hard_state_known,
            "{:?} was never written after the last sync",
            found.hard_state
        );
        prefix
    }
}

/// Opens a crashed log, checks what it holds, uses it, crashes it again, and checks again.
pub(crate) fn check_recovery(disk: &SimDisk, history: &History) {
    let mut opened = open(disk);
    let found = observe(&opened.recovered, &opened.reader);
    history.check(&found);

    // After recovery the log goes on: one batch synced, one not.
    let mut later = History::new(found);
    later.released = history.released;
    let next = later.now().last() + 1;
    let term = later.now().last_term().max(later.now().hard_state.term) + 1;
    let synced = Batch {
        hard_state: Some(HardState {
            term,
            vote: 9,
            refilling: true,
        }),
        entries: vec![entry(next, term, 40)],
        ..Batch::default()
    };
    opened.writer.append(&synced).unwrap();
    later.push(&synced);
    opened.writer.sync().unwrap();
    later.all_synced();
    let unsynced = Batch {
        entries: vec![entry(next + 1, term, 700)],
        ..Batch::default()
    };
    opened.writer.append(&unsynced).unwrap();
    later.push(&unsynced);
    for seed in [0, 1] {
        let state = disk.fork();
        state.crash(quorate_disk::Crash::Random(seed));
        let opened = open(&state);
        later.check(&observe(&opened.recovered, &opened.reader));
    }
}

/// An entry whose payload tells which one it is.
pub(crate) fn entry(index: u64, term: u64, bytes: usize) -> Entry {
    let mut data = format!("{index}/{term}/").into_bytes();
    let fill = u8::try_from((index * 31 + term * 7) % 251).unwrap();
    data.resize(bytes.max(data.len()), fill);
    Entry {
        index,
        term,
        kind: u8::try_from(index % 3).unwrap(),
        data: Bytes::from(data),
    }
}

/// A batch of `count` entries after `last`.
pub(crate) fn entries_after(last: u64, term: u64, count: u64, bytes: usize) -> Batch {
    let entries = (last + 1..=last + count)
        .map(|index| entry(index, term, bytes))
        .collect();
    Batch {
        entries,
        ..Batch::default()
    }
}

pub(crate) fn hard_state(term: u64, vote: u64) -> Batch {
    Batch {
        hard_state: Some(HardState {
            term,
            vote,
            refilling: vote % 2 == 1,
        }),
        ..Batch::default()
    }
}
