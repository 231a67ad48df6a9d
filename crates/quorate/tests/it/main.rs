//! The `quorate` binary as a user meets it: words in, bytes and exit codes out.

mod bench;
mod command;
mod ctl;
mod etcdctl;
mod fake_etcd;
