//! Every limit of the shell, with its reason. The core's are in `quorate_replica::limits`.

use std::time::Duration;

/// Inputs waiting for consensus beyond which clients' requests are refused and peers' links are
/// not read, so that the peers' own queues fill.
pub(crate) const CONSENSUS_INBOX: usize = 65_536;

/// Bytes of requests and frames waiting for consensus, likewise.
pub(crate) const CONSENSUS_INBOX_BYTES: usize = 64 << 20;

/// How long a link is not read when consensus has no room for what came on it: a few of its
/// turns.
pub(crate) const PEER_PAUSE: Duration = Duration::from_millis(2);

/// Linearizable reads waiting on one node; beyond it clients hear "too many requests".
pub(crate) const MAX_WAITING_READS: usize = 65_536;

/// Bytes of messages waiting for one peer. Beyond it new ones are dropped: a peer that is gone
/// or slow costs this much memory and no more, and Raft sends again what was lost.
pub(crate) const MAX_PEER_QUEUE_BYTES: usize = 64 << 20;

/// What one message costs in that account besides its payload.
pub(crate) const PEER_MESSAGE_OVERHEAD_BYTES: usize = 64;

/// The pause before a member that could not catch up tries again.
pub(crate) const CATCH_UP_PAUSE: Duration = Duration::from_millis(100);

/// Applied bytes after which consensus is told, so that it hands out more.
pub(crate) const APPLIED_NOTICE_BYTES: usize = 1 << 20;

/// After this much quiet the log's last batch is covered.
pub(crate) const COVER_AFTER: Duration = Duration::from_millis(100);

/// Growth of the log after which its next segments are looked after: a few times a segment.
pub(crate) const PREPARE_EVERY_BYTES: u64 = 16 << 20;

/// What gRPC may add to a request on its way (etcd: `grpcOverheadBytes`).
pub(crate) const GRPC_OVERHEAD_BYTES: usize = 512 << 10;

/// How many times as long as its message the JSON of a request may be: base64 needs 4/3, and the rest is for names.
pub(crate) const GATEWAY_JSON_FACTOR: usize = 2;

/// Requests in flight on one client connection: several times what one busy client has.
pub(crate) const MAX_STREAMS_PER_CONNECTION: u32 = 1_024;

/// Client connections at once, and as many attempts at one. Together with [`CLIENT_WINDOW_BYTES`] it bounds what
/// strangers make HTTP/2 itself hold: 4,096 windows of 256 KiB, one gibibyte, if none of it were read.
pub(crate) const MAX_CLIENT_CONNECTIONS: usize = 4_096;

/// Flow-control window of a client connection and of each of its streams: what may have come and not been read.
/// A quarter of a gigabyte each second goes through it on a round trip of a millisecond.
pub(crate) const CLIENT_WINDOW_BYTES: u32 = 256 << 10;

/// The beginning of each request, which is charged to [`SMALL_REQUESTS_BYTES`]: all of a usual one.
pub(crate) const SMALL_REQUEST_BYTES: usize = 4 << 10;

/// What a request costs in that account besides its headers and its body.
pub(crate) const REQUEST_OVERHEAD_BYTES: usize = 512;

/// Bytes of the beginnings of all requests that have come in part or are being worked on: 65,536 requests of two
/// kibibytes. Beyond it clients hear "too many requests".
pub(crate) const SMALL_REQUESTS_BYTES: usize = 128 << 20;

/// Bytes beyond those beginnings, likewise: as much as consensus takes at once.
pub(crate) const LARGE_REQUESTS_BYTES: usize = CONSENSUS_INBOX_BYTES;

/// Answers of reads up to this size are not charged: all usual ones.
pub(crate) const SMALL_ANSWER_BYTES: usize = 64 << 10;

/// Bytes of larger answers that are being encoded or sent: room for a few of the largest that a client takes, and a
/// quarter of the memory of a small machine. Beyond it reads hear "too many requests"; a still larger answer goes alone.
pub(crate) const ANSWERS_BYTES: usize = 512 << 20;

/// How long a request may be waited for after its headers: two mebibytes at 70 KiB/s.
pub(crate) const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections to the peer port at once: a few for each member, and room for strangers who are
/// turned away.
pub(crate) const MAX_PEER_CONNECTIONS: usize = 256;

/// Streams of one connection to the peer port: a link is one, and its successor may overlap with it.
pub(crate) const MAX_STREAMS_PER_PEER_CONNECTION: u32 = 4;

/// Bytes that a link may send before its handshake is accepted. It is more than a handshake needs, and bounds what
/// strangers leave on the peer port: 256 connections of four links, 64 MiB.
pub(crate) const MAX_HANDSHAKE_BYTES: usize = 64 << 10;

/// Bytes of headers of one request.
pub(crate) const MAX_HEADER_BYTES: u32 = 16 << 10;

