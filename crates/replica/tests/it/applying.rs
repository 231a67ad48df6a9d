//! Applying: alike everywhere or not at all (pitfall 12), in steps, once (pitfall 25).

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use quorate_disk::SimDisk;
use quorate_kv::Reply;
use quorate_proto::envelope::{CommandEnvelope, CommandKind, EnvelopeError, RequestId};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};
use quorate_raft::{Entry, Instant, LogIndex, Payload, Term};
use quorate_replica::{ApplyFault, NodeSettings, RequestError, TooNew};

use crate::support::{SOON, cluster, roles, versions};
use quorate_sim::world::{Asked, Process, World};

fn process(node: usize) -> Process {
    let settings = World::quiet(3).settings(node);
    Process::open(&SimDisk::new(), &settings, Instant::ZERO, 0)
        .unwrap()
        .0
}

/// A command of member 1's.
fn command(sequence: u64, kind: CommandKind, body: Vec<u8>) -> Bytes {
    let settings = World::quiet(3).settings(0);
    let envelope = CommandEnvelope {
        request_id: RequestId {
            member: settings.member_id,
            boot_nonce: settings.boot_nonce,
            sequence,
        },
        kind,
        log_time_ms: 1_000,
        user: String::new(),
        auth_revision: 0,
        session: 0,
        session_sequence: 0,
        body: body.into(),
    };
    envelope.encode()
}

fn put(key: &str) -> PutRequest {
    PutRequest {
        key: key.to_owned().into(),
        value: "v".into(),
        ..PutRequest::default()
    }
}

fn entry(index: u64, bytes: Bytes) -> Entry {
    Entry {
        index: LogIndex(index),
        term: Term(1),
        payload: Payload::Command(bytes),
    }
}

/// Changes one byte and seals the envelope again, as a newer version would.
fn with_byte(bytes: &Bytes, at: usize, value: u8) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] = value;
    let content = bytes.len() - 4;
    let checksum = crc32c::crc32c(&bytes[..content]).to_le_bytes();
    bytes[content..].copy_from_slice(&checksum);
    bytes.into()
}

#[test]
fn an_unknown_version_or_kind_or_a_damaged_envelope_stops_the_node_before_it_is_applied() {
    let sound = command(2, CommandKind::Put, put("k").encode_to_vec());
    let mut flipped = sound.to_vec();
    flipped[20] ^= 1;
    let cases = [
        (with_byte(&sound, 0, 99), EnvelopeError::UnknownVersion(99)),
        (with_byte(&sound, 1, 77), EnvelopeError::UnknownKind(77)),
        (flipped.into(), EnvelopeError::Damaged),
    ];
    for (bytes, reason) in cases {
        let mut node = process(0);
        let first = entry(1, command(1, CommandKind::Put, put("a").encode_to_vec()));
        node.applier.committed(vec![first, entry(2, bytes)]);
        let stopped = node.applier.step(&mut node.store, 100).unwrap_err();
        let reason = ApplyFault::Envelope(reason);
        assert_eq!((stopped.index, stopped.reason), (LogIndex(2), reason));
        assert_eq!(node.store.applied_index(), 1, "it holds all before it");
        assert_eq!(versions(&node.store, ""), [1]);
    }
}

#[test]
fn an_older_program_stops_before_the_first_entry_that_is_for_newer_ones() {
    let settings = NodeSettings {
        highest_version: 1,
        ..World::quiet(3).settings(0)
    };
    let agreed = |version: u32| version.to_le_bytes().to_vec();
    let beyond = [
        (CommandKind::ClusterVersion, agreed(2)),
        (CommandKind::LeaseGrant, Vec::new()),
        (CommandKind::Alarm, Vec::new()),
    ];
    for (kind, body) in beyond {
        let opened = Process::open(&SimDisk::new(), &settings, Instant::ZERO, 0);
        let mut node = opened.unwrap().0;
        let within = entry(1, command(1, CommandKind::ClusterVersion, agreed(1)));
        let beyond = entry(2, command(2, kind, body));
        node.applier.committed(vec![within, beyond]);
        let stopped = node.applier.step(&mut node.store, 100).unwrap_err();
        let too_new = TooNew {
            needed: 2,
            highest: 1,
        };
        assert_eq!(stopped.index, LogIndex(2));
        assert_eq!(stopped.reason, ApplyFault::TooNew(too_new));
        assert_eq!(node.applier.cluster_version(), 1);
    }
}

