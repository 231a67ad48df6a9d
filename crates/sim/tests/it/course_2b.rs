//! Suite 2B.

use crate::course::passes;

#[test]
fn basic_agreement() {
    passes("basic_agreement");
}

#[test]
fn rpc_byte_count() {
    passes("rpc_byte_count");
}

#[test]
fn follower_failure() {
    passes("follower_failure");
}

#[test]
fn leader_failure() {
    passes("leader_failure");
}

#[test]
fn agreement_after_follower_reconnects() {
    passes("agreement_after_follower_reconnects");
}

#[test]
fn no_agreement_without_a_majority() {
    passes("no_agreement_without_a_majority");
}

#[test]
fn concurrent_starts() {
    passes("concurrent_starts");
}

#[test]
fn rejoin_of_partitioned_leader() {
    passes("rejoin_of_partitioned_leader");
}

#[test]
fn leader_backs_up_quickly() {
    passes("leader_backs_up_quickly");
}

#[test]
fn rpc_counts_are_not_too_high() {
    passes("rpc_counts_are_not_too_high");
}
