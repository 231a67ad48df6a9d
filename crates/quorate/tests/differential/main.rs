//! Quorate beside etcd: the same operations to one node of each, and every answer the same, field by field.
//!
//! - A **sequence** of operations is drawn from a seed (`generate.rs`). It is text, one operation a line
//!   (`operation.rs`), in which revisions may be relative (`now-3`, `compacted+1`), so that what is left when
//!   operations are taken away still asks for what it asked for.
//! - A **trial** (`trial.rs`) does a sequence to two empty servers, each operation at both before the next, and ends at
//!   the first difference. Watches tell in their own time: before an operation that would make it matter what they had
//!   told, and at the end, each has to have told all that it should, which a witness of all changes knows.
//! - What differs on purpose is in the tables of `differences.rs`, with the reason, and nowhere else.
//! - A sequence that fails **shrinks** (`shrink.rs`): operations are taken away as long as it still fails, each time on
//!   empty servers. What is left is printed and kept as a file, with the command that repeats it.
//! - `scripts/` has such sequences of differences that were found once.
//!
//! Beside that, `etcdctl/script.txt` has every subcommand of the stock `etcdctl`, whose outputs are compared.
//!
//! The oracle is the etcd at `$QUORATE_TEST_ETCD`, else the one on the path; 3.5 or 3.4. Both servers keep their data in
//! memory if there is a place for it: this is about answers, not disks.
#![forbid(unsafe_code)]
// A test that cannot go on may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
#[path = "../common/cluster/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the other tests, which use the rest"
)]
mod cluster;
#[cfg(target_os = "linux")]
#[path = "../common/real_faults/dice.rs"]
#[allow(dead_code, reason = "shared with the other tests, which use the rest")]
mod dice;
#[cfg(target_os = "linux")]
mod differences;
#[cfg(target_os = "linux")]
mod etcdctl;
#[cfg(target_os = "linux")]
mod etcdctl_words;
#[cfg(target_os = "linux")]
mod generate;
#[cfg(target_os = "linux")]
mod messages;
#[cfg(target_os = "linux")]
mod operation;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod servers;
#[cfg(target_os = "linux")]
mod shrink;
#[cfg(target_os = "linux")]
mod trial;
#[cfg(target_os = "linux")]
mod watching;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: processes are watched through /proc, which is Linux's");
}
