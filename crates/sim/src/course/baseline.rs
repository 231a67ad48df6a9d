//! What each scenario cost a correct implementation in Go, under the course's own harness.

/// Seconds, RPCs, bytes and commits of one run, on as many servers as the scenario has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    /// Seconds of real time.
    pub seconds: f64,
    /// RPCs sent.
    pub rpcs: u64,
    /// Bytes sent and received.
    pub bytes: u64,
    /// Log indexes applied.
    pub commits: u64,
}

pub(crate) const fn baseline(
    seconds: f64,
    rpcs: u64,
    bytes: u64,
    commits: u64,
) -> Option<Baseline> {
    Some(Baseline {
        seconds,
        rpcs,
        bytes,
        commits,
    })
}
