use super::*;
use crate::restored::Restored;
use crate::{Config, Term};

fn ids(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().map(|id| NodeId(*id)).collect()
}

fn of(voters: &[u64], learners: &[u64]) -> Membership {
    Membership::new(ids(voters), ids(learners))
}

/// What is appended first for this change, and what is in force when it is done.
fn steps(from: &Membership, change: MembershipChange) -> (Membership, Membership) {
    let target = from.after(change).unwrap();
    let first = from.step_towards(target.clone());
    assert_eq!(first.check(), Ok(()));
    (first, target)
}

#[test]
fn a_change_of_learners_takes_one_step() {
    let from = of(&[1, 2], &[3]);
    let added = of(&[1, 2], &[3, 4]);
    assert_eq!(
        steps(&from, MembershipChange::AddLearner(NodeId(4))),
        (added.clone(), added)
    );
    let removed = of(&[1, 2], &[]);
    assert_eq!(
        steps(&from, MembershipChange::Remove(NodeId(3))),
        (removed.clone(), removed)
    );
}

#[test]
fn a_change_of_voters_is_joint_first() {
    let from = of(&[1, 2], &[3]);
    let changes = [
        (MembershipChange::AddVoter(NodeId(4)), of(&[1, 2, 4], &[3])),
        (MembershipChange::Promote(NodeId(3)), of(&[1, 2, 3], &[])),
        (MembershipChange::Remove(NodeId(1)), of(&[2], &[3])),
        (
            MembershipChange::Replace {
                voters: ids(&[5, 3, 5]),
                learners: ids(&[7]),
            },
            of(&[3, 5], &[7]),
        ),
    ];
    for (change, settled) in changes {
        let (first, target) = steps(&from, change);
        assert_eq!(first.voters_outgoing, from.voters);
        assert_eq!((first.settled(), target), (settled.clone(), settled));
    }
}

#[test]
fn a_membership_that_may_not_stand_in_a_log_is_refused_from_a_leader_too() {
    let config = Config::joining(NodeId(4));
    let mut raft = Raft::new(config, Restored::default(), Instant::ZERO).unwrap();
    let mut unsorted = of(&[1, 2], &[]);
    unsorted.voters.reverse();
    let append = |membership: Membership| Message::Append {
        term: Term(1),
        previous_index: LogIndex::ZERO,
        previous_term: Term::ZERO,
        commit: LogIndex::ZERO,
        entries: vec![Entry {
            index: LogIndex(1),
            term: Term(1),
            payload: Payload::Membership {
                membership: Box::new(membership),
                context: Bytes::new(),
            },
        }],
        round: 1,
    };
    let result = raft.receive(Instant::ZERO, NodeId(1), append(unsorted));
    assert_eq!(
        result,
        Err(MessageError::Malformed {
            from: NodeId(1),
            what: "a membership out of order"
        })
    );
    assert_eq!(raft.status().last_index, LogIndex::ZERO);
    let sound = of(&[1, 2], &[4]);
    let result = raft.receive(Instant::ZERO, NodeId(1), append(sound.clone()));
    assert_eq!((result, raft.status().membership), (Ok(()), sound));
}

#[test]
fn a_node_that_knows_no_members_is_never_woken_to_campaign() {
    let config = Config::joining(NodeId(4));
    let raft = Raft::new(config, Restored::default(), Instant::ZERO).unwrap();
    assert_eq!(raft.deadline(), None);
}

#[test]
fn a_large_context_is_refused() {
    let config = Config::new(NodeId(1), ids(&[1]));
    let mut raft = Raft::new(config, Restored::default(), Instant::ZERO).unwrap();
    let write = raft.ready().write.unwrap();
    raft.wrote(Instant::ZERO, write.id);
    let bytes = MAX_MEMBERSHIP_CONTEXT_BYTES + 1;
    let change = MembershipChange::AddLearner(NodeId(2));
    let context = Bytes::from(vec![0; bytes]);
    let result = raft.change_membership(Instant::ZERO, change, context);
    assert_eq!(result, Err(ChangeError::ContextTooLarge { bytes }));
}

/// Every entry pays for the largest payload: a membership must not make it larger than a line of
/// the cache.
#[test]
fn an_entry_fits_a_line_of_the_cache() {
    assert!(size_of::<Entry>() <= 64, "{} bytes", size_of::<Entry>());
}
