//! The log as its users see it, on a disk that crashes, tears, fills up and rots.

// Helpers of tests are tests too: clippy knows only functions marked as such.
#![allow(clippy::unwrap_used)]

mod crash_anywhere;
mod crash_states;
mod damage;
mod damage_repair;
mod faults;
mod model;
mod property;
mod rot;
mod segments;
mod snapshot_exported;
mod snapshot_files;
mod snapshot_receiving;
mod snapshot_start;
mod stale_bytes;
mod usage;
