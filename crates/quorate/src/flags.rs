//! Every flag that etcd 3.4 and 3.5 know, and what Quorate does about each.
//!
//! A systemd unit written for etcd must start Quorate by changing one word. So no flag of etcd is
//! unknown here: each is *built* (it does what it does in etcd), *accepted* (it can have no effect
//! here; one line in the log says why) or *refused* (to ignore it would surprise: the process says
//! why and what to do, and does not start). One table ([`table`]) holds them all; the parser, the
//! help and `docs/flags.md` are read off it, so that they cannot disagree.
//!
//! The command line is parsed by our own code and not by `clap`, because etcd's is Go's `flag`
//! package: one dash or two, `--flag=value` or `--flag value`, a boolean that takes a value only
//! behind `=`. And the same table must also read the environment and etcd's YAML file.
//!
//! Precedence, as in etcd: a configuration file, when one is given, is the only source; else the
//! command line goes before the environment, and that before the defaults.
//!
//! Nothing in here reads the environment or a file by itself: both are arguments.

mod command_line;
mod config_file;
mod document;
mod environment;
mod error;
mod given;
mod help;
mod kind;
mod nearest;
mod table;

#[cfg(test)]
mod tests;

pub(crate) use error::FlagError;
pub(crate) use given::{Asked, Given, read};
pub(crate) use help::{full_help, short_help};
pub(crate) use kind::parse_nanoseconds;
pub(crate) use nearest::nearest;
pub(crate) use table::find;
