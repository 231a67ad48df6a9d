//! When a snapshot is due.

use quorate_raft::LogIndex;

/// A snapshot costs about what it is large, and saves the log since the last one from being read
/// at the next start. So one is due when that log has outgrown the larger of a limit and the last
/// snapshot: writing them never costs more than writing the log did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotPolicy {
    least_log_bytes: u64,
    last_bytes: u64,
    bounds_log: bool,
    under_way: bool,
    /// Somebody wants one of this index or after it, however short the log is.
    wanted: Option<LogIndex>,
    /// The index of the one that is under way, or was taken last here.
    newest: LogIndex,
}

impl SnapshotPolicy {
    pub(crate) fn new(least_log_bytes: u64) -> SnapshotPolicy {
        SnapshotPolicy {
            least_log_bytes,
            last_bytes: 0,
            bounds_log: false,
            under_way: false,
            wanted: None,
            newest: LogIndex::ZERO,
        }
    }

    /// From now on only the log counts, not what the last snapshot cost.
    pub(crate) fn bound_log(&mut self) {
        self.bounds_log = true;
    }

    pub(crate) fn is_due(&self, log_bytes: u64) -> bool {
        let worth_it = match self.bounds_log {
            true => 0,
            false => self.last_bytes,
        };
        let is_wanted = self.wanted.is_some();
        !self.under_way && (is_wanted || log_bytes >= self.least_log_bytes.max(worth_it))
    }

    /// One of this index or after it is wanted as soon as may be; nothing comes of it if there is one.
    pub(crate) fn want(&mut self, from: LogIndex) {
        if self.newest < from {
            self.wanted = self.wanted.max(Some(from));
        }
    }

    /// Whether one might be taken before it is due: they are taken here, and none is under way.
    pub(crate) fn may_be_early(&self) -> bool {
        !self.under_way && self.least_log_bytes < u64::MAX
    }

    pub(crate) fn begin(&mut self, at: LogIndex) {
        self.under_way = true;
        self.newest = at;
        self.wanted = self.wanted.filter(|wanted| *wanted > at);
    }

    /// One that was given up is tried again after as much log as if it had succeeded, or when one is wanted.
    pub(crate) fn ended(&mut self, bytes: Option<u64>) {
        self.under_way = false;
        if bytes.is_none() {
            self.newest = LogIndex::ZERO;
        }
        self.last_bytes = bytes.unwrap_or(self.last_bytes);
    }

    /// A snapshot of so many bytes was loaded.
    pub(crate) fn loaded(&mut self, bytes: u64) {
        self.last_bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_when_the_log_has_outgrown_the_limit_and_the_last_one() {
        let mut policy = SnapshotPolicy::new(100);
        assert!(!policy.is_due(99));
        assert!(policy.is_due(100));
        policy.begin(LogIndex(7));
        assert!(!policy.is_due(1000), "one at a time");
        policy.ended(Some(500));
        assert!(!policy.is_due(499));
        assert!(policy.is_due(500));
        policy.begin(LogIndex(7));
        policy.ended(None);
        assert!(policy.is_due(500), "the last that succeeded counts");
        policy.loaded(20);
        assert!(policy.is_due(100) && !policy.is_due(99));
    }

    #[test]
    fn one_that_is_wanted_is_due_at_once_and_taken_once_for_all_who_want_it() {
        let mut policy = SnapshotPolicy::new(100);
        policy.want(LogIndex(7));
        policy.want(LogIndex(5));
        assert!(policy.is_due(0));
        policy.begin(LogIndex(8));
        policy.want(LogIndex(8));
        policy.ended(Some(10));
        assert!(!policy.is_due(0), "the one that was under way will do");
        policy.want(LogIndex(9));
        policy.begin(LogIndex(9));
        policy.want(LogIndex(10));
        assert!(!policy.is_due(0), "one at a time");
        policy.ended(None);
        assert!(policy.is_due(0), "the one that was under way would not do");
        policy.begin(LogIndex(10));
        policy.ended(None);
        assert!(!policy.is_due(0), "who wants it still asks again");
        policy.want(LogIndex(10));
        assert!(policy.is_due(0));
    }

    #[test]
    fn where_the_log_is_bounded_the_size_of_the_last_snapshot_does_not_count() {
        let mut policy = SnapshotPolicy::new(100);
        policy.bound_log();
        policy.loaded(500);
        assert!(policy.is_due(100) && !policy.is_due(99));
        policy.begin(LogIndex(7));
        assert!(!policy.is_due(1000), "one at a time");
    }
}
