//! Snapshot files: whole or not there, and every damaged byte named.

use quorate_disk::{Crash, Disk, Effect, ErrorKind, Fault, File, Operation, SimDisk};
use quorate_wal::snapshot::{SNAPSHOTS_KEPT, SnapshotFiles, SnapshotId};
use quorate_wal::{Identity, Note, SnapshotMark, WalError};

use crate::model::IDENTITY;

/// Small chunks: many boundaries in little content.
pub(crate) fn files(disk: &SimDisk) -> SnapshotFiles<SimDisk> {
    SnapshotFiles::new(disk.clone(), IDENTITY, 7).with_chunk_bytes(100)
}

pub(crate) fn mark(index: u64, term: u64) -> SnapshotMark {
    SnapshotMark { index, term }
}

/// Content that depends on the mark alone, as a state does.
pub(crate) fn content(mark: SnapshotMark, bytes: usize) -> Vec<u8> {
    let mut seed = mark.index * 31 + mark.term;
    (0..bytes)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed.to_be_bytes()[0]
        })
        .collect()
}

pub(crate) fn write(
    files: &SnapshotFiles<SimDisk>,
    mark: SnapshotMark,
    bytes: usize,
) -> Result<SnapshotId, WalError> {
    let mut writer = files.write(mark)?;
    for piece in content(mark, bytes).chunks(37) {
        writer.write(piece)?;
    }
    writer.finish()
}

/// All content of a snapshot, by its chunks.
pub(crate) fn read(
    files: &SnapshotFiles<SimDisk>,
    mark: SnapshotMark,
) -> Result<Vec<u8>, WalError> {
    let mut reader = files.read(mark)?;
    let mut all = Vec::new();
    for number in 0..reader.id().chunk_count() {
        all.extend_from_slice(&reader.chunk(number)?.data);
    }
    Ok(all)
}

/// Every state that a crash can leave, or many of them.
pub(crate) fn crashed_states(disk: &SimDisk) -> Vec<SimDisk> {
    if disk.crash_state_bound() <= 1 << 10 {
        return disk.crash_states().collect();
    }
    let sampled = (0..64).map(Crash::Random);
    [Crash::LoseUnsynced, Crash::KeepAll]
        .into_iter()
        .chain(sampled)
        .map(|how| {
            let state = disk.fork();
            state.crash(how);
            state
        })
        .collect()
}

#[test]
fn what_is_written_reads_back_whatever_its_size() {
    let disk = SimDisk::new();
    let files = files(&disk);
    for (at, bytes) in [0, 1, 99, 100, 101, 200, 1_234].into_iter().enumerate() {
        let mark = mark(at as u64 + 1, 3);
        let id = write(&files, mark, bytes).unwrap();
        assert_eq!((id.mark, id.bytes), (mark, bytes as u64));
        assert_eq!(files.verify(mark), Ok(id));
        assert_eq!(read(&files, mark).unwrap(), content(mark, bytes));
        assert_eq!(files.list().unwrap().snapshots[0], id, "newest first");
    }
    assert_eq!(files.list().unwrap().snapshots.len(), 7);
}

#[test]
fn equal_content_has_an_equal_id_whoever_wrote_it() {
    let (one, other) = (SimDisk::new(), SimDisk::new());
    let identity = Identity {
        member_id: 99,
        ..IDENTITY
    };
    let others = SnapshotFiles::new(other, identity, 12_345).with_chunk_bytes(100);
    let here = write(&files(&one), mark(5, 2), 512).unwrap();
    assert_eq!(write(&others, mark(5, 2), 512).unwrap(), here);
}

/// The power fails at every operation; from every state that may leave, there is the snapshot,
/// whole, or none; and the one before is still there.
#[test]
fn after_a_crash_at_any_operation_a_snapshot_is_whole_or_not_there() {
    for bytes in [0, 150, 420] {
        let mut after = 0;
        loop {
            let disk = SimDisk::new();
            let before = write(&files(&disk), mark(3, 1), 50).unwrap();
            disk.power_off_after(after);
            let written = write(&files(&disk), mark(9, 2), bytes);
            for state in crashed_states(&disk) {
                let files = files(&state);
                files.tidy().unwrap();
                let list = files.list().unwrap();
                assert_eq!(list.notes, [], "nothing half-written has a name");
                let mut left = state.list().unwrap();
                left.retain(|name| name.contains("part"));
                assert_eq!(left, Vec::<String>::new(), "parts are tidied away");
                match list.snapshots.as_slice() {
                    [old] => assert!(written.is_err() && *old == before),
                    [new, old] => {
                        assert_eq!((*old, new.mark), (before, mark(9, 2)));
                        let found = read(&files, mark(9, 2)).unwrap();
                        assert_eq!(found, content(mark(9, 2), bytes));
                        assert_eq!(files.verify(new.mark), Ok(*new));
                    }
                    other => panic!("{other:?}"),
                }
                // And it can be written now.
                let again = write(&files, mark(9, 2), bytes).unwrap();
                assert_eq!(files.verify(mark(9, 2)), Ok(again));
            }
            if written.is_ok() {
                break;
            }
            after += 1;
        }
        assert!(after >= 5, "only {after} operations");
    }
}

