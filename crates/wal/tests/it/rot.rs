//! Bits that flip by themselves. In acknowledged data, nothing is ever cut away: the log is
//! refused, with file and offset, or nothing was lost.

use quorate_disk::{Disk, SimDisk};
use quorate_wal::{Batch, HardState, Note, WalError};

use crate::model::{State, entries_after, hard_state, observe, open, small};

/// Appends, syncs and covers these batches one by one; gives what the log then holds.
fn covered_log(disk: &SimDisk, batches: &[Batch]) -> State {
    let mut opened = open(disk);
    let mut state = observe(&opened.recovered, &opened.reader);
    for batch in batches {
        opened.writer.append(batch).unwrap();
        opened.writer.sync().unwrap();
        state.apply(batch);
    }
    opened.writer.cover().unwrap();
    state
}

fn used_bytes(contents: &[u8]) -> u64 {
    contents
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at as u64 + 1)
}

/// Flips one bit and opens: refused by name of file and place, or nothing is missing. Says
/// whether it was refused.
fn refuses_or_loses_nothing(disk: &SimDisk, name: &str, offset: u64, bit: u8, all: &State) -> bool {
    let rotten = disk.fork();
    assert!(rotten.flip_bit(name, offset, bit));
    let before: Vec<_> = rotten.list().unwrap();
    match quorate_wal::open(rotten.clone(), small()) {
        Ok(opened) => {
            let found = observe(&opened.recovered, &opened.reader);
            assert_eq!(
                found, *all,
                "bit {bit} of byte {offset} of {name} lost something"
            );
            false
        }
        Err(WalError::Damaged {
            file,
            offset: named,
            ..
        }) => {
            assert_eq!(file, name);
            let near = named <= offset && offset < named + 2048;
            assert!(near, "byte {offset} of {name} is damaged, not byte {named}");
            assert_eq!(
                rotten.list().unwrap(),
                before,
                "a refused log is left as it is"
            );
            true
        }
        Err(other) => panic!("bit {bit} of byte {offset} of {name}: {other}"),
    }
}

fn one_segment() -> Vec<Batch> {
    vec![
        hard_state(1, 1),
        entries_after(0, 1, 2, 40),
        Batch {
            entries: entries_after(2, 2, 1, 40).entries,
            ..hard_state(2, 2)
        },
        entries_after(3, 2, 1, 300),
    ]
}

#[test]
fn no_flipped_bit_of_an_acknowledged_record_is_ever_cut_away() {
    let disk = SimDisk::new();
    let all = covered_log(&disk, &one_segment());
    let names = disk.list().unwrap();
    let [name] = names.as_slice() else {
        panic!("one segment: {names:?}")
    };
    let mut refused = 0;
    for offset in 0..used_bytes(&disk.contents(name).unwrap()) {
        for bit in 0..8 {
            refused += u32::from(refuses_or_loses_nothing(&disk, name, offset, bit, &all));
        }
    }
    // Two headers without an echo, 128 bytes each, and every byte of the entries.
    assert!(refused > 8 * 500, "only {refused} flips were refused");
}

#[test]
fn no_flipped_byte_of_any_segment_is_ever_cut_away() {
    let disk = SimDisk::new();
    let mut all = State::new();
    for round in 0..3 {
        let last = all.last();
        let term = round + 1;
        let batches = [
            hard_state(term, 1),
            entries_after(last, term, 3, 700),
            entries_after(last + 3, term, 4, 700),
        ];
        all = covered_log(&disk, &batches);
    }
    let names = disk.list().unwrap();
    assert!(names.len() >= 4, "several segments: {names:?}");
    for name in names {
        for offset in 0..disk.contents(&name).unwrap().len() as u64 {
            let bit = u8::try_from(offset % 8).unwrap();
            refuses_or_loses_nothing(&disk, &name, offset, bit, &all);
        }
    }
}

