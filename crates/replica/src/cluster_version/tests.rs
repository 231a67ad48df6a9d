use super::*;

const START: Instant = Instant::ZERO;

/// Further than any of these logs.
const SEEN: LogIndex = LogIndex(100);

fn later() -> Instant {
    START + FOUNDING_PATIENCE
}

#[test]
fn nothing_is_proposed_before_every_member_was_heard() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2), NodeId(3)]);
    versions.heard(NodeId(2), 1);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), None);
    versions.heard(NodeId(3), 1);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), Some(1));
    assert_eq!(
        versions.next_proposal(START, Term(1), SEEN),
        None,
        "once a term"
    );
    assert_eq!(
        versions.next_proposal(START, Term(2), SEEN),
        Some(1),
        "again by the next leader"
    );
    versions.applied(1);
    assert_eq!(versions.next_proposal(START, Term(3), SEEN), None);
}

#[test]
fn the_slowest_member_decides() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2)]);
    versions.heard(NodeId(2), 0);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), None);
}

#[test]
fn one_that_is_no_member_is_not_asked() {
    let mut versions = ClusterVersions::new(2);
    versions.heard(NodeId(2), 0);
    versions.members(vec![NodeId(3)]);
    versions.heard(NodeId(3), 1);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), Some(1));
}

#[test]
fn a_cluster_that_was_never_complete_goes_by_the_majority_after_a_while() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2), NodeId(3)]);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), None);
    assert_eq!(
        versions.next_proposal(later(), Term(1), SEEN),
        None,
        "alone"
    );
    assert_eq!(versions.deadline(), None, "time changes nothing more");
    versions.heard(NodeId(2), 1);
    assert_eq!(versions.next_proposal(later(), Term(1), SEEN), Some(1));
}

#[test]
fn each_leader_waits_for_the_missing_anew() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2), NodeId(3)]);
    versions.heard(NodeId(2), 2);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), None);
    assert_eq!(versions.deadline(), Some(later()));
    versions.lose_leader(LogIndex(1));
    assert_eq!(versions.deadline(), None);
    assert_eq!(versions.next_proposal(later(), Term(2), SEEN), None);
    let last = later() + FOUNDING_PATIENCE;
    assert_eq!(versions.deadline(), Some(last));
    assert_eq!(versions.next_proposal(last, Term(2), SEEN), Some(2));
}

#[test]
fn nobody_is_waited_for_once_all_have_come() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2)]);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), None);
    versions.heard(NodeId(2), 2);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), Some(2));
    assert_eq!(versions.deadline(), None, "though it is not in force");
}

#[test]
fn a_greater_version_than_one_in_force_waits_for_all() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2), NodeId(3)]);
    versions.applied(1);
    versions.heard(NodeId(2), 2);
    for now in [START, later()] {
        assert_eq!(versions.next_proposal(now, Term(1), SEEN), None);
    }
    assert_eq!(versions.deadline(), None);
    versions.heard(NodeId(3), 2);
    assert_eq!(versions.next_proposal(later(), Term(1), SEEN), Some(2));
}

#[test]
fn a_member_that_was_told_to_speak_less_proposes_no_more() {
    let mut versions = ClusterVersions::new(1);
    versions.members(vec![NodeId(2)]);
    versions.heard(NodeId(2), 2);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), Some(1));
}

#[test]
fn who_went_away_may_come_back_as_an_older_program() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2), NodeId(3)]);
    versions.applied(1);
    versions.heard(NodeId(2), 1);
    versions.heard(NodeId(3), 2);
    versions.lost(NodeId(3), SEEN);
    versions.heard(NodeId(2), 2);
    assert_eq!(
        versions.next_proposal(START, Term(1), SEEN),
        None,
        "it is away"
    );
    versions.heard(NodeId(3), 1);
    assert_eq!(
        versions.next_proposal(START, Term(1), SEEN),
        None,
        "it went back"
    );
    versions.heard(NodeId(3), 2);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), Some(2));
}

#[test]
fn a_command_is_admitted_from_its_version_on() {
    let mut versions = ClusterVersions::new(2);
    let at = LogIndex(5);
    assert_eq!(versions.admits(CommandKind::Put, at), Admission::Granted);
    let admits = |versions: &ClusterVersions, at| versions.admits(CommandKind::LeaseGrant, at);
    assert_eq!(admits(&versions, at), Admission::NotCapable);
    versions.applied(1);
    assert_eq!(admits(&versions, at), Admission::NotCapable);
    versions.lose_leader(LogIndex(6));
    assert_eq!(admits(&versions, at), Admission::NotSeenYet);
    assert_eq!(admits(&versions, LogIndex(6)), Admission::NotCapable);
    versions.applied(2);
    assert_eq!(admits(&versions, at), Admission::Granted);
}

#[test]
fn a_member_that_speaks_too_little_is_told_what_to_start() {
    assert_eq!(check_speaks(2, 2), Ok(()));
    let refused = check_speaks(1, 2).expect_err("too new").to_string();
    assert!(
        refused.starts_with("protocol version 2, and this quorate speaks at most 1: start a newer")
    );
}

#[test]
fn a_leader_that_has_not_seen_its_log_takes_no_cluster_for_a_new_one() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2), NodeId(3)]);
    versions.lose_leader(LogIndex(10));
    versions.heard(NodeId(2), 2);
    let unseen = LogIndex(9);
    for now in [START, later()] {
        assert_eq!(versions.next_proposal(now, Term(1), unseen), None);
        assert_eq!(versions.deadline(), Some(now + SEEN_POLL));
    }
    // The log says which version is in force, and it waits for all of them.
    versions.applied(1);
    for now in [START, later()] {
        assert_eq!(versions.next_proposal(now, Term(1), LogIndex(10)), None);
    }
}

#[test]
fn who_went_away_before_the_log_was_seen_is_not_taken_to_come_back() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2)]);
    versions.lose_leader(LogIndex(10));
    versions.heard(NodeId(2), 2);
    versions.lost(NodeId(2), LogIndex(9));
    versions.applied(1);
    assert_eq!(versions.next_proposal(START, Term(1), LogIndex(10)), None);
}

/// A follower may have applied an entry that its leader has not, and take a request at once.
#[test]
fn what_followers_know_already_is_to_be_asked_again_while_the_leader_has_not_applied_it() {
    let mut versions = ClusterVersions::new(2);
    versions.members(vec![NodeId(2)]);
    versions.heard(NodeId(2), 2);
    let admits = |versions: &ClusterVersions| versions.admits(CommandKind::LeaseGrant, SEEN);
    assert_eq!(admits(&versions), Admission::NotCapable);
    assert_eq!(versions.next_proposal(START, Term(1), SEEN), Some(2));
    assert_eq!(admits(&versions), Admission::NotSeenYet);
    versions.applied(2);
    assert_eq!(admits(&versions), Admission::Granted);
}
