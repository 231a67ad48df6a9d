//! Damage that is named instead of refused, and repaired. Whatever sector of a log is damaged, a
//! start yields everything, or names exactly what it cannot read; nothing is ever silently missing.

use std::collections::BTreeSet;

use quorate_disk::{Crash, Disk, File, SimDisk};
use quorate_wal::{Batch, Damage, Entry, HardState, Note, Opened, Options, SnapshotMark, WalError};

use crate::model::{State, entries_after, entry, hard_state, observe, open, small};

pub(crate) fn tolerant() -> Options {
    Options {
        tolerate_damage: true,
        ..small()
    }
}

pub(crate) fn open_tolerant(disk: &SimDisk) -> Result<Opened<SimDisk>, WalError> {
    quorate_wal::open(disk.clone(), tolerant())
}

/// A log of everything that a log can hold, in several segments, the end covered.
pub(crate) fn varied_log() -> (SimDisk, State) {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut state = State::new();
    let mut put = |opened: &mut Opened<SimDisk>, batch: &Batch| {
        opened.writer.append(batch).unwrap();
        opened.writer.sync().unwrap();
        state.apply(batch);
    };
    for batch in [
        hard_state(1, 1),
        entries_after(0, 1, 3, 60),
        entries_after(3, 1, 2, 700),
        Batch::default(),
        entries_after(5, 1, 4, 300),
        // Cut, within this segment and the next.
        Batch {
            truncate_after: Some(7),
            ..entries_after(7, 2, 2, 100)
        },
        Batch {
            entries: entries_after(9, 3, 1, 900).entries,
            ..hard_state(3, 2)
        },
        entries_after(10, 3, 2, 900),
        entries_after(12, 3, 5, 500),
        Batch {
            truncate_after: Some(14),
            ..Batch::default()
        },
        entries_after(14, 4, 1, 40),
        Batch {
            snapshot: Some(SnapshotMark { index: 6, term: 1 }),
            ..Batch::default()
        },
        hard_state(6, 3),
    ] {
        put(&mut opened, &batch);
    }
    drop(opened);
    let mut opened = open(&disk);
    let mixed = |first: u64| Batch {
        entries: vec![
            entry(first, 6, 20),
            entry(first + 1, 6, 20),
            entry(first + 2, 7, 20),
        ],
        ..Batch::default()
    };
    put(&mut opened, &mixed(16));
    put(&mut opened, &entries_after(18, 7, 2, 40));
    put(&mut opened, &entries_after(20, 8, 2, 40));
    put(&mut opened, &hard_state(9, 1));
    put(&mut opened, &entries_after(22, 9, 1, 40));
    opened.writer.cover().unwrap();
    drop(opened);
    (disk, state)
}

pub(crate) fn overwrite(disk: &SimDisk, name: &str, sector: u64, fill: u8) {
    let file = disk.open(name).unwrap();
    file.write_at(sector * 512, &[fill; 512]).unwrap();
    file.sync().unwrap();
}

fn sectors(disk: &SimDisk) -> Vec<(String, u64)> {
    let names = disk.list().unwrap().into_iter();
    names
        .filter(|name| name.ends_with(".wal"))
        .flat_map(|name| {
            let sectors = disk.contents(&name).unwrap().len() as u64 / 512;
            (0..sectors).map(move |sector| (name.clone(), sector))
        })
        .collect()
}

pub(crate) fn indexes(damaged: &[Damage]) -> BTreeSet<u64> {
    damaged
        .iter()
        .flat_map(|damage| damage.first_index..=damage.last_index)
        .collect()
}

