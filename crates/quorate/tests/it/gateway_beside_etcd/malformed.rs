//! Bodies that are no JSON, or not what is asked for.

use super::{RANGE, TXN, ask_both, post};

#[test]
fn what_is_no_json_is_refused_with_etcds_words() {
    let bodies: [&[u8]; 40] = [
        b"{",
        b"{\"key\":",
        b"[",
        b"[1,2",
        b"[1 2]",
        b"<",
        b"\x00",
        b"tru",
        b"-",
        b"\"x",
        b"{}}",
        b"5x",
        b"nullx",
        b"{\"key\":\"Zm9v\"} trailing",
        b"{\"key\":\"Zm9v\"}{\"key\":",
        b"{\"key\":\"Zm9v\",}",
        b"{key:1}",
        b"{\"key\" \"x\"}",
        b"{\"key\":\"a\x01b\"}",
        b"{\"key\":\"a\\qb\"}",
        b"{\"key\":\"a\\u12x4\"}",
        b"{\"key\":01}",
        b"{\"key\":-}",
        b"{\"key\":1.}",
        b"{\"key\":1e}",
        b"{\"key\":1.5e+}",
        b"{\"key\":tru}",
        b"{\"key\":nul\xff}",
        b"{\"key\":falsy}",
        b"\xef\xbb\xbf{}",
        b"{\"key\":\"Zm9v\"]",
        b"{'key':1}",
        b"key=Zm9v",
        b"{\"key\":1,2}",
        b"{,}",
        b"[,]",
        b"{\"a\":[}",
        b"{\"key\":\"\x7f\xc3\x28\"}",
        b"{\"key\": \"Zm9v\"\x0c}",
        b"{\"\\u006bey\":\"Zm9v\"}",
    ];
    let deep = [
        "[".repeat(10_001),
        "{\"a\":".repeat(10_001),
        in_brackets(9_999),
        in_brackets(10_000),
    ];
    let bodies = bodies.iter().map(|body| body.to_vec());
    let bodies = bodies.chain(deep.into_iter().map(String::into_bytes));
    ask_both(bodies.map(|body| post(RANGE, body)));
}

fn in_brackets(depth: usize) -> String {
    format!(r#"{{"foo":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn wrong_types_and_numbers_are_refused_with_etcds_words() {
    let whole = ["[]", "5", "\"abc\"", "true", "{}"];
    let mut bodies: Vec<String> = whole.map(str::to_owned).to_vec();
    let members = [
        (
            "key",
            &[
                "5",
                "{}",
                "true",
                "null",
                "[102,111,111]",
                "[102,\"a\"]",
                "[102,300]",
                "[null]",
                "[1.0]",
                "[]",
            ][..],
        ),
        (
            "key",
            &[
                "\"Z\\nm9v\"",
                "\"Z\"",
                "\"Z=\"",
                "\"=\"",
                "\"Zg=\"",
                "\"Zg==x\"",
                "\"Zg=x\"",
                "\"Zm9v=\"",
                "\"Zm9vZ\"",
            ],
        ),
        (
            "key",
            &[
                "\"Zh==\"",
                "\"Zm9vZg=\\n=\"",
                "\"\u{e9}\"",
                "\"Zm9vZm8=Zm8=\"",
                "\"a<\"",
                "\"Zm9v\\n\"",
                "\"a b\"",
            ],
        ),
        (
            "limit",
            &[
                "\"abc\"",
                "\"\"",
                "\"1.5\"",
                "1.5",
                "1e3",
                "\"9223372036854775808\"",
                "99999999999999999999",
                "true",
            ],
        ),
        (
            "limit",
            &[
                "{}",
                "[]",
                "\"null\"",
                "\" 1 \"",
                "\"\\u0031\"",
                "\"1 2\"",
                "\"-\"",
                "\"{}\"",
                "-0",
                "null",
                "\"[1\"",
            ],
        ),
        (
            "limit",
            &["\"tru\"", "\"true\"", "\"'\"", "\"\\\"\"", "\"1]\""],
        ),
        (
            "serializable",
            &["\"true\"", "1", "[]", "{}", "null", "\"\""],
        ),
        (
            "sort_order",
            &[
                "\"FOO\"",
                "\"1\"",
                "1.5",
                "true",
                "99999999999",
                "{}",
                "null",
                "\"\"",
                "\"<&>\\u2028\\n\u{e9}\"",
            ],
        ),
        ("unknown", &["1", "{\"x\":[1]}", "\"y\"", "null"]),
    ];
    for (name, values) in members {
        for value in values {
            bodies.push(format!(r#"{{"key":"Zm9v","{name}":{value}}}"#));
        }
    }
    bodies.extend([
        r#"{"key":"Zm9v","key":"YmFy"}"#.to_owned(),
        r#"{"range_end":"bad!","rangeEnd":"Zm9w","key":"Zm9v"}"#.to_owned(),
        r#"{"KEY":"Zm9v"}"#.to_owned(),
        r#"{"limit":"x","key":5}"#.to_owned(),
    ]);
    let others = [
        ("/v3/cluster/member/remove", r#"{"ID":-1}"#),
        (
            "/v3/cluster/member/remove",
            r#"{"ID":"18446744073709551616"}"#,
        ),
        ("/v3/cluster/member/remove", r#"{"ID":1.0}"#),
        ("/v3/cluster/member/remove", r#"{"ID":-0}"#),
        ("/v3/cluster/member/add", r#"{"peerURLs":[5]}"#),
        ("/v3/cluster/member/add", r#"{"peerURLs":"x"}"#),
        (TXN, r#"{"compare":{}}"#),
        (TXN, r#"{"compare":[5]}"#),
        (TXN, r#"{"success":[{"request_txn":[]}]}"#),
        (
            TXN,
            r#"{"success":[{"request_txn":{"compare":[{"target":"X"}]}}]}"#,
        ),
    ];
    let others = others.map(|(path, body)| post(path, body));
    let bodies = bodies.into_iter().map(|body| post(RANGE, body));
    ask_both(bodies.chain(others));
}
