//! Suite 2D.

use crate::course::passes;

#[test]
fn snapshots_basic() {
    passes("snapshots_basic");
}

#[test]
fn install_snapshots_disconnect() {
    passes("install_snapshots_disconnect");
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
