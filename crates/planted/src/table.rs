//! All planted bugs.

use crate::Bug;

/// All of them, by crate.
pub const BUGS: &[Bug] = &[
    Bug {
        name: "damage-counts-as-durable-after-a-snapshot",
        crate_name: "raft",
        what: "entries that cannot be read back are acknowledged like all others, once the log begins after a snapshot",
        rule: "no acknowledgement in doubt (pitfall 21)",
    },
    Bug {
        name: "append-cuts-a-tail-of-an-older-term",
        crate_name: "raft",
        what: "an Append whose entries are all here cuts what follows them",
        rule: "truncation on a stale Append (pitfall 3)",
    },
    Bug {
        name: "hint-counts-as-a-match",
        crate_name: "raft",
        what: "where a rejection says that the logs may agree they are held to agree",
        rule: "match index from a rejection (pitfall 23)",
    },
    Bug {
        name: "own-write-under-way-counts-after-a-snapshot",
        crate_name: "raft",
        what: "a leader's own log counts for a commit as soon as the disk was asked to write it, once the log begins after a snapshot",
        rule: "thesis 10.2.1: reply before the disk (pitfall 10)",
    },
    Bug {
        name: "vote-by-length-alone-after-a-snapshot",
        crate_name: "raft",
        what: "a vote for whoever has more entries, whatever their terms, once the log begins after a snapshot",
        rule: "Raft 5.4.1: election restriction",
    },
    Bug {
        name: "vote-for-one-entry-less-after-a-snapshot",
        crate_name: "raft",
        what: "a log that lacks one entry of the last term passes for up to date, once the log begins after a snapshot",
        rule: "Raft 5.4.1: election restriction",
    },
    Bug {
        name: "heartbeat-verifies-all-after-a-snapshot",
        crate_name: "raft",
        what: "an Append without entries counts as if it had matched the whole log, once the log begins after a snapshot",
        rule: "verified is not last (pitfall 4)",
    },
    Bug {
        name: "commit-of-the-unverified-after-a-snapshot",
        crate_name: "raft",
        what: "the commit index follows the leader's over a tail that no Append has matched, once the log begins after a snapshot",
        rule: "Raft 5.3: min(leaderCommit, last new entry)",
    },
    Bug {
        name: "all-that-is-durable-acknowledged-after-a-snapshot",
        crate_name: "raft",
        what: "an answer claims all that is durable, not only what this leader's Appends matched, once the log begins after a snapshot",
        rule: "verified is not durable (pitfall 4)",
    },
    Bug {
        name: "read-at-once-after-a-snapshot",
        crate_name: "raft",
        what: "a new leader serves reads before it has committed in its term, once its log begins after a snapshot",
        rule: "ReadIndex before the first commit (pitfall 13)",
    },
    Bug {
        name: "entries-compared-by-index-after-a-snapshot",
        crate_name: "raft",
        what: "an entry that is here at the same index passes for the leader's, whatever its term, once the log begins after a snapshot",
        rule: "a conflicting suffix is deleted (pitfall 4)",
    },
    Bug {
        name: "second-vote-in-a-term-after-a-snapshot",
        crate_name: "raft",
        what: "a vote for whoever asks, whomever it was given to before, once the log begins after a snapshot",
        rule: "one vote a term (pitfall 2)",
    },
    Bug {
        name: "previous-term-not-compared-after-a-snapshot",
        crate_name: "raft",
        what: "an Append is believed when there is an entry before its own, of whatever term, once the log begins after a snapshot",
        rule: "Raft 5.3: log matching (pitfall 4)",
    },
    Bug {
        name: "commit-of-a-rejected-append-after-a-snapshot",
        crate_name: "raft",
        what: "the commit index follows the leader's even where an Append is rejected, once the log begins after a snapshot",
        rule: "Raft 5.3: min(leaderCommit, last new entry)",
    },
    Bug {
        name: "one-sync-in-sixty-four-skipped",
        crate_name: "wal",
        what: "now and then a sync is passed over",
        rule: "a lost fsync (pitfall 20)",
    },
    Bug {
        name: "log-time-falls",
        crate_name: "replica",
        what: "log time follows a leader's wall clock back",
        rule: "log time never falls (pitfall 12)",
    },
    Bug {
        name: "entry-of-an-earlier-boot-answers",
        crate_name: "replica",
        what: "an entry of this node's earlier life answers a request of this one",
        rule: "answers matched to the wrong request (pitfall 25)",
    },
    Bug {
        name: "read-sees-half-a-command",
        crate_name: "replica",
        what: "a read is served when its last entry has begun to be applied",
        rule: "read at a too small index (pitfall 13)",
    },
    Bug {
        name: "entry-of-an-earlier-boot-ends-a-wait",
        crate_name: "replica",
        what: "an entry of an earlier life takes a waiting request of this one away",
        rule: "answers matched to the wrong request (pitfall 25)",
    },
    Bug {
        name: "vote-leaves-before-its-write",
        crate_name: "replica",
        what: "messages that wait for a write without entries leave before it",
        rule: "vote durable before the reply (pitfall 2)",
    },
    Bug {
        name: "restart-forgets-the-vote",
        crate_name: "replica",
        what: "a restart knows the term and not the vote",
        rule: "vote durable across restarts (pitfall 2)",
    },
    Bug {
        name: "vote-lost-beside-a-cut",
        crate_name: "replica",
        what: "a write that cuts the log loses the term and vote that it carries",
        rule: "what one write carries is one (pitfall 2)",
    },
    Bug {
        name: "write-of-a-deposed-leader-told-refused",
        crate_name: "replica",
        what: "a leader that steps down says of what is in its log that it had no effect",
        rule: "unknown is not refused (pitfall 25)",
    },
    Bug {
        name: "completion-counts-for-the-next-write",
        crate_name: "replica",
        what: "when a write is done, the one after it counts as done too",
        rule: "reply before the disk (pitfall 10)",
    },
    Bug {
        name: "entry-of-another-member-ends-a-wait",
        crate_name: "replica",
        what: "an entry of any member's takes away the request of this one with its number",
        rule: "answers matched to the wrong request (pitfall 25)",
    },
    Bug {
        name: "restart-takes-its-term-from-the-log",
        crate_name: "replica",
        what: "a restart goes on in the term of the last entry, not in the last term that was written",
        rule: "term durable across restarts (pitfall 2)",
    },
    Bug {
        name: "cut-lost-beside-a-vote",
        crate_name: "replica",
        what: "a write that carries term and vote loses the cut beside it",
        rule: "what one write carries is one (pitfall 2)",
    },
    Bug {
        name: "install-keeps-the-old-log-time",
        crate_name: "replica",
        what: "a snapshot that is installed into a running node does not bring its log time",
        rule: "all that apply changes is in a snapshot (pitfall 12)",
    },
    Bug {
        name: "install-keeps-the-old-members",
        crate_name: "replica",
        what: "a snapshot that is installed into a running node does not bring the members that it names",
        rule: "membership inside snapshots (Raft 7)",
    },
    Bug {
        name: "install-keeps-the-old-duplicates",
        crate_name: "replica",
        what: "a snapshot that is installed into a running node does not bring the requests that it contains",
        rule: "sessions inside snapshots (pitfall 25)",
    },
];
