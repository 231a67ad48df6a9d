//! Every limit of the store, with its reason.

/// What a server accepts from clients before it proposes. A server may be started with other numbers
/// (`--max-request-bytes`, `--max-txn-ops`), so these never decide anything at apply time: there, all
/// members must decide alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of an encoded write request. etcd's default is 1.5 MiB: above that, one entry
    /// would hold up replication for everyone.
    pub request_bytes_max: usize,
    /// Most compares, and most operations in either branch, of a transaction; what one level uses,
    /// the levels below it do not get. etcd's default is 128.
    pub txn_operations_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_bytes_max: 3 * 1024 * 1024 / 2,
            txn_operations_max: 128,
        }
    }
}

/// Deepest nesting of transactions, the outermost being level 1. etcd bounds it only through the
/// number of operations. A decoder of protocol buffers refuses more than 100 nested messages and a
/// level takes two, so a transaction much deeper than this could be encoded into the log and never be
/// read back. Known clients use two levels.
pub const TXN_DEPTH_MAX: usize = 32;

/// The longest time to live of a lease, etcd's: some 285 years, so that no clock overflows.
pub const LEASE_TTL_SECONDS_MAX: i64 = 9_000_000_000;

/// How many leases one entry may note the remaining time of; etcd's number. Each costs a look into an
/// ordered map, so that all of them stay well under a millisecond.
pub const LEASE_CHECKPOINTS_MAX: usize = 1000;

/// How many alarms may be on: two kinds for each of more members than any cluster has. A client may
/// name any member, so something must end it.
pub const ALARMS_MAX: usize = 256;

/// How many changes of leases wait for whoever follows them. One who lets more wait is not following,
/// and learns instead that it must read all leases anew.
pub(crate) const LEASE_EVENTS_MAX: usize = 10_000;

/// How many events of one revision are handed out as they happen. A larger revision is read from the
/// history, in steps, by those whom it concerns.
pub(crate) const LIVE_EVENTS_MAX: usize = 1000;

/// How many revisions' events wait to be taken. A step of applying makes a few hundred; one who takes
/// none for so long does not want them, and finds them in the history.
pub(crate) const LIVE_REVISIONS_MAX: usize = 10_000;

/// Most bytes that wait for one stream of watchers: a good second of a busy one. Events are shared, so
/// this is what a stream alone may keep alive; one that has more to come reads it from the history later.
pub const WATCH_STREAM_QUEUE_BYTES_MAX: usize = 4 << 20;

/// From so many bytes in all streams' queues together on, each stream has room for
/// `WATCH_STREAM_QUEUE_BYTES_MIN` alone: so many streams are slow that their sum would matter.
pub const WATCH_QUEUES_BYTES_MAX: usize = 256 << 20;

/// Room that a stream always has: enough for a response to be under way while the next is made.
pub(crate) const WATCH_STREAM_QUEUE_BYTES_MIN: usize = 64 << 10;

/// How often the events of one revision may be noted with those whom they concern, at eight bytes or sixteen
/// a note: all watchers there can be for four events, all events of a revision for four thousand.
pub(crate) const WATCH_NOTES_MAX: usize = 4 << 20;

/// What a message in a stream's queue counts beside its events: its place, and what an answer puts
/// around it.
pub(crate) const WATCH_MESSAGE_OVERHEAD_BYTES: usize = 128;

/// Most watchers of one stream. Clients put all theirs on one, thousands at most; etcd has no limit.
pub const WATCHERS_PER_STREAM_MAX: usize = 1 << 16;

/// How many versions one watcher reads before the next one's turn, so that none waits long.
pub(crate) const CATCH_UP_VERSIONS_PER_TURN: usize = 100;

/// How many of the last readings of history are kept for readers at the same place: those of different
/// spans take turns, and a client watches few spans with a thousand watchers.
pub(crate) const SHARED_READS_MAX: usize = 16;

/// How many bytes of events these keep alive, but for the last one: a sixteenth of what the streams'
/// queues may have.
pub(crate) const SHARED_READS_BYTES_MAX: usize = 16 << 20;

/// How many keys one step should touch so that it stays under a millisecond: a key that lies in no
/// cache takes up to 2 µs, copying or freeing included (`examples/million_keys.rs`).
pub const KEYS_PER_STEP: usize = 400;

/// How many watchers one step of publishing should tell something, for the same reason: each may be on a
/// stream that lies in no cache. Whoever shares the hub waits for a step, not for all that was applied.
pub const DELIVERIES_PER_STEP: usize = 400;

/// Keys in one leaf of the ordered map. A lookup searches one leaf and an insert moves half of one, so
/// small is good; the map above the leaves and their headers cost memory, so large is good.
pub(crate) const LEAF_KEYS_MAX: usize = 64;

/// A leaf below this size is joined with its neighbour when both fit well into one.
pub(crate) const LEAF_KEYS_MIN: usize = 16;

/// How many slots a leaf grows by when it is full: exact steps instead of doubling, since half-empty
/// leaves are the largest waste in the store.
pub(crate) const LEAF_GROWTH_KEYS: usize = 8;

/// Versions in one chunk of a key's history: what the removal of the oldest has to move, at most.
pub(crate) const HISTORY_CHUNK_VERSIONS: usize = 64;

/// Bytes in one chunk of the list of changes; a longer key gets a chunk to itself.
pub(crate) const CHANGES_CHUNK_BYTES: usize = 4096;

/// Values up to this many bytes are copied into an answer; longer ones are shared with the store.
/// Sharing costs an allocation of its own, so below this it saves nothing.
pub(crate) const VALUE_COPY_BYTES_MAX: usize = 512;

/// Longest run that one step sorts at once.
pub(crate) const SORT_RUN_MAX: usize = 4096;

/// Most bytes that one step of a snapshot's scan gives, whatever is asked for: copying and hashing this
/// much takes a third of a millisecond.
pub const SNAPSHOT_STEP_BYTES_MAX: usize = 1 << 20;

/// How many entries of the list of changes cost a scan as much as one version of a key: they lie side by
/// side, where each version is somewhere else.
pub(crate) const SNAPSHOT_CHANGES_PER_VERSION: usize = 8;

/// Longest key or value that a snapshot may hold: what an entry of the log may hold at most, so that
/// none that was written is longer. A damaged length is seen here instead of being waited for.
pub(crate) const SNAPSHOT_FIELD_BYTES_MAX: usize = 16 << 20;

/// Revisions and log indexes above this are refused in a snapshot. Counted up from zero no store reaches
/// it, and what is added to a smaller number does not overflow.
pub(crate) const SNAPSHOT_NUMBER_MAX: u64 = 1 << 62;

/// The furthest that a revision may be bumped: as much room again is left above it.
pub(crate) const BUMPED_REVISION_MAX: u64 = SNAPSHOT_NUMBER_MAX / 2;
