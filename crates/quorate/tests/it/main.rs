//! The binary from outside: what it prints, where, and how it exits; and clusters of it, under fire.
#![forbid(unsafe_code)]
// A test that cannot go on may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

// Processes are watched through /proc, and disks judged by statfs(2), both of Linux.
#[cfg(target_os = "linux")]
mod absent_follower;
#[cfg(target_os = "linux")]
mod backups;
#[cfg(target_os = "linux")]
mod bad_requests;
mod bench;
#[cfg(target_os = "linux")]
mod catching_up;
mod check;
#[cfg(target_os = "linux")]
#[path = "../common/cluster/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the tests of real faults"
)]
mod cluster;
mod command;
mod command_line;
mod ctl;
#[cfg(target_os = "linux")]
mod ctl_contests;
#[cfg(target_os = "linux")]
mod disk_full;
#[cfg(target_os = "linux")]
mod elections;
#[cfg(target_os = "linux")]
mod etcdctl;
#[cfg(target_os = "linux")]
mod etcdctl_on_each_node;
#[cfg(target_os = "linux")]
mod failover;
mod fake_etcd;
#[cfg(target_os = "linux")]
mod garbage_on_ports;
mod gateway;
#[cfg(target_os = "linux")]
mod gateway_beside_etcd;
#[cfg(target_os = "linux")]
mod learners;
#[cfg(target_os = "linux")]
mod lease_reads;
#[cfg(target_os = "linux")]
mod leases;
#[cfg(target_os = "linux")]
mod locks;
#[cfg(target_os = "linux")]
mod maintenance;
#[cfg(target_os = "linux")]
mod membership;
mod metrics;
#[cfg(target_os = "linux")]
mod mirror;
#[cfg(target_os = "linux")]
mod old_disks;
#[cfg(target_os = "linux")]
mod patroni;
mod pitfalls;
#[cfg(target_os = "linux")]
mod power_cut;
#[cfg(target_os = "linux")]
#[path = "../common/real_faults/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the tests of real faults"
)]
mod real_faults;
#[cfg(target_os = "linux")]
mod refused_data;
mod sim;
mod sim_trace;
#[cfg(target_os = "linux")]
mod snapshots;
#[cfg(target_os = "linux")]
mod stopping;
mod strangers_as_peers;
#[cfg(target_os = "linux")]
mod syscalls;
#[cfg(target_os = "linux")]
mod under_systemd;
#[cfg(target_os = "linux")]
mod up_and_down;
#[cfg(target_os = "linux")]
mod upgrades;
#[cfg(target_os = "linux")]
mod watch;
#[cfg(target_os = "linux")]
mod words_under_fire;
