//! What linearizable means, written down without any cleverness: some choice of the open operations, with all others,
//! has a permutation that respects real time and in which every answer is right. It tries them all.

use quorate_checker::{Blob, Call, History, Operation, Outcome, RegisterCall};

type Value = Option<Blob>;

/// Whether some permutation explains a history of one register.
pub(crate) fn is_linearizable(history: &History) -> bool {
    let operations: Vec<&Operation> = history.operations().iter().collect();
    permute(
        &operations,
        &mut Vec::new(),
        history.initial_value().cloned(),
    )
}

/// Extends `order` in every way; true when all that was completed is in it.
fn permute(all: &[&Operation], order: &mut Vec<usize>, value: Value) -> bool {
    let missing = |at: &usize| !order.contains(at);
    let finished = |operation: &Operation| matches!(operation.outcome(), Some(outcome) if *outcome != Outcome::Failed);
    let rest: Vec<usize> = (0..all.len()).filter(missing).collect();
    if rest.iter().all(|at| !finished(all[*at])) {
        return true;
    }
    for at in &rest {
        let comes_too_early = rest.iter().any(|other| precedes(all[*other], all[*at]));
        if comes_too_early || all[*at].outcome() == Some(&Outcome::Failed) {
            continue;
        }
        if let Some(after) = effect(all[*at], &value) {
            order.push(*at);
            if permute(all, order, after) {
                return true;
            }
            order.pop();
        }
    }
    false
}

fn precedes(one: &Operation, other: &Operation) -> bool {
    one.outcome() != Some(&Outcome::Failed)
        && one
            .completed
            .as_ref()
            .is_some_and(|(moment, _)| *moment < other.invoked)
}

/// The value after the operation; `None` if its answer is wrong on `value`.
fn effect(operation: &Operation, value: &Value) -> Option<Value> {
    let Call::Register(_, call) = &operation.call else {
        panic!("a register's history");
    };
    match (call, operation.outcome()) {
        (RegisterCall::Read, Some(Outcome::Read(read))) if read != value => None,
        (RegisterCall::Read, _) => Some(value.clone()),
        (RegisterCall::Write(new), _) => Some(new.clone()),
        (RegisterCall::Append(tail), _) => {
            let head = value.clone().unwrap_or_default();
            Some(Some([head.as_bytes(), tail.as_bytes()].concat().into()))
        }
        (RegisterCall::CompareAndSwap { expected, new }, outcome) => {
            let swaps = expected == value;
            match outcome {
                Some(Outcome::Swapped(swapped)) if *swapped != swaps => None,
                _ if swaps => Some(new.clone()),
                _ => Some(value.clone()),
            }
        }
    }
}
