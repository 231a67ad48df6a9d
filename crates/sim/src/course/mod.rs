//! The scenarios of the MIT 6.824 / 6.5840 course, by name, on `raft` and `wal`.
//!
//! The course gives its students a harness and a list of scenarios, each of which has broken many an
//! implementation. They are run here with the same steps, numbers and limits, in our own words and on
//! our own code: a [`quorate_raft::Raft`] and a [`quorate_wal`] log on a simulated disk for each
//! server, and a state machine that only records what it is told to apply.
//!
//! # How it differs from the course's harness
//!
//! - **Time is virtual**: the seconds printed are those of the scenario, and it runs some hundred
//!   times faster. One seed, one run.
//! - **Indexes are ordinals.** A leader of ours appends an empty entry when it is elected, so that it
//!   can commit what came before (Raft §8). Where a scenario speaks of index 3 it is the third
//!   *command*, so that what is proven is proven of the setting that everybody uses. Odd seeds run so;
//!   even seeds without the empty entry, as the course's own solutions do, which leaves entries of
//!   old terms in the open for longer (Figure 8). That logs agree is checked on every entry, empty
//!   ones and terms included.
//! - **Messages are one-way.** The course's network knows calls: a request and its reply count as one
//!   RPC. The rule here (`network.rs`): a request counts when it is sent, to whomever; an answer
//!   counts nothing as long as its receiver has an unanswered request of that kind at its
//!   sender, and as an RPC of its own otherwise. So nothing is ever counted less than the course would.
//! - **A crash is a power cut.** The course's persister is instantaneous and never torn; here the disk
//!   keeps any legal part of what was not synced.
//! - **Nobody is told** that a call failed. The course's caller learns it, late. A sender here hears
//!   nothing at all: harder, and how a datagram behaves.
//!
//! # The parts
//!
//! `lab` has what a scenario works with (`one`, `check_one_leader`, `wait` …), `executor` runs its
//! steps, and those of its concurrent clients, on virtual time; `cluster`, `server`, `network` and
//! `recorder` are the world; `suite_2a` and its sisters are the scenarios; `baseline` has what each
//! cost a correct implementation in Go.

mod baseline;
mod cluster;
mod executor;
mod lab;
mod network;
mod picture;
mod recorder;
mod scenario;
mod server;
mod suite_2a;
mod suite_2b;
mod suite_2c;
#[cfg(test)]
mod tests;

pub use baseline::Baseline;
pub use scenario::{
    Passed, Scenario, ScenarioFailure, Suite, run_scenario, scenarios, trace_scenario,
};
