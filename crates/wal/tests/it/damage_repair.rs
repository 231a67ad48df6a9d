//! Repair: durable or not done, refused where it cannot be right, and what needs none.

use std::collections::BTreeSet;

use quorate_disk::{Disk, SimDisk};
use quorate_wal::{Batch, Damage, Entry, Note, SnapshotMark, WalError};

use crate::damage::{
    assert_named_or_there, indexes, lost_entries, open_tolerant, overwrite, varied_log,
};
use crate::model::{State, entries_after, entry, hard_state, observe, open};

fn rotten_log() -> (SimDisk, State, Vec<Damage>) {
    let (disk, all) = varied_log();
    // The first batches with entries, in the first segment.
    let name = disk.list().unwrap()[0].clone();
    overwrite(&disk, &name, 8 + 2, 0xA5);
    overwrite(&disk, &name, 8 + 4, 0xA5);
    let damaged = open_tolerant(&disk).unwrap().recovered.damaged;
    assert!(!damaged.is_empty());
    (disk, all, damaged)
}

#[test]
fn a_crash_anywhere_in_a_repair_leaves_the_damage_named_or_the_entries_there() {
    let disk = SimDisk::new();
    let mut opened = open(&disk);
    let mut all = State::new();
    for batch in [
        hard_state(1, 1),
        entries_after(0, 1, 2, 60),
        entries_after(2, 1, 1, 60),
        Batch {
            truncate_after: Some(2),
            ..entries_after(2, 2, 1, 60)
        },
    ] {
        opened.writer.append(&batch).unwrap();
        opened.writer.sync().unwrap();
        all.apply(&batch);
    }
    opened.writer.cover().unwrap();
    let name = disk.list().unwrap()[0].clone();
    for sector in [8 + 2, 8 + 3] {
        overwrite(&disk, &name, sector, 0xA5);
    }
    drop(opened);
    let named = indexes(&open_tolerant(&disk).unwrap().recovered.damaged);
    assert_eq!(named, BTreeSet::from([1, 2]));
    let entries = lost_entries(&all, &named);
    let (mut visited, mut healed) = (0, 0);
    // How many changes a start alone makes is not counted: the power goes in the repair.
    for after in 0.. {
        let disk = disk.fork();
        let mut opened = open_tolerant(&disk).unwrap();
        disk.power_off_after(after);
        let repaired = opened.writer.repair(&entries);
        if let Err(error) = &repaired {
            assert!(disk.power_is_off(), "{error}");
        }
        assert!(
            disk.crash_state_bound() <= 1 << 13,
            "{} states",
            disk.crash_state_bound()
        );
        for state in disk.crash_states() {
            visited += 1;
            let mut opened = open_tolerant(&state).unwrap();
            let left = assert_named_or_there(&opened, &all);
            assert!(left.is_empty() || left == named);
            assert!(left.is_empty() || repaired.is_err());
            healed += u32::from(left.is_empty());
            if !left.is_empty() {
                assert_eq!(opened.writer.repair(&entries), Ok(vec![]));
            }
            let parts = state.list().unwrap();
            assert!(!parts.iter().any(|name| name.ends_with(".part")));
            drop(opened);
            let opened = open(&state);
            assert_eq!(observe(&opened.recovered, &opened.reader), all);
        }
        if repaired.is_ok() {
            break;
        }
    }
    assert!(
        visited > 100 && healed >= 2,
        "{visited} states, {healed} healed"
    );
}

#[test]
fn a_repair_that_cannot_be_right_is_refused_and_changes_nothing() {
    let (disk, all, damaged) = rotten_log();
    let mut opened = open_tolerant(&disk).unwrap();
    let entries = lost_entries(&all, &indexes(&damaged));
    let files = disk.list().unwrap();
    let mut too_new = entries.clone();
    too_new[0].term = 9;
    let other = entries_after(15, 6, 1, 20).entries;
    for wrong in [&entries[1..], &too_new, &[], &other] {
        let refused = opened.writer.repair(wrong).unwrap_err();
        assert!(matches!(refused, WalError::BadBatch { .. }), "{refused}");
        assert_eq!(disk.list().unwrap(), files);
    }
    // A full disk is no reason to stop.
    disk.set_capacity(Some(0));
    let full = opened.writer.repair(&entries).unwrap_err();
    assert!(matches!(full, WalError::Disk(_)), "{full}");
    assert_eq!(disk.list().unwrap(), files);
    disk.set_capacity(None);
    assert_eq!(opened.writer.repair(&entries), Ok(vec![]));
    assert_eq!(
        opened.writer.repair(&[]),
        Ok(vec![]),
        "nothing is left to do"
    );
}