/// Checks that everything that is not named reads back as it was, and that what is named cannot
/// be read and is described rightly. Gives what is named.
pub(crate) fn assert_named_or_there(opened: &Opened<SimDisk>, all: &State) -> BTreeSet<u64> {
    let recovered = &opened.recovered;
    assert_eq!(
        (recovered.first_index, recovered.last_index),
        (all.first, all.last())
    );
    assert_eq!(recovered.hard_state, all.hard_state);
    assert_eq!(recovered.snapshot, all.snapshot);
    let named = indexes(&recovered.damaged);
    for (index, expected) in &all.entries {
        match opened.reader.read(*index, *index, 1) {
            Ok(found) => {
                assert!(
                    !named.contains(index),
                    "entry {index} is named and readable"
                );
                assert_eq!(found, std::slice::from_ref(expected));
                assert_eq!(recovered.term_at(*index), Some(expected.term));
            }
            Err(WalError::Damaged { .. }) => {
                assert!(named.contains(index), "entry {index} is silently missing");
            }
            Err(other) => panic!("entry {index}: {other}"),
        }
    }
    for damage in &recovered.damaged {
        for index in damage.first_index..=damage.last_index {
            let term = all.entries[&index].term;
            assert!(damage.term.is_none_or(|known| known == term), "{damage}");
        }
    }
    // A long read stops before the first gap and goes on after each.
    let mut next = recovered.first_index;
    while next <= recovered.last_index {
        match opened.reader.read(next, u64::MAX, usize::MAX) {
            Ok(found) => next += found.len() as u64,
            Err(_) => {
                assert!(named.contains(&next));
                next += 1;
            }
        }
    }
    named
}

pub(crate) fn lost_entries(all: &State, named: &BTreeSet<u64>) -> Vec<Entry> {
    named
        .iter()
        .map(|index| all.entries[index].clone())
        .collect()
}

#[test]
fn every_single_damaged_sector_is_harmless_or_named_exactly_and_can_be_repaired() {
    let (disk, all) = varied_log();
    let (mut named_count, mut harmless) = (0, 0);
    let mut ever_named = BTreeSet::new();
    for (name, sector) in sectors(&disk) {
        for fill in [0x00, 0xA5] {
            let rotten = disk.fork();
            overwrite(&rotten, &name, sector, fill);
            let strict = quorate_wal::open(rotten.fork(), small());
            let mut opened = open_tolerant(&rotten)
                .unwrap_or_else(|error| panic!("sector {sector} of {name}: {error}"));
            let named = assert_named_or_there(&opened, &all);
            if named.is_empty() {
                let strict = strict.unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(observe(&strict.recovered, &strict.reader), all);
                harmless += 1;
                continue;
            }
            named_count += 1;
            ever_named.extend(&named);
            assert!(named.len() <= 5, "a batch has five entries at most");
            for damage in &opened.recovered.damaged {
                assert_eq!(damage.file, name);
                // The batch, or the entry, that reaches into the sector.
                let near =
                    damage.offset < (sector + 1) * 512 && damage.offset + 2560 > sector * 512;
                assert!(near, "sector {sector}: {damage}");
            }
            assert!(
                matches!(&strict, Err(WalError::Damaged { file, .. }) if *file == name),
                "strict: {:?}",
                strict.err()
            );
            // Opened again, it is named again; nothing was cut in between.
            let before = opened.recovered.damaged.clone();
            drop(opened);
            opened = open_tolerant(&rotten).unwrap();
            assert_eq!(indexes(&opened.recovered.damaged), indexes(&before));

            let left = opened.writer.repair(&lost_entries(&all, &named)).unwrap();
            assert_eq!(left, []);
            for (index, expected) in &all.entries {
                let found = opened.reader.read(*index, *index, 1).unwrap();
                assert_eq!(found, std::slice::from_ref(expected));
            }
            let next = entries_after(all.last(), 9, 1, 30);
            opened.writer.append(&next).unwrap();
            opened.writer.sync().unwrap();
            rotten.crash(Crash::LoseUnsynced);
            let healed = open(&rotten);
            let mut expected = all.clone();
            expected.apply(&next);
            assert_eq!(observe(&healed.recovered, &healed.reader), expected);
        }
    }
    assert!(
        named_count > 20 && harmless > 20,
        "{named_count}, {harmless}"
    );
    let entries: BTreeSet<u64> = all.entries.keys().copied().collect();
    assert_eq!(ever_named, entries, "each entry was damaged once");
}

