use quorate_raft::limits::MAX_RECORDS;
use quorate_raft::{Entry, LogIndex, Membership, NodeId, Payload, Record, Rejection, Term};

use super::*;

fn record(member: u64) -> Record {
    Record {
        member: NodeId(member),
        term: Term(3),
        index: LogIndex(9),
        entry_term: Term(2),
    }
}

fn every_kind_of_message_on_leases() -> Vec<PeerMessage> {
    let lives = LeaseOutcome::Lives(crate::lease_clock::LeaseTime {
        granted_seconds: 60,
        remaining_seconds: 0,
    });
    let question = |sequence, lease, renews| LeaseQuestion {
        sequence,
        lease,
        renews,
    };
    vec![
        PeerMessage::LeaseQuestions {
            boot_nonce: 4,
            questions: vec![question(1, i64::MIN, true), question(2, i64::MAX, false)],
        },
        PeerMessage::LeaseAnswers {
            boot_nonce: u32::MAX,
            answers: vec![
                (1, lives),
                (2, LeaseOutcome::Unknown),
                (3, LeaseOutcome::NotLeader),
                (4, LeaseOutcome::Overloaded),
            ],
        },
    ]
}

#[test]
fn more_questions_about_leases_than_a_message_may_hold_are_refused() {
    let question = LeaseQuestion {
        sequence: 1,
        lease: 7,
        renews: true,
    };
    for (count, is_legal) in [
        (crate::limits::MAX_LEASES_PER_MESSAGE, true),
        (crate::limits::MAX_LEASES_PER_MESSAGE + 1, false),
    ] {
        let questions = PeerMessage::LeaseQuestions {
            boot_nonce: 1,
            questions: vec![question; count],
        };
        let answers = PeerMessage::LeaseAnswers {
            boot_nonce: 1,
            answers: vec![(1, LeaseOutcome::Unknown); count],
        };
        for message in [questions, answers] {
            let frames = encode_messages(vec![message]);
            let refused = (!is_legal).then_some(WireError::TooLarge);
            assert_eq!(decode_frame(&frames[0]).err(), refused);
        }
    }
}

#[test]
fn an_answer_with_a_time_that_no_lease_has_is_refused() {
    for (granted_seconds, remaining_seconds) in [(0, 0), (-1, 0), (5, -1)] {
        let time = crate::lease_clock::LeaseTime {
            granted_seconds,
            remaining_seconds,
        };
        let message = PeerMessage::LeaseAnswers {
            boot_nonce: 1,
            answers: vec![(1, LeaseOutcome::Lives(time))],
        };
        let frames = encode_messages(vec![message]);
        assert_eq!(decode_frame(&frames[0]).err(), Some(WireError::Illegal));
    }
}

