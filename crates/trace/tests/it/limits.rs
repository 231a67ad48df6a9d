//! What is kept when there is too much.

use quorate_trace::limits::{MAX_STATE_BYTES, MAX_TEXT_BYTES};
use quorate_trace::{Limits, Moment, Recorder, Role, Run, Start, Trace, render_html, render_text};

use crate::stories::{MS, everything, letter, view};

const FEW: Limits = Limits {
    max_events: 10,
    max_bytes: usize::MAX,
};

/// What holds after the whole trace.
fn outcome(trace: &Trace) -> Moment {
    let mut moment = trace.start.clone();
    trace.events.iter().for_each(|event| moment.apply(event));
    moment
}

fn busy(limits: Limits) -> Trace {
    let mut recorder = Recorder::with_limits("busy", ["n1", "n2"], limits);
    recorder.started(0, 0, Start::default());
    recorder.started(0, 1, Start::default());
    recorder.observe(MS, 0, view(Role::Leader, 1, 0));
    for round in 1..=50 {
        let message = recorder.sent(round * MS, letter(0, 1, "Append"));
        recorder.log(
            round * MS,
            0,
            Some(round - 1),
            vec![Run::labelled(1 + round / 20, "x")],
        );
        if round % 3 > 0 {
            recorder.received(round * MS, message);
        }
    }
    recorder.finish()
}

#[test]
fn the_oldest_events_go_and_what_they_came_to_stays() {
    let (all, newest) = (busy(Limits::default()), busy(FEW));
    assert_eq!(newest.events.len(), 10);
    assert_eq!(newest.dropped + 10, all.events.len() as u64);
    assert_eq!(newest.events, all.events[all.events.len() - 10..]);
    assert_eq!(outcome(&newest), outcome(&all));
}

#[test]
fn both_renderings_say_that_events_are_missing() {
    let trace = busy(FEW);
    assert!(trace.dropped > 0);
    let words = format!("{} earlier events", trace.dropped);
    assert!(render_text(&trace, 100, false).contains(&words));
    assert!(render_html(&trace).contains(&format!("\"dropped\":{}", trace.dropped)));
}

#[test]
fn memory_is_bounded_in_bytes_too() {
    let limits = Limits {
        max_events: usize::MAX,
        max_bytes: 100_000,
    };
    let mut recorder = Recorder::with_limits("large", ["n1"], limits);
    for at in 0..100 {
        recorder.note(at, None, "n");
        recorder.attach("s".repeat(10_000));
    }
    let kept = recorder.finish().events.len();
    assert!(
        (5..10).contains(&kept),
        "{kept} events of ten thousand bytes"
    );
}

#[test]
fn long_texts_are_cut_at_a_character_and_say_so() {
    let mut recorder = Recorder::new("ä".repeat(5_000), ["n1"]);
    recorder.note(0, None, "ä".repeat(5_000));
    recorder.attach("ä".repeat(50_000));
    let trace = recorder.finish();
    let state = &trace.events[0].state;
    assert!(state.len() <= MAX_STATE_BYTES + 16 && state.ends_with("… (cut)"));
    assert!(trace.title.len() <= MAX_TEXT_BYTES + 16 && trace.title.ends_with("… (cut)"));
}

#[test]
fn messages_that_nobody_ends_are_forgotten_in_time() {
    let mut recorder = Recorder::with_limits("forgetful", ["n1", "n2"], FEW);
    for at in 0..20_000 {
        recorder.sent(at, letter(0, 1, "Append"));
    }
    assert!(recorder.now().messages.len() <= quorate_trace::limits::MAX_UNDER_WAY);
}

#[test]
fn a_trace_of_everything_fits_the_defaults() {
    assert_eq!(everything().dropped, 0);
}

#[test]
fn a_piece_of_a_trace_begins_with_what_came_before_it() {
    let all = busy(Limits::default());
    let (before, piece) = (
        all.clone().between(0, 20 * MS),
        all.clone().between(20 * MS, 30 * MS),
    );
    assert_eq!(piece.start, outcome(&before));
    assert_eq!(outcome(&piece), outcome(&all.clone().between(0, 30 * MS)));
    let times = piece.events.iter().map(|event| event.at);
    assert!(times.clone().all(|at| (20 * MS..30 * MS).contains(&at)));
    assert_eq!(piece.left_out, before.events.len() as u64);
    assert!(render_text(&piece, 100, false).contains("as was asked"));
    assert_eq!(all.clone().between(0, u64::MAX), all);
}