/// Two damaged sectors may take a cut of the log with both its copies, or both copies of a
/// segment's header: then the log is refused. They never make it lie, and never cost term or vote.
#[test]
fn no_two_damaged_sectors_make_an_entry_silently_missing_or_lose_a_vote() {
    let (disk, all) = varied_log();
    // With a successor, so that the last batch is covered twice over.
    drop(open(&disk));
    let all_sectors = sectors(&disk);
    let (mut named_count, mut refused) = (0, 0);
    for (at, one) in all_sectors.iter().enumerate() {
        for other in &all_sectors[at + 1..] {
            let rotten = disk.fork();
            overwrite(&rotten, &one.0, one.1, 0xA5);
            overwrite(&rotten, &other.0, other.1, 0);
            match open_tolerant(&rotten) {
                Err(WalError::Damaged { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
                Ok(mut opened) => {
                    let named = assert_named_or_there(&opened, &all);
                    if !named.is_empty() {
                        let entries = lost_entries(&all, &named);
                        assert_eq!(opened.writer.repair(&entries), Ok(vec![]));
                        for (index, expected) in &all.entries {
                            let found = opened.reader.read(*index, *index, 1).unwrap();
                            assert_eq!(found, std::slice::from_ref(expected));
                        }
                        let healed = open(&rotten);
                        assert_eq!(observe(&healed.recovered, &healed.reader), all);
                        named_count += 1;
                    }
                }
            }
        }
    }
    assert!(
        named_count > 500 && refused < named_count / 20,
        "{named_count} named, {refused} refused"
    );
}

#[test]
fn many_damaged_sectors_are_never_taken_for_less() {
    let (disk, all) = varied_log();
    drop(open(&disk));
    let all_sectors = sectors(&disk);
    let mut seed = 1_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut opened_count = 0;
    for round in 0..600 {
        let rotten = disk.fork();
        for _ in 0..3 + round % 6 {
            let (name, sector) = &all_sectors[draw(all_sectors.len())];
            overwrite(&rotten, name, *sector, 0xA5);
        }
        if let Ok(mut opened) = open_tolerant(&rotten) {
            opened_count += 1;
            let named = assert_named_or_there(&opened, &all);
            let entries = lost_entries(&all, &named);
            assert_eq!(opened.writer.repair(&entries), Ok(vec![]));
        }
    }
    assert!(opened_count > 200, "{opened_count} were opened");
}

/// What S reaches is damage; what it does not reach is a torn tail, also behind damage.
#[test]
fn a_torn_tail_behind_damage_is_cut_and_the_damage_is_not() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for last in 0..6 {
        opened
            .writer
            .append(&entries_after(last, 1, 1, 30))
            .unwrap();
        if last < 4 {
            opened.writer.sync().unwrap();
        }
    }
    // Batches 1 to 4 are synced; 5 says so and is whole, 6 is torn, 3 is damaged.
    let name = disk.list().unwrap()[0].clone();
    drop(opened);
    overwrite(&disk, &name, 8 + 5, 0xA5);
    overwrite(&disk, &name, 8 + 2, 0xA5);
    let refused = quorate_wal::open(disk.fork(), small()).err();
    assert!(matches!(refused, Some(WalError::Damaged { .. })));
    let opened = open_tolerant(&disk).unwrap();
    assert_eq!(indexes(&opened.recovered.damaged), BTreeSet::from([3]));
    assert_eq!(opened.recovered.last_index, 5);
    assert_eq!(opened.recovered.damaged[0].term, Some(1));
}

/// Damage that ends where nothing says how far what was acknowledged went: all of it is named.
#[test]
fn damage_that_runs_into_a_torn_tail_is_named_to_the_last_entry_that_may_have_been_there() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for last in 0..6 {
        opened
            .writer
            .append(&entries_after(last, 1, 1, 30))
            .unwrap();
        if last < 3 {
            opened.writer.sync().unwrap();
        }
    }
    let name = disk.list().unwrap()[0].clone();
    drop(opened);
    // Batches 1 to 3 were acknowledged. 3 to 5 are gone; 6 says that 3 was durable.
    for sector in [8 + 2, 8 + 3, 8 + 4] {
        overwrite(&disk, &name, sector, 0);
    }
    for _ in 0..2 {
        let opened = open_tolerant(&disk).unwrap();
        let named = indexes(&opened.recovered.damaged);
        assert_eq!(named, BTreeSet::from([3, 4, 5]));
        assert_eq!(opened.recovered.last_index, 5);
    }
    let mut opened = open_tolerant(&disk).unwrap();
    let entries = entries_after(2, 1, 3, 30).entries;
    assert_eq!(opened.writer.repair(&entries), Ok(vec![]));
    let all = open(&disk).reader.read(1, u64::MAX, usize::MAX).unwrap();
    assert_eq!(all, entries_after(0, 1, 5, 30).entries);
}

