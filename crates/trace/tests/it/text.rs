//! Columns of text: looked at by a person, and kept as they were.

use quorate_trace::{Recorder, Role, render_text};

use crate::stories::{MS, everything, letter, started, view};

#[test]
fn a_story_reads_as_it_was_reviewed() {
    let text = render_text(&everything(), 100, false);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/everything.txt");
    let golden = std::fs::read_to_string(path).expect("the reviewed text is there");
    assert!(
        text == golden,
        "the text differs from tests/it/everything.txt; if it should, put this there:\n{text}"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_at_any_width() {
    for width in [60, 80, 100, 131, 160, 300] {
        let text = render_text(&everything(), width, false);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn colours_add_escape_sequences_and_nothing_else() {
    let coloured = render_text(&everything(), 120, true);
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let (_, after) = after.split_once('m').expect("a sequence ends with m");
        rest = after;
    }
    plain.push_str(rest);
    assert_eq!(plain, render_text(&everything(), 120, false));
}

#[test]
fn a_servers_texts_cannot_drive_the_terminal_or_move_the_columns() {
    let hostile = "\u{1b}[2J\u{7}\r\u{202e}x\u{200b}\u{301}界";
    let mut recorder = Recorder::new(hostile, [hostile, "n2"]);
    recorder.started(0, 0, quorate_trace::Start::default());
    recorder.note(MS, Some(0), hostile);
    recorder.note(MS, None, hostile);
    let text = render_text(&recorder.finish(), 100, false);
    let bad =
        |one: &char| one.is_control() && *one != '\n' || "\u{202e}\u{200b}\u{301}界".contains(*one);
    assert_eq!(text.chars().find(bad), None, "{text:?}");
}

#[test]
fn a_server_that_is_down_has_no_line() {
    let mut recorder = started(&["n1", "n2"]);
    recorder.crashed(MS, 0, "killed");
    recorder.observe(2 * MS, 1, view(Role::Candidate, 1, 0));
    let text = render_text(&recorder.finish(), 80, false);
    let row = text.lines().find(|line| line.contains("candidate t1"));
    let row = row.expect("n2's change has a row");
    assert!(!row.contains('│'), "{row}");
}

#[test]
fn heartbeats_are_counted_and_not_drawn() {
    let text = render_text(&everything(), 100, false);
    assert!(text.contains("heartbeats and their answers (1)"), "{text}");
}

#[test]
fn a_message_without_a_beginning_is_passed_over() {
    let mut recorder = started(&["n1", "n2"]);
    let message = recorder.sent(MS, letter(0, 1, "Append"));
    let mut trace = recorder.finish();
    trace.events.retain(|event| event.at == 0);
    let mut ends = started(&["n1", "n2"]);
    ends.received(MS, message);
    trace.events.extend(ends.finish().events.pop());
    assert!(!render_text(&trace, 80, false).contains("Append"));
}
