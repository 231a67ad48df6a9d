//! A disk that fails: the writer stops for good, and nothing acknowledged is lost.

use quorate_disk::{Crash, Disk, Effect, ErrorKind, Fault, File, Operation, SimDisk};
use quorate_wal::{Identity, Note, Options, WalError};

use crate::model::{
    History, IDENTITY, State, check_recovery, entries_after, hard_state, observe, open, small,
};

fn next(disk: &SimDisk, operation: Operation, kind: ErrorKind) {
    disk.inject(Fault {
        operation,
        after: 0,
        effect: Effect::Fail(kind),
    });
}

#[test]
fn a_failed_sync_is_final() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 1, 1, 30)).unwrap();
    next(&disk, Operation::Sync, ErrorKind::Io);
    let failed = opened.writer.sync().unwrap_err();
    assert!(
        matches!(&failed, WalError::Disk(error) if error.kind == ErrorKind::Io),
        "{failed}"
    );
    let syncs = disk.count(Operation::Sync);
    let poisoned = |result: Result<_, WalError>| {
        let cause = failed.to_string();
        assert_eq!(result, Err(WalError::Poisoned { cause }));
    };
    poisoned(opened.writer.sync().map(drop));
    poisoned(opened.writer.append(&entries_after(1, 1, 1, 30)).map(drop));
    poisoned(opened.writer.cover());
    poisoned(opened.writer.release(1).map(drop));
    assert_eq!(
        disk.count(Operation::Sync),
        syncs,
        "it is never tried again"
    );
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_written_again_before_it_is_believed() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 1, 2, 30)).unwrap();
    next(&disk, Operation::Sync, ErrorKind::Io);
    opened.writer.sync().unwrap_err();
    // The process ends, the machine does not: the next one reads the pages, which are clean.
    disk.kill_process();
    let opened = open(&disk);
    assert_eq!(opened.recovered.last_index, 2);
    // And now the power goes.
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(open(&disk).recovered.last_index, 2);
}

#[test]
fn a_failed_write_is_final_even_if_half_of_it_was_done() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut history = History::new(State::new());
    for (last, bytes) in [(0, 30), (1, 2_000)] {
        let batch = entries_after(last, 1, 1, bytes);
        let effect = Effect::FailHalfway(ErrorKind::NoSpace);
        history.push(&batch);
        if last == 0 {
            opened.writer.append(&batch).unwrap();
            opened.writer.sync().unwrap();
            history.all_synced();
        } else {
            disk.inject(Fault {
                operation: Operation::Write,
                after: 0,
                effect,
            });
            opened.writer.append(&batch).unwrap_err();
        }
    }
    let after = opened
        .writer
        .append(&entries_after(1, 1, 1, 30))
        .unwrap_err();
    assert!(matches!(after, WalError::Poisoned { .. }), "{after}");
    for state in disk.crash_states() {
        check_recovery(&state, &history);
    }
}

#[test]
fn a_full_disk_stops_the_writer_and_loses_nothing() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut history = History::new(State::new());
    disk.set_capacity(Some(20 << 10));
    let full = loop {
        let batch = entries_after(history.now().last(), 1, 2, 400);
        match opened.writer.append(&batch) {
            Ok(_) => {
                history.push(&batch);
                opened.writer.sync().unwrap();
                history.all_synced();
            }
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&full, WalError::Disk(error) if error.kind == ErrorKind::NoSpace),
        "{full}"
    );
    assert!(opened.writer.sync().is_err());
    disk.crash(Crash::LoseUnsynced);
    disk.set_capacity(None);
    let opened = open(&disk);
    assert_eq!(observe(&opened.recovered, &opened.reader), *history.now());
    check_recovery(&disk, &history);
}

#[test]
fn a_full_disk_stops_only_the_preparing() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    disk.set_capacity(Some(12 << 10));
    let full = opened.preparer.prepare().unwrap_err();
    assert!(
        matches!(&full, WalError::Disk(error) if error.kind == ErrorKind::NoSpace),
        "{full}"
    );
    assert_eq!(
        disk.list().unwrap().len(),
        1,
        "what was begun is gone again"
    );
    opened.writer.append(&entries_after(0, 1, 1, 30)).unwrap();
    opened.writer.sync().unwrap();
    disk.set_capacity(None);
    assert!(opened.preparer.prepare().unwrap());
}

