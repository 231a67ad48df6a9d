//! Nodes as their shell sees them: driven by events in virtual time, on a disk and a network that
//! fail. `world` is the simulation; the other modules say what must hold in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod applying;
mod forwarding;
mod limits;
mod random_worlds;
mod reads;
mod restarts;
mod snapshot_heads;
mod support;
mod versions;
mod world;
