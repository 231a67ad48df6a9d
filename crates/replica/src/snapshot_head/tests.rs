use quorate_proto::envelope::RequestId;
use quorate_raft::{LogIndex, NodeId};

use super::*;

fn request(member: u64, boot_nonce: u32, sequence: u64) -> RequestId {
    RequestId {
        member,
        boot_nonce,
        sequence,
    }
}

/// Three members: one with gaps, one of several boots, one with a full window.
fn some_head() -> SnapshotHead {
    let mut duplicates = Duplicates::default();
    for sequence in [1, 2, 3, 7, 8, 300, 200] {
        duplicates.admit(request(5, 77, sequence), LogIndex(10));
    }
    for boot_nonce in [3, 1, 2] {
        duplicates.admit(request(u64::MAX, boot_nonce, u64::MAX), LogIndex(11));
    }
    for sequence in 1..=100_000 {
        duplicates.admit(request(6, 9, sequence), LogIndex(12));
    }
    SnapshotHead {
        applied_index: 1_000_000,
        applied_term: 12,
        membership: Membership::of_voters(vec![NodeId(5), NodeId(6)]),
        log_time_ms: 1_700_000_000_000,
        cluster_version: 1,
        duplicates,
    }
}

fn least_head() -> SnapshotHead {
    SnapshotHead {
        membership: Membership::of_voters(vec![NodeId(1)]),
        ..SnapshotHead::default()
    }
}

#[test]
fn a_head_comes_back() {
    for head in [least_head(), some_head()] {
        let bytes = head.encode();
        assert_eq!(SnapshotHead::decode(&bytes), Ok(head));
    }
}

/// The course allows 500 bytes for a whole snapshot of one small key.
#[test]
fn a_head_is_small() {
    assert!(some_head().encode().len() < 150);
    assert!(least_head().encode().len() < 20);
}

/// Pitfall 25, "sessions inside snapshots".
#[test]
fn windows_that_came_back_admit_what_the_others_admit() {
    let mut kept = some_head().duplicates;
    let mut back = SnapshotHead::decode(&some_head().encode())
        .unwrap()
        .duplicates;
    let mut state = 4_711_u64;
    let mut refused = 0;
    for step in 0..50_000_u64 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let random = state >> 33;
        let member = [5, 6, u64::MAX, 8][random as usize % 4];
        let boot_nonce = [77, 9, 1, 2, 3, 4][random as usize / 4 % 6];
        let sequence = match random / 24 % 3 {
            0 => random % 400,
            1 => 35_000 + random % 70_000,
            _ => u64::MAX - random % 70_000,
        };
        let request = request(member, boot_nonce, sequence);
        let index = LogIndex(20 + step);
        let admitted = kept.admit(request, index);
        assert_eq!(back.admit(request, index), admitted, "{request:?}");
        refused += u64::from(!admitted);
    }
    assert!(refused > 10_000, "{refused} were refused");
    assert_eq!(kept, back);
}

#[test]
fn a_head_that_ends_at_any_byte_is_refused() {
    let bytes = some_head().encode();
    for length in 0..bytes.len() {
        let error = SnapshotHead::decode(&bytes[..length]).unwrap_err();
        let SnapshotHeadError::Damaged { offset, .. } = error else {
            panic!("{error} at {length}");
        };
        assert!(offset <= length);
    }
}

/// The file around it has checksums; here it is enough that nothing is read as what it is not.
#[test]
fn a_head_with_any_bit_flipped_is_refused_or_another_head() {
    let head = some_head();
    let bytes = head.encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = SnapshotHead::decode(&flipped) {
            assert_ne!(other, head);
            assert_eq!(other.encode(), flipped);
        }
    }
}

#[test]
fn what_no_node_writes_is_named() {
    let window: &[u8] = &[1, 0, 0, 0, 5, 2, 2, 3];
    let head = |members: u8, rest: &[&[u8]]| {
        let membership = encode_membership(&least_head().membership, Bytes::new());
        let mut bytes = vec![VERSION, 9, 1, 0, 0, membership.len() as u8];
        bytes.extend(membership);
        bytes.push(members);
        rest.iter().for_each(|part| bytes.extend_from_slice(part));
        SnapshotHead::decode(&bytes)
    };
    let member = |id: u8| [id, 0, 0, 0, 0, 0, 0, 0, 9, 1];
    assert!(head(1, &[&member(1), window]).is_ok());
    let cases = [
        (head(1, &[&member(1), window, &[0]]), "bytes after the end"),
        (
            head(2, &[&member(2), window, &member(1), window]),
            "members out of order",
        ),
        (
            head(1, &[&[1, 0, 0, 0, 0, 0, 0, 0, 9, 2], window, window]),
            "two windows of one boot",
        ),
        (
            head(1, &[&[1, 0, 0, 0, 0, 0, 0, 0, 9, 0]]),
            "a member without a window",
        ),
        (
            head(1, &[&[1, 0, 0, 0, 0, 0, 0, 0, 10, 1], window]),
            "a number greater than it can be",
        ),
        (
            head(1, &[&member(1), &[1, 0, 0, 0, 5, 1, 4]]),
            "a window that cannot be",
        ),
        (
            head(1, &[&member(1), &[1, 0, 0, 0, 0x85, 0, 2, 2, 3]]),
            "a number in more bytes than it needs",
        ),
    ];
    for (result, expected) in cases {
        let Err(SnapshotHeadError::Damaged { what, .. }) = result else {
            panic!("{result:?} where {expected}");
        };
        assert_eq!(what, expected);
    }
    assert_eq!(
        SnapshotHead::decode(&[2]),
        Err(SnapshotHeadError::UnknownVersion { found: 2 })
    );
}
