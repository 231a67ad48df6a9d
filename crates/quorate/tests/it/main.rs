//! The binary from outside: what it prints, where, and how it exits; and clusters of it, under fire.
#![forbid(unsafe_code)]

// Processes are watched through /proc, and disks judged by statfs(2).
#[cfg(target_os = "linux")]
#[allow(dead_code, unused_imports, reason = "its users come one by one")]
mod cluster;
mod command_line;
#[cfg(target_os = "linux")]
mod failover;