/// An HTTP/2 connection that is silent for so long is probed, so that one whose other side has vanished, or never
/// meant to speak, does not count against the number of connections for ever. A probe is one small packet.
pub(crate) const IDLE_PROBE_AFTER: Duration = Duration::from_secs(30);

/// How long the answer to a probe may take (etcd: `--grpc-keepalive-timeout`).
pub(crate) const IDLE_PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// A TCP connection on which nothing comes for so long is probed by the system, and again after as long (Go's default,
/// hence etcd's). It is what ends a stream over HTTP/1.1 whose client has vanished.
pub(crate) const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// Flow-control window of a link between peers: a frame of two mebibytes and its successor.
pub(crate) const PEER_WINDOW_BYTES: u32 = 8 << 20;

/// How long dialling a peer, or shaking hands with it, may take.
pub(crate) const PEER_DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// The first and the longest pause before a peer is dialled again.
pub(crate) const PEER_RETRY_FIRST: Duration = Duration::from_millis(50);
/// See [`PEER_RETRY_FIRST`].
pub(crate) const PEER_RETRY_LONGEST: Duration = Duration::from_secs(1);

/// A quiet link is probed this often, so that a peer that vanished without a word is noticed.
pub(crate) const PEER_KEEPALIVE: Duration = Duration::from_secs(2);

/// Renewals of one stream of keep-alives that are under way: a client puts those of all its leases on one,
/// and each takes a round trip to the leader.
pub(crate) const RENEWALS_PER_STREAM: usize = 256;

/// How long after an alarm could not be raised it is tried again, at the earliest: whatever keeps it from the log,
/// each try costs an entry at most.
pub(crate) const ALARM_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a request about leases waits for the members to agree that they know leases: a moment after the
/// start, or an election and `FOUNDING_PATIENCE` if not all of them are there.
pub(crate) const LEASE_VERSION_PATIENCE: Duration = Duration::from_secs(4);

/// Leases of a cluster. Each takes some 300 bytes of memory at the leader; whoever needs more of them means one lease
/// with many keys. Those who grant at the same moment may exceed it by what is under way.
pub(crate) const MAX_LEASES: usize = 1_000_000;

/// Hashes of the store that are made at once: each holds on to old versions until it is done. Others wait.
pub(crate) const HASHES_AT_ONCE: usize = 4;

/// How long a member that is asked for a hash waits until it has applied what it is asked for: a follower that is
/// farther behind is compared another time.
pub(crate) const HASH_PATIENCE: Duration = Duration::from_secs(5);

/// How long the hash of a peer may take: that of a few gigabytes, and the wait before.
pub(crate) const HASH_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a member that is to be compared before it serves waits until it has caught up. Beyond it serves without.
pub(crate) const INITIAL_CHECK_PATIENCE: Duration = Duration::from_secs(30);

/// Leases listed under one hold of the store's lock: a fraction of a millisecond.
pub(crate) const LEASES_PER_STEP: usize = 4_096;

/// How long shutting down waits for requests in flight.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// How long it waits for the threads after that: a sync of a slow disk, not one of a disk that is stuck.
pub(crate) const THREADS_GRACE: Duration = Duration::from_secs(5);

/// Bytes of a peer's own words that are kept and logged: a sentence or two.
pub(crate) const PEER_TEXT_BYTES: usize = 200;

/// Refused links are logged at most this often, with their number.
pub(crate) const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(1);

/// Bytes of a snapshot sent to one peer in a second: a gigabyte in ten, and no more than a tenth of a fast network.
pub(crate) const SNAPSHOT_BYTES_PER_SECOND: u64 = 100 << 20;

/// Chunks of a snapshot that are read and not sent: enough to keep the connection busy.
pub(crate) const SNAPSHOT_CHUNKS_READ_AHEAD: usize = 4;

/// Snapshots sent at once: as many as a cluster of five may need at the same time.
pub(crate) const SNAPSHOTS_SERVED: usize = 4;

/// How long the next part of a snapshot may take: a chunk on a slow network, or a slow disk's whole stall.
pub(crate) const SNAPSHOT_PART_TIMEOUT: Duration = Duration::from_secs(10);

/// How often other members are asked who is a member, because a stranger claims to be.
pub(crate) const TOLD_EVERY: Duration = Duration::from_secs(1);

/// How long a member that joins looks for one that knows it: long enough for those that it asks
/// to start, or to hear of its addition.
pub(crate) const JOIN_PATIENCE: Duration = Duration::from_secs(10);

/// How long a member that was removed goes on, so that whoever waits for an answer has it (etcd
/// waits as long).
pub(crate) const REMOVED_GRACE: Duration = Duration::from_secs(1);

