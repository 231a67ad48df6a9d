//! What etcd calls experimental, and what it calls unsafe.

use super::FileKey::Other;
use super::Group::{Experimental, Unsafe};
use super::Known::{Only34, Only35, Quorate};
use super::{Flag, Kind};

const NO_BBOLT: &str =
    "Quorate keeps its state in memory; there is no bbolt file to tune or to defragment";
const NO_TRACING: &str = "Quorate exports no traces";
const ALWAYS_PERSISTED: &str =
    "what is noted of leases is in the log and its snapshots in any case";
const HASHED: &str = "members are compared by time, see --experimental-corrupt-check-time";
const COMPACTION: &str = "compaction works in bounded steps of its own";

const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag::new(Experimental, name, kind, default, help)
}

pub(super) const FLAGS: &[Flag] = &[
    flag(
        "experimental-initial-corrupt-check",
        Kind::Bool,
        "false",
        "Compare the data with the other members' before serving clients; a member that differs stops.",
    ),
    flag(
        "experimental-corrupt-check-time",
        Kind::Duration,
        "0s",
        "Time between two comparisons of all members by the leader; one that differs raises the alarm CORRUPT. 0: never.",
    ),
    flag(
        "experimental-compact-hash-check-enabled",
        Kind::Bool,
        "false",
        "Compare members at compactions.",
    )
    .known(Only35)
    .accepted(HASHED),
    flag(
        "experimental-compact-hash-check-time",
        Kind::Duration,
        "1m",
        "Time between those comparisons.",
    )
    .known(Only35)
    .accepted(HASHED),
    flag(
        "experimental-enable-v2v3",
        Kind::Text,
        "",
        "Serve the v2 API out of the v3 store.",
    )
    .refused(
        "the v2 API is not served in any way",
        "Leave it out and move the clients to v3, as etcd 3.6 asks too.",
    ),
    flag(
        "experimental-backend-bbolt-freelist-type",
        Kind::Text,
        "array",
        "bbolt's free list.",
    )
    .known(Only34)
    .accepted(NO_BBOLT),
    flag(
        "experimental-enable-lease-checkpoint",
        Kind::Bool,
        "false",
        "Note every five minutes in the log how much of each lease is left, so that a new leader goes on \
         from there and does not give it all its time again.",
    ),
    flag(
        "experimental-protocol-version",
        Kind::Unsigned,
        "2",
        "Speak at most this protocol version to other members, as an older Quorate does, so that all \
         members can go back to that one; see docs/upgrading.md.",
    )
    .known(Quorate),
    flag(
        "experimental-enable-lease-checkpoint-persist",
        Kind::Bool,
        "false",
        "Keep it on disk as well.",
    )
    .accepted(ALWAYS_PERSISTED),
    flag(
        "experimental-compaction-batch-limit",
        Kind::Signed,
        "1000",
        "Revisions per step of a compaction.",
    )
    .accepted(COMPACTION),
    flag(
        "experimental-compaction-sleep-interval",
        Kind::Duration,
        "10ms",
        "Rest between two steps.",
    )
    .known(Only35)
    .accepted(COMPACTION),
    flag(
        "experimental-watch-progress-notify-interval",
        Kind::Duration,
        "10m",
        "Time between two progress notices of a watch.",
    ),
    flag(
        "experimental-warning-apply-duration",
        Kind::Duration,
        "100ms",
        "Warn about requests slower than this.",
    )
    .accepted("slow requests are not told of yet"),
    flag(
        "experimental-downgrade-check-time",
        Kind::Duration,
        "5s",
        "Time between two looks at a downgrade.",
    )
    .known(Only35)
    .accepted("downgrades are not there yet"),
    flag(
        "experimental-memory-mlock",
        Kind::Bool,
        "false",
        "Lock the store's pages in memory.",
    )
    .known(Only35)
    .accepted("memory is not locked: give the machine no swap, or set MemorySwapMax=0 in the unit"),
    flag(
        "experimental-txn-mode-write-with-shared-buffer",
        Kind::Bool,
        "true",
        "Share bbolt's buffer inside a transaction.",
    )
    .known(Only35)
    .accepted(NO_BBOLT),
    flag(
        "experimental-bootstrap-defrag-threshold-megabytes",
        Kind::Unsigned,
        "0",
        "Defragment at start.",
    )
    .known(Only35)
    .accepted(NO_BBOLT),
    flag(
        "experimental-stop-grpc-service-on-defrag",
        Kind::Bool,
        "false",
        "Serve no client while defragmenting.",
    )
    .known(Only35)
    .accepted(NO_BBOLT),
    flag(
        "experimental-snapshot-catchup-entries",
        Kind::Unsigned,
        "5000",
        "Entries kept for slow followers after a snapshot.",
    )
    .known(Only35)
    .file_key(Other("experimental-snapshot-catch-up-entries"))
    .accepted("the log since the older of the two snapshots is kept"),
    flag(
        "experimental-enable-distributed-tracing",
        Kind::Bool,
        "false",
        "Export OpenTelemetry traces.",
    )
    .known(Only35)
    .accepted(NO_TRACING),
    flag(
        "experimental-distributed-tracing-address",
        Kind::Text,
        "localhost:4317",
        "Where to export them.",
    )
    .known(Only35)
    .accepted(NO_TRACING),
    flag(
        "experimental-distributed-tracing-service-name",
        Kind::Text,
        "etcd",
        "The service's name in them.",
    )
    .known(Only35)
    .accepted(NO_TRACING),
    flag(
        "experimental-distributed-tracing-instance-id",
        Kind::Text,
        "",
        "The instance's name in them.",
    )
    .known(Only35)
    .accepted(NO_TRACING),
    flag(
        "experimental-distributed-tracing-sampling-rate",
        Kind::Signed,
        "0",
        "Samples per million.",
    )
    .known(Only35)
    .accepted(NO_TRACING),
    Flag::new(
        Unsafe,
        "force-new-cluster",
        Kind::Bool,
        "false",
        "Go on alone with the data of a lost cluster.",
    )
    .refused(
        "recovering a cluster that lost its majority comes in a later version",
        "Bring a majority of the members back with their data.",
    ),
    Flag::new(
        Unsafe,
        "unsafe-no-fsync",
        Kind::Bool,
        "false",
        "Do not wait for the disk.",
    )
    .refused(
        "Quorate never acknowledges a write before it is on disk",
        "For a throwaway store put --data-dir on a tmpfs.",
    ),
];
