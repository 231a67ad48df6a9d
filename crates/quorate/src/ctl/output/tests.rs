//! Every form of every answer, as etcdctl 3.4 was seen to print them.

use quorate_proto::etcdserverpb::{
    DeleteRangeResponse, LeaseStatus, Member, ResponseHeader, ResponseOp, response_op::Response,
};
use quorate_proto::mvccpb::KeyValue;

use super::*;

const HEADER: ResponseHeader = ResponseHeader {
    cluster_id: 15_875_391_935_852_295_136,
    member_id: 7,
    revision: 4,
    raft_term: 2,
};

fn pair(key: &'static str, value: &'static [u8]) -> KeyValue {
    KeyValue {
        key: key.into(),
        create_revision: 2,
        mod_revision: 3,
        version: 2,
        value: value.into(),
        lease: 0,
    }
}

fn range() -> Answer {
    Answer::Range(RangeResponse {
        header: Some(HEADER),
        kvs: vec![pair("foo", b"baz"), pair("foo2", b"a\n\x01\xff")],
        more: false,
        count: 2,
    })
}

fn in_forms(answer: &Answer) -> [String; 3] {
    [Format::Simple, Format::Json, Format::Fields].map(|format| {
        let bytes = answer.render(format, Style::default());
        String::from_utf8(bytes).expect("text")
    })
}

const HEADER_JSON: &str =
    r#""cluster_id":15875391935852295136,"member_id":7,"revision":4,"raft_term":2"#;
const HEADER_FIELDS: &str =
    "\"ClusterID\" : 15875391935852295136\n\"MemberID\" : 7\n\"Revision\" : 4\n\"RaftTerm\" : 2\n";

#[test]
fn leases_are_told_as_etcdctl_tells_them() {
    let (header, id) = (Some(HEADER), 0x518d_a20a_5e91_5a0b);
    let granted = Answer::LeaseGranted(LeaseGrantResponse {
        header,
        id,
        ttl: 100,
        error: String::new(),
    });
    let time = |with_keys| {
        let keys = vec!["k".into(), "k 2".into()];
        Answer::LeaseTime {
            response: LeaseTimeToLiveResponse {
                header,
                id,
                ttl: 99,
                granted_ttl: 100,
                keys: if with_keys { keys } else { Vec::new() },
            },
            with_keys,
        }
    };
    let leases = Answer::Leases(LeaseLeasesResponse {
        header,
        leases: vec![LeaseStatus { id: 5 }, LeaseStatus { id }],
    });
    let renewed = Answer::LeaseRenewed(LeaseKeepAliveResponse {
        header,
        id,
        ttl: 100,
    });
    let response = LeaseRevokeResponse { header };
    let revoked = Answer::LeaseRevoked { id, response };
    let expected = [
        (
            granted,
            "lease 518da20a5e915a0b granted with TTL(100s)\n",
            r#"{H,"ID":5876531254208322059,"TTL":100,"Error":""}"#,
            "\"ID\" : 5876531254208322059\n\"TTL\" : 100\n",
        ),
        (
            time(false),
            "lease 518da20a5e915a0b granted with TTL(100s), remaining(99s)\n",
            r#"{H,"id":5876531254208322059,"ttl":99,"granted-ttl":100,"keys":null}"#,
            "\"ID\" : 5876531254208322059\n\"TTL\" : 99\n\"GrantedTTL\" : 100\n",
        ),
        (
            time(true),
            "lease 518da20a5e915a0b granted with TTL(100s), remaining(99s), attached keys([k k 2])\n",
            r#"{H,"id":5876531254208322059,"ttl":99,"granted-ttl":100,"keys":["aw==","ayAy"]}"#,
            "\"ID\" : 5876531254208322059\n\"TTL\" : 99\n\"GrantedTTL\" : 100\n\"Key\" : \"k\"\n\"Key\" : \"k 2\"\n",
        ),
        (
            leases,
            "found 2 leases\n0000000000000005\n518da20a5e915a0b\n",
            r#"{H,"leases":[{"id":5},{"id":5876531254208322059}]}"#,
            "\"ID\" : 5\n\"ID\" : 5876531254208322059\n",
        ),
        (
            renewed,
            "lease 518da20a5e915a0b keepalived with TTL(100)\n",
            r#"{H,"ID":5876531254208322059,"TTL":100}"#,
            "\"ID\" : 5876531254208322059\n\"TTL\" : 100\n",
        ),
        (
            revoked,
            "lease 518da20a5e915a0b revoked\n",
            r#"{"header":{H}}"#,
            "",
        ),
    ];
    for (answer, simple, json, fields) in expected {
        let json = json.replace('H', HEADER_JSON);
        assert_eq!(
            in_forms(&answer),
            [
                simple.to_owned(),
                json + "\n",
                format!("{HEADER_FIELDS}{fields}")
            ]
        );
    }
}

