//! The state machine of the course: it records what it is told to apply, and compares.
//!
//! What holds for every entry that any server applies (section "checks that run all the time" of the
//! course's tester): it follows the one that this server applied before, without a gap; and it is what
//! every other server applied at that index. A snapshot takes the place of all that a server applied:
//! its values must be those that were applied through its index, and it never goes back.

use bytes::Bytes;
use quorate_raft::{Entry, Payload, Term};

use super::snapshots::Snapshot;

/// What was applied, by whom.
pub(crate) struct Recorder {
    /// By index, from 1 on: term and command (none: an empty entry), from whoever applied it first.
    entries: Vec<(Term, Option<Bytes>)>,
    /// The index of each command: its place here, counted from 1, is its ordinal.
    commands: Vec<u64>,
    machines: Vec<Machine>,
}

/// What one server has applied.
#[derive(Clone, Default)]
struct Machine {
    /// Through which index.
    applied: u64,
    /// All commands, in order.
    commands: Vec<Bytes>,
}

impl Recorder {
    pub(crate) fn new(servers: usize) -> Recorder {
        Recorder {
            entries: Vec::new(),
            commands: Vec::new(),
            machines: vec![Machine::default(); servers],
        }
    }

    /// A server starts with an empty state machine.
    pub(crate) fn started(&mut self, server: usize) {
        self.machines[server] = Machine::default();
    }

