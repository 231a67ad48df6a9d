//! The `quorate` binary as a user meets it: words in, bytes and exit codes out.
// A test that cannot go on may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod bench;
mod command;
mod ctl;
mod etcdctl;
mod fake_etcd;