#[test]
fn an_undecodable_body_is_passed_over_equally_on_every_node() {
    let illegal = [
        command(1, CommandKind::Put, vec![0xFF; 9]),
        command(2, CommandKind::Txn, vec![0x0A, 0x7F]),
        command(3, CommandKind::ClusterVersion, vec![1]),
    ];
    let mut hashes = Vec::new();
    for node in 0..3 {
        let mut process = process(node);
        for (index, bytes) in (1..).zip(&illegal) {
            process.applier.committed(vec![entry(index, bytes.clone())]);
        }
        let after = entry(4, command(4, CommandKind::Put, put("k").encode_to_vec()));
        process.applier.committed(vec![after]);
        let progress = process.applier.step(&mut process.store, 100).unwrap();
        let answers: Vec<_> = progress
            .answers
            .iter()
            .map(|answer| (answer.sequence, answer.result.clone().map(|_| ())))
            .collect();
        let undecodable = |sequence| (sequence, Err(RequestError::Undecodable));
        let expected = [undecodable(1), undecodable(2), undecodable(3), (4, Ok(()))];
        let expected = if node == 0 { &expected[..] } else { &[] };
        assert_eq!(answers, expected, "only the node that took them answers");
        assert_eq!(process.store.applied_index(), 4);
        hashes.push((process.store.state_hash(), process.store.revision()));
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

#[test]
fn a_request_that_is_in_the_log_twice_is_applied_once_and_its_client_never_left_waiting() {
    let mut node = process(0);
    let twice = command(1, CommandKind::Put, put("k").encode_to_vec());
    node.applier
        .committed(vec![entry(1, twice.clone()), entry(2, twice)]);
    let progress = node.applier.step(&mut node.store, 100).unwrap();
    let results: Vec<_> = progress
        .answers
        .iter()
        .map(|answer| &answer.result)
        .collect();
    assert!(matches!(
        results[..],
        [Ok(Reply::Put(_)), Err(RequestError::LeaderLost)]
    ));
    assert_eq!(versions(&node.store, ""), [1]);
    assert_eq!(node.store.applied_index(), 2);
}

#[test]
fn a_step_touches_no_more_keys_than_it_was_allowed_however_many_commands_it_applies() {
    let mut node = process(0);
    let keys = 1_500;
    let puts = (1..=keys).map(|n| {
        let put = put(&format!("{:04}/{:04}", n / 15, n));
        entry(n, command(n, CommandKind::Put, put.encode_to_vec()))
    });
    node.applier.committed(puts.collect());
    while node.applier.step(&mut node.store, 1_000).unwrap().more {}
    let deletes = (0..=keys / 15).map(|group| {
        let request = DeleteRangeRequest {
            key: format!("{group:04}/").into(),
            range_end: format!("{group:04}0").into(),
            ..DeleteRangeRequest::default()
        };
        let sequence = keys + group + 1;
        let bytes = command(sequence, CommandKind::DeleteRange, request.encode_to_vec());
        entry(sequence, bytes)
    });
    node.applier.committed(deletes.collect());
    let allowed = 100;
    loop {
        let before = node.store.key_count();
        let more = node.applier.step(&mut node.store, allowed).unwrap().more;
        let touched = before - node.store.key_count();
        assert!(touched <= allowed, "{touched} keys in one step");
        if !more {
            break;
        }
    }
    assert_eq!(node.store.key_count(), 0);
}

#[test]
fn a_delete_of_100_000_keys_is_applied_in_steps_while_the_consensus_machine_goes_on() {
    const KEYS: usize = 100_000;
    let mut world = cluster(3);
    let (leader, follower, _) = roles(&world);
    for chunk in 0..KEYS / 1_000 {
        let puts = (0..1_000).map(|n| RequestOp {
            request: Some(Request::RequestPut(put(&format!("d/{chunk:03}/{n:03}")))),
        });
        let request = TxnRequest {
            success: puts.collect(),
            ..TxnRequest::default()
        };
        let op = world.ask_raw(leader, CommandKind::Txn, request.encode_to_vec());
        world.run_until("a thousand keys", SOON, |world| {
            world.ops[op].is_acknowledged()
        });
    }
    world.run_for(Duration::from_millis(500));
    let term = world.process(leader).consensus.leadership().term;
    let revision = world.process(follower).store.revision();
    let request = DeleteRangeRequest {
        key: "d/".into(),
        range_end: "d0".into(),
        ..DeleteRangeRequest::default()
    };
    let delete = world.ask_raw(follower, CommandKind::DeleteRange, request.encode_to_vec());
    let (mut midway, mut committed_meanwhile) = (0, 0);
    let mut commit = LogIndex::ZERO;
    let mut write = None;
    while world.ops[delete].outcome.is_none() {
        assert!(world.step());
        let process = world.process(follower);
        if process.applier.is_between_commands() {
            continue;
        }
        midway += 1;
        assert_eq!(
            process.store.revision(),
            revision,
            "nothing of it is seen yet"
        );
        if midway == 1 {
            commit = process.consensus.status().raft.commit;
            write = Some(world.ask(leader, None, Asked::PutUnique));
        } else if process.consensus.status().raft.commit > commit {
            committed_meanwhile += 1;
        }
    }
    assert!(midway >= KEYS / 1_000, "in {midway} steps and other events");
    assert!(committed_meanwhile > 0, "the log went on meanwhile");
    assert_eq!(versions(&world.process(follower).store, "d/"), [0_i64; 0]);
    let write = write.unwrap();
    world.run_until("the write", SOON, |world| {
        world.ops[write].is_acknowledged()
    });
    assert_eq!(world.process(leader).consensus.leadership().term, term);
}