/// The first and the longest pause after a snapshot could not be pulled.
pub(crate) const SNAPSHOT_RETRY_FIRST: Duration = Duration::from_millis(200);
/// See [`SNAPSHOT_RETRY_FIRST`].
pub(crate) const SNAPSHOT_RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Open watch streams of one node: one for each client connection that there may be, and clients put all their watchers
/// on one. It bounds what streams are given whatever others hold: see [`WATCH_UNSENT_BYTES`].
pub(crate) const WATCH_STREAMS: usize = 4_096;

/// Watchers of one node, on all streams: a few hundred bytes each.
pub(crate) const WATCHERS: usize = 1 << 20;

/// Bytes of keys and range ends that the watchers of one node watch: as many watchers as there may be, with 64 bytes
/// each. A key may be as long as a request, so that their number alone would bound nothing.
pub(crate) const WATCHED_KEYS_BYTES: usize = 64 << 20;

/// Bytes of messages that a stream takes from its queue at once.
pub(crate) const WATCH_ANSWERS_BYTES: usize = 64 << 10;

/// Answers of a stream that wait to be encoded, charged like those that wait to be sent. What is ready together leaves in
/// one piece, so that a write which a hundred watchers of a stream hear of is a few frames and not a hundred. Together
/// they have [`WATCH_ANSWERS_BYTES`], but for one that is larger and goes alone.
pub(crate) const WATCH_ANSWERS_AHEAD: usize = 128;

/// Bytes of answers that were taken from all streams' queues and are not sent, as many as wait in the queues. They have
/// an account of their own, so that watchers who do not read keep nobody from reading the store. While it is full
/// answers stay in the queues, but for one of up to [`WATCH_ANSWERS_BYTES`] on each stream of which nothing is unsent:
/// as much again, if all streams there may be are so.
pub(crate) const WATCH_UNSENT_BYTES: usize = quorate_kv::WATCH_QUEUES_BYTES_MAX;

/// How long a stream may leave unsent what it was to be told, once that account or the queues are full. It is as long as
/// a request may take to come.
pub(crate) const WATCH_UNREAD_FOR: Duration = REQUEST_BODY_TIMEOUT;

/// How fast a large answer must be read to be done by then; a larger one may take longer.
pub(crate) const WATCH_UNREAD_BYTES_PER_SECOND: usize = 1 << 20;

/// How often somebody whose time is over looks whether others wait for what is held.
pub(crate) const OVERDUE_LOOKED_FOR_EVERY: Duration = Duration::from_secs(2);

/// Revisions that wait to be told to the watchers. When there are more, they are forgotten, and read from the history.
pub(crate) const WATCH_FEED_REVISIONS: usize = 10_000;

/// Bytes that they keep alive, likewise.
pub(crate) const WATCH_FEED_BYTES: usize = 64 << 20;

/// How long a request for progress waits until what has been applied is in the streams' queues.
pub(crate) const WATCHES_FED_WITHIN: Duration = Duration::from_secs(1);

/// Election timeouts without a leader after which a stream ends whose client requires one (etcd: `maxNoLeaderCnt`).
pub(crate) const NO_LEADER_TIMEOUTS: u32 = 3;

/// Calls of one node that are in line for a lock or an election, or observe one. Each has one stream of watches, so they
/// leave half of those that there may be to clients that watch.
pub(crate) const CONTENDERS: usize = WATCH_STREAMS / 2;

/// How long one who has left a line tries to take its key away while the cluster has no leader: some elections. After
/// that the key stands until its lease ends.
pub(crate) const LEAVE_PATIENCE: Duration = Duration::from_secs(30);

/// How long one whose caller waits tries to join a line while no answer says whether it has: some elections.
pub(crate) const LINE_JOIN_PATIENCE: Duration = LEAVE_PATIENCE;

/// Backups that are read from the disk at once: each reads a whole snapshot.
pub(crate) const BACKUPS_STREAMED: usize = 4;

/// Backups whose client has not gone. One that no longer reads and does not go holds a piece that is on its way, at
/// most a chunk, so this bounds them to 64 MiB or so.
pub(crate) const BACKUPS_OPEN: usize = 64;

/// Pieces of a backup, at most a chunk each, that are read and not sent.
pub(crate) const BACKUP_PIECES_READ_AHEAD: usize = 2;

/// How long the client of a backup may take none of its pieces: a mebibyte at 18 KiB/s.
pub(crate) const BACKUP_STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a backup waits for its snapshot: the one under way and its own, of ten gigabytes each on a slow disk.
pub(crate) const BACKUP_TAKEN_WITHIN: Duration = Duration::from_secs(600);

/// A linearizable read that waits longer for leave to read is slow: etcd's number.
pub(crate) const SLOW_READ_INDEX: Duration = Duration::from_millis(500);

/// A batch of entries that takes longer to apply is slow: etcd's number.
pub(crate) const SLOW_APPLY: Duration = Duration::from_millis(100);

/// Between two measurements of how long a peer takes to answer: etcd's number.
pub(crate) const PEER_ROUND_TRIP_INTERVAL: Duration = Duration::from_secs(3);
