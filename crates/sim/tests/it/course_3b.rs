//! Suite 3B.

use crate::course::key_value_passes;

#[test]
fn kv_snapshot_rpc() {
    key_value_passes("kv_snapshot_rpc");
}

#[test]
fn kv_snapshot_size() {
    key_value_passes("kv_snapshot_size");
}

#[test]
fn kv_snapshot_speed() {
    key_value_passes("kv_snapshot_speed");
}

#[test]
fn kv_snapshot_recover() {
    key_value_passes("kv_snapshot_recover");
}

#[test]
fn kv_snapshot_recover_many_clients() {
    key_value_passes("kv_snapshot_recover_many_clients");
}

#[test]
fn kv_snapshot_unreliable() {
    key_value_passes("kv_snapshot_unreliable");
}

#[test]
fn kv_snapshot_unreliable_recover() {
    key_value_passes("kv_snapshot_unreliable_recover");
}

#[test]
fn kv_snapshot_unreliable_recover_concurrent_partition() {
    key_value_passes("kv_snapshot_unreliable_recover_concurrent_partition");
}

#[test]
fn kv_snapshot_unreliable_recover_concurrent_partition_linearizable() {
    key_value_passes("kv_snapshot_unreliable_recover_concurrent_partition_linearizable");
}
