//! The checker's verdict: is there an order of all operations on each key that explains the
//! answers?

use std::path::PathBuf;

use quorate_checker::{
    BUDGET_STEPS_DEFAULT, Blob, History, OpId, Outcome as Told, RegisterCall, Verdict,
    check_registers, write_json_lines,
};

use crate::cluster::parent_of_directories;
use crate::history::{Action, Operation, Outcome, Value};

/// Says what is wrong.
pub(crate) fn linearizable(operations: &[Operation]) -> Result<(), String> {
    match check_registers(&history(operations), BUDGET_STEPS_DEFAULT) {
        Verdict::Linearizable(_) => Ok(()),
        // Undecided is no pass either.
        wrong => Err(wrong.to_string()),
    }
}

/// Writes the history to a file that outlives the test, for `quorate check`.
pub(crate) fn keep(operations: &[Operation]) -> PathBuf {
    let files = 1..;
    let paths = files.map(|number: u32| {
        let name = format!("history-{}-{number}.jsonl", std::process::id());
        parent_of_directories().join(name)
    });
    let mut free = paths.skip_while(|path| path.exists());
    let path = free.next().expect("numbers do not end");
    std::fs::write(&path, write_json_lines(&history(operations))).expect("it is written");
    path
}

/// A register for each key. What began at the moment at which another ended began before that:
/// no order is claimed that was not seen.
fn history(operations: &[Operation]) -> History {
    let calls = operations.iter().map(|operation| (operation.called, false));
    let returns = operations
        .iter()
        .map(|operation| (operation.returned, true));
    let mut moments: Vec<_> = calls.enumerate().chain(returns.enumerate()).collect();
    moments.sort_by_key(|(_, moment)| *moment);
    let mut ids: Vec<Option<OpId>> = vec![None; operations.len()];
    let mut history = History::new();
    for (number, (time, has_returned)) in moments {
        let operation = &operations[number];
        let nanoseconds = u64::try_from(time.as_nanos()).expect("a run of less than centuries");
        let (call, told) = as_register(operation);
        if has_returned {
            let id = ids[number].expect("it was called before");
            history
                .complete(id, told, nanoseconds)
                .expect("the answer fits the call");
        } else {
            let client = operation.client as u64;
            ids[number] = Some(history.invoke(client, operation.key.as_str(), call, nanoseconds));
        }
    }
    history
}

/// A swap that found something else tells what it found, as a read does.
fn as_register(operation: &Operation) -> (RegisterCall, Told) {
    let told = match operation.outcome {
        Outcome::Unknown => Told::Unknown,
        Outcome::Found { version, .. } => {
            let found = version.map(|version| blob(version.value));
            return (RegisterCall::Read, Told::Read(found));
        }
        Outcome::Written { .. } => Told::Written,
    };
    match operation.action {
        Action::Get => (RegisterCall::Read, told),
        Action::Put(value) => (RegisterCall::Write(Some(blob(value))), told),
        Action::Swap { expected, value } => {
            let call = RegisterCall::CompareAndSwap {
                expected: expected.map(blob),
                new: Some(blob(value)),
            };
            let told = match told {
                Told::Written => Told::Swapped(true),
                other => other,
            };
            (call, told)
        }
    }
}

fn blob(value: Value) -> Blob {
    value.0.to_string().into()
}