    /// A server applies an entry.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn apply(&mut self, server: usize, entry: Entry) -> Result<(), String> {
        let index = entry.index.0;
        let machine = &mut self.machines[server];
        let expected = machine.applied + 1;
        if index != expected {
            return Err(format!(
                "server {server} applied index {index} out of order: {expected} is next"
            ));
        }
        machine.applied = index;
        let command = match entry.payload {
            Payload::Command(bytes) => Some(bytes),
            _ => None,
        };
        machine.commands.extend(command.clone());
        let Some(first) = self.entries.get(index as usize - 1) else {
            if command.is_some() {
                self.commands.push(index);
            }
            self.entries.push((entry.term, command));
            return Ok(());
        };
        if *first != (entry.term, command.clone()) {
            return Err(format!(
                "server {server} applied {command:?} of term {} at index {index}, where another \
                 server applied {:?} of term {}",
                entry.term, first.1, first.0
            ));
        }
        Ok(())
    }

    /// All that a server has applied, if this entry was the last and is a command.
    pub(crate) fn commands_if_last(&self, server: usize, index: u64) -> Option<&[Bytes]> {
        let machine = &self.machines[server];
        let is_last = machine.applied == index && self.command_at(index).is_some();
        is_last.then_some(&machine.commands)
    }

    /// A server loads a snapshot in the place of all that it applied.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn restore(&mut self, server: usize, snapshot: &Snapshot) -> Result<(), String> {
        let index = snapshot.mark.index;
        let machine = &mut self.machines[server];
        if index <= machine.applied {
            let applied = machine.applied;
            return Err(format!(
                "server {server} goes back from {applied} to the snapshot at {index}"
            ));
        }
        let known = self.commands.partition_point(|at| *at <= index);
        let commands = self.commands[..known].iter();
        let applied = commands.map(|at| self.entries[*at as usize - 1].1.as_ref());
        if !applied.eq(snapshot.commands.iter().map(Some)) {
            return Err(format!(
                "server {server} has a snapshot at {index} with {} other commands than the {known} \
                 that were applied",
                snapshot.commands.len()
            ));
        }
        if self.entries.get(index as usize - 1).map(|entry| entry.0.0) != Some(snapshot.mark.term) {
            return Err(format!(
                "server {server} has a snapshot of {:?}, where no such entry was applied",
                snapshot.mark
            ));
        }
        *machine = Machine {
            applied: index,
            commands: snapshot.commands.clone(),
        };
        Ok(())
    }

    /// How many servers have applied this index with this command.
    pub(crate) fn count(&self, index: u64, command: &Bytes) -> usize {
        match self.entries.get((index as usize).saturating_sub(1)) {
            Some((_, Some(applied))) if applied == command => self.count_index(index),
            _ => 0,
        }
    }

    /// How many servers have applied the command of this ordinal, and which it is.
    pub(crate) fn count_ordinal(&self, ordinal: u64) -> (usize, Option<Bytes>) {
        let Some(index) = self.commands.get((ordinal as usize).saturating_sub(1)) else {
            return (0, None);
        };
        let command = self.entries[*index as usize - 1].1.clone();
        (self.count_index(*index), command)
    }

    fn count_index(&self, index: u64) -> usize {
        self.machines
            .iter()
            .filter(|one| one.applied >= index)
            .count()
    }

    /// The command that was applied at this index, whoever applied it.
    pub(crate) fn command_at(&self, index: u64) -> Option<&Bytes> {
        self.entries.get(index as usize - 1)?.1.as_ref()
    }

    /// The ordinal of the command at this index, if anyone applied it.
    pub(crate) fn ordinal_of(&self, index: u64) -> Option<u64> {
        let place = self.commands.binary_search(&index).ok()?;
        Some(place as u64 + 1)
    }

    /// Commands that anyone applied.
    pub(crate) fn commands(&self) -> u64 {
        self.commands.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use quorate_raft::LogIndex;
    use quorate_wal::SnapshotMark;

    use super::*;

    fn entry(index: u64, term: u64, command: &'static str) -> Entry {
        Entry {
            index: LogIndex(index),
            term: Term(term),
            payload: match command {
                "" => Payload::Empty,
                command => Payload::Command(Bytes::from_static(command.as_bytes())),
            },
        }
    }

    #[test]
    fn another_command_or_term_at_the_same_index_is_found() {
        for wrong in [entry(1, 1, "b"), entry(1, 2, "a"), entry(1, 1, "")] {
            let mut recorder = Recorder::new(2);
            recorder.apply(0, entry(1, 1, "a")).unwrap();
            recorder.apply(1, wrong).unwrap_err();
        }
    }

    #[test]
    fn a_gap_and_a_step_back_are_found() {
        let mut recorder = Recorder::new(1);
        recorder.apply(0, entry(1, 1, "a")).unwrap();
        recorder.apply(0, entry(1, 1, "a")).unwrap_err();
        recorder.apply(0, entry(3, 1, "c")).unwrap_err();
        recorder.started(0);
        recorder.apply(0, entry(1, 1, "a")).unwrap();
    }

    fn snapshot(index: u64, term: u64, commands: &[&'static str]) -> Snapshot {
        let commands = commands
            .iter()
            .map(|text| Bytes::from_static(text.as_bytes()));
        Snapshot {
            mark: SnapshotMark { index, term },
            commands: commands.collect(),
        }
    }

    #[test]
    fn a_snapshot_with_other_values_or_of_another_term_is_found() {
        let wrong = [
            snapshot(3, 1, &["a"]),
            snapshot(3, 1, &["a", "b", "c"]),
            snapshot(3, 1, &["b", "a"]),
            snapshot(3, 2, &["a", "b"]),
            snapshot(4, 1, &["a", "b"]),
        ];
        let mut recorder = Recorder::new(2);
        for entry in [entry(1, 1, ""), entry(2, 1, "a"), entry(3, 1, "b")] {
            recorder.apply(0, entry).unwrap();
        }
        for wrong in wrong {
            recorder.restore(1, &wrong).unwrap_err();
        }
        recorder.restore(1, &snapshot(3, 1, &["a", "b"])).unwrap();
        recorder.apply(1, entry(3, 1, "b")).unwrap_err();
        recorder.apply(1, entry(4, 1, "c")).unwrap();
        let all = ["a", "b", "c"].map(|text| Bytes::from_static(text.as_bytes()));
        assert_eq!(recorder.commands_if_last(1, 4), Some(&all[..]));
    }

    #[test]
    fn a_snapshot_that_goes_back_is_found() {
        let mut recorder = Recorder::new(1);
        recorder.apply(0, entry(1, 1, "a")).unwrap();
        recorder.apply(0, entry(2, 1, "b")).unwrap();
        let what = recorder.restore(0, &snapshot(1, 1, &["a"])).unwrap_err();
        assert!(what.contains("goes back from 2"), "{what}");
    }

    #[test]
    fn empty_entries_have_no_ordinal() {
        let mut recorder = Recorder::new(2);
        for entry in [entry(1, 1, ""), entry(2, 1, "a"), entry(3, 1, "b")] {
            recorder.apply(0, entry).unwrap();
        }
        let b = Bytes::from_static(b"b");
        assert_eq!(recorder.count_ordinal(2), (1, Some(b.clone())));
        assert_eq!(
            (recorder.ordinal_of(1), recorder.ordinal_of(3)),
            (None, Some(2))
        );
        assert_eq!((recorder.count(3, &b), recorder.count(2, &b)), (1, 0));
        assert_eq!(recorder.count_ordinal(3), (0, None));
    }
}
