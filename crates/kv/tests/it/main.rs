//! The store through its public face: each rule of etcd's model that we rely on, quoted at its test;
//! and random histories against a model that keeps everything and computes nothing cleverly.

// Helpers of tests are tests to us, though clippy does not count them as such.
#![allow(clippy::unwrap_used)]

mod alarms;
mod compactions;
mod errors;
mod hashes;
mod histories;
mod leases;
mod model;
mod puts;
mod random;
mod ranges;
mod revisions;
mod snapshots;
mod snapshots_damaged;
mod steps;
mod support;
mod transactions;
mod version_1;
mod watch_messages;
mod watch_random;
mod watch_steps;
mod watches;
mod watches_behind;
mod watches_crowded;
