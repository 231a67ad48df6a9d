//! Bytes of an earlier life never pass: not those of a recycled segment, and not those of a torn
//! tail that was cut.

use quorate_disk::{Crash, Disk, File, SimDisk};
use quorate_wal::Note;

use crate::model::{History, State, check_recovery, entries_after, observe, open};

#[test]
fn batches_beyond_a_cut_never_come_to_life() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for last in 0..6 {
        opened
            .writer
            .append(&entries_after(last, 1, 1, 30))
            .unwrap();
        if last == 0 {
            opened.writer.sync().unwrap();
        }
    }
    // Of five unsynced batches the first is lost, the others reach the medium.
    let mut asked = 0;
    disk.crash(Crash::Chosen(&mut |options| {
        asked += 1;
        if asked == 2 { 0 } else { options - 1 }
    }));
    let mut opened = open(&disk);
    assert_eq!(opened.recovered.last_index, 1);
    let notes = &opened.recovered.notes;
    assert!(
        matches!(notes.as_slice(), [Note::TornTail { bytes: 2560, .. }]),
        "{notes:?}"
    );

    // The next batch has the number and the size of the lost one: if the others were still
    // believed, they would now follow it.
    opened.writer.append(&entries_after(1, 2, 1, 30)).unwrap();
    opened.writer.sync().unwrap();
    for _ in 0..3 {
        disk.crash(Crash::LoseUnsynced);
        let opened = open(&disk);
        assert_eq!(
            observe(&opened.recovered, &opened.reader).entries[&2].term,
            2
        );
        assert_eq!(
            (opened.recovered.last_index, opened.recovered.notes),
            (2, vec![])
        );
    }
}

#[test]
fn a_recycled_segment_shows_nothing_of_its_earlier_life() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut history = History::new(State::new());
    // Each life of a file is filled with batches at the very same places.
    for round in 0..12 {
        for _ in 0..8 {
            let batch = entries_after(history.now().last(), 1, 1, 30);
            opened.writer.append(&batch).unwrap();
            history.push(&batch);
        }
        opened.writer.sync().unwrap();
        history.all_synced();
        history.released = history.now().last();
        let released = opened.writer.release(history.released).unwrap();
        assert!(
            round == 0 || released.recycled == 1,
            "{released:?} in round {round}"
        );
    }
    // One batch into a segment whose other sectors are full of old batches.
    for _ in 0..3 {
        let batch = entries_after(history.now().last(), 1, 1, 30);
        opened.writer.append(&batch).unwrap();
        history.push(&batch);
        for state in disk.crash_states() {
            check_recovery(&state, &history);
        }
    }
}

#[test]
fn an_old_batch_put_back_in_its_very_place_does_not_pass() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 1, 1, 30)).unwrap();
    opened.writer.sync().unwrap();
    let name = disk.list().unwrap()[0].clone();
    let old = disk.contents(&name).unwrap();
    // The batch is lost, and the log is opened anew: same file name, same first batch number.
    let file = disk.open(&name).unwrap();
    file.write_at(4096, &[0; 512]).unwrap();
    file.sync().unwrap();
    drop(open(&disk));
    assert_eq!(disk.list().unwrap(), std::slice::from_ref(&name));
    disk.open(&name)
        .unwrap()
        .write_at(4096, &old[4096..4608])
        .unwrap();
    let opened = open(&disk);
    assert_eq!(opened.recovered.last_index, 0);
    assert_eq!(opened.recovered.notes, []);
}

#[test]
fn spares_that_outlived_their_log_show_nothing_of_it() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for last in 0..12 {
        opened
            .writer
            .append(&entries_after(last, 1, 1, 30))
            .unwrap();
    }
    opened.writer.sync().unwrap();
    assert_eq!(opened.writer.release(8).unwrap().recycled, 1);
    drop(opened);
    for name in disk.list().unwrap() {
        if name.ends_with(".wal") {
            disk.remove(&name).unwrap();
        }
    }
    for _ in 0..3 {
        let recovered = open(&disk).recovered;
        assert_eq!((recovered.last_index, recovered.notes), (0, vec![]));
    }
}

#[test]
fn a_value_that_looks_like_a_batch_is_not_taken_for_one() {
    // Whole sectors of a value are copies of an intact batch of this very segment, headers and
    // checksums included, and the batch that contains them tears.
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 1, 1, 30)).unwrap();
    opened.writer.sync().unwrap();
    let name = disk.list().unwrap()[0].clone();
    let forged = disk.contents(&name).unwrap()[4096..4608].to_vec();
    let mut batch = entries_after(1, 1, 1, 0);
    let mut value = vec![0; 512 - 128 - 8];
    value.extend_from_slice(&forged);
    value.extend_from_slice(&forged);
    batch.entries[0].data = value.into();
    opened.writer.append(&batch).unwrap();
    assert_eq!(disk.contents(&name).unwrap()[5120..5632], forged);
    for state in disk.crash_states() {
        let opened = open(&state);
        assert!((1..=2).contains(&opened.recovered.last_index));
        let last = opened.recovered.last_index;
        assert_eq!(
            opened.reader.read(1, 1, 1).unwrap()[0].data,
            entries_after(0, 1, 1, 30).entries[0].data
        );
        if last == 2 {
            assert_eq!(opened.reader.read(2, 2, 1).unwrap(), batch.entries);
        }
    }
}