#[test]
fn a_lost_sector_of_an_acknowledged_record_is_refused_even_where_its_header_is_gone() {
    let disk = SimDisk::new();
    covered_log(&disk, &one_segment());
    let name = disk.list().unwrap()[0].clone();
    let contents = disk.contents(&name).unwrap();
    // The second batch: after the header block, and the first batch with its echo.
    let offset = 4096 + 1024;
    let file = disk.open(&name).unwrap();
    quorate_disk::File::write_at(&file, offset, &[0; 512]).unwrap();
    assert_ne!(disk.contents(&name).unwrap(), contents);
    let refused = quorate_wal::open(disk, small()).err().unwrap();
    let WalError::Damaged {
        file,
        offset: named,
        batch,
        ..
    } = &refused
    else {
        panic!("{refused}")
    };
    assert_eq!((file, *named, batch.unwrap().0), (&name, offset, 2));
    let line = refused.to_string();
    assert!(
        line.contains(&name) && line.contains("5120") && !line.contains('\n'),
        "{line}"
    );
}

#[test]
fn one_bad_sector_never_loses_term_and_vote() {
    // Not even of the last batch, which no later header covers.
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&hard_state(5, 3)).unwrap();
    opened.writer.sync().unwrap();
    opened
        .writer
        .append(&Batch {
            entries: entries_after(0, 6, 1, 30).entries,
            ..hard_state(6, 2)
        })
        .unwrap();
    opened.writer.sync().unwrap();
    let name = disk.list().unwrap()[0].clone();
    for sector in 0..(8 << 10) / 512 {
        let rotten = disk.fork();
        let file = rotten.open(&name).unwrap();
        quorate_disk::File::write_at(&file, sector * 512, &[0xA5; 512]).unwrap();
        match quorate_wal::open(rotten, small()) {
            Ok(opened) => {
                let kept = opened.recovered.hard_state;
                assert_eq!(
                    kept,
                    HardState {
                        term: 6,
                        vote: 2,
                        refilling: false
                    },
                    "without sector {sector}"
                );
            }
            Err(refused) => assert!(matches!(refused, WalError::Damaged { .. }), "{refused}"),
        }
    }
}

#[test]
fn a_damaged_header_of_a_change_of_term_is_read_from_its_echo() {
    let disk = SimDisk::new();
    let all = covered_log(&disk, &one_segment());
    let name = disk.list().unwrap()[0].clone();
    // The third batch changes the term and carries entry 3; only its header is hit.
    let offset = 4096 + 1024 + 512;
    for byte in 0..128 {
        let rotten = disk.fork();
        assert!(rotten.flip_bit(&name, offset + byte, 5));
        let opened = open(&rotten);
        assert_eq!(observe(&opened.recovered, &opened.reader), all);
        let used = Note::SecondCopyUsed {
            file: name.clone(),
            offset,
        };
        assert_eq!(opened.recovered.notes, [used]);
    }
}

/// The one case that cannot be told apart, as the documentation says: rot in the last batch, when
/// nothing was written after it and it was not covered, looks like a torn tail.
#[test]
fn rot_of_the_one_batch_that_nothing_covers_looks_like_a_torn_tail() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for last in [0, 1] {
        opened
            .writer
            .append(&entries_after(last, 1, 1, 30))
            .unwrap();
        opened.writer.sync().unwrap();
    }
    let name = disk.list().unwrap()[0].clone();
    let covered = disk.fork();
    assert!(disk.flip_bit(&name, 4096 + 512 + 140, 0));
    let opened = open(&disk);
    assert_eq!(opened.recovered.last_index, 1);
    let notes = opened.recovered.notes;
    assert!(
        matches!(notes.as_slice(), [Note::TornTail { offset: 4608, .. }]),
        "{notes:?}"
    );

    // Reopened, or covered, it is safe.
    drop(open(&covered));
    assert!(covered.flip_bit(&name, 4096 + 512 + 140, 0));
    let refused = quorate_wal::open(covered, small()).err();
    assert!(
        matches!(refused, Some(WalError::Damaged { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_reader_names_what_rotted_after_the_log_was_opened() {
    let disk = SimDisk::new();
    let opened = {
        covered_log(&disk, &one_segment());
        open(&disk)
    };
    let name = disk.list().unwrap()[0].clone();
    let place = 4096 + 1024 + 140;
    assert!(disk.flip_bit(&name, place, 0));
    let refused = opened.reader.read(1, 4, 1 << 20).unwrap_err();
    let WalError::Damaged { file, offset, .. } = refused else {
        panic!("{refused}")
    };
    assert_eq!((file, offset), (name, 4096 + 1024 + 128));
    assert_eq!(opened.reader.read(3, 4, 1 << 20).unwrap().len(), 2);
}
