//! All chaos sites, by crate.

use crate::Site;

/// All of them.
pub const SITES: &[Site] = &[
    Site {
        name: "append-of-one-entry",
        crate_name: "raft",
        what: "an Append carries one entry, as when the next one would not fit",
    },
    Site {
        name: "pipeline-given-up",
        crate_name: "raft",
        what: "a leader forgets what it has under way to a peer and probes again, as after a lost link",
    },
    Site {
        name: "hint-at-the-base",
        crate_name: "raft",
        what: "a rejection points at the beginning of the log; where logs agree it is slower, not wrong",
    },
    Site {
        name: "leader-steps-down",
        crate_name: "raft",
        what: "a leader steps down in its own term; any node may stop leading at any time",
    },
    Site {
        name: "election-timeout-undrawn",
        crate_name: "raft",
        what: "an election timeout is the shortest that could be drawn, so nodes campaign at one time",
    },
    Site {
        name: "committed-one-by-one",
        crate_name: "raft",
        what: "committed entries are handed out one at a time, as when each fills the limit",
    },
    Site {
        name: "segment-ended-early",
        crate_name: "wal",
        what: "a segment is left with room in it, as when the next batch is too large for that",
    },
    Site {
        name: "spare-passed-over",
        crate_name: "wal",
        what: "a segment is made on the spot though one is ready, as when none is",
    },
    Site {
        name: "read-in-small-pieces",
        crate_name: "wal",
        what: "a segment is read a sector at a time",
    },
    Site {
        name: "one-entry-a-batch",
        crate_name: "replica",
        what: "each entry of a group is a batch of its own, as when each fills the limit",
    },
    Site {
        name: "covered-at-once",
        crate_name: "replica",
        what: "a group is followed by the empty batch that covers it, which else waits for quiet",
    },
    Site {
        name: "release-put-off",
        crate_name: "replica",
        what: "the log lets go of nothing this time; it may always keep more",
    },
    Site {
        name: "read-back-of-one-entry",
        crate_name: "replica",
        what: "a fetch from the log brings one entry, as when the next one would not fit",
    },
    Site {
        name: "snapshot-at-once",
        crate_name: "replica",
        what: "a snapshot is taken long before one is due",
    },
    Site {
        name: "one-entry-a-step",
        crate_name: "replica",
        what: "the applier's step ends after one key, as when it was allowed no more",
    },
    Site {
        name: "reads-asked-late",
        crate_name: "replica",
        what: "reads are asked for at the next try, as when raft has no room for them",
    },
    Site {
        name: "reads-released-late",
        crate_name: "replica",
        what: "reads that may be served wait for one more step; an answer may take as long as it does",
    },
    Site {
        name: "one-key-at-a-time",
        crate_name: "kv",
        what: "a command goes on for one key and comes back",
    },
    Site {
        name: "freeing-put-off",
        crate_name: "kv",
        what: "what a compaction left is freed later; it costs memory only",
    },
];