#[test]
fn a_read_that_comes_up_short_is_an_error_and_not_an_end() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 1, 3, 300)).unwrap();
    opened.writer.cover().unwrap();
    for after in 0..3 {
        let state = disk.fork();
        state.inject(Fault {
            operation: Operation::Read,
            after,
            effect: Effect::ShortRead,
        });
        match quorate_wal::open(state, small()) {
            Ok(opened) => assert_eq!(opened.recovered.last_index, 3),
            Err(error) => assert!(matches!(error, WalError::Disk(_)), "{error}"),
        }
    }
    disk.inject(Fault {
        operation: Operation::Read,
        after: 0,
        effect: Effect::ShortRead,
    });
    let short = opened.reader.read(1, 3, 1 << 20).unwrap_err();
    assert!(matches!(short, WalError::Disk(_)), "{short}");
}

#[test]
fn the_log_of_somebody_else_is_refused_and_left_alone() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 1, 1, 30)).unwrap();
    opened.writer.sync().unwrap();
    let name = disk.list().unwrap()[0].clone();
    let before = disk.contents(&name);
    for identity in [
        Identity {
            cluster_id: 9,
            ..IDENTITY
        },
        Identity {
            member_id: 9,
            ..IDENTITY
        },
    ] {
        let refused = quorate_wal::open(
            disk.clone(),
            Options {
                identity,
                ..small()
            },
        )
        .err();
        let Some(WalError::WrongIdentity {
            found, expected, ..
        }) = refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!((found, expected), (IDENTITY, identity));
    }
    assert_eq!(disk.contents(&name), before);
    // Another group's log is another log.
    let identity = Identity {
        group_id: 1,
        ..IDENTITY
    };
    let other = quorate_wal::open(
        disk.clone(),
        Options {
            identity,
            ..small()
        },
    )
    .unwrap();
    assert!(other.recovered.is_new);
    assert_eq!(open(&disk).recovered.last_index, 1);
}

#[test]
fn a_log_of_another_format_version_is_refused_and_left_alone() {
    let disk = SimDisk::new();
    drop(open(&disk));
    let name = disk.list().unwrap()[0].clone();
    let file = disk.open(&name).unwrap();
    for copy in [0, 2048] {
        file.write_at(copy + 8, &[2, 0, 0, 0]).unwrap();
    }
    let before = disk.contents(&name);
    let refused = quorate_wal::open(disk.clone(), small()).err();
    let expected = WalError::UnknownVersion {
        file: name.clone(),
        found: 2,
        known: 1,
    };
    assert_eq!(refused, Some(expected));
    assert_eq!(disk.contents(&name), before);
}

#[test]
fn a_missing_segment_is_named() {
    let disk = SimDisk::new();
    for last in 0..3 {
        let mut opened = open(&disk);
        opened
            .writer
            .append(&entries_after(last, 1, 1, 30))
            .unwrap();
        opened.writer.sync().unwrap();
    }
    let names = disk.list().unwrap();
    disk.remove(&names[1]).unwrap();
    let refused = quorate_wal::open(disk, small()).err();
    let Some(WalError::Damaged { file, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(file, names[1]);
}

#[test]
fn files_of_others_are_left_alone_and_leftovers_are_removed() {
    let disk = SimDisk::new();
    drop(open(&disk));
    let foreign = [
        "README",
        "00000000-0000000000000001.wal.bak",
        "00000007-0000000000000001.wal",
    ];
    let leftover = [
        "00000000-0000000000000005.part",
        "00000000-0000000000000006.spare",
    ];
    for name in foreign.into_iter().chain(leftover) {
        disk.create(name)
            .unwrap()
            .write_at(0, b"something")
            .unwrap();
    }
    let opened = open(&disk);
    let removed = opened.recovered.notes;
    let expected = leftover.map(|file| Note::LeftoverRemoved {
        file: file.to_owned(),
    });
    assert_eq!(removed, expected);
    for name in foreign {
        assert_eq!(
            disk.contents(name).as_deref(),
            Some(b"something".as_slice()),
            "{name}"
        );
    }
    assert_eq!(disk.list().unwrap().len(), foreign.len() + 1);
}

#[test]
fn every_note_is_one_clear_line() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&hard_state(1, 1)).unwrap();
    opened.writer.sync().unwrap();
    opened.writer.append(&entries_after(0, 1, 1, 900)).unwrap();
    let mut asked = 0;
    disk.crash(Crash::Chosen(&mut |options| {
        asked += 1;
        if asked == 3 { 0 } else { options - 1 }
    }));
    let name = disk.list().unwrap()[0].clone();
    let notes = open(&disk).recovered.notes;
    let [note] = notes.as_slice() else {
        panic!("{notes:?}")
    };
    assert_eq!(
        note.to_string(),
        format!(
            "write-ahead log: cut a torn tail of 1536 bytes at byte 5120 of {name}: batch 2 was \
             never completed (entry 1 fails its checksum) and never acknowledged"
        )
    );
}
