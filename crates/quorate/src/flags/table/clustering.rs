//! How the members of a cluster find one another, and how its history is kept.

use super::FileKey::Nowhere;
use super::Group::{Clustering, Proxy};
use super::Known::{Only34, Only35};
use super::{Flag, Group, Kind};

const NO_DISCOVERY: &str = "Quorate has no discovery service: members are listed";
const LIST_THEM: &str =
    "List all members with --initial-cluster=name=http://host:2380,… on each of them.";
const ONLY_WITH_DISCOVERY: &str = "it matters only with --discovery, which Quorate does not have";
const ONLY_WITH_PROXY: &str = "it matters only with --proxy, which Quorate does not have";
const NO_V2: &str = "the v2 API is not served; requests under /v2/ get 404";

const fn flag(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Flag {
    Flag::new(group, name, kind, default, help)
}

const fn proxy_setting(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    flag(Proxy, name, Kind::Unsigned, default, help)
        .file_key(Nowhere)
        .accepted(ONLY_WITH_PROXY)
}

pub(super) const FLAGS: &[Flag] = &[
    flag(
        Clustering,
        "initial-advertise-peer-urls",
        Kind::Urls,
        "http://localhost:2380",
        "The URLs at which the other members reach this one.",
    ),
    flag(
        Clustering,
        "advertise-client-urls",
        Kind::Urls,
        "http://localhost:2379",
        "The URLs at which clients reach this member; required when --listen-client-urls is given.",
    ),
    flag(
        Clustering,
        "initial-cluster",
        Kind::Text,
        "",
        "All members: name=url,name=url,…; without it, this member alone.",
    ),
    flag(
        Clustering,
        "initial-cluster-state",
        Kind::Choice(&["new", "existing"]),
        "new",
        "`new` to found a cluster; `existing` to join one, after `etcdctl member add`, and fine for a member that has its data already.",
    ),
    flag(
        Clustering,
        "initial-cluster-token",
        Kind::Text,
        "etcd-cluster",
        "A word that keeps clusters with the same addresses apart.",
    ),
    flag(
        Clustering,
        "pre-vote",
        Kind::Bool,
        "true",
        "Ask for votes in vain before asking in earnest, so that a member that was cut off does not disturb the others.",
    ),
    flag(
        Clustering,
        "strict-reconfig-check",
        Kind::Bool,
        "true",
        "Refuse changes of membership that would lose the quorum.",
    )
    .accepted("the check is always on"),
    flag(
        Clustering,
        "auto-compaction-mode",
        Kind::Choice(&["periodic", "revision"]),
        "periodic",
        "How to read --auto-compaction-retention: as a time, or as a number of revisions.",
    ),
    flag(
        Clustering,
        "auto-compaction-retention",
        Kind::Text,
        "",
        "How much history is kept: hours, or a duration such as 30m; in mode revision a number of revisions. \
         0: all. Without it all is kept until four fifths of the quota are used, then an hour.",
    ),
    flag(
        Clustering,
        "discovery",
        Kind::Text,
        "",
        "A discovery URL to bootstrap from.",
    )
    .refused(NO_DISCOVERY, LIST_THEM),
    flag(
        Clustering,
        "discovery-srv",
        Kind::Text,
        "",
        "A DNS domain to bootstrap from.",
    )
    .refused(NO_DISCOVERY, LIST_THEM),
    flag(
        Clustering,
        "discovery-srv-name",
        Kind::Text,
        "",
        "The suffix of the DNS service name.",
    )
    .accepted(ONLY_WITH_DISCOVERY),
    flag(
        Clustering,
        "discovery-proxy",
        Kind::Text,
        "",
        "An HTTP proxy for discovery.",
    )
    .accepted(ONLY_WITH_DISCOVERY),
    flag(
        Clustering,
        "discovery-fallback",
        Kind::Choice(&["proxy", "exit"]),
        "proxy",
        "What to do when discovery fails.",
    )
    .file_key(Nowhere)
    .accepted(ONLY_WITH_DISCOVERY),
    flag(
        Clustering,
        "enable-v2",
        Kind::Bool,
        "false",
        "Serve the v2 API.",
    )
    .accepted(NO_V2),
    flag(
        Clustering,
        "v2-deprecation",
        Kind::Text,
        "not-yet",
        "The stage of the v2 store's end.",
    )
    .known(Only35)
    .accepted(NO_V2),
    flag(
        Clustering,
        "next-cluster-version-compatible",
        Kind::Bool,
        "false",
        "Let a 3.4 server join a 3.5 cluster.",
    )
    .known(Only34)
    .accepted("Quorate and etcd are never members of one cluster"),
    flag(
        Proxy,
        "proxy",
        Kind::Choice(&["off", "readonly", "on"]),
        "off",
        "Be a proxy instead of a member.",
    )
    .file_key(Nowhere)
    .refused(
        "Quorate has no proxy mode",
        "Send clients to the members themselves: any member takes any request.",
    ),
    proxy_setting(
        "proxy-failure-wait",
        "5000",
        "Milliseconds for which an endpoint counts as failed.",
    ),
    proxy_setting(
        "proxy-refresh-interval",
        "30000",
        "Milliseconds between two looks at the endpoints.",
    ),
    proxy_setting("proxy-dial-timeout", "1000", "Milliseconds to connect."),
    proxy_setting("proxy-write-timeout", "5000", "Milliseconds to write."),
    proxy_setting("proxy-read-timeout", "0", "Milliseconds to read."),
];
