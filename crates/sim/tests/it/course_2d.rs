//! Suite 2D.

use crate::course::{passes, passes_on};

#[test]
fn snapshots_basic() {
    passes("snapshots_basic");
}

#[test]
fn install_snapshots_disconnect() {
    passes("install_snapshots_disconnect");
}

/// Some of these take a snapshot at the very entry whose snapshot they are pulling: what was received goes,
/// since nobody needs it any more, and the pull with it.
#[test]
fn a_snapshot_of_ones_own_may_overtake_the_one_that_is_pulled() {
    passes_on("install_snapshots_disconnect", 1..400);
}

#[test]
fn install_snapshots_disconnect_unreliable() {
    passes("install_snapshots_disconnect_unreliable");
}

#[test]
fn install_snapshots_crash() {
    passes("install_snapshots_crash");
}

#[test]
fn install_snapshots_unreliable_crash() {
    passes("install_snapshots_unreliable_crash");
}

#[test]
fn crash_and_restart_all_servers() {
    passes("crash_and_restart_all_servers");
}

#[test]
fn snapshot_initialization_after_crash() {
    passes("snapshot_initialization_after_crash");
}
