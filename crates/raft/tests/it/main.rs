//! The tests that see the crate as its users do.

mod script;
mod simulation;
