//! Every limit of a node's queues, with its reason.

use std::time::Duration;

/// Requests that one node holds unanswered. Beyond it clients hear "too many requests"; etcd
/// refuses at 5,000 entries between commit and apply, which at our batch sizes would be one
/// breath of a thousand clients.
pub const MAX_PENDING_PROPOSALS: usize = 20_000;

/// Bytes of request bodies that one node holds unanswered: what a burst may cost in memory.
pub const MAX_PENDING_PROPOSAL_BYTES: usize = 64 << 20;

/// Read rounds that one node holds unanswered. Reads that wait at the same moment share one, so
/// this is not a limit on clients; the server has that.
pub const MAX_PENDING_READS: usize = 4_096;

/// Entries between commit and apply at which new proposals are refused, so that a slow state
/// machine is felt by those who load it (etcd: `maxGapBetweenApplyAndCommitIndex`, 5,000).
pub const MAX_UNAPPLIED_ENTRIES: u64 = 20_000;

/// Bytes of entries on their way to this node's disk at which new proposals are refused. A
/// leader's followers may commit without it, so a disk that stalls is seen here and nowhere else.
pub const MAX_UNWRITTEN_BYTES: usize = 64 << 20;

/// Keys that a command other than a put may touch in the step in which its turn comes, before
/// anything is known of its size: small ones end here, large ones get whole steps from then on.
pub const FIRST_KEYS_OF_A_COMMAND: usize = 16;

/// Proposals go to Raft, and to a leader, in groups of about this many bytes.
pub const MAX_PROPOSAL_BATCH_BYTES: usize = 1 << 20;

/// A frame between peers holds at most this many bytes, or one message.
pub const MAX_FRAME_BYTES: usize = 2 << 20;

/// The largest frame a node will read: one entry of the greatest legal size and its company.
/// Whoever sends more is cut off.
pub const MAX_INCOMING_FRAME_BYTES: usize = 16 << 20;

/// The largest handshake a node will read: ids and a few URLs. It comes from who is not known
/// yet, so it is not worth more.
pub const MAX_HANDSHAKE_BYTES: usize = 64 << 10;

/// Messages in one frame that a node will read.
pub const MAX_MESSAGES_PER_FRAME: usize = 65_536;

/// The largest body of one command, whatever `--max-request-bytes` says: an entry must fit a
/// segment of the log and a frame between peers.
pub const MAX_COMMAND_BYTES: usize = 10 << 20;

/// What a request may take before its client hears that it timed out, beyond two election
/// timeouts (etcd: `ReqTimeout`).
pub const REQUEST_TIMEOUT_BASE: Duration = Duration::from_secs(5);

/// Sequences of one boot of one member that are remembered, to tell a request applied before
/// from a new one. Above [`MAX_PENDING_PROPOSALS`] with room, so that a request still
/// unanswered is never below the window.
pub const DUPLICATE_WINDOW: u64 = 65_536;

/// Boots of one member whose windows are remembered. A request of a life before that was
/// answered, or its client was cut off with the process that took it.
pub const DUPLICATE_BOOTS_PER_MEMBER: usize = 4;

/// Members whose windows are remembered, those that left the cluster included. Beyond it the one
/// whose last request lies furthest back in the log is forgotten. No cluster has a tenth of this
/// many at a time; all their windows together are 8 MiB.
pub const DUPLICATE_MEMBERS: usize = 256;

/// Bytes of a node's own part of a snapshot. A window takes a few, and 64 KiB if every other
/// request of a boot was lost; this is room for as many of those as there can be, and for a
/// membership.
pub const MAX_SNAPSHOT_HEAD_BYTES: usize = 80 << 20;

/// How far the wall clock may run ahead of the monotonic clock before its time is refused.
pub const MAX_CLOCK_JUMP: Duration = Duration::from_secs(60);

/// Bytes of entries in one batch of the log, but for a single larger entry: a batch must fit a
/// segment, and what is torn by a crash is at most this.
pub const MAX_LOG_BATCH_BYTES: usize = 4 << 20;

/// Segments of the log that are let go of in one turn of its thread: each costs a sync of the
/// directory, and writes wait meanwhile.
pub const SEGMENTS_RELEASED_AT_ONCE: u32 = 2;

/// Bytes of entries after which a snapshot is taken, unless the last one is larger: a second of
/// the fastest writing, and what a start has to read back of the log at least.
pub const SNAPSHOT_LOG_BYTES: u64 = 64 << 20;

/// Bytes of the store that a snapshot takes under one hold of its lock: a fraction of a
/// millisecond.
pub const SNAPSHOT_STEP_BYTES: usize = 128 << 10;

/// Members of a cluster, voters and learners together: Raft's own limits are not reached before.
/// etcd advises seven at most.
pub const MAX_TABLE_MEMBERS: usize = 32;

/// Members that only learn at a time (etcd: `--max-learners`, 1): each costs the leader the
/// whole stream of writes, and protects nothing yet.
pub const MAX_LEARNING_MEMBERS: usize = 1;

/// Removed members whose ids are remembered, so that they hear that they were removed. Ids are
/// not given twice anyway.
pub const MAX_REMEMBERED_REMOVALS: usize = 256;

/// Addresses of one member.
pub const MAX_MEMBER_URLS: usize = 16;

/// Bytes of one address.
pub const MAX_MEMBER_URL_BYTES: usize = 256;

/// Bytes of a member's name.
pub const MAX_MEMBER_NAME_BYTES: usize = 256;

/// How long the leader of a cluster that has agreed on no version waits for members that it has not
/// heard: those of a cluster that is being started come within a fraction of it.
pub const FOUNDING_PATIENCE: Duration = Duration::from_secs(1);

/// Questions about leases that clients of one node have asked and not been answered: several for each
/// client connection.
pub const MAX_PENDING_LEASE_QUESTIONS: usize = 65_536;

/// Questions about leases that a leader holds unanswered, its followers' included. Beyond it clients
/// hear "too many requests".
pub const MAX_HELD_LEASE_QUESTIONS: usize = 4 * MAX_PENDING_LEASE_QUESTIONS;

/// Questions or answers about leases in one message between members: a hundred kilobytes.
pub const MAX_LEASES_PER_MESSAGE: usize = 4_096;

/// How many leases whose time is over end in one [`LEASE_REVOKE_WINDOW`]: a thousand a second (etcd:
/// `defaultLeaseRevokeRate`), so that a mass of them leaves the log room for others.
pub const LEASE_REVOKES_PER_WINDOW: usize = 500;

/// See [`LEASE_REVOKES_PER_WINDOW`].
pub const LEASE_REVOKE_WINDOW: Duration = Duration::from_millis(500);

/// How long a lease whose end the log or the store refused waits before it is tried again.
pub const LEASE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often the log is told how much of a lease is left, if it is (etcd: the same).
pub const LEASE_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(300);

/// The pause between two entries that tell of a thousand leases each.
pub const LEASE_CHECKPOINT_PAUSE: Duration = Duration::from_millis(100);

/// How long a change of the members waits for one that the leader has not finished, before its
/// client hears of it: an answer to one change is often the signal for the next.
pub const CHANGE_PATIENCE: Duration = Duration::from_secs(2);

/// Changes of the members that wait so. They are rare and made by people; whoever sends more is
/// told at once that one is under way.
pub const MAX_WAITING_CHANGES: usize = 64;

/// How often a leader looks whether it has applied what was in its log when it came to lead. It hears of that only
/// when something else happens.
pub(crate) const SEEN_POLL: Duration = Duration::from_millis(20);
