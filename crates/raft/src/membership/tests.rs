use super::*;

fn ids(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().map(|id| NodeId(*id)).collect()
}

fn of(voters: &[u64]) -> Membership {
    Membership::new(ids(voters), Vec::new())
}

fn restored(of_log: &[(u64, &[u64])], last: u64) -> Result<Memberships, ConfigError> {
    let of_log = of_log
        .iter()
        .map(|(index, voters)| (LogIndex(*index), of(voters)));
    Memberships::restore((LogIndex::ZERO, of(&[1])), of_log.collect(), LogIndex(last))
}

#[test]
fn the_newest_membership_of_the_log_is_in_force() {
    let mut memberships = restored(&[(4, &[1, 2]), (7, &[1, 2, 3])], 9).unwrap();
    assert_eq!(memberships.in_force(), &of(&[1, 2, 3]));
    memberships.push(LogIndex(10), of(&[2, 3]));
    assert_eq!(
        (memberships.in_force(), memberships.in_force_index()),
        (&of(&[2, 3]), LogIndex(10))
    );
}

#[test]
fn a_membership_is_undone_with_its_entry() {
    let mut memberships = restored(&[(4, &[1, 2]), (7, &[1, 2, 3])], 9).unwrap();
    assert!(!memberships.truncate_after(LogIndex(7)));
    assert!(memberships.truncate_after(LogIndex(6)));
    assert_eq!(memberships.in_force(), &of(&[1, 2]));
    assert!(memberships.truncate_after(LogIndex(0)));
    assert_eq!(memberships.in_force(), &of(&[1]));
}

#[test]
fn what_a_committed_membership_replaced_is_forgotten() {
    let mut memberships = restored(&[(4, &[1, 2]), (7, &[1, 2, 3])], 9).unwrap();
    memberships.committed(LogIndex(3));
    assert_eq!(memberships.history.len(), 3);
    memberships.committed(LogIndex(6));
    assert_eq!(memberships.history.len(), 2);
    memberships.committed(LogIndex(9));
    assert_eq!(memberships.history, [(LogIndex(7), of(&[1, 2, 3]))]);
}

#[test]
#[should_panic(expected = "would cut a committed membership")]
fn a_committed_membership_is_never_undone() {
    let mut memberships = restored(&[(4, &[1, 2])], 9).unwrap();
    memberships.committed(LogIndex(4));
    memberships.truncate_after(LogIndex(3));
}

#[test]
fn memberships_that_contradict_the_log_are_refused() {
    assert!(restored(&[(4, &[1, 2]), (7, &[1])], 7).is_ok());
    assert!(
        restored(&[(4, &[1, 2]), (4, &[1])], 9).is_err(),
        "twice at one index"
    );
    assert!(restored(&[(4, &[1, 2])], 3).is_err(), "beyond the end");
    assert!(restored(&[(0, &[1, 2])], 3).is_err(), "before the log");
    assert!(restored(&[(1, &[])], 3).is_err(), "without voters");
}

#[test]
fn a_membership_that_may_not_stand_in_a_log_is_named() {
    let sound = Membership {
        voters: ids(&[1, 2, 4]),
        voters_outgoing: ids(&[1, 2, 3]),
        learners: ids(&[5]),
    };
    assert_eq!(sound.check(), Ok(()));
    assert_eq!(sound.members(), ids(&[1, 2, 3, 4, 5]));
    assert_eq!(
        sound.settled(),
        Membership::new(ids(&[4, 2, 1, 2]), ids(&[5]))
    );
    let wrong = |change: fn(&mut Membership)| {
        let mut membership = sound.clone();
        change(&mut membership);
        membership.check().is_err()
    };
    assert!(wrong(|m| m.voters.clear()));
    assert!(wrong(|m| m.voters.push(NodeId(4))));
    assert!(wrong(|m| m.voters.reverse()));
    assert!(wrong(|m| m.voters_outgoing.insert(0, NodeId(0))));
    assert!(wrong(|m| m.learners.insert(0, NodeId(3))));
    assert!(wrong(|m| m.learners.insert(0, NodeId(4))));
    assert!(wrong(
        |m| m.learners = (10..11 + MAX_LEARNERS as u64).map(NodeId).collect()
    ));
    assert!(wrong(
        |m| m.voters = (10..11 + MAX_VOTERS as u64).map(NodeId).collect()
    ));
}
