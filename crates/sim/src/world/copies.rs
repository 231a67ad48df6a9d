//! Copies of a member's disk that are damaged at will, and looked at.
//!
//! `rot` damages disks only where the cluster is bound to mend it, or the world could not go on. What may
//! come to pass on real disks is worse: sectors lost or written in the wrong place, files cut short, gone or put
//! back from elsewhere, whole directories of another member. So a copy of a disk that is down is treated so,
//! and opened as a start would open it. It may refuse, and then says what and where; it may say what it lost.
//! What must never be, whatever was done to it: a panic, or an entry or a snapshot that reads back as sound
//! and is not what was written. Nobody lives on the copy, so nothing comes of it for the world.

use std::collections::BTreeMap;

use quorate_disk::{Disk, File, SimDisk};
use quorate_wal::snapshot::{Chunk, SnapshotFiles};
use quorate_wal::{Identity, Options};

use super::World;
use crate::Random;
use crate::tally::{Fault, Rare, sometimes};

const SECTOR_BYTES: u64 = 512;
/// Read back at once.
const READ_BYTES: usize = 1 << 20;

/// What a log says by index and term, and its snapshots by index, term and chunk.
#[derive(Default)]
struct Said {
    entries: BTreeMap<(u64, u64), Vec<u8>>,
    chunks: BTreeMap<(u64, u64, u64), Vec<u8>>,
}

impl World {
    /// Damages two copies of the disk of a node that is down, and looks at them.
    pub(super) fn look_at_damaged_copies(&mut self, node: usize) {
        let disk = self.members[node].disk.fork();
        disk.set_capacity(None);
        let Some(sound) = self.look_at(node, &disk, true) else {
            return;
        };
        for _ in 0..2 {
            let copy = self.members[node].disk.fork();
            copy.set_capacity(None);
            for _ in 0..1 + self.random.below(3) {
                damage(&mut self.random, &copy);
            }
            self.tally.injected(Fault::CopyDamaged);
            let tolerates = self.random.percent(70);
            let Some(said) = self.look_at(node, &copy, tolerates) else {
                self.tally.reached(Rare::CopyRefused);
                continue;
            };
            for (place, data) in &said.entries {
                let written = sound.entries.get(place);
                let same = written.is_none_or(|written| written == data);
                assert!(
                    same,
                    "member {node} reads another entry at {place:?} from a damaged log"
                );
            }
            for (place, data) in &said.chunks {
                let same = sound.chunks.get(place) == Some(data);
                assert!(
                    same,
                    "member {node} reads another chunk {place:?} from a damaged snapshot"
                );
            }
            let less = said.entries.len() < sound.entries.len();
            sometimes!(self.tally, Rare::CopySaidWhatItLost, less);
        }
    }

    /// What can be read of this directory; none if the log cannot be opened.
    fn look_at(&self, node: usize, disk: &SimDisk, tolerates: bool) -> Option<Said> {
        let settings = self.settings(node);
        let identity = Identity {
            cluster_id: settings.cluster_id,
            member_id: settings.member_id,
            group_id: quorate_replica::wire::GROUP_ID,
        };
        let mut said = Said::default();
        let files = SnapshotFiles::new(disk.clone(), identity, 0);
        read_snapshots(&files, &mut said);
        let mut options = Options::new(identity);
        options.segment_bytes = self.plan.segment_bytes;
        options.tolerate_damage = tolerates;
        let opened = match quorate_wal::open(disk.clone(), options) {
            Ok(opened) => opened,
            Err(error) => {
                says_something(&error);
                return None;
            }
        };
        opened.recovered.notes.iter().for_each(says_something);
        opened.recovered.damaged.iter().for_each(says_something);
        let mut next = opened.recovered.first_index;
        while next <= opened.recovered.last_index {
            match opened.reader.read(next, u64::MAX, READ_BYTES) {
                Ok(entries) => {
                    for entry in entries {
                        next = entry.index + 1;
                        said.entries
                            .insert((entry.index, entry.term), entry.data.to_vec());
                    }
                }
                Err(error) => {
                    says_something(&error);
                    next += 1;
                }
            }
        }
        Some(said)
    }
}

/// Whatever is refused or lost has words for the person who has to look after it.
fn says_something(what: &impl std::fmt::Display) {
    assert!(!what.to_string().is_empty());
}

fn read_snapshots(files: &SnapshotFiles<SimDisk>, said: &mut Said) {
    let list = match files.list() {
        Ok(list) => list,
        Err(error) => return says_something(&error),
    };
    list.notes.iter().for_each(says_something);
    for id in &list.snapshots {
        if let Err(error) = files.verify(id.mark) {
            says_something(&error);
            continue;
        }
        let mut reader = files.read(id.mark).expect("it was verified");
        for number in 0..id.chunk_count() {
            let Chunk { data, .. } = reader.chunk(number).expect("it was verified");
            let place = (id.mark.index, id.mark.term, number);
            said.chunks.insert(place, data.to_vec());
        }
    }
}

/// One thing that may happen to a directory.
fn damage(random: &mut Random, disk: &SimDisk) {
    let files = disk.list().unwrap_or_default();
    if files.is_empty() {
        return;
    }
    let one = |random: &mut Random| &files[random.below(files.len() as u64) as usize];
    let (file, other) = (one(random), one(random));
    let (Ok(open), Ok(from)) = (disk.open(file), disk.open(other)) else {
        return; // An earlier damage took it away.
    };
    let bytes = disk.contents(file).unwrap_or_default();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64 + 1;
    let sectors = used.div_ceil(SECTOR_BYTES);
    let place = random.below(sectors) * SECTOR_BYTES;
    let mut sector = [0; SECTOR_BYTES as usize];
    let done = match random.below(10) {
        0..3 => {
            for _ in 0..1 + random.below(20) {
                disk.flip_bit(file, random.below(used), random.below(8) as u8);
            }
            Ok(())
        }
        // Lost, in the middle or at the head where both copies of a header are.
        3 => open.write_at(place, &sector),
        4 => open.write_at(0, &[0; 4 * SECTOR_BYTES as usize]),
        // Written where another one belongs.
        5 | 6 => {
            let length = from.length().unwrap_or_default().div_ceil(SECTOR_BYTES);
            let taken = random.below(length.max(1)) * SECTOR_BYTES;
            let read = from.read_at(taken, &mut sector);
            read.and_then(|_| open.write_at(place, &sector))
        }
        7 => open.truncate(random.below(used)),
        8 => disk.remove(file),
        // Put back from elsewhere.
        _ => {
            let copied = disk.contents(other).unwrap_or_default();
            open.truncate(0).and_then(|()| open.write_at(0, &copied))
        }
    };
    done.expect("the disk itself works");
}
