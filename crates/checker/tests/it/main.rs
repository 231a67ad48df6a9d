//! The checker from outside: verdicts on published histories, and against brute force on random ones.
#![forbid(unsafe_code)]
// A test that cannot go on may panic, in its helpers too.
#![allow(clippy::unwrap_used)]
// The crate has no clock and no files; its tests read published histories and look at the time.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod brute_force;
mod formats;
mod published;
mod random;
mod registers;
mod revisions;
mod speed;
mod store_runs;
mod workload;
