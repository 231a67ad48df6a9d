//! Random small histories: the checker agrees with brute force, on right ones, wrong ones and mutated ones.

use quorate_checker::{
    BUDGET_STEPS_DEFAULT, Blob, History, OpId, Outcome, RegisterCall, Verdict, check_registers,
};

use crate::brute_force::is_linearizable;
use crate::workload::Draw;

fn value(draw: &mut Draw) -> Option<Blob> {
    match draw.below(4) {
        0 => None,
        letter => Some(Blob::from(
            ["", "a", "b", "c"][usize::try_from(letter).unwrap()],
        )),
    }
}

/// What is to happen to the operations of one history; its moments are the indexes of `events`.
#[derive(Clone)]
struct Plan {
    calls: Vec<(u64, RegisterCall)>,
    outcomes: Vec<Option<Outcome>>,
    /// (operation, whether it is completed here rather than invoked)
    events: Vec<(usize, bool)>,
}

impl Plan {
    /// Up to seven operations of up to four clients. What each is told is decided by letting it take effect at some
    /// moment between its events: so the history is right.
    fn right(draw: &mut Draw, appends: bool) -> Self {
        let clients = 1 + draw.below(4);
        let mut plan = Plan {
            calls: Vec::new(),
            outcomes: Vec::new(),
            events: Vec::new(),
        };
        // For each client its operation under way and, once it took effect, the answer.
        let mut busy: Vec<Option<(usize, Option<Outcome>)>> = vec![None; clients as usize];
        let mut value = None;
        let total = 2 + draw.below(6);
        for _ in 0..40 {
            let client = draw.below(clients) as usize;
            match busy[client].take() {
                None if (plan.calls.len() as u64) < total => {
                    plan.events.push((plan.calls.len(), false));
                    busy[client] = Some((plan.calls.len(), None));
                    plan.calls.push((client as u64, call(draw, appends)));
                    plan.outcomes.push(None);
                }
                None => {}
                Some((op, None)) if draw.below(8) == 0 => {
                    // Never heard of again, and without effect; the client goes on.
                    plan.outcomes[op] = Some(Outcome::Unknown);
                    plan.events.push((op, true));
                }
                Some((op, None)) => {
                    let outcome = take_effect(&plan.calls[op].1, &mut value);
                    busy[client] = Some((op, Some(outcome)));
                }
                Some((op, Some(outcome))) => {
                    let lost = draw.below(8) == 0;
                    plan.outcomes[op] = Some(if lost { Outcome::Unknown } else { outcome });
                    plan.events.push((op, true));
                }
            }
        }
        plan
    }

    /// Changes one answer.
    fn mutate(&mut self, draw: &mut Draw) {
        let op = draw.below(self.outcomes.len() as u64) as usize;
        match &mut self.outcomes[op] {
            Some(Outcome::Read(read)) => *read = value(draw),
            Some(Outcome::Swapped(swapped)) => *swapped = !*swapped,
            Some(outcome @ Outcome::Written) if draw.below(3) == 0 => *outcome = Outcome::Failed,
            _ => {}
        }
    }

    fn history(&self) -> History {
        let mut history = History::new();
        let mut ids: Vec<Option<OpId>> = vec![None; self.calls.len()];
        for (time, (op, completed)) in self.events.iter().enumerate() {
            if *completed {
                let outcome = self.outcomes[*op].clone().unwrap();
                history
                    .complete(ids[*op].unwrap(), outcome, time as u64)
                    .unwrap();
            } else {
                let (client, call) = self.calls[*op].clone();
                ids[*op] = Some(history.invoke(client, "x", call, time as u64));
            }
        }
        history
    }
}

fn call(draw: &mut Draw, appends: bool) -> RegisterCall {
    match draw.below(if appends { 5 } else { 4 }) {
        0 | 1 => RegisterCall::Read,
        2 => RegisterCall::Write(value(draw)),
        3 => RegisterCall::CompareAndSwap {
            expected: value(draw),
            new: value(draw),
        },
        _ => RegisterCall::Append(["a", "b"][draw.below(2) as usize].into()),
    }
}

