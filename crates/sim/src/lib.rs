//! Quorate's core in a world of its own: virtual time, a network and disks that fail on request,
//! and chance from one seed, so that whatever happens once can be made to happen again.
//!
//! Two things live here, on the same code that runs on real machines:
//!
//! - [`world`]: whole nodes (`raft`, `wal`, `kv` and `replica`) with clients and faults drawn from
//!   a seed, and a judge who looks after every step. [`run_seed`] runs one to its end; a
//!   [`Tally`] says what went wrong in it on purpose, and which rare states it reached.
//! - [`course`]: the scenarios of the MIT 6.824 course by name, on `raft` and `wal` with a state
//!   machine that only records, under the course's own model of a network.
//!
//! # What holds
//!
//! - One seed, one run: nothing here reads a clock, the environment or memory addresses, and no
//!   order depends on a hash. Runs of one seed have equal [`RunReport::hash`]es, and a test says so.
//! - The machines are never reached around: they get time, bytes and completions, and what they ask
//!   for is carried out with delays and failures that a real machine could have too.
//! - Messages between nodes pass through their real encoding, checksum included.
//! - A failure is a panic: of the judge, or of an assertion in the core. It is caught, and told with
//!   its seed, the moment and the state of every node ([`Failure`]).
//!
//! The ideas are FoundationDB's and TigerBeetle's (deterministic simulation, swarm testing: the mix of
//! faults is itself drawn from the seed) and Antithesis' (`sometimes` assertions).
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod course;
mod failure;
mod picture;
mod random;
mod recipe;
mod run;
mod shrink;
mod tally;
pub mod world;

pub use failure::Failure;
pub use planted::{ARE_HERE as BUGS_ARE_HERE, BUGS, Bug};
pub use quorate_raft::Instant;
pub use random::Random;
pub use recipe::{Recipe, RecipeError, Without};
pub use run::{Ran, RunReport, replay_seed, run_seed, run_seed_with_bug, trace_seed};
pub use shrink::{Failing, Shrunk, shrink};
pub use tally::{Counter, Fault, Rare, Site, Tally};
