//! A hundred thousand operations on a thousand keys.

use std::time::{Duration, Instant};

use quorate_checker::{BUDGET_STEPS_DEFAULT, check_registers};

use crate::workload::right;

#[test]
fn a_hundred_thousand_operations_on_a_thousand_keys_take_no_time() {
    let history = right(100_000, 1_000, 50);
    let begun = Instant::now();
    let verdict = check_registers(&history, BUDGET_STEPS_DEFAULT);
    let took = begun.elapsed();
    assert!(verdict.is_linearizable(), "{verdict}");
    // In a release build a second is the promise (examples/speed.rs); this one is not optimised, nor alone.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn six_writers_on_one_key_are_decided() {
    let history = right(3_000, 1, 6);
    let verdict = check_registers(&history, BUDGET_STEPS_DEFAULT);
    assert!(verdict.is_linearizable(), "{verdict}");
}
