//! A directory in memory that fails as real ones do, and only when told to.
//!
//! It keeps two pictures: what the running process sees, and what is durable; between them lie
//! the operations not yet synced. [`SimDisk::crash`] turns the second into the first, with any
//! legal part of what lay between. Nothing here reads a clock or draws a number that the caller
//! did not seed, so a run can be repeated exactly.
//!
//! Names: creations, renames and removals since the last directory sync are each kept or lost on
//! their own; one whose file is not where it expects it (because an earlier one was lost) is lost
//! too. Contents: see the file's own versions (`inode.rs`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::inode::Inode;
use crate::sim_state::{NameChange, SIMULATED, State, Verdict, error};
use crate::{Crash, CrashStates, Disk, DiskError, ErrorKind, Fault, File, Operation};

/// A simulated directory. Clones are handles to the same one; [`SimDisk::fork`] makes another.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`SimDisk`]. Dead after a crash, as the process that held it.
#[derive(Clone)]
pub struct SimFile {
    state: Arc<Mutex<State>>,
    name: String,
    inode: u64,
    generation: u64,
    /// Shared with the disk, which keeps a nameless file as long as someone holds this.
    _handle: Arc<()>,
}

impl SimDisk {
    /// An empty directory.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy with a fate of its own: same contents, same unsynced operations, no faults planned,
    /// no open files.
    #[must_use]
    pub fn fork(&self) -> SimDisk {
        let state = self.lock();
        let copy = State {
            inodes: state
                .inodes
                .iter()
                .map(|(id, (inode, _))| (*id, (inode.clone(), Arc::new(()))))
                .collect(),
            next_inode: state.next_inode,
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            pending_names: state.pending_names.clone(),
            generation: state.generation + 1,
            capacity_bytes: state.capacity_bytes,
            ..State::default()
        };
        SimDisk {
            state: Arc::new(Mutex::new(copy)),
        }
    }

    /// Loses power and comes back: open files are dead, planned faults are forgotten.
    pub fn crash(&self, how: Crash<'_>) {
        let mut state = self.lock();
        how.decide(|choose| state.crash(choose));
    }

    /// Ends the process but not the machine (`kill -9`): open files are dead; what was written is
    /// still there to be read, and still not durable.
    pub fn kill_process(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.power_left = None;
        state.power_is_off = false;
        state.faults.clear();
    }

    /// Every state that a crash now can leave. Their number may be vast: see
    /// [`SimDisk::crash_state_bound`].
    pub fn crash_states(&self) -> CrashStates {
        CrashStates::new(self.fork())
    }

    /// At most how many states [`SimDisk::crash_states`] gives.
    pub fn crash_state_bound(&self) -> u64 {
        let state = self.lock();
        let names = 1_u64.checked_shl(u32::try_from(state.pending_names.len()).unwrap_or(64));
        state
            .inodes
            .values()
            .fold(names.unwrap_or(u64::MAX), |product, (inode, _)| {
                product.saturating_mul(inode.crash_state_bound())
            })
    }

    /// How many writes, truncations and changes of names are not durable yet.
    pub fn unsynced_operations(&self) -> usize {
        let state = self.lock();
        let writes: usize = state
            .inodes
            .values()
            .map(|(inode, _)| inode.unsynced())
            .sum();
        writes + state.pending_names.len()
    }

    /// Plans a fault.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Lets `changes` more operations that change anything succeed, and refuses everything after
    /// them until [`SimDisk::crash`].
    pub fn power_off_after(&self, changes: u64) {
        self.lock().power_left = Some(changes);
    }

    /// Whether the power has gone.
    pub fn power_is_off(&self) -> bool {
        self.lock().power_is_off
    }

    /// Forgets the faults that were planned and have not happened.
    pub fn forget_faults(&self) {
        self.lock().faults.clear();
    }

    /// The sum of all file lengths.
    pub fn used_bytes(&self) -> u64 {
        self.lock().used_bytes()
    }

    /// Limits the sum of all file lengths; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity_bytes = bytes;
    }

    /// How often an operation was tried so far.
    pub fn count(&self, operation: Operation) -> u64 {
        self.lock()
            .counts
            .get(&operation)
            .copied()
            .unwrap_or_default()
    }

    /// Rot: flips bit `bit` of the byte at `offset`, on the medium too. Says whether it is there.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u8) -> bool {
        let mut state = self.lock();
        let Some(inode) = state.names.get(name).copied() else {
            return false;
        };
        usize::try_from(offset).is_ok_and(|offset| state.inode(inode).flip_bit(offset, bit))
    }

    /// The contents of a file, as a reader sees them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let inode = state.names.get(name).copied()?;
        Some(state.inode(inode).bytes().to_vec())
    }
}