fn txn() -> Answer {
    let inner = |revision| {
        Some(ResponseHeader {
            revision,
            ..ResponseHeader::default()
        })
    };
    let op = |response| ResponseOp {
        response: Some(response),
    };
    Answer::Txn(TxnResponse {
        header: Some(HEADER),
        succeeded: true,
        responses: vec![
            op(Response::ResponsePut(PutResponse {
                header: inner(4),
                prev_kv: None,
            })),
            op(Response::ResponseRange(RangeResponse {
                header: inner(4),
                kvs: vec![pair("foo", b"bar")],
                more: false,
                count: 1,
            })),
            op(Response::ResponseDeleteRange(DeleteRangeResponse {
                header: inner(4),
                deleted: 0,
                prev_kvs: vec![],
            })),
        ],
    })
}

fn members() -> Answer {
    let member = |id, name: &str, is_learner| Member {
        id,
        name: name.to_owned(),
        peer_ur_ls: vec!["http://127.0.0.1:2380".to_owned()],
        client_ur_ls: vec!["http://127.0.0.1:2379".to_owned()],
        is_learner,
    };
    Answer::Members(MemberListResponse {
        header: Some(ResponseHeader {
            revision: 0,
            ..HEADER
        }),
        members: vec![member(0x6678, "e1", false), member(0x1, "", true)],
    })
}

fn statuses() -> Answer {
    let status = StatusResponse {
        header: Some(HEADER),
        version: "3.4.23".to_owned(),
        db_size: 24_576,
        leader: 7,
        raft_index: 39,
        raft_term: 2,
        raft_applied_index: 38,
        errors: vec![],
        db_size_in_use: 24_576,
        is_learner: false,
    };
    Answer::Statuses(vec![("127.0.0.1:2379".to_owned(), status)])
}

fn text(answer: &Answer, format: Format) -> String {
    String::from_utf8(answer.render(format, Style::default())).unwrap()
}

#[test]
fn simple_prints_keys_and_values_as_they_are() {
    let bytes = range().render(Format::Simple, Style::default());
    assert_eq!(bytes, b"foo\nbaz\nfoo2\na\n\x01\xff\n");
    let hex = Style {
        hex: true,
        value_only: false,
    };
    assert_eq!(
        range().render(Format::Simple, hex),
        b"\\x66\\x6f\\x6f\n\\x62\\x61\\x7a\n\\x66\\x6f\\x6f\\x32\n\\x61\\x0a\\x01\\xff\n"
    );
    let value_only = Style {
        hex: false,
        value_only: true,
    };
    assert_eq!(
        range().render(Format::Simple, value_only),
        b"baz\na\n\x01\xff\n"
    );
}

#[test]
fn simple_put_and_delete_say_what_was_there() {
    let put = Answer::Put(PutResponse {
        header: None,
        prev_kv: Some(pair("k", b"old")),
    });
    assert_eq!(text(&put, Format::Simple), "OK\nk\nold\n");
    let prev_kvs = vec![pair("k", b"old")];
    let delete = Answer::Delete(DeleteRangeResponse {
        header: None,
        deleted: 1,
        prev_kvs,
    });
    assert_eq!(text(&delete, Format::Simple), "1\nk\nold\n");
}

#[test]
fn simple_transaction_has_a_blank_line_before_each_answer() {
    assert_eq!(
        text(&txn(), Format::Simple),
        "SUCCESS\n\nOK\n\nfoo\nbar\n\n0\n"
    );
}

#[test]
fn json_is_gos() {
    let header =
        r#""header":{"cluster_id":15875391935852295136,"member_id":7,"revision":4,"raft_term":2}"#;
    assert_eq!(
        text(&range(), Format::Json),
        format!(
            "{{{header},{}}}\n",
            r#""kvs":[{"key":"Zm9v","create_revision":2,"mod_revision":3,"version":2,"value":"YmF6"},{"key":"Zm9vMg==","create_revision":2,"mod_revision":3,"version":2,"value":"YQoB/w=="}],"count":2"#
        )
    );
    assert_eq!(
        text(&txn(), Format::Json),
        format!(
            "{{{header},{}}}\n",
            r#""succeeded":true,"responses":[{"Response":{"ResponsePut":{"header":{"revision":4}}}},{"Response":{"ResponseRange":{"header":{"revision":4},"kvs":[{"key":"Zm9v","create_revision":2,"mod_revision":3,"version":2,"value":"YmFy"}],"count":1}}},{"Response":{"ResponseDeleteRange":{"header":{"revision":4}}}}]"#
        )
    );
    assert_eq!(
        text(&statuses(), Format::Json),
        format!(
            "[{{\"Endpoint\":\"127.0.0.1:2379\",\"Status\":{{{header},{}}}}}]\n",
            r#""version":"3.4.23","dbSize":24576,"leader":7,"raftIndex":39,"raftTerm":2,"raftAppliedIndex":38,"dbSizeInUse":24576"#
        )
    );
    assert_eq!(
        text(&members(), Format::Json),
        r#"{"header":{"cluster_id":15875391935852295136,"member_id":7,"raft_term":2},"members":[{"ID":26232,"name":"e1","peerURLs":["http://127.0.0.1:2380"],"clientURLs":["http://127.0.0.1:2379"]},{"ID":1,"peerURLs":["http://127.0.0.1:2380"],"clientURLs":["http://127.0.0.1:2379"],"isLearner":true}]}
"#
    );
}

