//! Stores with revisions, and watches: what breaks each promise is named, what is right passes.

use quorate_checker::{Rule, Verdict, check_revisions, check_watch, read_history};

/// A history in a short form: every line is `client from until call => answer`, times in any order of lines that puts
/// each invocation where its line stands; `=> ?` stays open. The rest are lines of the format itself.
fn history(lines: &[&str]) -> quorate_checker::History {
    let mut events: Vec<(u64, String)> = Vec::new();
    let mut rest = Vec::new();
    for (op, line) in lines.iter().enumerate() {
        if line.starts_with('{') {
            rest.push((*line).to_owned());
            continue;
        }
        let (head, answer) = line.split_once("=>").unwrap();
        let mut words = head.splitn(4, ' ');
        let client = words.next().unwrap();
        let from: u64 = words.next().unwrap().parse().unwrap();
        let until: u64 = words.next().unwrap().parse().unwrap();
        let call = words.next().unwrap().trim();
        events.push((
            from,
            format!(r#"{{"type":"invoke","op":{op},"client":{client},"time":{from},{call}}}"#),
        ));
        if answer.trim() != "?" {
            let answer = answer.trim();
            events.push((
                until,
                format!(r#"{{"type":"ok","op":{op},"time":{until},{answer}}}"#),
            ));
        }
    }
    events.sort();
    let mut text = String::from("{\"format\":\"quorate-history\",\"version\":1}\n");
    for line in events.into_iter().map(|(_, line)| line).chain(rest) {
        text.push_str(&line);
        text.push('\n');
    }
    read_history(&text)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .1
}

fn broken(lines: &[&str]) -> Option<Rule> {
    rule(&check_revisions(&history(lines)))
}

fn broken_watch(lines: &[&str]) -> Option<Rule> {
    rule(&check_watch(&history(lines)))
}

fn rule(verdict: &Verdict) -> Option<Rule> {
    match verdict {
        Verdict::Violation(violation) => Some(violation.rule),
        Verdict::Linearizable(_) => None,
        Verdict::Undecided(_) => panic!("{verdict}"),
    }
}

const PUT_A: &str = r#"1 10 20 "call":"put","key":"a","value":"1" => "revision":2"#;
const PUT_B: &str = r#"1 30 40 "call":"put","key":"b","value":"2" => "revision":3"#;

#[test]
fn what_is_right_passes() {
    let lines = [
        PUT_A,
        PUT_B,
        r#"2 50 60 "call":"get","key":"a","range_end":"z" => "revision":3,"kvs":[{"key":"a","value":"1","mod_revision":2,"create_revision":2,"version":1},{"key":"b","value":"2","mod_revision":3}]"#,
        r#"2 70 80 "call":"txn","compare":[{"key":"a","target":"mod_revision","with":2,"result":"="}],"success":[{"call":"delete","key":"a"},{"call":"put","key":"c","value":"3"}] => "revision":4,"succeeded":true,"answers":[{"deleted":1},{}]"#,
        r#"2 90 95 "call":"get","key":"a" => "revision":4,"kvs":[]"#,
        r#"2 96 97 "call":"get","key":"a","at_revision":3 => "revision":4,"kvs":[{"key":"a","value":"1","mod_revision":2}]"#,
        r#"2 98 99 "call":"delete","key":"a","range_end":"z" => "revision":5,"deleted":2"#,
    ];
    assert_eq!(broken(&lines), None);
}

#[test]
fn a_stale_read_is_found_unless_it_was_allowed() {
    let stale = r#"2 50 60 "call":"get","key":"b" => "revision":2,"kvs":[]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, stale]), Some(Rule::RealTime));
    let allowed = r#"2 50 60 "call":"get","key":"b","serializable":true => "revision":2,"kvs":[]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, allowed]), None);
}

#[test]
fn two_changes_with_one_revision_are_found() {
    let again = r#"2 50 60 "call":"put","key":"c","value":"3" => "revision":3"#;
    assert_eq!(broken(&[PUT_A, PUT_B, again]), Some(Rule::UniqueRevision));
}

#[test]
fn a_change_before_what_had_been_seen_is_found() {
    let first = r#"1 30 40 "call":"put","key":"a","value":"1" => "revision":2"#;
    let second = r#"1 10 20 "call":"put","key":"b","value":"2" => "revision":3"#;
    assert_eq!(broken(&[first, second]), Some(Rule::RealTime));
}

#[test]
fn a_value_that_nobody_wrote_is_found() {
    let read = r#"2 50 60 "call":"get","key":"a" => "revision":3,"kvs":[{"key":"a","value":"9","mod_revision":2}]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, read]), Some(Rule::Origin));
    let read = r#"2 50 60 "call":"get","key":"a" => "revision":4,"kvs":[{"key":"a","value":"9","mod_revision":4}]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, read]), Some(Rule::Origin));
}

#[test]
fn a_key_that_was_lost_or_came_back_is_found() {
    let lost = r#"2 50 60 "call":"get","key":"a","range_end":"z" => "revision":3,"kvs":[{"key":"b","value":"2","mod_revision":3}]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, lost]), Some(Rule::Content));
    let delete = r#"1 42 44 "call":"delete","key":"a" => "revision":4,"deleted":1"#;
    let back = r#"2 50 60 "call":"get","key":"a" => "revision":4,"kvs":[{"key":"a","value":"1","mod_revision":2}]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, delete, back]), Some(Rule::Content));
    let miscounted = r#"1 42 44 "call":"delete","key":"a" => "revision":3,"deleted":0"#;
    assert_eq!(broken(&[PUT_A, PUT_B, miscounted]), Some(Rule::Content));
}

#[test]
fn an_open_write_explains_what_was_seen_once() {
    let open = r#"3 5 6 "call":"put","key":"a","value":"9" => ?"#;
    let read = r#"2 50 60 "call":"get","key":"a" => "revision":4,"kvs":[{"key":"a","value":"9","mod_revision":4}]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, open, read]), None);
    let again = r#"2 70 80 "call":"get","key":"a" => "revision":5,"kvs":[{"key":"a","value":"9","mod_revision":5}]"#;
    assert_eq!(
        broken(&[PUT_A, PUT_B, open, read, again]),
        Some(Rule::Origin)
    );
    let too_late = r#"3 65 66 "call":"put","key":"a","value":"9" => ?"#;
    assert_eq!(broken(&[PUT_A, PUT_B, too_late, read]), Some(Rule::Origin));
}

#[test]
fn an_open_delete_explains_an_absence() {
    let open = r#"3 5 6 "call":"delete","key":"a" => ?"#;
    let gone = r#"2 50 60 "call":"get","key":"a" => "revision":4,"kvs":[]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, open, gone]), None);
    let no_room = r#"2 50 60 "call":"get","key":"a" => "revision":3,"kvs":[]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, open, no_room]), Some(Rule::Content));
}

#[test]
fn a_revision_that_nobody_made_is_found_unless_a_lease_ended() {
    let jump = r#"2 50 60 "call":"get","key":"x" => "revision":4,"kvs":[]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, jump]), Some(Rule::Origin));
    let leased = r#"1 10 20 "call":"put","key":"a","value":"1","lease":7 => "revision":2"#;
    let gone = r#"2 50 60 "call":"get","key":"a" => "revision":4,"kvs":[]"#;
    assert_eq!(broken(&[leased, PUT_B, gone]), None);
}

#[test]
fn a_transaction_that_went_the_wrong_way_is_found() {
    let wrong = r#"2 50 60 "call":"txn","compare":[{"key":"a","target":"value","with":"5","result":"="}],"success":[{"call":"put","key":"c","value":"3"}] => "revision":4,"succeeded":true,"answers":[{}]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, wrong]), Some(Rule::Content));
    let wrong = r#"2 50 60 "call":"txn","compare":[{"key":"c","target":"version","with":0,"result":"="}],"success":[{"call":"put","key":"c","value":"3"}] => "revision":3,"succeeded":false,"answers":[]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, wrong]), Some(Rule::Content));
}

#[test]
fn a_read_of_what_was_compacted_is_found() {
    let compact = r#"1 50 60 "call":"compact","revision":3 => "revision":3"#;
    let read = r#"2 70 80 "call":"get","key":"b","at_revision":2 => "revision":3,"kvs":[]"#;
    assert_eq!(broken(&[PUT_A, PUT_B, compact, read]), Some(Rule::Content));
}

#[test]
fn versions_and_creations_fit_together() {
    let read = |created: i64, version: i64| {
        let read = format!(
            r#"2 50 60 "call":"get","key":"a" => "revision":3,"kvs":[{{"key":"a","value":"1","mod_revision":2,"create_revision":{created},"version":{version}}}]"#
        );
        broken(&[PUT_A, PUT_B, &read])
    };
    assert_eq!(read(2, 1), None);
    assert_eq!(read(3, 1), Some(Rule::Content));
    assert_eq!(read(2, 2), Some(Rule::Content));
}

const WATCH: &str =
    r#"{"type":"watch","watch":0,"client":9,"key":"a","range_end":"z","start_revision":2}"#;
const EVENT_A: &str =
    r#"{"type":"events","watch":0,"time":100,"events":[{"key":"a","value":"1","mod_revision":2}]}"#;
const EVENT_B: &str =
    r#"{"type":"events","watch":0,"time":100,"events":[{"key":"b","value":"2","mod_revision":3}]}"#;

#[test]
fn a_watch_that_was_told_everything_passes() {
    let bookmark = r#"{"type":"progress","watch":0,"time":110,"revision":3}"#;
    assert_eq!(
        broken_watch(&[PUT_A, PUT_B, WATCH, EVENT_A, EVENT_B, bookmark]),
        None
    );
}

#[test]
fn a_watch_that_missed_something_is_found() {
    assert_eq!(
        broken_watch(&[PUT_A, PUT_B, WATCH, EVENT_B]),
        Some(Rule::WatchComplete)
    );
    let bookmark = r#"{"type":"progress","watch":0,"time":110,"revision":3}"#;
    assert_eq!(
        broken_watch(&[PUT_A, PUT_B, WATCH, EVENT_A, bookmark]),
        Some(Rule::WatchComplete)
    );
}

#[test]
fn a_watch_out_of_order_or_told_twice_is_found() {
    assert_eq!(
        broken_watch(&[PUT_A, PUT_B, WATCH, EVENT_B, EVENT_A]),
        Some(Rule::WatchOrder)
    );
    assert_eq!(
        broken_watch(&[PUT_A, PUT_B, WATCH, EVENT_A, EVENT_A]),
        Some(Rule::WatchUnique)
    );
}

#[test]
fn a_revision_in_two_batches_is_found() {
    let txn = r#"1 10 20 "call":"txn","success":[{"call":"put","key":"a","value":"1"},{"call":"put","key":"b","value":"2"}] => "revision":2,"succeeded":true,"answers":[{},{}]"#;
    let one = r#"{"type":"events","watch":0,"time":100,"events":[{"key":"b","value":"2","mod_revision":2}]}"#;
    assert_eq!(
        broken_watch(&[txn, WATCH, EVENT_A, one]),
        Some(Rule::WatchAtomic)
    );
}

#[test]
fn a_watch_told_of_what_never_happened_is_found() {
    let never = r#"{"type":"events","watch":0,"time":100,"events":[{"key":"a","value":null,"mod_revision":2}]}"#;
    assert_eq!(
        broken_watch(&[PUT_A, PUT_B, WATCH, never]),
        Some(Rule::Origin)
    );
    let before =
        r#"{"type":"watch","watch":0,"client":9,"key":"a","range_end":"z","start_revision":3}"#;
    assert_eq!(
        broken_watch(&[PUT_A, PUT_B, before, EVENT_A]),
        Some(Rule::WatchContent)
    );
}
