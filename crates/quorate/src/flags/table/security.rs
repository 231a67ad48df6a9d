//! TLS, access from browsers, users. What promises safety is refused until it is there.

use super::FileKey::{In, Nowhere};
use super::Group::{Authentication, Security};
use super::Known::Only35;
use super::{Flag, Kind};

const NO_TLS: &str =
    "TLS comes in a later version; Quorate refuses to start rather than to serve in the clear";
const USE_HTTP: &str =
    "To serve in the clear on a network you trust, leave it out and write http:// in the URLs.";
const ONLY_WITH_TLS: &str = "it matters only with TLS, which comes in a later version";
const NO_USERS: &str = "users and roles are not there yet";
const CLIENT: &str = "client-transport-security";
const PEER: &str = "peer-transport-security";

const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag::new(Security, name, kind, default, help)
}

const fn tls(name: &'static str, kind: Kind, help: &'static str) -> Flag {
    let default = if matches!(kind, Kind::Bool) {
        "false"
    } else {
        ""
    };
    flag(name, kind, default, help).refused(NO_TLS, USE_HTTP)
}

pub(super) const FLAGS: &[Flag] = &[
    tls("cert-file", Kind::Path, "The certificate shown to clients.")
        .file_key(In(CLIENT, "cert-file")),
    tls("key-file", Kind::Path, "The key of that certificate.").file_key(In(CLIENT, "key-file")),
    tls(
        "client-cert-auth",
        Kind::Bool,
        "Ask clients for a certificate.",
    )
    .file_key(In(CLIENT, "client-cert-auth")),
    tls(
        "client-cert-file",
        Kind::Path,
        "The certificate used as a client.",
    )
    .known(Only35)
    .file_key(In(CLIENT, "client-cert-file")),
    tls(
        "client-key-file",
        Kind::Path,
        "The key of that certificate.",
    )
    .known(Only35)
    .file_key(In(CLIENT, "client-key-file")),
    tls(
        "client-crl-file",
        Kind::Path,
        "Revoked client certificates.",
    )
    .file_key(Nowhere),
    tls(
        "client-cert-allowed-hostname",
        Kind::List,
        "Host names allowed in client certificates.",
    )
    .file_key(In(CLIENT, "allowed-hostname")),
    tls(
        "trusted-ca-file",
        Kind::Path,
        "The authority that signs client certificates.",
    )
    .file_key(In(CLIENT, "trusted-ca-file")),
    tls(
        "auto-tls",
        Kind::Bool,
        "TLS for clients with a certificate made on the spot.",
    )
    .file_key(In(CLIENT, "auto-tls")),
    tls(
        "peer-cert-file",
        Kind::Path,
        "The certificate shown to peers.",
    )
    .file_key(In(PEER, "cert-file")),
    tls("peer-key-file", Kind::Path, "The key of that certificate.").file_key(In(PEER, "key-file")),
    tls(
        "peer-client-cert-auth",
        Kind::Bool,
        "Ask peers for a certificate.",
    )
    .file_key(In(PEER, "client-cert-auth")),
    tls(
        "peer-client-cert-file",
        Kind::Path,
        "The certificate used towards peers.",
    )
    .known(Only35)
    .file_key(In(PEER, "client-cert-file")),
    tls(
        "peer-client-key-file",
        Kind::Path,
        "The key of that certificate.",
    )
    .known(Only35)
    .file_key(In(PEER, "client-key-file")),
    tls(
        "peer-trusted-ca-file",
        Kind::Path,
        "The authority that signs peer certificates.",
    )
    .file_key(In(PEER, "trusted-ca-file")),
    tls(
        "peer-cert-allowed-cn",
        Kind::List,
        "Common names allowed in peer certificates.",
    )
    .file_key(In(PEER, "allowed-cn")),
    tls(
        "peer-cert-allowed-hostname",
        Kind::List,
        "Host names allowed in peer certificates.",
    )
    .file_key(In(PEER, "allowed-hostname")),
    tls(
        "peer-auto-tls",
        Kind::Bool,
        "TLS for peers with a certificate made on the spot.",
    )
    .file_key(In(PEER, "auto-tls")),
    tls("peer-crl-file", Kind::Path, "Revoked peer certificates.").file_key(Nowhere),
    flag(
        "self-signed-cert-validity",
        Kind::Unsigned,
        "1",
        "Years for which certificates made on the spot are valid.",
    )
    .known(Only35)
    .accepted(ONLY_WITH_TLS),
    flag(
        "cipher-suites",
        Kind::List,
        "",
        "The TLS cipher suites allowed.",
    )
    .accepted(ONLY_WITH_TLS),
    flag(
        "tls-min-version",
        Kind::Text,
        "TLS1.2",
        "The lowest TLS version allowed.",
    )
    .accepted(ONLY_WITH_TLS),
    flag(
        "tls-max-version",
        Kind::Text,
        "",
        "The highest TLS version allowed.",
    )
    .accepted(ONLY_WITH_TLS),
    flag(
        "experimental-peer-skip-client-san-verification",
        Kind::Bool,
        "false",
        "Do not check host names in peer certificates.",
    )
    .file_key(Nowhere)
    .accepted(ONLY_WITH_TLS),
    flag(
        "cors",
        Kind::List,
        "",
        "Origins whose pages browsers let read answers; * is all of them, and without it none (etcd: all).",
    ),
    flag(
        "host-whitelist",
        Kind::List,
        "*",
        "Host names under which HTTP requests are answered.",
    )
    .refused(
        "Quorate does not check the Host header of a request yet",
        "Leave it out and listen only on addresses that you trust.",
    ),
    Flag::new(
        Authentication,
        "auth-token",
        Kind::Text,
        "simple",
        "The kind of token that users get.",
    )
    .refused(
        "only `simple` tokens are planned, and users and roles are not there yet",
        "Leave it out.",
    ),
    Flag::new(
        Authentication,
        "auth-token-ttl",
        Kind::Unsigned,
        "300",
        "Seconds for which a token is good.",
    )
    .accepted(NO_USERS),
    Flag::new(
        Authentication,
        "bcrypt-cost",
        Kind::Unsigned,
        "10",
        "The cost of hashing a password.",
    )
    .accepted(NO_USERS),
];
