//! Suite 2C.

use crate::course::passes;

#[test]
fn basic_persistence() {
    passes("basic_persistence");
}

#[test]
fn more_persistence() {
    passes("more_persistence");
}

#[test]
fn partitioned_leader_and_one_follower_crash() {
    passes("partitioned_leader_and_one_follower_crash");
}

#[test]
fn figure_8() {
    passes("figure_8");
}

#[test]
fn unreliable_agreement() {
    passes("unreliable_agreement");
}

#[test]
fn figure_8_unreliable() {
    passes("figure_8_unreliable");
}

#[test]
fn churn() {
    passes("churn");
}

#[test]
fn unreliable_churn() {
    passes("unreliable_churn");
}
