//! A snapshot that leaves the member and is read back from nothing but its bytes.

use quorate_disk::{Disk, SimDisk};
use quorate_wal::snapshot::{EXPORT_BLOCK_BYTES, SnapshotExport, SnapshotId, SnapshotImport};
use quorate_wal::{SnapshotMark, WalError};

use crate::model::IDENTITY;
use crate::snapshot_files::{content, files, mark, with_unknown_version, write};

/// A snapshot of so many bytes of content, exported.
fn exported(bytes: usize) -> (SnapshotId, Vec<u8>) {
    let disk = SimDisk::new();
    let files = files(&disk);
    let id = write(&files, mark(5, 3), bytes).unwrap();
    let mut export = SnapshotExport::new(files.read(id.mark).unwrap());
    let announced = export.bytes();
    let mut all = Vec::new();
    while let Some(piece) = export.next_piece().unwrap() {
        assert!(!piece.is_empty());
        all.extend_from_slice(&piece);
    }
    assert_eq!(all.len() as u64, announced);
    (id, all)
}

/// The content, and how many bytes the snapshot took of `bytes`.
fn import(bytes: &[u8]) -> Result<(SnapshotId, Vec<u8>, u64), WalError> {
    let mut import = SnapshotImport::open(bytes, "backup")?;
    let mut content = Vec::new();
    while let Some(chunk) = import.next_chunk()? {
        content.extend_from_slice(&chunk);
    }
    let id = import.id().expect("all has been read");
    assert_eq!(import.identity(), IDENTITY);
    assert_eq!(import.mark(), id.mark);
    Ok((id, content, import.offset()))
}

#[test]
fn what_is_exported_is_the_file_and_zeros_and_reads_back_whatever_its_size() {
    let edges = [0, 1, 99, 100, 101, 200, 1_234];
    // Around a file of exactly a block.
    let around_a_block = 512 - 128 - 32 - 4 * 24 - 2..512 - 128 - 32 - 3 * 24 + 2;
    for bytes in edges.into_iter().chain(around_a_block) {
        let (id, all) = exported(bytes);
        assert_eq!(all.len() as u64 % EXPORT_BLOCK_BYTES, 0, "{bytes}");
        let (found, read, end) = import(&all).unwrap();
        assert_eq!((found, read), (id, content(id.mark, bytes)));
        let padding = &all[usize::try_from(end).unwrap()..];
        assert!(padding.len() < 512 && padding.iter().all(|byte| *byte == 0));
    }
}

#[test]
fn the_file_of_a_data_directory_is_read_the_same_way() {
    let disk = SimDisk::new();
    let id = write(&files(&disk), mark(5, 3), 250).unwrap();
    let name = disk.list().unwrap().pop().unwrap();
    let bytes = disk.contents(&name).unwrap();
    let (found, read, end) = import(&bytes).unwrap();
    assert_eq!((found, end), (id, bytes.len() as u64));
    assert_eq!(read, content(id.mark, 250));
    with_unknown_version(&disk, &name);
    assert!(matches!(
        import(&disk.contents(&name).unwrap()),
        Err(WalError::UnknownVersion { .. })
    ));
}

#[test]
fn every_damaged_bit_and_every_cut_is_named() {
    let (_, all) = exported(250);
    let (_, _, end) = import(&all).unwrap();
    let end = usize::try_from(end).unwrap();
    for at in 0..end {
        for bit in 0..8 {
            let mut damaged = all.clone();
            damaged[at] ^= 1 << bit;
            let refused = import(&damaged).expect_err("a damaged bit is seen");
            assert!(
                matches!(refused, WalError::SnapshotDamaged { .. }),
                "byte {at}: {refused}"
            );
        }
        let refused = import(&all[..at]).expect_err("a cut file is seen");
        assert!(
            refused.to_string().contains("the file was cut"),
            "{refused}"
        );
    }
}

#[test]
fn a_chunk_after_one_that_is_not_full_is_refused() {
    // Chunks of 100 bytes, the second cut out: what follows is not the one that is expected.
    let (id, all) = exported(250);
    assert_eq!(id.mark, SnapshotMark { index: 5, term: 3 });
    let mut short = all[..128 + 124].to_vec();
    short.extend_from_slice(&all[128 + 2 * 124..]);
    assert!(import(&short).is_err());
}
