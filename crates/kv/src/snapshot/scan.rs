//! Writing a snapshot, in steps between which the store goes on.

use std::sync::Arc;

use bytes::Bytes;

use crate::alarm::Alarms;
use crate::changes::{Changes, Position};
use crate::hash::StateHash;
use crate::key::Key;
use crate::keyspace::Keyspace;
use crate::leaf::Entry;
use crate::lease::Leases;
use crate::limits::{KEYS_PER_STEP, SNAPSHOT_CHANGES_PER_VERSION, SNAPSHOT_STEP_BYTES_MAX};
use crate::pin::Pin;
use crate::snapshot::output::Output;
use crate::snapshot::{
    FORMAT_VERSION, FORMAT_VERSION_WITHOUT_LEASES, Head, SnapshotError, TAG_END, TAG_FIRST,
    TAG_LEASE, TAG_RECORD, TAG_TOMBSTONE,
};
use crate::store::Store;
use crate::varint::push_varint;
use crate::versions::Version;

/// A snapshot being scanned, with the pin that keeps what it has yet to read. Dropping it ends it.
#[derive(Debug)]
pub struct SnapshotScan {
    head: Head,
    alarms: Alarms,
    has_leases: bool,
    /// The least id that a lease may have which has not been written.
    from_lease: i64,
    _pin: Pin,
    /// Shared with the store, which can tell by it that the scan is under way, and is its own.
    token: Arc<()>,
    section: Section,
    hash: StateHash,
    output: Output,
    /// The key of the record before; keys are written as what differs from it.
    previous_key: Vec<u8>,
    /// Where to go on among the keys.
    from: Key,
    /// What has been written of that key.
    written: Option<Written>,
    /// Where to go on among the changes.
    position: Position,
    /// The revision of the last change written.
    change_revision: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Head,
    Leases,
    Keys,
    EndOfKeys,
    Changes,
    Hash,
    Over,
}

/// The versions of a key that have been written: all before `revision`, and `count` of those at it.
#[derive(Clone, Copy, Debug)]
struct Written {
    revision: i64,
    count: usize,
}

impl Store {
    /// Starts a snapshot of the state as it is now, without that part of an application under way.
    /// It costs the same whatever the size of the store.
    ///
    /// # Errors
    /// [`SnapshotError::UnderWay`] while another scan of this store has not ended.
    pub fn capture_snapshot(&mut self) -> Result<SnapshotScan, SnapshotError> {
        if self.scanning.strong_count() > 0 {
            return Err(SnapshotError::UnderWay);
        }
        let token = Arc::new(());
        self.scanning = Arc::downgrade(&token);
        self.leases.begin_scan();
        Ok(SnapshotScan {
            head: Head {
                applied_index: self.applied_index,
                compacted_revision: self.compacted_revision,
                revision: self.revision,
                state_hash: self.hash.get(),
            },
            alarms: self.alarms.clone(),
            has_leases: self.leases.len() > 0,
            from_lease: i64::MIN,
            _pin: self.pins.pin(self.compacted_revision),
            token,
            section: Section::Head,
            hash: StateHash::default(),
            output: Output::default(),
            previous_key: Vec::new(),
            from: Key::EMPTY,
            written: None,
            position: Position::default(),
            change_revision: 0,
        })
    }

    /// The next bytes of the snapshot: at most `max_bytes` (at least one, and never more than
    /// [`SNAPSHOT_STEP_BYTES_MAX`]), from at most [`KEYS_PER_STEP`] versions. They may be none, when
    /// the step has passed over what is not in the snapshot. `None` when that was all.
    ///
    /// Panics when the scan is of another store.
    pub fn scan_snapshot(&self, scan: &mut SnapshotScan, max_bytes: usize) -> Option<Bytes> {
        assert!(
            std::ptr::eq(self.scanning.as_ptr(), Arc::as_ptr(&scan.token)),
            "a snapshot at index {} is scanned from the store that it was captured from, not from one \
             at index {}",
            scan.head.applied_index,
            self.applied_index
        );
        let bytes_max = max_bytes.clamp(1, SNAPSHOT_STEP_BYTES_MAX);
        scan.step(self, bytes_max)
    }