impl State {
    fn file(&self, shared: &Arc<Mutex<State>>, name: &str, inode: u64) -> SimFile {
        let handle = &self
            .inodes
            .get(&inode)
            .expect("a named file has its contents")
            .1;
        SimFile {
            state: shared.clone(),
            name: name.to_owned(),
            inode,
            generation: self.generation,
            _handle: handle.clone(),
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&self, name: &str) -> Result<SimFile, DiskError> {
        let mut state = self.lock();
        state.begin(Operation::Create, "create", name)?;
        if state.names.contains_key(name) {
            return Err(error(
                ErrorKind::AlreadyExists,
                "create",
                name,
                "the name is taken",
            ));
        }
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, (Inode::default(), Arc::new(())));
        state.names.insert(name.to_owned(), inode);
        state.pending_names.push(NameChange::Create {
            name: name.to_owned(),
            inode,
        });
        Ok(state.file(&self.state, name, inode))
    }

    fn open(&self, name: &str) -> Result<SimFile, DiskError> {
        let mut state = self.lock();
        state.begin(Operation::Open, "open", name)?;
        let inode = state.inode_of(name, "open")?;
        Ok(state.file(&self.state, name, inode))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.lock();
        state.begin(Operation::Rename, "rename", from)?;
        let inode = state.inode_of(from, "rename")?;
        let change = NameChange::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            inode,
        };
        change.apply(&mut state.names);
        state.pending_names.push(change);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let mut state = self.lock();
        state.begin(Operation::Remove, "remove", name)?;
        let inode = state.inode_of(name, "remove")?;
        let change = NameChange::Remove {
            name: name.to_owned(),
            inode,
        };
        change.apply(&mut state.names);
        state.pending_names.push(change);
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let mut state = self.lock();
        state.begin(Operation::List, "list", ".")?;
        Ok(state.names.keys().cloned().collect())
    }

    fn sync_directory(&self) -> Result<(), DiskError> {
        let mut state = self.lock();
        let begun = state.begin(Operation::SyncDirectory, "sync", ".");
        if state.power_is_off {
            return begun.map(|_| ());
        }
        let changes = std::mem::take(&mut state.pending_names);
        begun?;
        for change in changes {
            change.apply(&mut state.durable_names);
        }
        state.forget_nameless();
        Ok(())
    }
}

impl SimFile {
    /// The disk's state, if this handle is of its present life and the faults let it pass.
    fn begin(
        &self,
        operation: Operation,
        what: &str,
    ) -> Result<(MutexGuard<'_, State>, Verdict), DiskError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.generation != self.generation {
            let reason = "the handle is from before a crash";
            return Err(error(ErrorKind::Io, what, &self.name, reason));
        }
        let verdict = state.begin(operation, what, &self.name);
        if verdict.is_err() && operation == Operation::Sync && !state.power_is_off {
            state.inode(self.inode).sync_failed();
        }
        let verdict = verdict?;
        Ok((state, verdict))
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let what = format!("read at {offset}");
        let (mut state, verdict) = self.begin(Operation::Read, &what)?;
        let wanted = if matches!(verdict, Verdict::Short) {
            buffer.len() / 2
        } else {
            buffer.len()
        };
        Ok(state
            .inode(self.inode)
            .read_at(offset, &mut buffer[..wanted]))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let what = format!("write at {offset}");
        let (mut state, verdict) = self.begin(Operation::Write, &what)?;
        let length = state.inode(self.inode).bytes().len() as u64;
        let growth = (offset + bytes.len() as u64).saturating_sub(length);
        state.check_room(growth, &what, &self.name)?;
        let start = usize::try_from(offset).map_err(|_| {
            error(
                ErrorKind::NoSpace,
                &what,
                &self.name,
                "beyond what a file can hold",
            )
        })?;
        let Verdict::Half(kind) = verdict else {
            state.inode(self.inode).write_at(start, bytes);
            return Ok(());
        };
        state
            .inode(self.inode)
            .write_at(start, &bytes[..bytes.len() / 2]);
        let reason = format!("{SIMULATED}, after half of it");
        Err(error(kind, &what, &self.name, &reason))
    }

    fn sync(&self) -> Result<(), DiskError> {
        let (mut state, _) = self.begin(Operation::Sync, "sync")?;
        state.inode(self.inode).sync();
        Ok(())
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        let what = format!("truncate to {length}");
        let (mut state, _) = self.begin(Operation::Truncate, &what)?;
        let old = state.inode(self.inode).bytes().len() as u64;
        state.check_room(length.saturating_sub(old), &what, &self.name)?;
        let length = usize::try_from(length).map_err(|_| {
            error(
                ErrorKind::NoSpace,
                &what,
                &self.name,
                "beyond what a file can hold",
            )
        })?;
        state.inode(self.inode).truncate(length);
        Ok(())
    }

    fn length(&self) -> Result<u64, DiskError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.generation != self.generation || state.power_is_off {
            let reason = "the handle is from before a crash";
            return Err(error(ErrorKind::Io, "measure", &self.name, reason));
        }
        Ok(state.inode(self.inode).bytes().len() as u64)
    }
}

#[cfg(test)]
mod tests;