#[test]
fn damage_at_any_byte_is_named_with_file_place_and_chunk() {
    let disk = SimDisk::new();
    write(&files(&disk), mark(9, 2), 250).unwrap();
    let name = disk.list().unwrap()[0].clone();
    let length = disk.contents(&name).unwrap().len() as u64;
    assert_eq!(length, 128 + 3 * 24 + 250 + 32);
    for offset in 0..length {
        for bit in 0..8 {
            let rotten = disk.fork();
            assert!(rotten.flip_bit(&name, offset, bit));
            let refused = files(&rotten).verify(mark(9, 2)).unwrap_err();
            let WalError::SnapshotDamaged {
                file,
                offset: named,
                chunk,
                ..
            } = &refused
            else {
                panic!("bit {bit} of byte {offset}: {refused}")
            };
            let expected = match offset {
                0..128 => (0, None),
                128..252 => (128, Some(0)),
                252..376 => (252, Some(1)),
                376..450 => (376, Some(2)),
                _ => (450, None),
            };
            assert_eq!((file, *named, *chunk), (&name, expected.0, expected.1));
            let line = refused.to_string();
            assert!(line.contains(&name) && !line.contains('\n'), "{line}");
        }
    }
}

#[test]
fn a_file_cut_or_lengthened_at_any_byte_is_named() {
    let disk = SimDisk::new();
    write(&files(&disk), mark(9, 2), 250).unwrap();
    let name = disk.list().unwrap()[0].clone();
    let length = disk.contents(&name).unwrap().len() as u64;
    for wrong in (0..length).chain(length + 1..length + 600) {
        let rotten = disk.fork();
        let file = rotten.open(&name).unwrap();
        File::truncate(&file, wrong).unwrap();
        let list = files(&rotten).list().unwrap();
        assert_eq!(list.snapshots, [], "{wrong} bytes instead of {length}");
        let named = matches!(
            list.notes.as_slice(),
            [Note::SnapshotDamaged { file, .. }] if *file == name
        );
        assert!(named, "{:?}", list.notes);
    }
}

#[test]
fn a_snapshot_of_another_cluster_or_member_is_refused() {
    let disk = SimDisk::new();
    write(&files(&disk), mark(9, 2), 10).unwrap();
    for identity in [
        Identity {
            cluster_id: 1,
            ..IDENTITY
        },
        Identity {
            member_id: 1,
            ..IDENTITY
        },
    ] {
        let strange = SnapshotFiles::new(disk.clone(), identity, 0);
        for refused in [
            strange.list().unwrap_err(),
            strange.read(mark(9, 2)).err().unwrap(),
            strange.keep_newest(1, mark(9, 2)).unwrap_err(),
        ] {
            assert!(
                matches!(refused, WalError::WrongIdentity { .. }),
                "{refused}"
            );
        }
    }
    let group = Identity {
        group_id: 5,
        ..IDENTITY
    };
    let other = SnapshotFiles::new(disk.clone(), group, 0);
    assert_eq!(other.list().unwrap().snapshots, [], "another group's files");
}

#[test]
fn a_full_disk_gives_the_space_back_and_leaves_everything_else() {
    for room in [0, 100, 250, 400, 500] {
        let disk = SimDisk::new();
        let before = write(&files(&disk), mark(3, 1), 50).unwrap();
        let names = disk.list().unwrap();
        let used = disk.contents(&names[0]).unwrap().len() as u64;
        disk.set_capacity(Some(used + room));
        let refused = write(&files(&disk), mark(9, 2), 420).unwrap_err();
        let full = matches!(&refused, WalError::Disk(disk) if disk.kind == ErrorKind::NoSpace);
        assert!(full, "{refused}");
        assert_eq!(disk.list().unwrap(), names);
        assert_eq!(files(&disk).list().unwrap().snapshots, [before]);
        disk.set_capacity(None);
        write(&files(&disk), mark(9, 2), 420).unwrap();
    }
}

#[test]
fn a_snapshot_whose_sync_fails_never_gets_its_name() {
    let disk = SimDisk::new();
    disk.inject(Fault {
        operation: Operation::Sync,
        after: 0,
        effect: Effect::Fail(ErrorKind::Io),
    });
    write(&files(&disk), mark(9, 2), 420).unwrap_err();
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
}