    /// Ends a snapshot, whether or not it is complete; the same as dropping it.
    pub fn end_snapshot(&self, scan: SnapshotScan) {
        drop(scan);
    }
}

impl SnapshotScan {
    /// The log index of the last entry that the snapshot contains.
    pub fn applied_index(&self) -> u64 {
        self.head.applied_index
    }

    /// The revision of the newest change in it.
    pub fn revision(&self) -> i64 {
        self.head.revision
    }

    fn step(&mut self, store: &Store, bytes_max: usize) -> Option<Bytes> {
        if self.section == Section::Over && self.output.is_empty() {
            return None;
        }
        self.output.begin(bytes_max);
        // Counted in changes; a version costs many, so the last one may cost more than is left.
        let mut budget = KEYS_PER_STEP * SNAPSHOT_CHANGES_PER_VERSION;
        while !self.output.is_full() {
            let next = match self.section {
                Section::Head => self.write_head(),
                Section::Leases => self.write_leases(&store.leases, &mut budget),
                Section::Keys => self.write_keys(&store.keyspace, &mut budget),
                Section::EndOfKeys => self.write_end_of_keys(),
                Section::Changes => self.write_changes(&store.changes, &mut budget),
                Section::Hash => self.write_hash(),
                Section::Over => None,
            };
            let Some(next) = next else { break };
            self.section = next;
        }
        Some(self.output.finish())
    }

    fn write_head(&mut self) -> Option<Section> {
        let head = self.head;
        let is_plain = !self.has_leases && self.alarms.iter().len() == 0;
        let buffer = self.output.buffer();
        buffer.push(match is_plain {
            true => FORMAT_VERSION_WITHOUT_LEASES,
            false => FORMAT_VERSION,
        });
        push_varint(buffer, head.applied_index);
        push_varint(buffer, (head.compacted_revision + 1).cast_unsigned());
        push_varint(buffer, head.revision.cast_unsigned());
        buffer.extend_from_slice(&head.state_hash.to_le_bytes());
        self.hash.absorb_snapshot_head(&head);
        if is_plain {
            return Some(Section::Keys);
        }
        push_varint(buffer, self.alarms.iter().len() as u64);
        for (kind, member) in self.alarms.iter() {
            buffer.push(kind as u8);
            push_varint(buffer, member);
            self.hash.absorb_alarm(kind, member, true);
        }
        Some(Section::Leases)
    }

    fn write_leases(&mut self, leases: &Leases, budget: &mut usize) -> Option<Section> {
        while let Some((id, times)) = leases.scanned_from(self.from_lease) {
            if *budget == 0 || self.output.is_full() {
                return None;
            }
            *budget -= 1;
            if let Some(times) = times {
                let buffer = self.output.buffer();
                buffer.push(TAG_RECORD);
                push_varint(buffer, id.cast_unsigned());
                push_varint(buffer, times.granted_ttl_seconds.cast_unsigned());
                push_varint(buffer, times.remaining_ttl_seconds.cast_unsigned());
                self.hash.absorb_lease(id, times);
            }
            let Some(next) = id.checked_add(1) else { break };
            self.from_lease = next;
        }
        self.output.buffer().push(TAG_END);
        Some(Section::Keys)
    }

    fn write_keys(&mut self, keyspace: &Keyspace, budget: &mut usize) -> Option<Section> {
        let from = self.from.clone();
        for (_, leaf) in keyspace.leaves_from(from.as_slice()) {
            let start = leaf.find(from.as_slice()).unwrap_or_else(|index| index);
            for entry in &leaf.entries()[start..] {
                assert!(
                    self.written.is_none() || entry.key == from,
                    "{from:?} has gone in the middle of being written"
                );
                if !self.write_key(entry, budget) {
                    self.from = entry.key.clone();
                    return None;
                }
            }
        }
        Some(Section::EndOfKeys)
    }

    fn write_end_of_keys(&mut self) -> Option<Section> {
        self.output.buffer().push(TAG_END);
        self.previous_key.clear();
        Some(Section::Changes)
    }

