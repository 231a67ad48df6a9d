//! How long does it take to judge a hundred thousand operations on a thousand keys?
//!
//! `cargo run --release -p quorate-checker --example speed`. Fifty clients at once; one write in a hundred has an unknown
//! outcome.
#![forbid(unsafe_code)]
// The crate has no clock; this measures it.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_types,
    clippy::disallowed_methods
)]

#[path = "../tests/it/workload.rs"]
mod workload;

use std::time::Instant;

use quorate_checker::{BUDGET_STEPS_DEFAULT, check_registers};

fn main() {
    let history = workload::right(100_000, 1_000, 50);
    let begun = Instant::now();
    let verdict = check_registers(&history, BUDGET_STEPS_DEFAULT);
    println!("{verdict}\n{:.3} s", begun.elapsed().as_secs_f64());
}
