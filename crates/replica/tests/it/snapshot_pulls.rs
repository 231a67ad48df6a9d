//! Pulling a snapshot: nothing here is given up for content that nobody can read, nor is a part
//! kept that leads nowhere.

use quorate_disk::{Disk, ErrorKind, SimDisk};
use quorate_raft::{InstallWanted, Instant, LogIndex, Message, NodeId, Term};
use quorate_replica::{
    HIGHEST_PROTOCOL_VERSION, Node, PeerMessage, PullProgress, SnapshotContentError, SnapshotPuller,
};
use quorate_wal::snapshot::{SnapshotFiles, SnapshotId};

use crate::snapshots::{apply, content, node, node_id, take, write_content};

/// A snapshot at index 5 and the member that has it.
fn source() -> (SnapshotFiles<SimDisk>, SnapshotId) {
    let mut source = node(&SimDisk::new(), 1);
    apply(&mut source, 1..=5);
    let id = take(&mut source);
    (source.snapshots, id)
}

fn puller(files: &SnapshotFiles<SimDisk>, id: SnapshotId) -> SnapshotPuller<SimDisk> {
    let wanted = InstallWanted {
        from: NodeId(1),
        index: LogIndex(id.mark.index),
        term: Term(id.mark.term),
    };
    SnapshotPuller::new(files.clone(), wanted, HIGHEST_PROTOCOL_VERSION)
}

fn pull(
    files: &SnapshotFiles<SimDisk>,
    source: &SnapshotFiles<SimDisk>,
    id: SnapshotId,
) -> Result<PullProgress, SnapshotContentError> {
    let mut puller = puller(files, id);
    let mut progress = puller.described(id)?;
    let mut reader = source.read(id.mark)?;
    while progress == PullProgress::More {
        let number = puller.query().first_chunk.expect("it was described");
        progress = puller.arrived(&reader.chunk(number)?)?;
    }
    Ok(progress)
}

/// A source whose file is sound, around other content: what a bug, or rot in memory, writes.
fn source_of(content: &[u8], id: SnapshotId) -> (SnapshotFiles<SimDisk>, SnapshotId) {
    let files = node(&SimDisk::new(), 1).snapshots;
    let id = write_content(&files, id.mark, content);
    (files, id)
}

#[test]
fn content_that_nobody_can_read_is_refused_and_removed_before_anything_is_given_up() {
    let (sound, id) = source();
    let bytes = content(&sound, id.mark);
    let mut cases = vec![
        bytes[..bytes.len() - 1].to_vec(),
        bytes[..3].to_vec(),
        [&bytes[..], &[0]].concat(),
    ];
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x20;
        cases.push(flipped);
    }
    let disk = SimDisk::new();
    let member = node(&disk, 0);
    let before = disk.list().unwrap();
    let mut refused = 0;
    for case in &cases {
        let (source, bad) = source_of(case, id);
        match pull(&member.snapshots, &source, bad) {
            // Some bits are values or times, which may be anything.
            Ok(_) => member.snapshots.remove(id.mark).unwrap(),
            Err(error) => {
                assert!(error.of_disk().is_none(), "{error}");
                refused += 1;
            }
        }
        assert_eq!(disk.list().unwrap(), before, "nothing of it stays");
    }
    assert!(refused > cases.len() / 2, "{refused} of {}", cases.len());
    // The same snapshot from a member that has it sound is pulled as if nothing had been.
    let done = pull(&member.snapshots, &sound, id).unwrap();
    assert!(matches!(done, PullProgress::Done(meta) if meta.index == LogIndex(5)));
}

#[test]
fn what_is_here_already_is_read_to_its_end_too() {
    let (sound, id) = source();
    let mut bytes = content(&sound, id.mark);
    bytes.pop();
    let member = node(&SimDisk::new(), 0);
    let bad = write_content(&member.snapshots, id.mark, &bytes);
    puller(&member.snapshots, bad).described(bad).unwrap_err();
    assert_eq!(member.snapshots.list().unwrap().snapshots, []);
}

#[test]
fn a_source_that_goes_on_with_another_snapshot_is_given_up() {
    let (sound, id) = source();
    let member = node(&SimDisk::new(), 0);
    let mut puller = puller(&member.snapshots, id);
    assert_eq!(puller.described(id).unwrap(), PullProgress::More);
    let first = sound.read(id.mark).unwrap().chunk(0).unwrap();
    puller.arrived(&first).unwrap();
    assert_eq!(puller.described(id).unwrap(), PullProgress::More);
    assert_eq!(puller.query().first_chunk, Some(1), "nothing is lost");
    let other = SnapshotId {
        checksum: !id.checksum,
        ..id
    };
    let changed = puller.described(other).unwrap_err();
    assert!(
        matches!(
            changed,
            SnapshotContentError::SourceChanged { expected, found } if (expected, found) == (id, other)
        ),
        "{changed}"
    );
}

#[test]
fn a_pull_without_space_gives_back_what_it_took() {
    let (sound, id) = source();
    let size = |disk: &SimDisk| -> u64 {
        let names = disk.list().unwrap();
        let sizes = names.iter().map(|name| disk.contents(name).unwrap().len());
        sizes.sum::<usize>() as u64
    };
    let mut refused = 0;
    for room in (0..id.bytes + 1_000).step_by(50) {
        let disk = SimDisk::new();
        let member = node(&disk, 0);
        let (before, used) = (disk.list().unwrap(), size(&disk));
        disk.set_capacity(Some(used + room));
        let Err(error) = pull(&member.snapshots, &sound, id) else {
            continue;
        };
        let kind = error.of_disk().map(|error| error.kind);
        assert_eq!(kind, Some(ErrorKind::NoSpace), "{error}");
        assert_eq!((disk.list().unwrap(), size(&disk)), (before, used));
        disk.set_capacity(None);
        pull(&member.snapshots, &sound, id).unwrap();
        refused += 1;
    }
    assert!(refused > 5, "only {refused} were without space");
}

/// Else a want that came while the pull before it failed is told to nobody again.
#[test]
fn the_failure_of_an_older_pull_does_not_make_consensus_forget_the_newer_one() {
    let mut node = node(&SimDisk::new(), 0);
    let wanted = |index| InstallWanted {
        from: NodeId(node_id(1)),
        index: LogIndex(index),
        term: Term(2),
    };
    let offered = |node: &mut Node<SimDisk>, index| {
        let message = Message::SnapshotOffer {
            term: Term(3),
            index: LogIndex(index),
            snapshot_term: Term(2),
            round: 1,
        };
        let (consensus, now) = (&mut node.consensus, Instant::ZERO);
        consensus.receive(now, 0, NodeId(node_id(1)), PeerMessage::Raft(message));
        consensus.take_effects(now, 0).install
    };
    assert_eq!(offered(&mut node, 5), Some(wanted(5)));
    assert_eq!(offered(&mut node, 9), Some(wanted(9)));
    node.consensus.install_failed(Instant::ZERO, wanted(5));
    assert_eq!(offered(&mut node, 9), None, "it is being pulled");
    node.consensus.install_failed(Instant::ZERO, wanted(9));
    assert_eq!(offered(&mut node, 9), Some(wanted(9)));
}
