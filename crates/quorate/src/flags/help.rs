//! `quorate serve --help` (what is built) and `--help-all` (everything).

use std::fmt::Write as _;

use super::kind::Kind;
use super::table::{self, Disposition, Flag, Group, Known};

const HEAD: &str = "\
Runs one member of a cluster.

Usage: quorate serve [--flag=value …]

The flags are etcd's, with one dash or two. Each can also be given as an environment variable
(--data-dir as QUORATE_DATA_DIR or ETCD_DATA_DIR) or, with --config-file, in etcd's YAML file.
Without flags: one member on 127.0.0.1:2379, its data in ./default.quorate.

Examples:
  quorate serve
  quorate serve --data-dir=/var/lib/quorate --listen-client-urls=http://10.0.0.1:2379 \\
      --advertise-client-urls=http://10.0.0.1:2379
  quorate serve --name=a --listen-peer-urls=http://10.0.0.1:2380 \\
      --initial-advertise-peer-urls=http://10.0.0.1:2380 \\
      --initial-cluster=a=http://10.0.0.1:2380,b=http://10.0.0.2:2380,c=http://10.0.0.3:2380
  quorate serve --config-file=/etc/etcd/etcd.conf.yml
";

const FOOT: &str = "
etcd's other flags are known too: `quorate serve --help-all` says what becomes of each.
Exit codes: 0 stopped as asked, 1 failed, 2 the configuration is wrong.
";

/// The built flags, in groups, with examples.
pub(crate) fn short_help() -> String {
    let mut text = HEAD.to_owned();
    groups(&mut text, |flag| flag.disposition == Disposition::Built);
    text.push_str(FOOT);
    text
}

/// Every flag, in groups, with what becomes of it.
pub(crate) fn full_help() -> String {
    let mut text = HEAD.to_owned();
    groups(&mut text, |_| true);
    text
}

fn groups(text: &mut String, wanted: impl Fn(&Flag) -> bool) {
    for group in Group::ALL {
        let flags: Vec<_> = table::all()
            .filter(|flag| flag.group == group && wanted(flag))
            .collect();
        if flags.is_empty() {
            continue;
        }
        let _ = write!(text, "\n{}:\n", group.title());
        for flag in flags {
            entry(text, flag);
        }
    }
}

fn entry(text: &mut String, flag: &Flag) {
    let _ = match flag.kind {
        Kind::Bool => write!(text, "  --{}[=true|false]", flag.name),
        kind => write!(text, "  --{}={}", flag.name, kind.placeholder()),
    };
    if !flag.default.is_empty() {
        let _ = write!(text, "  [{}]", flag.default);
    }
    let _ = write!(text, "\n      {}", flag.help);
    match flag.disposition {
        Disposition::Built if flag.known == Known::Only34 => text.push_str(" (etcd 3.4)"),
        Disposition::Built => {}
        Disposition::Accepted(why) => {
            let _ = write!(text, "\n      Accepted, without effect: {why}.");
        }
        Disposition::Refused { why, instead } => {
            let _ = write!(text, "\n      Refused: {why}. {instead}");
        }
    }
    text.push('\n');
}
