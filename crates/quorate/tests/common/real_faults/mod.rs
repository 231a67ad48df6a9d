//! Faults that a machine really has: power that goes, disks that fail and fill up; and the load
//! under which they come.

mod dice;
mod last_line;
mod load;
mod loop_file_system;
mod machines;
pub(crate) mod requirements;
mod strace;
mod witness;

pub(crate) use dice::Dice;
pub(crate) use last_line::only_line_of_its_own;
pub(crate) use load::{Acknowledged, Load, Writer, find_lost};
pub(crate) use loop_file_system::{
    LoopFileSystem, PROGRAMS as FILE_SYSTEM_PROGRAMS, clear_away_directories, directory_for_mounts,
    is_alive,
};
pub(crate) use machines::Machines;
pub(crate) use strace::{PROGRAM as STRACE, Strace};
pub(crate) use witness::Witness;