fn take_effect(call: &RegisterCall, value: &mut Option<Blob>) -> Outcome {
    match call {
        RegisterCall::Read => return Outcome::Read(value.clone()),
        RegisterCall::Write(new) => value.clone_from(new),
        RegisterCall::Append(tail) => {
            let head = value.clone().unwrap_or_default();
            *value = Some([head.as_bytes(), tail.as_bytes()].concat().into());
        }
        RegisterCall::CompareAndSwap { expected, new } => {
            let swaps = expected == value;
            if swaps {
                value.clone_from(new);
            }
            return Outcome::Swapped(swaps);
        }
    }
    Outcome::Written
}

#[test]
fn histories_that_were_really_run_are_linearizable() {
    for seed in 0..3_000 {
        let history = Plan::right(&mut Draw::new(seed), seed % 3 == 0).history();
        let verdict = check_registers(&history, BUDGET_STEPS_DEFAULT);
        assert!(
            verdict.is_linearizable(),
            "seed {seed}: {verdict}\n{history:#?}"
        );
    }
}

#[test]
fn brute_force_agrees_on_ten_thousand_histories() {
    let (mut right, mut wrong) = (0, 0);
    for seed in 0..10_000 {
        let mut draw = Draw::new(seed);
        let mut plan = Plan::right(&mut draw, seed % 3 == 0);
        for _ in 0..draw.below(4) {
            plan.mutate(&mut draw);
        }
        let history = plan.history();
        let verdict = check_registers(&history, BUDGET_STEPS_DEFAULT);
        let expected = is_linearizable(&history);
        assert_eq!(
            verdict.is_linearizable(),
            expected,
            "seed {seed}: {verdict}\n{history:#?}"
        );
        assert_eq!(verdict.is_violation(), !expected, "seed {seed}");
        *if expected { &mut right } else { &mut wrong } += 1;
    }
    assert!(
        right > 2_000 && wrong > 2_000,
        "{right} right, {wrong} wrong: too few of a kind"
    );
}

#[test]
fn histories_mutated_until_brute_force_says_no_are_rejected() {
    let mut rejected = 0;
    for seed in 0..2_000 {
        let mut draw = Draw::new(1_000_000 + seed);
        let mut plan = Plan::right(&mut draw, seed % 3 == 0);
        for _ in 0..20 {
            plan.mutate(&mut draw);
            let history = plan.history();
            if !is_linearizable(&history) {
                let verdict = check_registers(&history, BUDGET_STEPS_DEFAULT);
                assert!(
                    verdict.is_violation(),
                    "seed {seed}: {verdict}\n{history:#?}"
                );
                rejected += 1;
                break;
            }
        }
    }
    assert!(
        rejected > 1_500,
        "only {rejected} histories could be made wrong"
    );
}

#[test]
fn a_window_is_wrong_by_itself() {
    let mut seen = 0;
    for seed in 0..3_000 {
        let mut draw = Draw::new(2_000_000 + seed);
        let mut plan = Plan::right(&mut draw, false);
        plan.mutate(&mut draw);
        let history = plan.history();
        let Verdict::Violation(violation) = check_registers(&history, BUDGET_STEPS_DEFAULT) else {
            continue;
        };
        seen += 1;
        // Only what is essential, all later completions forgotten, earlier operations gone or optional.
        let window = &violation.window;
        for initial in [None, Some("a"), Some("b"), Some("c"), Some("z")] {
            let whole = window.from == 0 || !violation.explanation.contains("whatever");
            if whole && initial.is_some() {
                continue;
            }
            let mut part = History::new().with_initial_value(initial.map(Blob::from));
            for op in &window.essential {
                let operation = &history.operations()[op.0];
                let quorate_checker::Call::Register(_, call) = operation.call.clone() else {
                    panic!("a register's history");
                };
                part.invoke(operation.client, "x", call, operation.invoked.time);
            }
            for (at, op) in window.essential.iter().enumerate() {
                if let Some((moment, outcome)) = &history.operations()[op.0].completed
                    && moment.time <= window.until
                {
                    part.complete(OpId(at), outcome.clone(), moment.time)
                        .unwrap();
                }
            }
            assert!(
                !is_linearizable(&part),
                "seed {seed}: {} from {initial:?}\n{history:#?}",
                violation.explanation
            );
        }
    }
    assert!(seen > 500, "only {seen} windows");
}