fn every_kind_of_message() -> Vec<PeerMessage> {
    let command = Payload::Command(Bytes::from_static(b"put"));
    let raft = [
        Message::RequestVote {
            term: Term(3),
            last_index: LogIndex(9),
            last_term: Term(2),
            pre: true,
            transfer: false,
        },
        Message::RequestVote {
            term: Term(3),
            last_index: LogIndex(9),
            last_term: Term(2),
            pre: false,
            transfer: true,
        },
        Message::TimeoutNow { term: Term(3) },
        Message::Records {
            term: Term(3),
            records: vec![record(1), record(u64::MAX)],
        },
        Message::RecordWanted {
            term: Term(0),
            life: u64::MAX,
        },
        Message::RecordFound {
            term: Term(3),
            life: 5,
            record: None,
            membership: Membership::default(),
            membership_index: LogIndex(0),
        },
        Message::RecordFound {
            term: Term(3),
            life: 5,
            record: Some(record(2)),
            membership: Membership {
                voters: vec![NodeId(1), NodeId(4)],
                voters_outgoing: vec![NodeId(1), NodeId(2)],
                learners: vec![NodeId(3)],
            },
            membership_index: LogIndex(8),
        },
        Message::Refill {
            term: Term(3),
            life: 5,
            matched: LogIndex(4),
            round: 77,
            rejected: None,
        },
        Message::Refill {
            term: Term(3),
            life: 5,
            matched: LogIndex(0),
            round: 77,
            rejected: Some(Rejection {
                previous_index: LogIndex(9),
                hint_index: LogIndex(4),
                hint_term: Term(1),
            }),
        },
        Message::Refilled {
            term: Term(3),
            life: 5,
            through: LogIndex(12),
        },
        Message::EntryWanted {
            term: Term(3),
            first: LogIndex(4),
            last: LogIndex(6),
            anchor_index: LogIndex(7),
            anchor_term: Term(2),
        },
        Message::EntryFound {
            term: Term(3),
            first: LogIndex(4),
            anchor_index: LogIndex(7),
            anchor_term: Term(2),
            entries: vec![Entry {
                index: LogIndex(4),
                term: Term(2),
                payload: Payload::Command(Bytes::from_static(b"lost")),
            }],
        },
        Message::Vote {
            term: Term(3),
            granted: true,
            pre: false,
        },
        Message::Append {
            term: Term(3),
            previous_index: LogIndex(9),
            previous_term: Term(2),
            commit: LogIndex(8),
            entries: vec![
                Entry {
                    index: LogIndex(10),
                    term: Term(3),
                    payload: Payload::Empty,
                },
                Entry {
                    index: LogIndex(11),
                    term: Term(3),
                    payload: command,
                },
                Entry {
                    index: LogIndex(12),
                    term: Term(3),
                    payload: Payload::Membership {
                        membership: Box::new(Membership {
                            voters: vec![NodeId(1), NodeId(4)],
                            voters_outgoing: vec![NodeId(1), NodeId(2)],
                            learners: vec![NodeId(3)],
                        }),
                        context: Bytes::from_static(b"who asked"),
                    },
                },
            ],
            round: 77,
        },
        Message::AppendAccepted {
            term: Term(3),
            matched: LogIndex(11),
            round: 77,
        },
        Message::AppendRejected {
            term: Term(3),
            previous_index: LogIndex(9),
            hint_index: LogIndex(4),
            hint_term: Term(1),
            round: 77,
        },
        Message::SnapshotOffer {
            term: Term(3),
            index: LogIndex(9),
            snapshot_term: Term(2),
            round: 77,
        },
        Message::ReadIndexRequest {
            term: Term(3),
            sequence: 5,
        },
        Message::ReadIndexResponse {
            term: Term(3),
            sequence: 5,
            index: None,
        },
        Message::ReadIndexResponse {
            term: Term(3),
            sequence: 5,
            index: Some(LogIndex(0)),
        },
    ];
    let mut messages: Vec<PeerMessage> = raft.into_iter().map(PeerMessage::Raft).collect();
    messages.push(PeerMessage::Forward(vec![ForwardedProposal {
        boot_nonce: 7,
        sequence: 1,
        kind: CommandKind::Txn,
        body: Bytes::from_static(b"txn"),
    }]));
    messages.push(PeerMessage::ForwardRefused {
        reason: RefusalReason::Overloaded,
        boot_nonce: 7,
        sequences: vec![1, 2],
    });
    messages.extend(every_kind_of_message_on_leases());
    messages
}

#[test]
fn every_message_survives_the_wire() {
    let messages = every_kind_of_message();
    let frames = encode_messages(messages.clone());
    assert_eq!(frames.len(), 1);
    assert_eq!(decode_frame(&frames[0]), Ok((None, messages)));
}

#[test]
fn more_records_than_there_can_be_members_are_refused() {
    let records = |count: usize| {
        let message = Message::Records {
            term: Term(3),
            records: (1..=count as u64).map(record).collect(),
        };
        decode_frame(&encode_messages(vec![PeerMessage::Raft(message)])[0])
    };
    assert!(records(MAX_RECORDS).is_ok());
    assert_eq!(records(MAX_RECORDS + 1), Err(WireError::Illegal));
}

#[test]
fn a_record_of_what_no_cluster_reaches_is_refused() {
    let greatest = LogIndex(MAX_NUMBER);
    for index in [greatest, greatest.next()] {
        let record = Record { index, ..record(1) };
        let message = Message::RecordFound {
            term: Term(3),
            life: 5,
            record: Some(record),
            membership: Membership::default(),
            membership_index: LogIndex(0),
        };
        let decoded = decode_frame(&encode_messages(vec![PeerMessage::Raft(message)])[0]);
        assert_eq!(decoded.is_ok(), index == greatest);
    }
}

#[test]
fn a_flipped_bit_is_refused() {
    let frame = encode_messages(every_kind_of_message()).remove(0);
    for bit in 0..frame.payload.len() * 8 {
        let mut payload = frame.payload.to_vec();
        payload[bit / 8] ^= 1 << (bit % 8);
        let damaged = peer::Frame {
            checksum: frame.checksum,
            payload: payload.into(),
        };
        assert_eq!(
            decode_frame(&damaged),
            Err(WireError::Checksum),
            "bit {bit}"
        );
    }
}

#[test]
fn well_sealed_nonsense_is_refused_and_never_panics() {
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let payload: Vec<u8> = (0..state % 64)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(7);
                (state >> 56) as u8
            })
            .collect();
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(7);
        let checksum = crc32c::crc32c(&payload);
        let _ = decode_frame(&peer::Frame {
            checksum,
            payload: payload.into(),
        });
    }
    let illegal = peer::PeerMessage {
        group_id: 0,
        body: None,
    };
    assert_eq!(
        decode_frame(&seal(None, vec![illegal])),
        Err(WireError::Illegal)
    );
    let elsewhere = peer::PeerMessage {
        group_id: 1,
        body: None,
    };
    assert_eq!(
        decode_frame(&seal(None, vec![elsewhere])),
        Err(WireError::UnknownGroup)
    );
    let overflowing = peer::Append {
        previous_index: u64::MAX - 1,
        entries: vec![peer::Entry::default()],
        ..Default::default()
    };
    let overflowing = peer::PeerMessage {
        group_id: 0,
        body: Some(Body::Append(overflowing)),
    };
    assert_eq!(
        decode_frame(&seal(None, vec![overflowing])),
        Err(WireError::Illegal)
    );
}

