//! Damage of the log on this disk: what is told to consensus at the start, and writing back what
//! the others still have.
//!
//! The log names entries that it holds and cannot read back (`Recovered::damaged`). Consensus
//! neither hands them out nor acknowledges them, and asks the other members for them
//! (`quorate_raft`, `doubt.rs`). Here is the rest:
//!
//! - What a sound snapshot covers is not needed: for consensus, the log begins after it.
//! - The log is repaired a file at a time, so entries wait here until all that are damaged in their
//!   file have come. They are asked for in the log's order, so that is one file's worth at most.
//! - With nobody to ask, a node refuses to start: it must not take part with less than it had.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use quorate_disk::{Disk, ErrorKind};
use quorate_raft::{Damaged, Entry, LogIndex, Restored, SnapshotMeta, Status, Term};
use quorate_wal::{Damage, Recovered, WalError, Writer};

use crate::entry_format::entry_parts;

/// What became of entries that were to be written back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was damaged and is whole again, durably.
    pub healed: Vec<Damage>,
    /// What is still damaged.
    pub still: Vec<RangeInclusive<LogIndex>>,
    /// Why what came could not be written: the disk is full, or it is not what was lost. It is
    /// asked for again.
    pub failed: Option<WalError>,
}

/// What was found for damaged entries and waits for the rest of its file.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    found: BTreeMap<u64, quorate_wal::Entry>,
}

impl Repairs {
    /// Takes entries, and writes back whatever is complete.
    ///
    /// # Errors
    /// Any error is final for the process.
    pub(crate) fn write_back<D: Disk>(
        &mut self,
        writer: &mut Writer<D>,
        entries: Vec<Entry>,
    ) -> Result<Repaired, WalError> {
        for entry in entries {
            let (kind, data) = entry_parts(entry.payload);
            let (index, term) = (entry.index.0, entry.term.0);
            let entry = quorate_wal::Entry {
                index,
                term,
                kind,
                data,
            };
            self.found.insert(index, entry);
        }
        let before = writer.damages();
        let is_found = |damage: &Damage| {
            (damage.first_index..=damage.last_index).all(|index| self.found.contains_key(&index))
        };
        let is_complete = |damage: &Damage| {
            let mut same_file = before.iter().filter(|other| other.file == damage.file);
            same_file.all(is_found)
        };
        let mut repaired = Repaired::default();
        if before.iter().any(is_complete) {
            let found: Vec<_> = self.found.values().cloned().collect();
            match writer.repair(&found) {
                Ok(_) => {}
                Err(error) if is_harmless(&error) => {
                    self.found.clear();
                    repaired.failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let still = writer.damages();
        let is_healed = |damage: &Damage| still.iter().all(|other| other.file != damage.file);
        repaired.healed = before.into_iter().filter(is_healed).collect();
        let within = |index: u64| {
            let holds = |damage: &Damage| (damage.first_index..=damage.last_index).contains(&index);
            still.iter().any(holds)
        };
        self.found.retain(|index, _| within(*index));
        repaired.still = still.iter().map(range).collect();
        Ok(repaired)
    }
}

/// Whether the log is as it was, damaged, and everything else goes on.
fn is_harmless(error: &WalError) -> bool {
    match error {
        WalError::BadBatch { .. } | WalError::EntryTooLarge { .. } | WalError::Damaged { .. } => {
            true
        }
        WalError::Disk(disk) => disk.kind == ErrorKind::NoSpace,
        _ => false,
    }
}

fn range(damage: &Damage) -> RangeInclusive<LogIndex> {
    LogIndex(damage.first_index)..=LogIndex(damage.last_index)
}

/// As consensus is told of it.
pub(crate) fn damaged(damages: &[Damage]) -> Vec<Damaged> {
    let damaged = |damage: &Damage| Damaged {
        first: LogIndex(damage.first_index),
        last: LogIndex(damage.last_index),
        // What lies at the log's beginning has no neighbour to tell; no entry is of term 0.
        least_term: Term(damage.least_term.max(1)),
        greatest_term: damage.greatest_term.map(Term),
    };
    damages.iter().map(damaged).collect()
}

/// The terms of the log: what is damaged at its beginning counts as of the least that it can be.
pub(crate) fn term_runs(recovered: &Recovered) -> Vec<(LogIndex, Term)> {
    let first = LogIndex(recovered.first_index);
    let runs = recovered.term_runs.iter();
    let mut runs: Vec<_> = runs
        .map(|(index, term)| (LogIndex(*index), Term(*term)))
        .collect();
    let is_empty = recovered.last_index < recovered.first_index;
    if !is_empty && runs.first().is_none_or(|(index, _)| *index > first) {
        let least = Term(recovered.base_term.max(1));
        match runs.first_mut() {
            Some(run) if run.1 <= least => run.0 = first,
            _ => runs.insert(0, (first, least)),
        }
    }
    runs
}

/// The log of a node that starts from this snapshot: if any of what it covers is damaged, it
/// begins after that. What is damaged right after the snapshot counts as of the snapshot's term at
/// least. The terms of entries that can be read stay what they are: if they contradict the snapshot,
/// consensus refuses the two together.
pub(crate) fn begin_after_covered(restored: &mut Restored, snapshot: &SnapshotMeta) {
    let covered = |one: &&Damaged| one.first <= snapshot.index;
    let Some(last) = restored.damaged.iter().rfind(covered) else {
        return;
    };
    let through = last.last.min(snapshot.index);
    let mut damaged_through = last.last;
    for one in &restored.damaged {
        if one.first == damaged_through.next() {
            damaged_through = one.last;
        }
    }
    let old = std::mem::take(&mut restored.term_runs);
    let term_at = |index: LogIndex| {
        let after = old.partition_point(|(first, _)| *first <= index);
        let term = after.checked_sub(1).map_or(Term::ZERO, |run| old[run].1);
        if through == snapshot.index && index <= damaged_through {
            term.max(snapshot.term)
        } else {
            term
        }
    };
    let first = through.next();
    let begins = old.iter().map(|(index, _)| *index);
    let mut begins: Vec<LogIndex> = begins.chain([first, damaged_through.next()]).collect();
    begins.retain(|index| (first..=restored.last_index).contains(index));
    begins.sort_unstable();
    for index in begins {
        let term = term_at(index);
        let newest = restored.term_runs.last();
        if newest.is_none_or(|(_, before)| *before != term) {
            restored.term_runs.push((index, term));
        }
    }
    restored.first_index = first;
}

/// Refuses a start with damage and nobody to ask.
///
/// # Errors
/// What is damaged, and where.
pub(crate) fn check_somebody_has_it(damages: &[Damage], status: &Status) -> Result<(), WalError> {
    let alone = status.membership.members() == [status.id];
    let needed = |damage: &&Damage| {
        let first = status.first_damaged;
        first.is_some_and(|first| damage.last_index >= first.0)
    };
    match damages.iter().find(needed) {
        Some(damage) if alone => Err(WalError::Damaged {
            file: damage.file.clone(),
            offset: damage.offset,
            batch: Some(damage.batch),
            what: damage.what.clone(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
