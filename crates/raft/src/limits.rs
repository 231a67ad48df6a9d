//! Every limit that is not the embedder's to choose, each with its reason.
//!
//! Limits that depend on the machine or the load are fields of [`Config`](crate::Config); their
//! defaults stand here too, so that all numbers can be read in one place.

use std::time::Duration;

/// Default base of the election timeout. Ten times what a slow disk and a busy network need for
/// one round, and short enough that a dead leader is replaced within about a second.
pub const DEFAULT_ELECTION_TIMEOUT: Duration = Duration::from_millis(500);

/// Default time between heartbeats: five chances to be heard within an election timeout.
pub const DEFAULT_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

/// Default bytes of entries in one Append: large enough that the cost of a message vanishes,
/// small enough that a heartbeat behind it is not late.
pub const DEFAULT_MAX_APPEND_BYTES: usize = 1 << 20;

/// Default bytes of entries under way to one peer: a gigabit link of 60 ms round trip holds 7.5
/// MiB (bandwidth times delay, Little's law).
pub const DEFAULT_MAX_INFLIGHT_BYTES: usize = 8 << 20;

/// Default Appends under way to one peer. Small Appends cost memory for their bookkeeping, not
/// for their bytes, so they are counted too.
pub const DEFAULT_MAX_INFLIGHT_APPENDS: usize = 256;

/// Default bytes proposed and not yet committed. A leader without its quorum must not grow.
pub const DEFAULT_MAX_UNCOMMITTED_BYTES: usize = 64 << 20;

/// Default bytes of committed entries in one `Ready`.
pub const DEFAULT_MAX_COMMITTED_BYTES_PER_READY: usize = 4 << 20;

/// Default bytes handed out as committed and not yet reported as applied.
pub const DEFAULT_MAX_UNAPPLIED_BYTES: usize = 16 << 20;

/// Default reads waiting for an index. A read costs a few dozen bytes here.
pub const DEFAULT_MAX_PENDING_READS: usize = 65_536;

/// Default bytes of the newest entries kept in memory; older ones are read back when wanted. Some seconds of
/// small writes at full speed: a follower that is further behind reads from disk what it could not keep up
/// with anyway. A store that has once been busy holds so much from then on, so more would be memory that
/// serves nobody.
pub const DEFAULT_MAX_MEMORY_LOG_BYTES: usize = 16 << 20;

/// Most voters in a configuration. Seven is the most that makes sense in practice; the bound
/// keeps quorum arithmetic on the stack.
pub const MAX_VOTERS: usize = 31;

/// Most learners in a configuration. Each costs the leader a stream of the whole log.
pub const MAX_LEARNERS: usize = 16;

/// How many entries a learner may lack of its leader's log and still be promoted. A voter that is
/// far behind is one on paper only: a quorum may have to wait for all that it lacks. A learner
/// that keeps up lacks what is under way to it, which at full load is a few hundred entries.
pub const PROMOTION_MAX_LAG_ENTRIES: u64 = 1024;

/// Most bytes of context in a membership change: the names and addresses of a member, many times
/// over. It stays in the log like any entry.
pub const MAX_MEMBERSHIP_CONTEXT_BYTES: usize = 64 << 10;

/// What an entry costs beyond its payload, in memory and on the wire, for limits by bytes: it
/// keeps a million empty entries from counting as nothing.
pub const ENTRY_OVERHEAD_BYTES: usize = 48;

/// Terms, indexes and rounds above this are refused in messages. Counted up from zero, no
/// cluster reaches it, and nothing that is added to a smaller number overflows.
pub const MAX_NUMBER: u64 = 1 << 62;

/// Read rounds of a leader under way at once. One round serves every read that waited when it
/// began, and those that just missed it share the next. With two, batches halve and so does what
/// a busy cluster reads: measured on three nodes, 100 clients, two cores, 10 to 20 % less.
pub const MAX_READ_ROUNDS_IN_FLIGHT: usize = 1;

/// ReadIndexRequests of a follower under way at once: one, for the same reason; and after a
/// heartbeat interval without an answer another, since the first or its answer may be lost.
pub const MAX_READ_REQUESTS_IN_FLIGHT: usize = 2;

/// ReadIndexRequests that a leader keeps from one peer. A peer has at most
/// [`MAX_READ_REQUESTS_IN_FLIGHT`] that it still waits for; the rest are repeats.
pub const MAX_REMOTE_READS_PER_PEER: usize = 16;

/// A lease is shorter than the election timeout by this part of it: for clocks that run at
/// different speeds, each at most five in a hundred wrong. Quartz is wrong by less than one in ten
/// thousand; virtual machines under steal, and clocks being slewed, have been seen worse.
pub const LEASE_MARGIN_DIVISOR: u32 = 10;

/// Into how many parts the beginnings of rounds are told apart, over an election timeout. A lease
/// may be shorter by one part for it; with more, a lookup per read costs more.
pub const LEASE_ROUNDS_KEPT: u32 = 64;

/// Log ranges being read back at once, over all purposes. Reads of one disk hardly gain from
/// more, and each may bring [`Config::max_append_bytes`](crate::Config::max_append_bytes) into
/// memory.
pub const MAX_OUTSTANDING_FETCHES: usize = 4;

/// How often a member's table of records is said after it changed, an interval apart each: a message
/// that is lost must not leave one member of an idle cluster uninformed.
pub const RECORD_SAYINGS: u32 = 3;

/// Most records in a message or a table: one for each that can be a member at once, with those
/// that come and those that go.
pub const MAX_RECORDS: usize = 2 * MAX_VOTERS + MAX_LEARNERS;

/// How often a leader tells what members acknowledged, where that is on. What a member acknowledged
/// since, and its disk then lost, the leader alone can tell; more often, and the table's own
/// writes begin to count on a slow disk.
pub const DEFAULT_RECORD_INTERVAL: Duration = Duration::from_secs(1);

/// Messages kept back until the term or vote that they assert is durable. Beyond it they are
/// dropped, as a network may; whoever asked will ask again.
pub const MAX_HELD_MESSAGES: usize = 1024;

/// How far a node that takes an old disk as it is moves its term on: further than elections can have
/// come since the disk was copied, one a second for twelve days. Terms are of 64 bits.
pub(crate) const ACCEPTED_TERM_JUMP: u64 = 1 << 20;
