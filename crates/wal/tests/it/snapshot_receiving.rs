//! Receiving a snapshot, over lost links, restarts and changes of the source.

use bytes::Bytes;
use quorate_disk::{Crash, Disk, Effect, ErrorKind, Fault, Operation, SimDisk};
use quorate_wal::snapshot::{Chunk, ChunkFault, PartReceiver, SnapshotFiles, SnapshotId};
use quorate_wal::{Identity, WalError};

use crate::model::IDENTITY;
use crate::snapshot_files::{content, crashed_states, files, mark, read, write};

const BYTES: usize = 420;

/// A member that has the snapshot.
fn source(member_id: u64) -> (SnapshotFiles<SimDisk>, SnapshotId) {
    let identity = Identity {
        member_id,
        ..IDENTITY
    };
    let files = SnapshotFiles::new(SimDisk::new(), identity, member_id).with_chunk_bytes(100);
    let id = write(&files, mark(9, 2), BYTES).unwrap();
    (files, id)
}

/// Receives up to `most` chunks; says how many.
fn pull(
    receiver: &mut PartReceiver<SimDisk>,
    source: &SnapshotFiles<SimDisk>,
    most: u64,
) -> Result<u64, WalError> {
    let mut reader = source.read(receiver.id().mark)?;
    let mut count = 0;
    while count < most
        && let Some(number) = receiver.next_chunk()
    {
        receiver.receive(&reader.chunk(number)?)?;
        count += 1;
    }
    Ok(count)
}

fn assert_received(disk: &SimDisk, id: SnapshotId) {
    let files = files(disk);
    assert_eq!(files.list().unwrap().snapshots, [id]);
    assert_eq!(files.verify(id.mark), Ok(id));
    assert_eq!(read(&files, id.mark).unwrap(), content(id.mark, BYTES));
    assert_eq!(disk.list().unwrap().len(), 1, "no part is left");
}

#[test]
fn a_link_lost_at_any_chunk_goes_on_from_another_source() {
    let (one, id) = source(21);
    let (other, same) = source(22);
    assert_eq!(id, same);
    for at in 0..=id.chunk_count() {
        let disk = SimDisk::new();
        let mut receiver = files(&disk).receive(id).unwrap();
        pull(&mut receiver, &one, at).unwrap();
        let left = pull(&mut receiver, &other, u64::MAX).unwrap();
        assert_eq!(left, id.chunk_count() - at, "nothing is sent twice");
        assert_eq!(receiver.finish(), Ok(id));
        assert_received(&disk, id);
    }
}

#[test]
fn a_restart_keeps_what_was_received() {
    let (one, id) = source(21);
    let (other, _) = source(22);
    for at in 0..=id.chunk_count() {
        let disk = SimDisk::new();
        let mut receiver = files(&disk).receive(id).unwrap();
        pull(&mut receiver, &one, at).unwrap();
        drop(receiver);
        disk.kill_process();
        assert_eq!(files(&disk).tidy(), Ok(vec![]), "a received part stays");
        let mut receiver = files(&disk).receive(id).unwrap();
        assert_eq!(receiver.received_bytes(), (at * 100).min(id.bytes));
        let left = pull(&mut receiver, &other, u64::MAX).unwrap();
        assert_eq!(left, id.chunk_count() - at);
        receiver.finish().unwrap();
        assert_received(&disk, id);
    }
}

#[test]
fn after_a_crash_at_any_operation_it_goes_on_and_ends_whole() {
    let (one, id) = source(21);
    let mut after = 0;
    loop {
        let disk = SimDisk::new();
        disk.power_off_after(after);
        let received = files(&disk).receive(id).and_then(|mut receiver| {
            pull(&mut receiver, &one, u64::MAX)?;
            receiver.finish()
        });
        for state in crashed_states(&disk) {
            let before = files(&state).list().unwrap();
            assert_eq!(before.notes, []);
            if received.is_ok() {
                assert_eq!(before.snapshots, [id]);
            }
            let mut receiver = files(&state).receive(id).unwrap();
            pull(&mut receiver, &one, u64::MAX).unwrap();
            assert_eq!(receiver.finish(), Ok(id));
            // It is durable, whatever the first life left unsynced.
            state.crash(Crash::LoseUnsynced);
            assert_received(&state, id);
        }
        if received.is_ok() {
            break;
        }
        after += 1;
    }
    assert!(after >= 9, "only {after} operations");
}

