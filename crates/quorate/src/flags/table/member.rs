//! The member itself: its name, its files, its addresses, its limits.

use super::FileKey::{In, Nowhere};
use super::Group::Member;
use super::Known::{Only35, Quorate};
use super::{Flag, Kind};

const NO_BBOLT: &str = "Quorate keeps its state in memory and its log in a WAL of its own; \
                        there is no bbolt file to tune";
const NO_KEEPALIVE: &str = "keepalive limits of client connections are not there yet; \
                            the server keeps its own defaults";

const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag::new(Member, name, kind, default, help)
}

pub(super) const FLAGS: &[Flag] = &[
    flag(
        "config-file",
        Kind::Path,
        "",
        "Read the configuration from this YAML file (etcd's keys); all other flags and variables are then ignored.",
    )
    .file_key(Nowhere),
    flag("name", Kind::Text, "default", "The name of this member in --initial-cluster."),
    flag("data-dir", Kind::Path, "", "Where the member keeps its data; without it, NAME.quorate."),
    flag("wal-dir", Kind::Path, "", "A directory of its own for the write-ahead log.").refused(
        "the write-ahead log is nearly all that Quorate writes, and it lies in the data directory",
        "Put --data-dir itself on the fast disk and leave --wal-dir out.",
    ),
    flag(
        "listen-peer-urls",
        Kind::Urls,
        "http://localhost:2380",
        "Where to listen for the other members; the host is an IP address or localhost.",
    ),
    flag(
        "listen-client-urls",
        Kind::Urls,
        "http://localhost:2379",
        "Where to listen for clients, gRPC and HTTP on one port; the host is an IP address or localhost.",
    ),
    flag("listen-client-http-urls", Kind::Urls, "", "Where to listen for HTTP clients only.")
        .refused(
            "Quorate serves gRPC and HTTP on one port",
            "Leave it out and send HTTP clients to --listen-client-urls.",
        ),
    flag("heartbeat-interval", Kind::Unsigned, "100", "Milliseconds between two heartbeats of a leader."),
    flag(
        "election-timeout",
        Kind::Unsigned,
        "1000",
        "Milliseconds without a leader before an election: at least 5 heartbeats, at most 50000.",
    ),
    flag("initial-election-tick-advance", Kind::Bool, "true", "Hasten the first election.").accepted(
        "Quorate's first election is not delayed",
    ),
    flag("max-request-bytes", Kind::Unsigned, "1572864", "The largest request of a client, in bytes."),
    flag("max-txn-ops", Kind::Unsigned, "128", "The most operations in one transaction."),
    flag("max-concurrent-streams", Kind::Unsigned, "4294967295", "The most streams of one client.")
        .accepted("a limit on streams per connection is not there yet"),
    flag("snapshot-count", Kind::Unsigned, "100000", "Committed entries between two snapshots.").accepted(
        "snapshots are taken by the size of the log, see --snapshot-log-bytes, not by a count of entries",
    ),
    flag("max-snapshots", Kind::Unsigned, "5", "Snapshot files to keep.")
        .accepted("the two newest snapshots are always kept"),
    flag("max-wals", Kind::Unsigned, "5", "WAL files to keep.")
        .accepted("Quorate keeps every WAL segment that is still needed and recycles the others"),
    flag(
        "quota-backend-bytes",
        Kind::Signed,
        "0",
        "Bytes of memory that the store may take before writes are refused. 0: the smaller of 2 GiB and half \
         of the memory that the process may take; less: no limit.",
    ),
    flag("backend-batch-interval", Kind::Duration, "0", "bbolt's commit interval.").accepted(NO_BBOLT),
    flag("backend-batch-limit", Kind::Signed, "0", "bbolt's commit size.").accepted(NO_BBOLT),
    flag("backend-bbolt-freelist-type", Kind::Text, "map", "bbolt's free list.").known(Only35).accepted(NO_BBOLT),
    flag("grpc-keepalive-min-time", Kind::Duration, "5s", "The shortest time between two pings of a client.")
        .accepted(NO_KEEPALIVE),
    flag("grpc-keepalive-interval", Kind::Duration, "2h", "Time between two pings to an idle client.")
        .accepted(NO_KEEPALIVE),
    flag("grpc-keepalive-timeout", Kind::Duration, "20s", "Time to wait for the answer to a ping.")
        .accepted(NO_KEEPALIVE),
    flag("enable-grpc-gateway", Kind::Bool, "true", "Serve the JSON gateway under /v3/."),
    flag("socket-reuse-port", Kind::Bool, "false", "Set SO_REUSEPORT on listeners.")
        .known(Only35)
        .file_key(In("socket-options", "reuse-port"))
        .accepted("two servers never share a port here; a port in use is an error"),
    flag("socket-reuse-address", Kind::Bool, "false", "Set SO_REUSEADDR on listeners.")
        .known(Only35)
        .file_key(In("socket-options", "reuse-address"))
        .accepted("listeners always set SO_REUSEADDR"),
    flag("raft-read-timeout", Kind::Duration, "5s", "Read timeout of a peer connection.")
        .known(Only35)
        .file_key(Nowhere)
        .accepted("peer links notice a silent peer by their own heartbeats"),
    flag("raft-write-timeout", Kind::Duration, "5s", "Write timeout of a peer connection.")
        .known(Only35)
        .file_key(Nowhere)
        .accepted("peer links notice a silent peer by their own heartbeats"),
    flag(
        "snapshot-log-bytes",
        Kind::Unsigned,
        "67108864",
        "Bytes of log after which a snapshot is taken, or as many as the last snapshot has, if \
         those are more.",
    )
    .known(Quorate)
    .file_key(Nowhere),
    flag(
        "lease-reads",
        Kind::Bool,
        "false",
        "Serve linearizable reads at the leader without a round trip, as long as a majority heard it \
         within nine tenths of the election timeout. Trusts that no two members' clocks run at speeds \
         that differ by more than a tenth, and that a clock which stood still with its machine \
         (suspended, moved, restored) has caught up when the machine goes on; where that fails, a \
         read may be stale. Without it reads trust no clock. All members must be given the same: stop \
         them all to change it. A leader that dies is then missed for a whole election timeout.",
    )
    .known(Quorate)
    .file_key(Nowhere),
    flag(
        "accept-old-disk",
        Kind::Bool,
        "false",
        "Start with the data as it is, although other members remember that this one had more: for a \
         cluster of which every member was restored from a copy, and then for each of them, once. What \
         was acknowledged after the copies were made is lost. Where any member still has everything, \
         leave it out: the others are made good from that one.",
    )
    .known(Quorate)
    .file_key(Nowhere),
    flag(
        "exit-with-parent",
        Kind::Unsigned,
        "0",
        "Stop when the process with this id, which started this one, ends; `quorate up` uses it.",
    )
    .known(Quorate)
    .file_key(Nowhere),
];
