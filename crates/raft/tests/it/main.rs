//! The tests that see the crate as its users do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod image;
mod message_budget;
mod script;
mod simulation;
mod snapshot_over_damage;
