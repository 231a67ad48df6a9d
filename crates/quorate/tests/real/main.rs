//! Real faults: three real `quorate serve` processes, on this machine's kernel, under each fault
//! that it can be made to have; and what their clients saw, judged.
//!
//! Each row of [`ROWS`] starts a cluster, sets clients to work on it, does its faults to it round
//! after round, and has the recorded history judged (`judge.rs`). What it did and how much was
//! judged is printed: a row whose fault did not happen fails. The rows run one after the other.
//!
//! It has to run as root. The form that `cargo test` runs takes about two minutes; with
//! `QUORATE_REAL_MINUTES=30` all rows together go on for half an hour.
#![forbid(unsafe_code)]
// A test that cannot go on may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

#[cfg(target_os = "linux")]
mod check;
#[cfg(target_os = "linux")]
#[path = "../common/cluster/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the other tests, which use the rest"
)]
mod cluster;
#[cfg(target_os = "linux")]
mod history;
#[cfg(target_os = "linux")]
mod judge;
#[cfg(target_os = "linux")]
mod leftovers;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod proxy;
#[cfg(target_os = "linux")]
#[path = "../common/real_faults/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the other tests, which use the rest"
)]
mod real_faults;
#[cfg(target_os = "linux")]
mod rows;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod trial;
#[cfg(target_os = "linux")]
mod workload;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: network namespaces, strace and loop devices are Linux's");
}