    /// Writes what the snapshot holds of a key, from where the last step left off. Whether that was all.
    fn write_key(&mut self, entry: &Entry, budget: &mut usize) -> bool {
        if *budget == 0 {
            return false;
        }
        let budget_before = *budget;
        let compacted = self.head.compacted_revision;
        let (oldest, since, skipped) = match self.written {
            None => (entry.versions.seen_before(compacted), compacted, 0),
            Some(written) => (None, written.revision, written.count),
        };
        let newest = self.head.revision;
        let rest = entry.versions.since(since).skip(skipped);
        let rest = rest.take_while(|version| version.revision() <= newest);
        for version in oldest.into_iter().chain(rest) {
            if *budget == 0 || self.output.is_full() {
                return false;
            }
            *budget = budget.saturating_sub(SNAPSHOT_CHANGES_PER_VERSION);
            self.write_version(&entry.key, version);
        }
        if *budget == budget_before {
            // Nothing of it, or nothing more: it was looked at all the same.
            *budget = budget.saturating_sub(SNAPSHOT_CHANGES_PER_VERSION);
        }
        self.written = None;
        true
    }

    fn write_version(&mut self, key: &Key, version: &Version) {
        let compacted = self.head.compacted_revision;
        let revision = version.revision();
        let is_first = self.written.is_none();
        let buffer = self.output.buffer();
        buffer.push(
            TAG_RECORD
                | if is_first { TAG_FIRST } else { 0 }
                | if version.is_live() { 0 } else { TAG_TOMBSTONE }
                | if version.lease == 0 { 0 } else { TAG_LEASE },
        );
        if is_first {
            push_key(buffer, &mut self.previous_key, key.as_slice());
        }
        push_varint(buffer, revision.cast_unsigned());
        // Of later versions it follows from the one before, of keys that came later from that.
        if is_first && version.is_live() && revision <= compacted {
            push_varint(buffer, (revision - version.create_revision).cast_unsigned());
            push_varint(buffer, version.version.cast_unsigned());
        }
        if version.lease != 0 {
            push_varint(buffer, version.lease.cast_unsigned());
        }
        self.hash.absorb_version(key.as_slice(), version);
        if let Some(value) = &version.value {
            push_varint(buffer, value.len() as u64);
            self.output.push_value(value);
        }
        self.written = Some(match self.written {
            Some(Written { revision: r, count }) if r == revision => Written {
                revision,
                count: count + 1,
            },
            // Before C there is only the one.
            _ if revision < compacted => Written {
                revision: compacted,
                count: 0,
            },
            _ => Written { revision, count: 1 },
        });
    }

    fn write_changes(&mut self, changes: &Changes, budget: &mut usize) -> Option<Section> {
        while let Some((change, after)) = changes.next(self.position)
            && change.revision <= self.head.revision
        {
            if *budget == 0 || self.output.is_full() {
                return None;
            }
            *budget -= 1;
            self.position = after;
            // What comes before C is there only because freeing has not come so far.
            if change.revision < self.head.compacted_revision {
                continue;
            }
            let is_first = change.revision != self.change_revision;
            let buffer = self.output.buffer();
            buffer.push(TAG_RECORD | if is_first { TAG_FIRST } else { 0 });
            push_key(buffer, &mut self.previous_key, change.key);
            self.hash.absorb_change(change.revision, change.key);
            self.change_revision = change.revision;
        }
        self.output.buffer().push(TAG_END);
        Some(Section::Hash)
    }

    fn write_hash(&mut self) -> Option<Section> {
        let hash = self.hash.get().to_le_bytes();
        self.output.buffer().extend_from_slice(&hash);
        Some(Section::Over)
    }
}

/// Writes `key` as how many bytes it shares with the one before and those that follow.
fn push_key(buffer: &mut Vec<u8>, previous: &mut Vec<u8>, key: &[u8]) {
    let pairs = previous.iter().zip(key);
    let shared = pairs.take_while(|(before, byte)| before == byte).count();
    let suffix = &key[shared..];
    push_varint(buffer, shared as u64);
    push_varint(buffer, suffix.len() as u64);
    buffer.extend_from_slice(suffix);
    previous.truncate(shared);
    previous.extend_from_slice(suffix);
}
