//! Metrics, profiles, logs.

use super::FileKey::Nowhere;
use super::Group::{Logging, Observing, Retired};
use super::Known::{Only34, Only35, Quorate};
use super::{Flag, Kind};

const RETIRED: &str = "etcd itself has ignored it since before 3.4";

const fn retired(name: &'static str) -> Flag {
    Flag::new(Retired, name, Kind::Text, "", "Ignored, by etcd too.")
        .file_key(Nowhere)
        .accepted(RETIRED)
}

pub(super) const FLAGS: &[Flag] = &[
    Flag::new(
        Observing,
        "listen-metrics-urls",
        Kind::Urls,
        "",
        "Where to serve /metrics and /health besides the client port.",
    ),
    Flag::new(Observing, "metrics", Kind::Choice(&["basic", "extensive"]), "basic", "How much to measure.")
        .accepted("Quorate always serves all of them, times of calls (`extensive` in etcd) included"),
    Flag::new(Observing, "enable-pprof", Kind::Bool, "false", "Serve Go's profiler under /debug/pprof/.")
        .accepted("there is no Go runtime to profile; use perf"),
    Flag::new(
        Logging,
        "log-level",
        Kind::Choice(&["debug", "info", "warn", "error", "panic", "fatal"]),
        "info",
        "The least important lines to log.",
    ),
    Flag::new(
        Logging,
        "log-outputs",
        Kind::List,
        "default",
        "Where to log: stderr (also `default` and `systemd/journal`), stdout, or file paths; comma-separated.",
    ),
    Flag::new(
        Logging,
        "logger",
        Kind::Choice(&["zap", "capnslog"]),
        "",
        "`zap` logs JSON lines; `capnslog`, or no --logger, logs plain lines.",
    ),
    Flag::new(
        Logging,
        "log-format",
        Kind::Choice(&["text", "console", "json"]),
        "",
        "`text` (or `console`) or `json`; goes before --logger.",
    )
    .known(Quorate),
    Flag::new(Logging, "log-output", Kind::List, "default", "The old name of --log-outputs.").known(Only34),
    Flag::new(Logging, "debug", Kind::Bool, "false", "The old way to say --log-level=debug.").known(Only34),
    Flag::new(Logging, "log-package-levels", Kind::Text, "", "Log levels of etcd's packages.")
        .known(Only34)
        .accepted("the packages it names are etcd's; use --log-level"),
    Flag::new(Logging, "enable-log-rotation", Kind::Bool, "false", "Rotate the log file.").known(Only35).refused(
        "Quorate does not rotate log files, and a log that was to be bounded would grow",
        "Leave it out and log to stderr under systemd, or rotate the file with logrotate (copytruncate).",
    ),
    Flag::new(Logging, "log-rotation-config-json", Kind::Text, "", "How to rotate the log file.")
        .known(Only35)
        .accepted("it matters only with --enable-log-rotation, which Quorate does not have"),
    Flag::new(Observing, "version", Kind::Bool, "false", "Print the version and exit.").file_key(Nowhere),
    Flag::new(Observing, "help", Kind::Bool, "false", "Print the flags that are built, and exit.").file_key(Nowhere),
    Flag::new(Observing, "help-all", Kind::Bool, "false", "Print every flag and what becomes of it, and exit.")
        .known(Quorate)
        .file_key(Nowhere),
    retired("cluster-active-size"),
    retired("cluster-remove-delay"),
    retired("cluster-sync-interval"),
    retired("config"),
    retired("force"),
    retired("max-result-buffer"),
    retired("max-retry-attempts"),
    retired("peer-heartbeat-interval"),
    retired("peer-election-timeout"),
    retired("retry-interval"),
    retired("snapshot"),
    retired("v"),
    retired("vv"),
    retired("test.coverprofile"),
    retired("test.outputdir"),
];