#[test]
fn one_damaged_entry_of_a_batch_does_not_take_the_others_with_it() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    opened.writer.append(&entries_after(0, 1, 9, 400)).unwrap();
    opened.writer.sync().unwrap();
    opened.writer.cover().unwrap();
    let name = disk.list().unwrap()[0].clone();
    assert!(disk.flip_bit(&name, 4096 + 1_600, 0));
    let mut opened = open_tolerant(&disk).unwrap();
    let damage = &opened.recovered.damaged[0];
    assert_eq!(
        (damage.first_index, damage.last_index, damage.term),
        (4, 4, Some(1))
    );
    let around = opened.reader.read(1, 9, usize::MAX).unwrap();
    assert_eq!(around.len(), 3, "up to the damage");
    assert_eq!(opened.reader.read(5, 9, usize::MAX).unwrap().len(), 5);
    let refused = opened.reader.read(4, 9, 1).unwrap_err();
    let place = matches!(&refused, WalError::Damaged { file, offset, .. }
        if *file == name && (4096..4096 + 1_600).contains(offset));
    assert!(place, "{refused}");
    let fetched = [entry(4, 1, 400)];
    assert_eq!(opened.writer.repair(&fetched), Ok(vec![]));
    assert_eq!(open(&disk).recovered.last_index, 9);
}

/// A term and vote are in a header and its echo, and from the next batch on in every header: a
/// covered vote survives the loss of both its copies.
#[test]
fn a_covered_vote_survives_the_loss_of_both_its_copies() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for batch in [entries_after(0, 1, 1, 30), hard_state(7, 3)] {
        opened.writer.append(&batch).unwrap();
        opened.writer.sync().unwrap();
    }
    opened.writer.cover().unwrap();
    let name = disk.list().unwrap()[0].clone();
    for sector in [9, 10] {
        overwrite(&disk, &name, sector, 0xA5);
    }
    for _ in 0..2 {
        let opened = open(&disk);
        assert_eq!(
            opened.recovered.hard_state,
            HardState {
                term: 7,
                vote: 3,
                refilling: true
            }
        );
        let noted = |note: &Note| matches!(note, Note::DamageWithoutLoss { .. });
        assert!(opened.recovered.notes.iter().any(noted));
        drop(opened);
        let opened = open_tolerant(&disk).unwrap();
        assert_eq!(opened.recovered.damaged, []);
    }
}

#[test]
fn a_cut_whose_both_copies_are_lost_is_refused_since_what_it_cut_is_unknown() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    for batch in [
        entries_after(0, 1, 6, 30),
        Batch {
            truncate_after: Some(3),
            ..entries_after(3, 2, 4, 30)
        },
        entries_after(7, 2, 1, 30),
    ] {
        opened.writer.append(&batch).unwrap();
        opened.writer.sync().unwrap();
    }
    opened.writer.cover().unwrap();
    let name = disk.list().unwrap()[0].clone();
    let whole = disk.fork();
    overwrite(&disk, &name, 9, 0xA5);
    let named = open_tolerant(&disk).unwrap().recovered.damaged;
    assert_eq!(
        indexes(&named),
        (4..=7).collect(),
        "the echo tells of the cut"
    );
    for successor in [false, true] {
        let disk = whole.fork();
        if successor {
            drop(open(&disk));
        }
        for sector in [9, 10] {
            overwrite(&disk, &name, sector, 0xA5);
        }
        let refused = open_tolerant(&disk).err();
        let Some(WalError::Damaged { file, offset, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((file, offset), (name.clone(), 9 * 512));
    }
}
