//! Nodes as their shell sees them: driven by events in virtual time, on a disk and a network that
//! fail. The world is that of `quorate-sim`; the modules here say what must hold in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod applying;
mod damage_matrix;
mod forwarding;
mod leases;
mod limits;
mod members;
mod random_worlds;
mod reads;
mod restarts;
mod snapshot_heads;
mod snapshot_pulls;
mod snapshots;
mod support;
mod versions;