#[test]
fn a_frame_holds_two_mebibytes_or_one_message() {
    let forward = |bytes: usize| {
        PeerMessage::Forward(vec![ForwardedProposal {
            boot_nonce: 1,
            sequence: 1,
            kind: CommandKind::Put,
            body: Bytes::from(vec![0; bytes]),
        }])
    };
    let frames = encode_messages(vec![forward(1 << 20); 3]);
    assert_eq!(
        frames.len(),
        3,
        "two of a mebibyte and their headers do not fit"
    );
    assert_eq!(encode_messages(vec![forward(3 << 20), forward(1)]).len(), 2);
    assert_eq!(encode_messages(vec![forward(1); 100]).len(), 1);
    assert!(encode_messages(Vec::new()).is_empty());
}

#[test]
fn numbers_that_nobody_reaches_are_refused_before_anyone_counts_on_from_them() {
    let most = u64::MAX;
    let entry = |term| peer::Entry {
        term,
        ..Default::default()
    };
    let append = |change: fn(&mut peer::Append)| {
        let mut append = peer::Append::default();
        change(&mut append);
        Body::Append(append)
    };
    let mut late = peer::Append {
        previous_index: MAX_NUMBER,
        ..Default::default()
    };
    late.entries.push(entry(1));
    let forward = |sequence, kind: CommandKind| {
        Body::Forward(peer::Forward {
            proposals: vec![peer::ForwardedProposal {
                sequence,
                kind: kind as u32,
                ..Default::default()
            }],
        })
    };
    let bodies = vec![
        append(|a| a.term = u64::MAX),
        append(|a| a.previous_index = u64::MAX - 1),
        append(|a| a.previous_index = u64::MAX),
        append(|a| a.previous_term = u64::MAX),
        append(|a| a.commit = u64::MAX),
        append(|a| a.round = u64::MAX),
        append(|a| {
            a.entries = vec![
                peer::Entry::default(),
                peer::Entry {
                    term: u64::MAX,
                    kind: 0,
                    data: Bytes::new(),
                },
            ];
        }),
        Body::Append(late),
        Body::AppendRejected(peer::AppendRejected {
            previous_index: most,
            ..Default::default()
        }),
        Body::AppendRejected(peer::AppendRejected {
            hint_index: most,
            ..Default::default()
        }),
        Body::AppendAccepted(peer::AppendAccepted {
            matched: most,
            ..Default::default()
        }),
        Body::AppendAccepted(peer::AppendAccepted {
            round: most,
            ..Default::default()
        }),
        Body::RequestVote(peer::RequestVote {
            last_index: most,
            ..Default::default()
        }),
        Body::Vote(peer::Vote {
            term: most,
            ..Default::default()
        }),
        Body::TimeoutNow(peer::TimeoutNow { term: most }),
        Body::SnapshotOffer(peer::SnapshotOffer {
            index: most,
            ..Default::default()
        }),
        Body::SnapshotOffer(peer::SnapshotOffer {
            snapshot_term: most,
            ..Default::default()
        }),
        Body::SnapshotOffer(peer::SnapshotOffer {
            round: most,
            ..Default::default()
        }),
        Body::ReadIndexResponse(peer::ReadIndexResponse {
            index: Some(most),
            ..Default::default()
        }),
        forward(most, CommandKind::Put),
        forward(0, CommandKind::Put),
        forward(1, CommandKind::ClusterVersion),
    ];
    for body in bodies {
        let message = peer::PeerMessage {
            group_id: 0,
            body: Some(body),
        };
        let said = format!("{message:?}");
        assert_eq!(
            decode_frame(&seal(None, vec![message])),
            Err(WireError::Illegal),
            "{said}"
        );
    }
}

#[test]
fn a_link_begins_with_a_handshake_of_modest_size_and_nothing_else() {
    let handshake = |urls: usize| peer::Handshake {
        member_id: 7,
        client_urls: vec!["http://127.0.0.1:2379".to_owned(); urls],
        ..Default::default()
    };
    let sound = encode_handshake(handshake(3));
    assert_eq!(decode_handshake(&sound), Ok(handshake(3)));
    let large = encode_handshake(handshake(10_000));
    assert_eq!(decode_handshake(&large), Err(WireError::TooLarge));
    let other = encode_messages(every_kind_of_message()).remove(0);
    assert_eq!(decode_handshake(&other), Err(WireError::NoHandshake));
    let empty = seal(None, Vec::new());
    assert_eq!(decode_handshake(&empty), Err(WireError::NoHandshake));
}
