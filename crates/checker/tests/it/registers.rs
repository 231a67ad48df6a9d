//! Registers: small histories whose verdict can be seen at a glance.

use quorate_checker::{
    BUDGET_STEPS_DEFAULT, ClientId, History, HistoryError, OpId, Outcome, RegisterCall, Time,
    Verdict, Window, check_registers,
};

fn write(history: &mut History, client: ClientId, value: &str, from: Time, until: Time) -> OpId {
    let op = history.invoke(client, "x", RegisterCall::Write(Some(value.into())), from);
    history.complete(op, Outcome::Written, until).unwrap();
    op
}

fn read(history: &mut History, client: ClientId, value: &str, from: Time, until: Time) -> OpId {
    let op = history.invoke(client, "x", RegisterCall::Read, from);
    history
        .complete(op, Outcome::Read(Some(value.into())), until)
        .unwrap();
    op
}

fn violation(history: &History) -> Window {
    match check_registers(history, BUDGET_STEPS_DEFAULT) {
        Verdict::Violation(violation) => violation.window,
        other => panic!("{other}"),
    }
}

#[test]
fn a_read_that_goes_back_in_time_is_a_violation() {
    let mut history = History::new();
    write(&mut history, 1, "a", 0, 10);
    write(&mut history, 1, "b", 20, 50);
    read(&mut history, 2, "b", 25, 30);
    read(&mut history, 3, "a", 35, 40);
    let window = violation(&history);
    assert_eq!(
        (window.from, window.until),
        (20, 40),
        "the first write does not matter"
    );
    assert_eq!(window.essential.len(), 3, "the write of b and both reads");
}

#[test]
fn an_open_write_may_take_effect_late_or_never() {
    let mut history = History::new();
    write(&mut history, 1, "a", 0, 10);
    let open = history.invoke(2, "x", RegisterCall::Write(Some("b".into())), 20);
    history.complete(open, Outcome::Unknown, 30).unwrap();
    read(&mut history, 3, "a", 40, 50);
    read(&mut history, 3, "b", 60, 70);
    assert!(check_registers(&history, 1_000).is_linearizable());
    read(&mut history, 3, "a", 80, 90);
    let window = violation(&history);
    assert!(
        window.operations.contains(&open),
        "it explains the read of b and is shown"
    );
}

#[test]
fn a_failed_write_is_never_seen() {
    let mut history = History::new();
    let failed = history.invoke(1, "x", RegisterCall::Write(Some("a".into())), 0);
    history.complete(failed, Outcome::Failed, 5).unwrap();
    assert!(check_registers(&history, 1_000).is_linearizable());
    read(&mut history, 2, "a", 10, 20);
    violation(&history);
}

#[test]
fn keys_are_judged_one_by_one() {
    let mut history = History::new();
    write(&mut history, 1, "a", 0, 10);
    let other = history.invoke(2, "y", RegisterCall::Read, 20);
    history.complete(other, Outcome::Read(None), 30).unwrap();
    assert!(check_registers(&history, 1_000).is_linearizable());
}

#[test]
fn a_search_that_would_take_too_long_is_undecided() {
    let mut history = History::new();
    for client in 0..25 {
        let call = RegisterCall::Write(Some(client.to_string().into()));
        let op = history.invoke(client, "x", call, client);
        history
            .complete(op, Outcome::Written, 1_000 + client)
            .unwrap();
    }
    // Each value was seen in the midst of it, and one after it that nobody wrote.
    for client in 0..25 {
        read(&mut history, 100 + client, &client.to_string(), 900, 2_000);
    }
    read(&mut history, 99, "nobody's", 3_000, 4_000);
    let verdict = check_registers(&history, 10_000);
    assert!(matches!(verdict, Verdict::Undecided(_)), "{verdict}");
}

#[test]
fn equal_times_count_in_the_order_of_recording() {
    let mut history = History::new();
    write(&mut history, 1, "a", 0, 10);
    write(&mut history, 1, "b", 10, 10);
    read(&mut history, 2, "a", 10, 10);
    violation(&history);
}

#[test]
fn a_history_that_contradicts_itself_is_refused() {
    let mut history = History::new();
    let op = history.invoke(1, "x", RegisterCall::Read, 10);
    let wrong = history.complete(op, Outcome::Written, 20);
    assert_eq!(wrong, Err(HistoryError::OutcomeDoesNotFit(op)));
    let early = history.complete(op, Outcome::Read(None), 5);
    assert_eq!(early, Err(HistoryError::CompletedBeforeInvoked(op)));
    history.complete(op, Outcome::Read(None), 20).unwrap();
    let twice = history.complete(op, Outcome::Unknown, 30);
    assert_eq!(twice, Err(HistoryError::CompletedTwice(op)));
    let none = history.complete(OpId(7), Outcome::Unknown, 30);
    assert_eq!(none, Err(HistoryError::NoSuchOperation(OpId(7))));
}

/// What was tried is remembered without the operations that all are done before; here one of the very first is taken
/// back while more than a hundred later ones stay.
#[test]
fn a_choice_among_the_first_is_taken_back_behind_many_that_stay() {
    let mut history = History::new();
    let first = history.invoke(1, "x", RegisterCall::Write(Some("first".into())), 0);
    for number in 1..128 {
        let value = format!("w{number}");
        let id = history.invoke(
            2,
            "x",
            RegisterCall::Write(Some(value.as_str().into())),
            10 * number,
        );
        history
            .complete(id, Outcome::Written, 10 * number + 5)
            .expect("it fits");
    }
    let last = history.invoke(2, "x", RegisterCall::Write(Some("last".into())), 2_000);
    history
        .complete(first, Outcome::Written, 3_000)
        .expect("it fits");
    history
        .complete(last, Outcome::Written, 3_000)
        .expect("it fits");
    read(&mut history, 2, "first", 4_000, 4_001);
    let verdict = check_registers(&history, BUDGET_STEPS_DEFAULT);
    assert!(verdict.is_linearizable(), "{verdict}");
}
