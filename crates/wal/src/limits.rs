//! Every limit of the log, with its reason.

/// Bytes of payload in one entry. etcd's requests are at most 1.5 MiB by default and its
/// documentation warns above 10 MiB; this leaves room above both and bounds what one read needs.
pub const MAX_ENTRY_BYTES: usize = 16 << 20;

/// Bytes of one batch with all framing. Offsets in a segment are kept as 32-bit sector numbers
/// and lengths as 32-bit bytes; a batch is also encoded in one buffer, which this bounds.
pub const MAX_BATCH_BYTES: u64 = 64 << 20;

/// Segments are 64 MiB unless told otherwise: big enough that the three syncs of a change of
/// segments vanish among the batches, small enough to be zeroed in a fraction of a second.
pub const DEFAULT_SEGMENT_BYTES: u64 = 64 << 20;

/// The smallest segment: a header block and room for a few small batches (tests use it).
pub const MIN_SEGMENT_BYTES: u64 = 8 << 10;

/// The largest segment; a power of two well inside 32-bit sector numbers.
pub const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// Released segments that are kept for reuse, at most, unless told otherwise.
pub const DEFAULT_MAX_SPARE_SEGMENTS: usize = 2;

/// The most that an owner may ask to keep: 64 of 64 MiB are 4 GiB, more than a log should be.
pub const MAX_SPARE_SEGMENTS: usize = 64;

/// Prepared segments that the [`Preparer`](crate::Preparer) keeps ready. One is enough as long
/// as a segment is zeroed faster than one is filled, which holds on any disk.
pub const SEGMENTS_PREPARED_AHEAD: usize = 1;

/// Batches begin at multiples of this: the grain at which disks write atomically, so that a scan
/// finds the next header beyond damage and a torn header is never half a neighbour's.
pub const SECTOR_BYTES: u64 = 512;

/// Writes end at multiples of this where the segment allows it, so that the page cache never has
/// to read a page from disk before it can change a part of it.
pub const DEFAULT_BLOCK_BYTES: u64 = 4096;

/// One point of the in-memory index stands for this much log, at least; a read scans from the
/// nearest point before it.
pub const INDEX_GRAIN_BYTES: u64 = 32 << 10;

/// Damaged places in one log, at most, that are told apart for repair. A disk with more of them is
/// not worth repairing entry by entry: the member is replaced, or caught up by a snapshot.
pub const MAX_DAMAGED_PLACES: usize = 1024;

/// How much a reader reads at a time.
pub(crate) const READ_WINDOW_BYTES: usize = 64 << 10;

/// How much recovery reads at a time.
pub(crate) const RECOVERY_WINDOW_BYTES: usize = 1 << 20;

/// How much of a segment is zeroed with one write.
pub(crate) const ZERO_CHUNK_BYTES: usize = 1 << 20;

/// Bytes of one of the two slots of a [`SlotFile`](crate::SlotFile): a block of every file system
/// that matters.
pub(crate) const SLOT_BYTES: usize = 4096;

/// The largest table that a [`SlotFile`](crate::SlotFile) keeps, in bytes.
pub const MAX_SLOT_PAYLOAD_BYTES: usize = SLOT_BYTES - 48;
