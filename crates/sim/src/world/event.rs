//! What happens at a point of time.

use std::time::Duration;

use quorate_proto::peer;
use quorate_wal::SnapshotMark;

use super::picture::Letters;
use super::snapshots::Part;

/// Members are named by their position. A `life` is that of the process which the event is for.
#[derive(Debug)]
pub(crate) enum Event {
    Consensus {
        node: usize,
        life: u64,
        token: u64,
    },
    LogBegin {
        node: usize,
        life: u64,
    },
    LogEnd {
        node: usize,
        life: u64,
    },
    LogQuiet {
        node: usize,
        life: u64,
    },
    Apply {
        node: usize,
        life: u64,
    },
    Fetch {
        node: usize,
        life: u64,
    },
    /// The table of what members acknowledged is written.
    KeepRecords {
        node: usize,
        life: u64,
    },
    /// The next piece of a snapshot that is being taken.
    SnapshotStep {
        node: usize,
        life: u64,
    },
    /// The thread of snapshots hears of a durable mark.
    SnapshotMarked {
        node: usize,
        life: u64,
        mark: SnapshotMark,
    },
    /// The log's thread lets go of a little of what is not needed.
    Release {
        node: usize,
        life: u64,
        up_to: u64,
    },
    /// The next question of a snapshot that is being pulled; its answer; or none.
    PullAsk {
        node: usize,
        life: u64,
    },
    PullArrived {
        node: usize,
        life: u64,
        part: Part,
    },
    PullFailed {
        node: usize,
        life: u64,
    },
    Flush {
        from: usize,
        to: usize,
        link: u64,
    },
    Deliver {
        from: usize,
        to: usize,
        to_life: u64,
        /// On the heap, so that the queue moves small things.
        frame: Box<peer::Frame>,
        letters: Letters,
    },
    Dial {
        from: usize,
        life: u64,
        to: usize,
    },
    LinkDown {
        from: usize,
        life: u64,
        to: usize,
        link: u64,
    },
    Restart {
        node: usize,
    },
    /// Nothing passes to or from it any more.
    CutOff {
        node: usize,
    },
    /// There is room on its disk again.
    DiskFreed {
        node: usize,
    },
    /// Whoever leads loses power for so long.
    LeaderDies {
        lasts: Duration,
    },
    Fault,
    FaultEnds {
        node: usize,
    },
    Client {
        client: usize,
    },
    /// One who has to do with leases.
    LeaseClient {
        client: usize,
    },
    Overdue {
        op: usize,
    },
    /// Somebody changes the members.
    Administrator,
    /// A newcomer asks whether it is a member.
    Join {
        node: usize,
    },
    /// A member tells its name.
    Publish {
        node: usize,
    },
    /// A member that was removed stops.
    Leave {
        node: usize,
    },
}
