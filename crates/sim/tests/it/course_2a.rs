//! Suite 2A.

use crate::course::passes;

#[test]
fn initial_election() {
    passes("initial_election");
}

#[test]
fn re_election() {
    passes("re_election");
}

#[test]
fn many_elections() {
    passes("many_elections");
}
