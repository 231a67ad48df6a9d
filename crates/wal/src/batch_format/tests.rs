//! The bytes of a batch: what they cost, and that no other life's pass.

use bytes::Bytes;

use super::*;

fn entry(index: u64, term: u64, data: &'static [u8]) -> Entry {
    Entry {
        index,
        term,
        kind: 1,
        data: Bytes::from_static(data),
    }
}

fn placement(epoch: u64) -> Placement {
    Placement {
        seed: Seed::new(epoch, 99),
        number: 7,
        synced_through: 5,
        sector: 8,
        hard_state: HardState {
            term: 4,
            vote: 2,
            refilling: true,
        },
        has_echo: true,
        truncate_after: Some(10),
        restarts: false,
        link: Some(Link {
            base_index: 10,
            turns: 3,
        }),
    }
}

fn batch() -> Batch {
    Batch {
        hard_state: Some(HardState {
            term: 4,
            vote: 2,
            refilling: true,
        }),
        truncate_after: Some(10),
        entries: vec![
            entry(11, 3, b"one"),
            entry(12, 3, b""),
            entry(13, 4, b"three"),
        ],
        snapshot: Some(SnapshotMark { index: 3, term: 1 }),
    }
}

#[test]
fn a_batch_comes_back_as_it_was_written_and_so_does_its_echo() {
    let mut out = Vec::new();
    let header = encode(&mut out, &batch(), &placement(1));
    assert_eq!(out.len() as u64, extent_of(&batch(), true));
    assert_eq!(header.extent(), out.len() as u64);
    let seed = Seed::new(1, 99);
    assert_eq!(
        BatchHeader::decode(&out, seed),
        Some((Place::Header, header.clone()))
    );
    assert_eq!(
        BatchHeader::decode(&out[512..], seed),
        Some((Place::Echo, header.clone()))
    );
    let body = &out[..header.length as usize];
    let entries: Vec<Entry> = EntryViews::new(&header, seed, body)
        .map(|view| view.unwrap())
        .map(|view| Entry {
            index: view.index,
            term: view.term,
            kind: view.kind,
            data: Bytes::copy_from_slice(view.data),
        })
        .collect();
    assert_eq!(entries, batch().entries);
}

#[test]
fn a_small_command_costs_seven_bytes_of_framing() {
    for (size, framing) in [
        (0, 7),
        (33, 7),
        (127, 7),
        (128, 8),
        (16_383, 8),
        (16_384, 9),
    ] {
        let data = Bytes::from(vec![0; size]);
        let entries = vec![Entry {
            index: 1,
            term: 1,
            kind: 0,
            data,
        }];
        let cost = length_of(&entries) as usize - BATCH_HEADER_BYTES - size;
        assert_eq!(cost, framing, "for {size} bytes");
    }
}

#[test]
fn bytes_of_another_epoch_or_salt_never_pass() {
    let mut out = Vec::new();
    let header = encode(&mut out, &batch(), &placement(1));
    let length = header.length as usize;
    for epoch in (2..5_000).chain([u64::from(u32::MAX), 1 << 32, 1 << 63]) {
        let seed = Seed::new(epoch, 99);
        assert_eq!(BatchHeader::decode(&out, seed), None);
        let mut views = EntryViews::new(&header, seed, &out[..length]);
        assert!(
            views.next().unwrap().is_err(),
            "an entry of epoch 1 passed in epoch {epoch}"
        );
    }
    assert_eq!(BatchHeader::decode(&out, Seed::new(1, 98)), None);
}

#[test]
fn an_entry_in_anothers_place_does_not_pass() {
    let mut out = Vec::new();
    let header = encode(&mut out, &batch(), &placement(1));
    let body = &out[..header.length as usize];
    let seed = Seed::new(1, 99);
    let moved = [
        BatchHeader {
            number: 8,
            ..header.clone()
        },
        BatchHeader {
            first_index: 12,
            link: None,
            ..header.clone()
        },
        BatchHeader {
            first_term: 2,
            ..header
        },
    ];
    for wrong in moved {
        assert!(EntryViews::new(&wrong, seed, body).next().unwrap().is_err());
    }
}

#[test]
fn every_flipped_bit_of_header_or_entries_is_noticed() {
    let mut out = Vec::new();
    let header = encode(&mut out, &batch(), &placement(1));
    let seed = Seed::new(1, 99);
    for bit in 0..header.length as usize * 8 {
        let mut bad = out.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let intact = BatchHeader::decode(&bad, seed).is_some_and(|(_, header)| {
            let body = &bad[..header.length as usize];
            EntryViews::new(&header, seed, body).all(|view| view.is_ok())
        });
        assert!(!intact, "bit {bit} was flipped and nobody noticed");
    }
}

#[test]
fn one_damaged_entry_hides_no_other_as_long_as_its_length_is_sound() {
    let mut out = Vec::new();
    let header = encode(&mut out, &batch(), &placement(1));
    let seed = Seed::new(1, 99);
    // The payload of "one", after its checksum, kind, term and length.
    out[BATCH_HEADER_BYTES + 7] ^= 1;
    let body = &out[..header.length as usize];
    let views: Vec<_> = EntryViews::new(&header, seed, body).collect();
    let fault = views[0].as_ref().unwrap_err();
    assert_eq!((fault.first_index, fault.last_index), (11, 11));
    let intact: Vec<_> = views[1..]
        .iter()
        .map(|view| view.as_ref().unwrap().index)
        .collect();
    assert_eq!(intact, [12, 13]);
    // Without its length, all that follow are lost with it.
    out[BATCH_HEADER_BYTES + 6] ^= 0x40;
    let body = &out[..header.length as usize];
    let views: Vec<_> = EntryViews::new(&header, seed, body).collect();
    let fault = views[0].as_ref().unwrap_err();
    assert_eq!(
        (views.len(), fault.first_index, fault.last_index),
        (1, 11, 13)
    );
}
