//! `docs/flags.md`, written from the table; a test keeps the file equal to it.
#![cfg(test)]

use std::fmt::Write as _;

use super::kind::Kind;
use super::table::{self, Disposition, FileKey, Flag, Group, Known};

const HEAD: &str = "\
# Flags of `quorate serve`

`quorate serve` takes the flags of etcd 3.4 and 3.5, so that a systemd unit written for etcd starts
Quorate by changing one word. Every one of them is

- **built**: it does what it does in etcd;
- **accepted**: it can have no effect here, and one line in the log says why; or
- **refused**: to ignore it would surprise, so the process says why and does not start. Its default, or
  an empty value, asks for nothing and is never refused.

This file is written from the table in `crates/quorate/src/flags`; after a change there, run
`REGENERATE=1 cargo test -p quorate flags`.

## Where a value comes from

- **The command line**: `-name` or `--name`, `--name=value` or `--name value`; a boolean is `--name` or
  `--name=false`; the last of several wins.
- **The environment**: `--data-dir` is `QUORATE_DATA_DIR` or `ETCD_DATA_DIR`, and so on. Where both are
  set, the one that names Quorate wins. An empty variable counts as unset; one that is no flag is told
  in the log and ignored.
- **A file**: `--config-file` (or `ETCD_CONFIG_FILE`) names a YAML file with etcd's keys. As in etcd, it
  is then the only source: all other flags and variables are ignored, and the log names them. A key
  without a value is unset; an unknown key is ignored, and the log names it.

The command line goes before the environment, and that before the defaults. Where a flag and its
variable are both given, etcd stops with an error, although its documents say that the flag wins; here
the flag wins, and the log names the variable.

The peer URLs in `--initial-cluster` and `--initial-advertise-peer-urls` are compared as they are
written, `localhost` being 127.0.0.1. etcd looks host names up before it compares; where one side is a
host name and the other an address, Quorate takes them for the same and says so in the log.

A wrong configuration is one line on stderr and exit code 2.
";

/// The whole document.
pub(super) fn render() -> String {
    let mut text = HEAD.to_owned();
    for group in Group::ALL {
        let _ = write!(
            text,
            "\n## {}\n\n| flag | value | default | in the file | | what it does, and what becomes of it |\n\
             | --- | --- | --- | --- | --- | --- |\n",
            group.title()
        );
        for flag in table::all().filter(|flag| flag.group == group) {
            row(&mut text, flag);
        }
    }
    text
}

fn row(text: &mut String, flag: &Flag) {
    let value = match flag.kind {
        Kind::Choice(words) => words.join(", "),
        kind => kind.placeholder().to_owned(),
    }
    .replace('|', " or ");
    let default = if flag.default.is_empty() {
        String::new()
    } else {
        format!("`{}`", flag.default)
    };
    let file = match flag.file_key {
        FileKey::Name => "same name".to_owned(),
        FileKey::Other(key) => format!("`{key}`"),
        FileKey::In(section, key) => format!("`{section}`: `{key}`"),
        FileKey::Nowhere => "not read".to_owned(),
    };
    let known = match flag.known {
        Known::Both => "",
        Known::Only34 => " Only in etcd 3.4.",
        Known::Only35 => " New in etcd 3.5.",
        Known::Quorate => " Quorate's own.",
    };
    let (word, fate) = match flag.disposition {
        Disposition::Built => ("built", String::new()),
        Disposition::Accepted(why) => ("accepted", format!(" *{}.*", capital(why))),
        Disposition::Refused { why, instead } => {
            ("refused", format!(" *{}.* {instead}", capital(why)))
        }
    };
    let _ = writeln!(
        text,
        "| `--{}` | {value} | {default} | {file} | {word} | {}{known}{fate} |",
        flag.name, flag.help
    );
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
