//! Histories as text.

use quorate_checker::{
    BUDGET_STEPS_DEFAULT, Format, HistoryError, check_registers, read_history, write_json_lines,
};

const HEADER: &str = r#"{"format":"quorate-history","version":1}"#;

/// One of everything.
const EVERYTHING: &str = r#"{"format":"quorate-history","version":1,"initial_revision":4}
{"type":"invoke","op":1,"client":1,"time":1,"call":"write","key":"x","value":"a"}
{"type":"ok","op":1,"time":2}
{"type":"invoke","op":2,"client":1,"time":3,"call":"cas","key":"x","expected":"a","value":null}
{"type":"ok","op":2,"time":4,"swapped":true}
{"type":"invoke","op":3,"client":1,"time":5,"call":"append","key":"x","value":{"hex":"00ff"}}
{"type":"unknown","op":3,"time":6}
{"type":"invoke","op":4,"client":1,"time":7,"call":"read","key":"x"}
{"type":"ok","op":4,"time":8,"value":null}
{"type":"invoke","op":5,"client":2,"time":9,"call":"put","key":"k","value":"v","lease":7}
{"type":"ok","op":5,"time":10,"revision":5}
{"type":"invoke","op":6,"client":2,"time":11,"call":"get","key":"k","range_end":"l","limit":1,"serializable":true}
{"type":"ok","op":6,"time":12,"revision":5,"kvs":[{"key":"k","value":"v","mod_revision":5,"create_revision":5,"version":1}]}
{"type":"invoke","op":7,"client":2,"time":13,"call":"txn","compare":[{"key":"k","target":"mod_revision","with":5,"result":"="}],"success":[{"call":"delete","key":"k"}],"failure":[]}
{"type":"ok","op":7,"time":14,"revision":6,"succeeded":true,"answers":[{"deleted":1}]}
{"type":"invoke","op":8,"client":2,"time":15,"call":"compact","revision":6}
{"type":"fail","op":8,"time":16}
{"type":"watch","watch":1,"client":3,"key":"k","start_revision":5}
{"type":"events","watch":1,"time":17,"events":[{"key":"k","value":"v","mod_revision":5}]}
{"type":"progress","watch":1,"time":18,"revision":6}
"#;

fn line_error(text: &str) -> (usize, String) {
    match read_history(text) {
        Err(HistoryError::Line { line, what }) => (line, what),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let (format, history) = read_history(EVERYTHING).unwrap();
    assert_eq!(format, Format::JsonLines);
    assert_eq!(history.operations().len(), 8);
    assert_eq!(history.watches()[0].batches.len(), 2);
    let text = write_json_lines(&history);
    let (_, again) = read_history(&text).unwrap();
    assert_eq!(text, write_json_lines(&again));
    assert_eq!(again.operations().len(), 8);
    for (one, other) in history.operations().iter().zip(again.operations()) {
        assert_eq!(one.call, other.call);
        assert_eq!(one.outcome(), other.outcome());
        assert_eq!(one.invoked.time, other.invoked.time);
    }
}

#[test]
fn formats_are_told_apart_by_content() {
    let jepsen =
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:read\tnil\n";
    let maps = "{:process 0, :type :invoke, :f :get, :key \"a\", :value nil}\n\
                {:process 0, :type :ok, :f :get, :key \"a\", :value \"\"}\n";
    for (text, expected) in [
        (HEADER, Format::JsonLines),
        (jepsen, Format::JepsenLog),
        (maps, Format::Maps),
    ] {
        let (format, history) = read_history(text).unwrap();
        assert_eq!(format, expected);
        assert!(check_registers(&history, BUDGET_STEPS_DEFAULT).is_linearizable());
    }
    assert_eq!(
        read_history("hello\n").unwrap_err(),
        HistoryError::UnknownFormat
    );
    assert_eq!(read_history("").unwrap_err(), HistoryError::UnknownFormat);
}

#[test]
fn what_cannot_be_read_is_named_with_its_line() {
    for (line, says) in [
        ("nonsense", "expected"),
        (r#"{"type":"nothing"}"#, "there are invoke"),
        (
            r#"{"type":"ok","op":3,"time":1}"#,
            "operation 3 was never invoked",
        ),
        (
            r#"{"type":"invoke","op":1,"client":1,"time":1,"call":"read"}"#,
            "key",
        ),
        (
            r#"{"type":"invoke","op":1,"client":1,"time":1,"call":"write","key":"x"}"#,
            "value",
        ),
        (
            r#"{"type":"invoke","op":1,"client":1,"time":1,"call":"read","key":"x","kee":1}"#,
            "kee",
        ),
        (
            r#"{"type":"invoke","op":1,"client":1,"time":-1,"call":"read","key":"x"}"#,
            "time",
        ),
    ] {
        let (at, what) = line_error(&format!("{HEADER}\n{line}\n"));
        assert_eq!(at, 2, "{what}");
        assert!(what.contains(says), "{line}: {what}");
    }
}

#[test]
fn another_version_is_refused() {
    let (line, what) = line_error(r#"{"format":"quorate-history","version":2}"#);
    assert_eq!(line, 1);
    assert!(what.contains("version 2"), "{what}");
}

#[test]
fn cut_or_garbled_texts_are_refused_or_read_but_never_crash() {
    for at in (0..EVERYTHING.len()).filter(|at| EVERYTHING.is_char_boundary(*at)) {
        let _ = read_history(&EVERYTHING[..at]);
        let garbled = format!("{}}}{}", &EVERYTHING[..at], &EVERYTHING[at..]);
        let _ = read_history(&garbled);
    }
}
