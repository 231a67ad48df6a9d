//! Nothing stays behind, whatever becomes of this process.
//!
//! What ends by itself cleans up after itself, a panic included. For the rest (SIGINT, SIGKILL)
//! there is a process that does nothing but wait for the end of this one, and then clears away
//! all that bears its number: mounts, images and loop devices, network namespaces and their
//! links, files in memory. The nodes themselves are killed by the kernel (`--exit-with-parent`).

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use crate::cluster::{PATIENCE, wait_for};
use crate::network;
use crate::real_faults::{clear_away_directories, is_alive};

/// The argument that makes this program the process that waits.
pub(crate) const ARGUMENT: &str = "--clear-away-when-standard-input-ends";

/// Where the shared memory of faked clocks is.
const SHARED_MEMORY: &str = "/dev/shm";

/// The process that waits.
pub(crate) struct Watcher {
    process: Child,
}

impl Watcher {
    /// Starts it, and clears away what earlier runs could not.
    pub(crate) fn start() -> Watcher {
        clear_away(|process| !is_alive(process));
        let this = std::env::current_exe().expect("this program has a path");
        let process = Command::new(this)
            .args([ARGUMENT, &std::process::id().to_string()])
            .stdin(Stdio::piped())
            // Ctrl-C is for this process, not for that one.
            .process_group(0)
            .spawn()
            .expect("this program starts again");
        Watcher { process }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Its end is the sign.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// What the process that waits does: `parent` is the process that started it.
pub(crate) fn watch(parent: u32) {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    // What they have open cannot be cleared away.
    wait_for("the nodes to end", PATIENCE, || {
        (!has_nodes(parent)).then_some(())
    });
    clear_away(|process| process == parent || !is_alive(process));
}

/// Whether a node of this process is there: it bears its number among its words.
fn has_nodes(parent: u32) -> bool {
    let word = format!("--exit-with-parent={parent}");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut words = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    words.any(|words| {
        words
            .split(|byte| *byte == 0)
            .any(|other| other == word.as_bytes())
    })
}

fn clear_away(is_gone: impl Fn(u32) -> bool) {
    network::clear_away(&is_gone);
    clear_away_directories(&is_gone);
    for entry in fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix("faketime_shm_")
            .or_else(|| name.strip_prefix("sem.faketime_sem_"));
        // These bear the number of a node.
        let process = process.and_then(|process| process.parse().ok());
        if process.is_some_and(|process: u32| !is_alive(process)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
