use std::time::Duration;

use super::*;

fn proposal(sequence: u64) -> Proposal {
    Proposal {
        sequence,
        kind: CommandKind::Put,
        body: Bytes::from(vec![0; 10]),
    }
}

fn after(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

#[test]
fn a_waiting_request_leaves_in_order_and_once() {
    let mut proposals = Proposals::default();
    for sequence in 1..=3 {
        assert!(proposals.admit(proposal(sequence), after(100)));
    }
    let batch = proposals.next_batch();
    assert_eq!(
        batch.iter().map(|p| p.sequence).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    proposals.forwarded(&batch, NodeId(2));
    assert!(proposals.next_batch().is_empty());
    assert_eq!(proposals.take_forwarded_to(NodeId(3)), Vec::<u64>::new());
    assert_eq!(proposals.take_forwarded_to(NodeId(2)), [1, 2, 3]);
    assert_eq!((proposals.len(), proposals.bytes), (0, 0));
}

#[test]
fn a_refusal_counts_only_from_the_node_it_was_forwarded_to() {
    let mut proposals = Proposals::default();
    assert!(proposals.admit(proposal(1), after(100)));
    let batch = proposals.next_batch();
    proposals.forwarded(&batch, NodeId(2));
    assert!(!proposals.refused_by(NodeId(3), 1));
    assert!(!proposals.take_refused_by(NodeId(3), 1));
    assert!(!proposals.has_waiting());
    assert!(proposals.refused_by(NodeId(2), 1));
    assert_eq!(proposals.next_batch().len(), 1);
}

#[test]
fn a_lost_leader_takes_only_what_is_past_its_commit() {
    let mut proposals = Proposals::default();
    for sequence in 1..=3 {
        assert!(proposals.admit(proposal(sequence), after(100)));
    }
    let batch = proposals.next_batch();
    proposals.appended(&batch, LogIndex(10));
    assert!(proposals.take(1), "index 10 is committed");
    assert_eq!(proposals.take_appended_from(LogIndex(12)), [3]);
    assert_eq!(proposals.len(), 1);
}

#[test]
fn time_runs_out_in_order_and_answered_requests_do_not_hold_it_up() {
    let mut proposals = Proposals::default();
    assert!(proposals.admit(proposal(1), after(10)));
    assert!(proposals.admit(proposal(2), after(20)));
    assert!(proposals.take(1));
    assert_eq!(proposals.take_expired(after(19)), Vec::<u64>::new());
    assert_eq!(proposals.deadline(), Some(after(20)));
    assert_eq!(proposals.take_expired(after(20)), [2]);
    assert_eq!(proposals.deadline(), None);
}

#[test]
fn over_the_limit_a_request_is_refused() {
    let mut proposals = Proposals::default();
    for sequence in 1..=MAX_PENDING_PROPOSALS as u64 {
        assert!(proposals.admit(proposal(sequence), after(10)));
    }
    assert!(!proposals.admit(proposal(u64::MAX), after(10)));
    let mut proposals = Proposals::default();
    let half = Bytes::from(vec![0; MAX_PENDING_PROPOSAL_BYTES / 2]);
    for (sequence, fits) in [(1, true), (2, true), (3, false)] {
        let proposal = Proposal {
            sequence,
            kind: CommandKind::Put,
            body: half.clone(),
        };
        assert_eq!(proposals.admit(proposal, after(10)), fits);
    }
}

#[test]
fn a_batch_is_bounded_but_never_empty_while_something_waits() {
    let mut proposals = Proposals::default();
    for sequence in 1..=3 {
        let body = Bytes::from(vec![0; MAX_PROPOSAL_BATCH_BYTES]);
        assert!(proposals.admit(
            Proposal {
                sequence,
                kind: CommandKind::Put,
                body
            },
            after(10)
        ));
    }
    for _ in 0..3 {
        assert_eq!(proposals.next_batch().len(), 1);
    }
}

#[test]
fn the_line_of_waiting_requests_does_not_grow_while_there_is_no_leader() {
    let mut proposals = Proposals::default();
    for sequence in 1..=100_000 {
        assert!(proposals.admit(proposal(sequence), after(sequence + 10)));
        proposals.take_expired(after(sequence));
    }
    assert!(
        proposals.waiting.len() <= 11 && proposals.deadlines.len() <= 11,
        "{} wait, {} deadlines",
        proposals.waiting.len(),
        proposals.deadlines.len()
    );
}