#[test]
fn json_escapes_what_gos_encoder_escapes() {
    let health = Health {
        endpoint: "a".to_owned(),
        took: "1ms".to_owned(),
        error: Some("<\"&\">".to_owned()),
    };
    assert_eq!(
        text(&Answer::Healths(vec![health]), Format::Json),
        "[{\"endpoint\":\"a\",\"health\":false,\"took\":\"1ms\",\"error\":\"\\u003c\\\"\\u0026\\\"\\u003e\"}]\n"
    );
}

#[test]
fn fields_name_everything() {
    let header = "\"ClusterID\" : 15875391935852295136\n\"MemberID\" : 7\n\"Revision\" : 4\n\"RaftTerm\" : 2\n";
    let put = Answer::Put(PutResponse {
        header: Some(HEADER),
        prev_kv: Some(pair("k", b"\xff")),
    });
    assert_eq!(
        text(&put, Format::Fields),
        format!(
            "{header}\"PrevKey\" : \"k\"\n\"PrevCreateRevision\" : 2\n\"PrevModRevision\" : 3\n\
             \"PrevVersion\" : 2\n\"PrevValue\" : \"\\xff\"\n\"PrevLease\" : 0\n"
        )
    );
    let none = RangeResponse {
        header: Some(HEADER),
        ..RangeResponse::default()
    };
    assert_eq!(
        text(&Answer::Range(none), Format::Fields),
        format!("{header}\"More\" : false\n\"Count\" : 0\n")
    );
    assert_eq!(
        text(&statuses(), Format::Fields),
        format!(
            "{header}\"Version\" : \"3.4.23\"\n\"DBSize\" : 24576\n\"Leader\" : 7\n\
             \"IsLearner\" : false\n\"RaftIndex\" : 39\n\"RaftTerm\" : 2\n\
             \"RaftAppliedIndex\" : 38\n\"Errors\" : []\n\"Endpoint\" : \"127.0.0.1:2379\"\n\n"
        )
    );
}

#[test]
fn tables_centre_headings_and_put_cells_to_the_right() {
    assert_eq!(
        text(&statuses(), Format::Table),
        "\
+----------------+----+---------+---------+-----------+------------+-----------+------------+--------------------+--------+
|    ENDPOINT    | ID | VERSION | DB SIZE | IS LEADER | IS LEARNER | RAFT TERM | RAFT INDEX | RAFT APPLIED INDEX | ERRORS |
+----------------+----+---------+---------+-----------+------------+-----------+------------+--------------------+--------+
| 127.0.0.1:2379 |  7 |  3.4.23 |   25 kB |      true |      false |         2 |         39 |                 38 |        |
+----------------+----+---------+---------+-----------+------------+-----------+------------+--------------------+--------+
"
    );
    assert_eq!(
        text(&members(), Format::Table),
        "\
+------+-----------+------+-----------------------+-----------------------+------------+
|  ID  |  STATUS   | NAME |      PEER ADDRS       |     CLIENT ADDRS      | IS LEARNER |
+------+-----------+------+-----------------------+-----------------------+------------+
| 6678 |   started |   e1 | http://127.0.0.1:2380 | http://127.0.0.1:2379 |      false |
|    1 | unstarted |      | http://127.0.0.1:2380 | http://127.0.0.1:2379 |       true |
+------+-----------+------+-----------------------+-----------------------+------------+
"
    );
}

#[test]
fn long_cells_are_wrapped_between_words() {
    let error = "context deadline exceeded while waiting for an answer";
    let health = Health {
        endpoint: "a".to_owned(),
        took: "1ms".to_owned(),
        error: Some(error.to_owned()),
    };
    assert_eq!(
        text(&Answer::Healths(vec![health]), Format::Table),
        "\
+----------+--------+------+-----------------------------+
| ENDPOINT | HEALTH | TOOK |            ERROR            |
+----------+--------+------+-----------------------------+
|        a |  false |  1ms |   context deadline exceeded |
|          |        |      | while waiting for an answer |
+----------+--------+------+-----------------------------+
"
    );
}

#[test]
fn simple_lists_members_and_states_a_line_each() {
    assert_eq!(
        text(&members(), Format::Simple),
        "6678, started, e1, http://127.0.0.1:2380, http://127.0.0.1:2379, false\n\
         1, unstarted, , http://127.0.0.1:2380, http://127.0.0.1:2379, true\n"
    );
    assert_eq!(
        text(&statuses(), Format::Simple),
        "127.0.0.1:2379, 7, 3.4.23, 25 kB, true, false, 2, 39, 38, \n"
    );
}
