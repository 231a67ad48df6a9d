//! A start from a snapshot and the log after it, whatever a crash left of either.

use quorate_disk::{Disk, SimDisk};
use quorate_wal::snapshot::{SNAPSHOTS_KEPT, SnapshotFiles, SnapshotId, Start, pair, pair_loading};
use quorate_wal::{Batch, Note, Opened, Recovered, SnapshotMark, WalError};

use crate::model::{History, IDENTITY, State, entries_after, hard_state, observe, open, small};
use crate::snapshot_files::{
    content, crashed_states, files, mark, read, with_unknown_version, write,
};

const BYTES: usize = 150;

fn marked(mark: SnapshotMark) -> Batch {
    Batch {
        snapshot: Some(mark),
        ..Batch::default()
    }
}

/// What a life has been promised so far.
#[derive(Clone)]
struct Promised {
    history: History,
    /// The last entry that is durable, in the log or in a snapshot that the log was told of.
    last: u64,
    /// The newest snapshot whose mark is durable.
    mark: u64,
}

impl Promised {
    fn new() -> Promised {
        Promised {
            history: History::new(State::new()),
            last: 0,
            mark: 0,
        }
    }

    fn put(&mut self, opened: &mut Opened<SimDisk>, batch: &Batch) -> Result<(), WalError> {
        self.history.push(batch);
        opened.writer.append(batch)?;
        opened.writer.sync()?;
        self.history.all_synced();
        self.last = self.history.now().last();
        self.mark = self.history.now().snapshot.map_or(0, |mark| mark.index);
        Ok(())
    }

    fn grow(&mut self, opened: &mut Opened<SimDisk>) -> Result<(), WalError> {
        for _ in 0..2 {
            let term = self.history.now().hard_state.term;
            let batch = entries_after(self.history.now().last(), term, 2, 700);
            self.put(opened, &batch)?;
        }
        Ok(())
    }

    /// After the file: mark, term and vote, release, each durable before the next.
    fn note_snapshot(
        &mut self,
        opened: &mut Opened<SimDisk>,
        files: &SnapshotFiles<SimDisk>,
        mark: SnapshotMark,
    ) -> Result<(), WalError> {
        self.put(opened, &marked(mark))?;
        let term = self.history.now().hard_state.term.max(mark.term) + 1;
        self.put(opened, &hard_state(term, 2))?;
        let kept = files.keep_newest(SNAPSHOTS_KEPT, mark)?;
        if let Some(up_to) = kept.release_up_to {
            self.history.released = up_to;
            opened.writer.release(up_to)?;
        }
        Ok(())
    }

    /// Whatever a crash left, some snapshot and the log go together and hold all that was promised.
    fn check(&self, state: &SimDisk) {
        let opened = open(state);
        let found = observe(&opened.recovered, &opened.reader);
        self.history.check(&found);
        let files = files(state);
        files.tidy().unwrap();
        let start = pair(&opened.recovered, &files).unwrap_or_else(|error| panic!("{error}"));
        let from = start.snapshot.map_or(0, |id| {
            assert_eq!(read(&files, id.mark).unwrap(), content(id.mark, BYTES));
            id.mark.index
        });
        assert_eq!(start.replay_from, from + 1);
        assert!(from >= self.mark, "began at {from}, marked {}", self.mark);
        for index in from + 1..=self.last {
            assert!(found.entries.contains_key(&index), "entry {index} is gone");
        }
    }
}

/// Snapshots, their marks, releases, and at the end one that is installed from elsewhere.
fn live(disk: &SimDisk, promised: &mut Promised) -> Result<(), WalError> {
    let mut opened = quorate_wal::open(disk.clone(), small())?;
    let files = files(disk);
    promised.put(&mut opened, &hard_state(1, 1))?;
    for _ in 0..4 {
        promised.grow(&mut opened)?;
        let newest = promised.history.now().entries.values().nth_back(1).unwrap();
        let mark = mark(newest.index, newest.term);
        write(&files, mark, BYTES)?;
        promised.note_snapshot(&mut opened, &files, mark)?;
    }
    let (source, id) = source();
    let mut receiver = files.receive(id)?;
    let mut reader = source.read(id.mark)?;
    while let Some(number) = receiver.next_chunk() {
        receiver.receive(&reader.chunk(number)?)?;
    }
    receiver.finish()?;
    promised.note_snapshot(&mut opened, &files, id.mark)?;
    promised.grow(&mut opened)
}

fn source() -> (SnapshotFiles<SimDisk>, SnapshotId) {
    let source = files(&SimDisk::new());
    let id = write(&source, mark(100, 90), BYTES).unwrap();
    (source, id)
}

