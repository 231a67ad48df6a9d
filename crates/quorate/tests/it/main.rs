//! The binary from outside: what it prints, where, and how it exits.
#![forbid(unsafe_code)]
// A test that cannot go on may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod bench;
mod command;
mod command_line;
mod ctl;
mod etcdctl;
mod fake_etcd;
