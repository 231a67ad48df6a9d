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

/// Requests in flight on one client connection.
pub(crate) const MAX_STREAMS_PER_CONNECTION: u32 = 8_192;

/// Client connections at once, and as many attempts at one: what a flood may cost.
pub(crate) const MAX_CLIENT_CONNECTIONS: usize = 8_192;

/// Connections to the peer port at once: a few for each member, and room for strangers who are
/// turned away.
pub(crate) const MAX_PEER_CONNECTIONS: usize = 256;

/// Bytes of headers of one request.
pub(crate) const MAX_HEADER_BYTES: u32 = 64 << 10;

/// An HTTP/2 connection that is silent for so long is probed, so that one whose other side has vanished, or never
/// meant to speak, does not count against the number of connections for ever. A probe is one small packet.
pub(crate) const IDLE_PROBE_AFTER: Duration = Duration::from_secs(30);

/// How long the answer to a probe may take (etcd: `--grpc-keepalive-timeout`).
pub(crate) const IDLE_PROBE_TIMEOUT: Duration = Duration::from_secs(20);

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

/// How long shutting down waits for requests in flight.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
