use quorate_disk::{Crash, SimDisk};

use super::*;

const IDENTITY: Identity = Identity {
    cluster_id: 7,
    member_id: 2,
    group_id: 0,
};

fn open(disk: &SimDisk) -> (SlotFile<SimDisk>, SlotContent) {
    SlotFile::open(disk.clone(), IDENTITY, "records").unwrap()
}

fn payload_of(disk: &SimDisk) -> Option<Vec<u8>> {
    let content = open(disk).1;
    assert_eq!(content.note, None);
    content.payload
}

#[test]
fn the_last_table_is_found_again() {
    let disk = SimDisk::new();
    assert_eq!(payload_of(&disk), None);
    for turn in 1..=5_u8 {
        open(&disk).0.write(&[turn; 100]).unwrap();
        assert_eq!(payload_of(&disk), Some(vec![turn; 100]));
    }
    let mut slots = open(&disk).0;
    for length in [0, 1, MAX_SLOT_PAYLOAD_BYTES] {
        slots.write(&vec![9; length]).unwrap();
        assert_eq!(payload_of(&disk), Some(vec![9; length]));
    }
}

#[test]
fn a_crash_at_any_moment_leaves_one_table_whole() {
    for operations in 0..12 {
        for seed in 0..20 {
            let disk = SimDisk::new();
            let mut slots = open(&disk).0;
            slots.write(&[1; 2000]).unwrap();
            disk.power_off_after(operations);
            let mut told = 1;
            for turn in 2..=4_u8 {
                match slots.write(&[turn; 2000]) {
                    Ok(()) => told = turn,
                    Err(_) => break,
                }
            }
            disk.crash(Crash::Random(seed));
            disk.power_off_after(u64::MAX);
            let found = payload_of(&disk).unwrap();
            assert!(found == [told; 2000] || found == [told + 1; 2000]);
        }
    }
}

#[test]
fn damage_of_a_slot_costs_the_newest_table_and_of_both_all() {
    let disk = SimDisk::new();
    let mut slots = open(&disk).0;
    slots.write(b"first").unwrap();
    slots.write(b"second").unwrap();
    let file = disk.open("00000000.records").unwrap();
    file.write_at(HEADER_BYTES as u64, b"S").unwrap();
    assert_eq!(payload_of(&disk), Some(b"first".to_vec()));
    file.write_at((SLOT_BYTES + HEADER_BYTES) as u64, b"F")
        .unwrap();
    let (mut slots, content) = open(&disk);
    assert_eq!(content.payload, None);
    let damaged = "00000000.records".to_owned();
    assert_eq!(content.note, Some(Note::TableDamaged { file: damaged }));
    slots.write(b"third").unwrap();
    assert_eq!(payload_of(&disk), Some(b"third".to_vec()));
}

#[test]
fn the_table_of_another_member_is_none() {
    let disk = SimDisk::new();
    open(&disk).0.write(b"ours").unwrap();
    let other = Identity {
        member_id: 3,
        ..IDENTITY
    };
    let content = SlotFile::open(disk, other, "records").unwrap().1;
    assert_eq!(content.payload, None);
    assert!(content.note.is_some());
}