#[test]
fn pitfall_9_after_a_crash_anywhere_a_snapshot_and_the_log_go_together() {
    let mut visited = 0;
    let mut after = 0;
    loop {
        let disk = SimDisk::new();
        let mut promised = Promised::new();
        disk.power_off_after(after);
        let lived = live(&disk, &mut promised);
        assert!(lived.is_ok() || disk.power_is_off(), "{lived:?}");
        for state in crashed_states(&disk) {
            promised.check(&state);
            visited += 1;
        }
        if lived.is_ok() {
            break;
        }
        after += 1;
    }
    assert!(
        after > 80 && visited > 500,
        "{after} moments, {visited} states"
    );
}

/// A log with three snapshots behind it; two are kept.
fn after_three() -> (SimDisk, Vec<SnapshotMark>) {
    let disk = SimDisk::new();
    let mut promised = Promised::new();
    let mut opened = open(&disk);
    let files = files(&disk);
    promised.put(&mut opened, &hard_state(1, 1)).unwrap();
    for _ in 0..3 {
        promised.grow(&mut opened).unwrap();
        let newest = promised.history.now().entries.values().last().unwrap();
        let mark = mark(newest.index, newest.term);
        write(&files, mark, BYTES).unwrap();
        promised.note_snapshot(&mut opened, &files, mark).unwrap();
    }
    promised.grow(&mut opened).unwrap();
    let list = files.list().unwrap().snapshots;
    (disk, list.iter().map(|id| id.mark).collect())
}

fn start(disk: &SimDisk) -> (Recovered, Result<Start, WalError>) {
    let recovered = open(disk).recovered;
    let started = pair(&recovered, &files(disk));
    (recovered, started)
}

fn name_of(mark: SnapshotMark) -> String {
    let (index, term) = (mark.index, mark.term);
    format!("snapshot-00000000-{index:016x}-{term:016x}")
}

#[test]
fn the_log_is_released_up_to_the_older_of_two_snapshots_and_no_further() {
    let (disk, marks) = after_three();
    assert_eq!(marks.len(), 2);
    let (recovered, started) = start(&disk);
    assert_eq!(recovered.snapshot, Some(marks[0]));
    assert!(recovered.first_index > 1, "something was released");
    assert!(recovered.first_index <= marks[1].index + 1);
    let started = started.unwrap();
    assert_eq!(started.snapshot.unwrap().mark, marks[0]);
    assert_eq!(started.notes, []);
}

#[test]
fn a_snapshot_damaged_at_any_byte_gives_way_to_the_older_one() {
    let (disk, marks) = after_three();
    let name = name_of(marks[0]);
    let length = disk.contents(&name).unwrap().len() as u64;
    let recovered = open(&disk).recovered;
    for offset in 0..length {
        let rotten = disk.fork();
        assert!(rotten.flip_bit(&name, offset, 6));
        let started = pair(&recovered, &files(&rotten)).unwrap();
        assert_eq!(started.snapshot.unwrap().mark, marks[1]);
        assert_eq!(started.replay_from, marks[1].index + 1);
        let named = matches!(
            started.notes.as_slice(),
            [Note::SnapshotDamaged { file, .. }] if *file == name
        );
        assert!(named, "{:?}", started.notes);
    }
}

#[test]
fn a_snapshot_that_its_reader_refuses_or_that_is_of_an_unknown_version_gives_way_too() {
    let (disk, marks) = after_three();
    let recovered = open(&disk).recovered;
    let older_only = |mark| match mark == marks[1] {
        true => Ok(Ok(mark)),
        false => Ok(Err("nobody reads this".to_owned())),
    };
    let (started, loaded) = pair_loading(&recovered, &files(&disk), older_only).unwrap();
    assert_eq!(started.snapshot.unwrap().mark, marks[1]);
    assert_eq!(
        (started.replay_from, loaded),
        (marks[1].index + 1, Some(marks[1]))
    );
    let what = "nobody reads this".to_owned();
    let refused = Note::SnapshotUnused {
        mark: marks[0],
        what,
    };
    assert_eq!(started.notes, [refused]);

    with_unknown_version(&disk, &name_of(marks[0]));
    let started = start(&disk).1.unwrap();
    assert_eq!(started.snapshot.unwrap().mark, marks[1]);
    let line = started.notes[0].to_string();
    assert!(line.contains("version 9"), "{line}");
}

/// Anybody may put a file there.
#[test]
fn a_file_that_claims_the_last_of_all_indexes_is_passed_over() {
    let (disk, marks) = after_three();
    let name = name_of(mark(u64::MAX, u64::MAX));
    drop(disk.create(&name).unwrap());
    let started = start(&disk).1.unwrap();
    assert_eq!(started.snapshot.unwrap().mark, marks[0]);
    let passed_over = matches!(
        started.notes.as_slice(),
        [Note::SnapshotUnused { mark, .. }] if mark.index == u64::MAX
    );
    assert!(passed_over, "{:?}", started.notes);
}

