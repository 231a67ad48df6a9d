//! What a simulated directory holds: names and contents, seen and durable, and the faults to come.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::inode::Inode;
use crate::{DiskError, Effect, ErrorKind, Fault, Operation};

/// What the reason of an error begins with that somebody asked for: a fault, or a capacity.
pub const SIMULATED: &str = "simulated";

#[derive(Default)]
pub(crate) struct State {
    pub(crate) inodes: BTreeMap<u64, (Inode, Arc<()>)>,
    pub(crate) next_inode: u64,
    pub(crate) names: BTreeMap<String, u64>,
    pub(crate) durable_names: BTreeMap<String, u64>,
    pub(crate) pending_names: Vec<NameChange>,
    /// Counts crashes: handles of an earlier life are refused.
    pub(crate) generation: u64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) counts: BTreeMap<Operation, u64>,
    pub(crate) capacity_bytes: Option<u64>,
    /// Changes of state that still succeed before the power goes.
    pub(crate) power_left: Option<u64>,
    pub(crate) power_is_off: bool,
}

#[derive(Clone)]
pub(crate) enum NameChange {
    Create {
        name: String,
        inode: u64,
    },
    Rename {
        from: String,
        to: String,
        inode: u64,
    },
    Remove {
        name: String,
        inode: u64,
    },
}

impl NameChange {
    /// Does it to `names`, if the file is where the change expects it; says whether it did.
    pub(crate) fn apply(&self, names: &mut BTreeMap<String, u64>) -> bool {
        match self {
            NameChange::Create { name, inode } => {
                names.insert(name.clone(), *inode);
                true
            }
            NameChange::Rename { from, to, inode } => {
                let there = names.get(from) == Some(inode);
                if there {
                    names.remove(from);
                    names.insert(to.clone(), *inode);
                }
                there
            }
            NameChange::Remove { name, inode } => {
                let there = names.get(name) == Some(inode);
                if there {
                    names.remove(name);
                }
                there
            }
        }
    }
}

/// What an operation is to do, once the faults have had their say.
pub(crate) enum Verdict {
    Proceed,
    Half(ErrorKind),
    Short,
}

impl State {
    /// Counts the operation and lets the planned faults decide about it.
    pub(crate) fn begin(
        &mut self,
        operation: Operation,
        what: &str,
        file: &str,
    ) -> Result<Verdict, DiskError> {
        *self.counts.entry(operation).or_default() += 1;
        if operation.changes_state() && !self.power_is_off {
            match self.power_left.as_mut() {
                Some(0) => self.power_is_off = true,
                Some(left) => *left -= 1,
                None => {}
            }
        }
        if self.power_is_off {
            return Err(error(ErrorKind::Io, what, file, "the power is off"));
        }
        let mut hit = None;
        self.faults.retain_mut(|fault| {
            if fault.operation != operation {
                return true;
            }
            if fault.after == 0 && hit.is_none() {
                hit = Some(fault.effect);
                return false;
            }
            fault.after = fault.after.saturating_sub(1);
            true
        });
        match hit {
            None => Ok(Verdict::Proceed),
            Some(Effect::ShortRead) if operation == Operation::Read => Ok(Verdict::Short),
            Some(Effect::ShortRead) => Ok(Verdict::Proceed),
            Some(Effect::FailHalfway(kind)) if operation == Operation::Write => {
                Ok(Verdict::Half(kind))
            }
            Some(Effect::Fail(kind) | Effect::FailHalfway(kind)) => {
                Err(error(kind, what, file, SIMULATED))
            }
        }
    }

    pub(crate) fn inode_of(&self, name: &str, what: &str) -> Result<u64, DiskError> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| error(ErrorKind::NotFound, what, name, "no such file"))
    }

    pub(crate) fn inode(&mut self, inode: u64) -> &mut Inode {
        &mut self
            .inodes
            .get_mut(&inode)
            .expect("a named or open file has its contents")
            .0
    }

    /// Refuses growth beyond the capacity.
    pub(crate) fn check_room(&self, growth: u64, what: &str, file: &str) -> Result<(), DiskError> {
        let Some(capacity) = self.capacity_bytes else {
            return Ok(());
        };
        let used = self.used_bytes();
        if growth > 0 && used + growth > capacity {
            let reason = format!("{SIMULATED}: {used} of {capacity} bytes are taken");
            return Err(error(ErrorKind::NoSpace, what, file, &reason));
        }
        Ok(())
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        let inodes = self.inodes.values();
        inodes.map(|(inode, _)| inode.bytes().len() as u64).sum()
    }

    /// Forgets files that have no name any more, now or after a crash, and that no one holds.
    pub(crate) fn forget_nameless(&mut self) {
        let State {
            inodes,
            names,
            durable_names,
            ..
        } = self;
        inodes.retain(|id, (_, handle)| {
            Arc::strong_count(handle) > 1
                || names
                    .values()
                    .chain(durable_names.values())
                    .any(|named| named == id)
        });
    }

    pub(crate) fn crash(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        let mut names = std::mem::take(&mut self.durable_names);
        for change in std::mem::take(&mut self.pending_names) {
            let mut kept = names.clone();
            if change.apply(&mut kept) && choose(2) == 1 {
                names = kept;
            }
        }
        self.inodes
            .retain(|id, _| names.values().any(|named| named == id));
        for (inode, handle) in self.inodes.values_mut() {
            inode.crash(choose);
            *handle = Arc::new(());
        }
        self.durable_names.clone_from(&names);
        self.names = names;
        self.generation += 1;
        self.power_left = None;
        self.power_is_off = false;
        self.faults.clear();
    }
}

/// An error as the trait wants it.
pub(crate) fn error(kind: ErrorKind, operation: &str, file: &str, reason: &str) -> DiskError {
    DiskError {
        kind,
        operation: operation.to_owned(),
        file: file.to_owned(),
        reason: reason.to_owned(),
    }
}