#[test]
fn what_a_failed_sync_took_from_the_medium_is_written_again() {
    let (one, _) = source(21);
    // Many sectors: header and footer, which are written anyway, touch only two.
    let bytes = 5_000;
    let id = write(&one, mark(19, 2), bytes).unwrap();
    let disk = SimDisk::new();
    let mut receiver = files(&disk).receive(id).unwrap();
    pull(&mut receiver, &one, u64::MAX).unwrap();
    disk.inject(Fault {
        operation: Operation::Sync,
        after: 0,
        effect: Effect::Fail(ErrorKind::Io),
    });
    receiver.finish().unwrap_err();
    // The process ends; the page cache still shows all chunks and calls them clean.
    disk.kill_process();
    let receiver = files(&disk).receive(id).unwrap();
    assert_eq!(receiver.next_chunk(), None);
    receiver.finish().unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(files(&disk).verify(id.mark), Ok(id));
    assert_eq!(
        read(&files(&disk), id.mark).unwrap(),
        content(id.mark, bytes)
    );
}

#[test]
fn a_torn_chunk_of_an_earlier_life_is_asked_for_again() {
    let (one, id) = source(21);
    for offset in 128..128 + 5 * 24 + BYTES as u64 {
        let disk = SimDisk::new();
        let mut receiver = files(&disk).receive(id).unwrap();
        pull(&mut receiver, &one, u64::MAX).unwrap();
        drop(receiver);
        let part = disk.list().unwrap()[0].clone();
        assert!(disk.flip_bit(&part, offset, 3));
        let mut receiver = files(&disk).receive(id).unwrap();
        assert_eq!(receiver.next_chunk(), Some((offset - 128) / 124));
        pull(&mut receiver, &one, u64::MAX).unwrap();
        receiver.finish().unwrap();
        assert_received(&disk, id);
    }
}

#[test]
fn a_snapshot_that_is_here_already_wants_no_chunk() {
    let (_, id) = source(21);
    let disk = SimDisk::new();
    write(&files(&disk), id.mark, BYTES).unwrap();
    let receiver = files(&disk).receive(id).unwrap();
    assert_eq!(receiver.next_chunk(), None);
    assert_eq!(receiver.finish(), Ok(id));
    assert_received(&disk, id);
}

#[test]
fn a_name_that_was_never_synced_is_synced_before_it_counts() {
    let (_, id) = source(21);
    let disk = SimDisk::new();
    write(&files(&disk), id.mark, BYTES).unwrap();
    let name = disk.list().unwrap()[0].clone();
    disk.rename(&name, "elsewhere").unwrap();
    disk.sync_directory().unwrap();
    disk.rename("elsewhere", &name).unwrap();
    // So a process leaves it that ends between the renaming and the sync.
    disk.kill_process();

    let failing = disk.fork();
    failing.inject(Fault {
        operation: Operation::SyncDirectory,
        after: 0,
        effect: Effect::Fail(ErrorKind::Io),
    });
    let refused = files(&failing).receive(id).err();
    let of_disk = matches!(&refused, Some(WalError::Disk(error)) if error.kind == ErrorKind::Io);
    assert!(of_disk, "{refused:?}");

    assert_eq!(files(&disk).receive(id).unwrap().finish(), Ok(id));
    disk.crash(Crash::LoseUnsynced);
    assert_received(&disk, id);
}

#[test]
fn what_was_received_of_a_snapshot_can_be_given_up() {
    let (one, id) = source(21);
    let disk = SimDisk::new();
    let mut receiver = files(&disk).receive(id).unwrap();
    pull(&mut receiver, &one, 2).unwrap();
    files(&disk).remove_received(id.mark).unwrap();
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
    // Whoever still holds it cannot make a snapshot of it any more, and nothing else happens.
    pull(&mut receiver, &one, u64::MAX).unwrap();
    let gone = receiver.finish().unwrap_err();
    let not_found = matches!(&gone, WalError::Disk(error) if error.kind == ErrorKind::NotFound);
    assert!(not_found, "{gone}");
    files(&disk).remove_received(id.mark).unwrap();
    assert_eq!(files(&disk).receive(id).unwrap().next_chunk(), Some(0));
}

#[test]
fn a_newer_snapshot_takes_the_place_of_a_half_received_one() {
    let (one, id) = source(21);
    let disk = SimDisk::new();
    let mut receiver = files(&disk).receive(id).unwrap();
    pull(&mut receiver, &one, 2).unwrap();
    drop(receiver);
    let newer = write(&one, mark(19, 2), BYTES).unwrap();
    let mut receiver = files(&disk).receive(newer).unwrap();
    assert_eq!(receiver.next_chunk(), Some(0));
    pull(&mut receiver, &one, u64::MAX).unwrap();
    receiver.finish().unwrap();
    assert_received(&disk, newer);
}