#[test]
fn a_snapshot_that_is_gone_is_named_and_the_older_one_used() {
    let (disk, marks) = after_three();
    disk.remove(&name_of(marks[0])).unwrap();
    let started = start(&disk).1.unwrap();
    assert_eq!(started.snapshot.unwrap().mark, marks[1]);
    assert_eq!(started.notes, [Note::SnapshotMissing { mark: marks[0] }]);
}

#[test]
fn a_log_whose_snapshots_are_gone_or_damaged_says_what_is_missing() {
    let (disk, marks) = after_three();
    disk.remove(&name_of(marks[0])).unwrap();
    assert!(disk.flip_bit(&name_of(marks[1]), 140, 1));
    let (recovered, started) = start(&disk);
    let refused = started.unwrap_err();
    let WalError::NoStart {
        first_index,
        mark,
        notes,
        ..
    } = &refused
    else {
        panic!("{refused}")
    };
    assert_eq!(*first_index, recovered.first_index);
    assert_eq!((*mark, notes.len()), (Some(marks[0]), 2));
    let line = refused.to_string();
    assert!(
        line.contains("is not there") && line.contains(&name_of(marks[1])),
        "{line}"
    );
}

#[test]
fn a_log_that_begins_at_one_needs_no_snapshot() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for batch in [entries_after(0, 1, 5, 20), marked(mark(4, 1))] {
        opened.writer.append(&batch).unwrap();
    }
    opened.writer.sync().unwrap();
    let started = start(&disk).1.unwrap();
    assert_eq!((started.snapshot, started.replay_from), (None, 1));
    assert_eq!(started.notes, [Note::SnapshotMissing { mark: mark(4, 1) }]);
}

#[test]
fn a_file_without_its_mark_is_used_where_the_log_reaches_it() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 3, 5, 20)).unwrap();
    opened.writer.sync().unwrap();
    drop(opened);
    write(&files(&disk), mark(4, 3), BYTES).unwrap();
    // Of another term than the log's entry there, and beyond its end: neither goes with it.
    write(&files(&disk), mark(5, 2), BYTES).unwrap();
    write(&files(&disk), mark(6, 3), BYTES).unwrap();
    let started = start(&disk).1.unwrap();
    assert_eq!(started.snapshot.unwrap().mark, mark(4, 3));
    let passed_over: Vec<_> = started
        .notes
        .iter()
        .map(|note| match note {
            Note::SnapshotUnused { mark, .. } => mark.index,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(passed_over, [6, 5]);
}

#[test]
fn an_install_voids_the_log_and_its_segments_are_let_go_at_once() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for round in 0..5 {
        opened
            .writer
            .append(&entries_after(round * 3, 1, 3, 1_000))
            .unwrap();
    }
    write(&files(&disk), mark(100, 7), BYTES).unwrap();
    opened.writer.append(&marked(mark(100, 7))).unwrap();
    opened.writer.append(&entries_after(100, 7, 1, 20)).unwrap();
    // Nothing may be released below 1, but these entries are void already.
    let released = opened.writer.release(0).unwrap();
    assert_eq!(released.first_index, 101);
    assert!(released.recycled + released.removed >= 4, "{released:?}");
    drop(opened);
    disk.crash(quorate_disk::Crash::LoseUnsynced);
    let (recovered, started) = start(&disk);
    assert_eq!((recovered.first_index, recovered.last_index), (101, 101));
    assert_eq!(recovered.term_at(100), Some(7));
    let started = started.unwrap();
    assert_eq!(started.snapshot.unwrap().mark, mark(100, 7));
    assert_eq!(started.replay_from, 101);
}

#[test]
fn a_snapshot_of_another_member_stops_the_start() {
    let disk = SimDisk::new();
    let recovered = open(&disk).recovered;
    let strange = quorate_wal::Identity {
        member_id: 1,
        ..IDENTITY
    };
    let others = SnapshotFiles::new(disk.clone(), strange, 0);
    let mut writer = others.write(mark(4, 1)).unwrap();
    writer.write(b"theirs").unwrap();
    writer.finish().unwrap();
    // In this log's reach, or nobody would look into it.
    let mut reaching = recovered;
    reaching.last_index = 4;
    let refused = pair(&reaching, &files(&disk)).unwrap_err();
    assert!(
        matches!(refused, WalError::WrongIdentity { .. }),
        "{refused}"
    );
}
