//! A hundred thousand operations on a thousand keys.

use std::time::{Duration, Instant};

use quorate_checker::{
    BUDGET_STEPS_DEFAULT, History, OpId, Outcome, RegisterCall, check_registers,
};

use crate::random::Draw;

/// An operation under way: its name, its key, and its answer once it took effect.
type UnderWay = (OpId, usize, RegisterCall, Option<Outcome>);

/// A right history in which `clients` clients work at once; one write in a hundred stays open.
fn right(operations: usize, keys: usize, clients: usize) -> History {
    let mut draw = Draw::new(7);
    let mut history = History::new();
    let mut values: Vec<Option<u64>> = vec![None; keys];
    let mut busy: Vec<Option<UnderWay>> = (0..clients).map(|_| None).collect();
    let mut time = 0;
    while history.operations().len() < operations {
        time += 1;
        let client = draw.below(clients as u64) as usize;
        busy[client] = match busy[client].take() {
            None => {
                let key = draw.below(keys as u64) as usize;
                let call = match draw.below(2) {
                    0 => RegisterCall::Read,
                    _ => RegisterCall::Write(Some(time.to_string().into())),
                };
                let op = history.invoke(client as u64, format!("{key:04}"), call.clone(), time);
                Some((op, key, call, None))
            }
            Some((op, key, RegisterCall::Read, None)) => {
                let value = values[key].map(|value| value.to_string().into());
                Some((op, key, RegisterCall::Read, Some(Outcome::Read(value))))
            }
            Some((op, key, call, None)) => {
                let RegisterCall::Write(Some(value)) = &call else {
                    unreachable!("reads and writes only");
                };
                values[key] = std::str::from_utf8(value.as_bytes()).unwrap().parse().ok();
                let lost = draw.below(100) == 0;
                let outcome = if lost {
                    Outcome::Unknown
                } else {
                    Outcome::Written
                };
                Some((op, key, call, Some(outcome)))
            }
            Some((op, _, _, Some(outcome))) => {
                history.complete(op, outcome, time).unwrap();
                None
            }
        };
    }
    history
}

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
