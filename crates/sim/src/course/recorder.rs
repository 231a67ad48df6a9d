//! The state machine of the course: it records what it is told to apply, and compares.
//!
//! What holds for every entry that any server applies (section "checks that run all the time" of the
//! course's tester): it follows the one that this server applied before, without a gap; and it is what
//! every other server applied at that index.

use bytes::Bytes;
use quorate_raft::{Entry, Payload, Term};

/// What was applied, by whom.
pub(crate) struct Recorder {
    /// By index, from 1 on: term and command (none: an empty entry), from whoever applied it first.
    entries: Vec<(Term, Option<Bytes>)>,
    /// The index of each command: its place here, counted from 1, is its ordinal.
    commands: Vec<u64>,
    /// Through which index each server has applied.
    applied: Vec<u64>,
}

impl Recorder {
    pub(crate) fn new(servers: usize) -> Recorder {
        Recorder {
            entries: Vec::new(),
            commands: Vec::new(),
            applied: vec![0; servers],
        }
    }

    /// A server starts with an empty state machine.
    pub(crate) fn started(&mut self, server: usize) {
        self.applied[server] = 0;
    }

    /// A server applies an entry.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn apply(&mut self, server: usize, entry: Entry) -> Result<(), String> {
        let index = entry.index.0;
        let expected = self.applied[server] + 1;
        if index != expected {
            return Err(format!(
                "server {server} applied index {index} out of order: {expected} is next"
            ));
        }
        self.applied[server] = index;
        let command = match entry.payload {
            Payload::Command(bytes) => Some(bytes),
            _ => None,
        };
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
        self.applied.iter().filter(|&&at| at >= index).count()
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