#[test]
fn damage_that_is_cut_away_is_no_longer_named_but_noted() {
    let (disk, _, damaged) = rotten_log();
    let mut opened = open_tolerant(&disk).unwrap();
    let first = damaged[0].first_index;
    assert!(first <= 3, "below the snapshot mark nothing can be cut");
    let mark = SnapshotMark { index: 50, term: 9 };
    opened
        .writer
        .append(&Batch {
            snapshot: Some(mark),
            ..Batch::default()
        })
        .unwrap();
    opened.writer.sync().unwrap();
    assert_eq!(opened.writer.repair(&[]), Ok(vec![]));
    drop(opened);
    // Void now, even for an owner who tolerates nothing.
    let opened = open(&disk);
    assert_eq!(opened.recovered.first_index, 51);
    let noted = |note: &Note| matches!(note, Note::DamageWithoutLoss { .. });
    assert!(opened.recovered.notes.iter().any(noted));
}

#[test]
fn a_cut_below_damage_voids_it_and_a_cut_inside_keeps_the_rest() {
    for (after, left) in [(4, vec![]), (5, vec![5]), (6, vec![5, 6])] {
        let disk = SimDisk::new();
        let mut opened = open(&disk);
        for batch in [entries_after(0, 1, 4, 40), entries_after(4, 1, 4, 40)] {
            opened.writer.append(&batch).unwrap();
            opened.writer.sync().unwrap();
        }
        opened.writer.cover().unwrap();
        let name = disk.list().unwrap()[0].clone();
        overwrite(&disk, &name, 9, 0xA5);
        let mut opened = open_tolerant(&disk).unwrap();
        assert_eq!(indexes(&opened.recovered.damaged), (5..=8).collect());
        let cut = Batch {
            truncate_after: Some(after),
            ..entries_after(after, 3, 2, 40)
        };
        opened.writer.append(&cut).unwrap();
        opened.writer.sync().unwrap();
        drop(opened);
        let mut opened = open_tolerant(&disk).unwrap();
        let named = indexes(&opened.recovered.damaged);
        assert_eq!(named.iter().copied().collect::<Vec<_>>(), left);
        assert_eq!(opened.recovered.last_index, after + 2);
        // What was void is not asked for, and does not come back.
        let entries: Vec<Entry> = named.iter().map(|index| entry(*index, 1, 40)).collect();
        assert_eq!(opened.writer.repair(&entries), Ok(vec![]));
        let opened = open(&disk);
        let found = opened.reader.read(1, u64::MAX, usize::MAX).unwrap();
        let expected: Vec<Entry> = (1..=after + 2)
            .map(|index| entry(index, if index > after { 3 } else { 1 }, 40))
            .collect();
        assert_eq!(found, expected);
    }
}

/// Found by a simulated world: a batch said that all of its entries were of one term, the log was cut
/// behind the damaged one, and the term was open again. Another entry of a leader passed for it, and could
/// never be written back, since the batch still knew better.
#[test]
fn a_cut_behind_damage_takes_nothing_from_what_its_batch_says_of_the_terms() {
    let terms = [1, 1, 2, 3];
    for (damaged, after, expected) in [
        (vec![1], 1, vec![(1, 1, 1, 1)]),
        (vec![2], 2, vec![(2, 2, 1, 2)]),
        (vec![1, 2], 2, vec![(1, 1, 1, 1), (2, 2, 1, 2)]),
        (vec![3, 4], 3, vec![(3, 3, 1, 3)]),
        (vec![2, 3, 4], 4, vec![(2, 3, 1, 3), (4, 4, 3, 3)]),
    ] {
        let disk = SimDisk::new();
        let mut opened = open(&disk);
        let entries = (1..)
            .zip(terms)
            .map(|(index, term)| entry(index, term, 400));
        let cut = Batch {
            truncate_after: Some(after),
            ..Batch::default()
        };
        let batch = Batch {
            entries: entries.collect(),
            ..Batch::default()
        };
        for batch in [batch, cut] {
            opened.writer.append(&batch).unwrap();
            opened.writer.sync().unwrap();
        }
        opened.writer.cover().unwrap();
        drop(opened);
        let name = disk.list().unwrap()[0].clone();
        for index in &damaged {
            assert!(disk.flip_bit(&name, 4096 + 400 * index, 0));
        }
        let mut opened = open_tolerant(&disk).unwrap();
        let found = opened.recovered.damaged.iter().map(|damage| {
            let greatest = damage.greatest_term.unwrap();
            let (first, last) = (damage.first_index, damage.last_index);
            (first, last, damage.least_term, greatest)
        });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{damaged:?}");
        let lost = damaged.iter().filter(|index| **index <= after);
        let lost: Vec<Entry> = lost
            .map(|index| entry(*index, terms[*index as usize - 1], 400))
            .collect();
        assert_eq!(opened.writer.repair(&lost), Ok(vec![]));
    }
}

#[test]
fn damage_goes_with_its_segment_when_a_snapshot_covers_it() {
    let (disk, all, damaged) = rotten_log();
    let mut opened = open_tolerant(&disk).unwrap();
    let file = damaged[0].file.clone();
    let released = opened.writer.release(12).unwrap();
    assert!(released.first_index > damaged.last().unwrap().last_index);
    assert!(!disk.list().unwrap().contains(&file));
    let opened = open(&disk);
    assert!(opened.recovered.first_index > 1);
    assert_eq!(opened.recovered.last_index, all.last());
}