#[test]
fn the_two_newest_sound_ones_are_kept_and_the_log_since_the_older() {
    let disk = SimDisk::new();
    let files = files(&disk);
    write(&files, mark(10, 1), 150).unwrap();
    let one = files.keep_newest(SNAPSHOTS_KEPT, mark(10, 1)).unwrap();
    assert_eq!(one.release_up_to, None, "nothing to fall back on yet");
    for index in [20, 30] {
        write(&files, mark(index, 1), 150).unwrap();
    }
    // One beyond the mark: received, and its mark is not durable.
    write(&files, mark(90, 4), 150).unwrap();
    let kept = files.keep_newest(SNAPSHOTS_KEPT, mark(30, 1)).unwrap();
    assert_eq!(kept.kept, [mark(30, 1), mark(20, 1)]);
    assert_eq!(kept.release_up_to, Some(20));
    assert_eq!(kept.removed.len(), 1);
    let left: Vec<_> = files.list().unwrap().snapshots;
    let marks: Vec<_> = left.iter().map(|id| id.mark.index).collect();
    assert_eq!(marks, [90, 30, 20]);

    // A damaged one does not count, and costs no sound one its place.
    let name = "snapshot-00000000-000000000000001e-0000000000000001";
    assert!(disk.flip_bit(name, 200, 1));
    write(&files, mark(40, 1), 150).unwrap();
    let kept = files.keep_newest(SNAPSHOTS_KEPT, mark(40, 1)).unwrap();
    assert_eq!(kept.kept, [mark(40, 1), mark(20, 1)]);
    assert_eq!(kept.release_up_to, Some(20));
    let named = matches!(
        kept.notes.as_slice(),
        [Note::SnapshotDamaged { file, chunk: Some(0), .. }] if file == name
    );
    assert!(named, "{:?}", kept.notes);
}

#[test]
fn parts_that_the_log_has_passed_go_and_those_that_it_has_not_stay() {
    let disk = SimDisk::new();
    let source = files(&SimDisk::new());
    let id = write(&source, mark(20, 1), 350).unwrap();
    for (marked, left) in [(19, 1), (20, 0)] {
        drop(files(&disk).receive(id).unwrap());
        let kept = files(&disk)
            .keep_newest(SNAPSHOTS_KEPT, mark(marked, 1))
            .unwrap();
        assert_eq!(kept.removed.len(), 1 - left);
        assert_eq!(disk.list().unwrap().len(), left);
    }
}

#[test]
fn a_snapshot_of_no_use_is_removed_for_good() {
    let disk = SimDisk::new();
    let files = files(&disk);
    write(&files, mark(10, 1), 150).unwrap();
    let other = write(&files, mark(20, 1), 150).unwrap();
    files.remove(mark(10, 1)).unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(files.list().unwrap().snapshots, [other]);
    files.remove(mark(10, 1)).unwrap();
}

/// As a later program would have written it.
pub(crate) fn with_unknown_version(disk: &SimDisk, name: &str) {
    let mut header = disk.contents(name).unwrap()[..128].to_vec();
    header[8] = 9;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..]);
    header[12..16].copy_from_slice(&sum.to_le_bytes());
    disk.open(name).unwrap().write_at(0, &header).unwrap();
}

#[test]
fn a_snapshot_of_an_unknown_version_does_not_count_and_holds_nothing_up() {
    let disk = SimDisk::new();
    let files = files(&disk);
    for index in [10, 20, 30] {
        write(&files, mark(index, 1), 150).unwrap();
    }
    let name = "snapshot-00000000-000000000000001e-0000000000000001";
    with_unknown_version(&disk, name);
    let refused = files.verify(mark(30, 1)).unwrap_err();
    assert!(
        matches!(refused, WalError::UnknownVersion { found: 9, .. }),
        "{refused}"
    );
    let kept = files.keep_newest(SNAPSHOTS_KEPT, mark(30, 1)).unwrap();
    assert_eq!(kept.kept, [mark(20, 1), mark(10, 1)]);
    let named = matches!(
        kept.notes.as_slice(),
        [Note::SnapshotUnused { mark: of, .. }] if *of == mark(30, 1)
    );
    assert!(named, "{:?}", kept.notes);
}

#[test]
fn a_snapshot_that_is_being_read_may_be_removed() {
    let disk = SimDisk::new();
    let files = files(&disk);
    write(&files, mark(10, 1), 350).unwrap();
    let mut reader = files.read(mark(10, 1)).unwrap();
    write(&files, mark(20, 1), 350).unwrap();
    files.keep_newest(1, mark(20, 1)).unwrap();
    assert!(files.read(mark(10, 1)).is_err());
    let last = reader.chunk(3).unwrap();
    assert_eq!(last.data, content(mark(10, 1), 350)[300..]);
}
