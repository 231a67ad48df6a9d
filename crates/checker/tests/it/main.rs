//! The checker from outside: verdicts on published histories, and against brute force on random ones.
#![forbid(unsafe_code)]
// A test that cannot go on may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod brute_force;
mod formats;
mod published;
mod random;
mod registers;
mod revisions;
mod speed;
