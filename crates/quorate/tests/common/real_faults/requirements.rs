//! What a test of real faults needs of the machine: root, and a few programs.

use std::path::PathBuf;

use crate::cluster::{is_root, skip};

/// Whether the machine has what a test needs; where it has not, the test says that it is skipped
/// (in CI it fails).
#[must_use]
pub(crate) fn are_met(programs: &[&str]) -> bool {
    let missing = what_is_missing(programs);
    if let Some(why) = &missing {
        skip(why);
    }
    missing.is_none()
}

/// Why the machine does not do for what needs these programs, if it does not.
pub(crate) fn what_is_missing(programs: &[&str]) -> Option<String> {
    if !is_root() {
        return Some(
            "only root may mount file systems, cut networks and trace processes".to_owned(),
        );
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let is_there = |program: &str| {
        let mut places = directories.iter().map(|directory| directory.join(program));
        places.any(|place| place.is_file())
    };
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| !is_there(program))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "there is no {} in the PATH (Debian: apt-get install e2fsprogs \
             iproute2 mount nftables strace util-linux xfsprogs)",
            missing.join(", no ")
        )
    })
}
