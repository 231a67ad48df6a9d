//! Suite 3A.

use crate::course::key_value_passes;

#[test]
fn kv_basic() {
    key_value_passes("kv_basic");
}

#[test]
fn kv_speed() {
    key_value_passes("kv_speed");
}

#[test]
fn kv_concurrent() {
    key_value_passes("kv_concurrent");
}

#[test]
fn kv_unreliable() {
    key_value_passes("kv_unreliable");
}

#[test]
fn kv_unreliable_one_key() {
    key_value_passes("kv_unreliable_one_key");
}

#[test]
fn kv_one_partition() {
    key_value_passes("kv_one_partition");
}

#[test]
fn kv_many_partitions_one_client() {
    key_value_passes("kv_many_partitions_one_client");
}

#[test]
fn kv_many_partitions_many_clients() {
    key_value_passes("kv_many_partitions_many_clients");
}

#[test]
fn kv_persist_one_client() {
    key_value_passes("kv_persist_one_client");
}

#[test]
fn kv_persist_concurrent() {
    key_value_passes("kv_persist_concurrent");
}

#[test]
fn kv_persist_concurrent_unreliable() {
    key_value_passes("kv_persist_concurrent_unreliable");
}

#[test]
fn kv_persist_partition() {
    key_value_passes("kv_persist_partition");
}

#[test]
fn kv_persist_partition_unreliable() {
    key_value_passes("kv_persist_partition_unreliable");
}

#[test]
fn kv_persist_partition_unreliable_linearizable() {
    key_value_passes("kv_persist_partition_unreliable_linearizable");
}
