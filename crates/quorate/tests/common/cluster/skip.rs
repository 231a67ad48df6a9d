//! Tests that need what a machine may not have.

use std::io::Write as _;

/// Says that a test is skipped and why. In CI nothing may be skipped: there it fails.
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "nothing may be skipped in CI, but {why}"
    );
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Whether this process may mount file systems and the like.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