#[test]
fn chunks_that_are_not_right_are_refused_by_name_and_change_nothing() {
    let (one, id) = source(21);
    let disk = SimDisk::new();
    let mut receiver = files(&disk).receive(id).unwrap();
    pull(&mut receiver, &one, 1).unwrap();
    let mut reader = one.read(id.mark).unwrap();
    let good = reader.chunk(1).unwrap();
    let longer = write(&one, mark(10, 2), BYTES + 100).unwrap();
    let strange = one.read(longer.mark).unwrap().chunk(1).unwrap();
    let cut = |bytes: usize| Chunk {
        data: good.data.slice(..bytes),
        ..good.clone()
    };
    let wrong = |expected, found| ChunkFault::WrongLength { expected, found };
    let flipped = {
        let mut data = good.data.to_vec();
        data[50] ^= 4;
        Chunk {
            data: Bytes::from(data),
            ..good.clone()
        }
    };
    let beyond = Chunk {
        number: 5,
        ..good.clone()
    };
    let moved = Chunk {
        number: 2,
        ..good.clone()
    };
    let out_of_order = ChunkFault::OutOfOrder { wanted: Some(1) };
    let cases = [
        (beyond, ChunkFault::Unknown { count: 5 }),
        (moved, out_of_order),
        (reader.chunk(0).unwrap(), out_of_order),
        (cut(99), wrong(100, 99)),
        (cut(0), wrong(100, 0)),
        (flipped, ChunkFault::BadChecksum),
        (strange, ChunkFault::BadChecksum),
    ];
    for (chunk, expected) in cases {
        let refused = receiver.receive(&chunk).unwrap_err();
        let WalError::ChunkRefused {
            snapshot, fault, ..
        } = refused
        else {
            panic!("{refused}")
        };
        assert_eq!((snapshot, fault), (id.mark, expected), "{chunk:?}");
        assert_eq!(receiver.next_chunk(), Some(1));
    }
    let unknown = reader.chunk(5).unwrap_err();
    assert!(
        matches!(
            unknown,
            WalError::ChunkRefused {
                fault: ChunkFault::Unknown { count: 5 },
                ..
            }
        ),
        "{unknown}"
    );
    pull(&mut receiver, &one, 3).unwrap();
    let early = files(&disk).receive(id).unwrap().finish().unwrap_err();
    assert!(
        matches!(
            early,
            WalError::ChunkRefused {
                fault: ChunkFault::Missing,
                chunk: 4,
                ..
            }
        ),
        "{early}"
    );
    pull(&mut receiver, &one, u64::MAX).unwrap();
    receiver.finish().unwrap();
    assert_received(&disk, id);
}

/// A snapshot should be the same wherever it was made. Where it is not, no mixture is accepted.
#[test]
fn sources_that_differ_are_noticed_at_the_end_and_it_begins_anew() {
    let (one, id) = source(21);
    let (other, _) = source(22);
    let disk = SimDisk::new();
    let mut receiver = files(&disk).receive(id).unwrap();
    pull(&mut receiver, &one, 4).unwrap();
    let mut data = other.read(id.mark).unwrap().chunk(4).unwrap().data.to_vec();
    data[0] ^= 1;
    let checksum = quorate_wal::snapshot::chunk_checksum(id.mark, 4, &data);
    let data = Bytes::from(data);
    receiver
        .receive(&Chunk {
            number: 4,
            data,
            checksum,
        })
        .unwrap();
    let refused = receiver.finish().unwrap_err();
    assert!(
        matches!(refused, WalError::SnapshotDamaged { .. }),
        "{refused}"
    );
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
    // A source that announces other content is another snapshot.
    let mut receiver = files(&disk).receive(id).unwrap();
    pull(&mut receiver, &one, 2).unwrap();
    let announced = SnapshotId { checksum: 1, ..id };
    let receiver = files(&disk).receive(announced).unwrap();
    assert_eq!(receiver.next_chunk(), Some(0));
}

#[test]
fn a_full_disk_stops_it_and_space_lets_it_go_on() {
    let (one, id) = source(21);
    let disk = SimDisk::new();
    disk.set_capacity(Some(400));
    let mut receiver = files(&disk).receive(id).unwrap();
    let refused = pull(&mut receiver, &one, u64::MAX).unwrap_err();
    let full = matches!(&refused, WalError::Disk(disk) if disk.kind == ErrorKind::NoSpace);
    assert!(full, "{refused}");
    disk.set_capacity(None);
    pull(&mut receiver, &one, u64::MAX).unwrap();
    receiver.finish().unwrap();
    assert_received(&disk, id);
}

#[test]
fn an_id_that_makes_no_sense_is_refused() {
    let (_, id) = source(21);
    for bad in [
        SnapshotId {
            chunk_bytes: 0,
            ..id
        },
        SnapshotId {
            chunk_bytes: (1 << 20) + 1,
            ..id
        },
        SnapshotId {
            bytes: u64::MAX,
            ..id
        },
        SnapshotId {
            mark: mark(0, 0),
            ..id
        },
    ] {
        let refused = files(&SimDisk::new()).receive(bad).err();
        assert!(
            matches!(refused, Some(WalError::BadOptions { .. })),
            "{refused:?}"
        );
    }
}
