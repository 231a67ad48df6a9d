//! `snapshot restore`: a backup as the data directory of a member of a new cluster.
//!
//! Who the members are is read as `quorate serve` reads it, by the same code, so that the ids that are written are
//! those that the same flags give when the member starts.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use quorate_server::{Member, RestoreOptions, restore_backup};

use super::super::failure::Failure;
use crate::flags::{self, Asked};
use crate::serve::ServeSettings;

const AFTER_HELP: &str = "\
Restore every member from the same file with the same flags but for --name, --data-dir and
--initial-advertise-peer-urls; then start each with the flags that it was restored with. They form a new cluster,
which has nothing to do with the old one: take a new --initial-cluster-token, so that members of the two cannot
be mixed up.

With --bump-revision and --mark-compacted watchers and caches that have seen what came after the backup are told
that it is gone, instead of taking new revisions for old ones: choose more than was written since.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl snapshot restore [OPTIONS] <FILE>")]
pub(super) struct RestoreArgs {
    #[arg(value_name = "FILE", hide = true)]
    arguments: Vec<String>,
    /// Where the data directory is made; [default: NAME.quorate]
    #[arg(long, value_name = "PATH")]
    data_dir: Option<String>,
    /// The name of this member
    #[arg(long, value_name = "NAME", default_value = "default")]
    name: String,
    /// The members of the new cluster; [default: this one alone]
    #[arg(long, value_name = "NAME=URL,…")]
    initial_cluster: Option<String>,
    /// The token of the new cluster
    #[arg(long, value_name = "TOKEN", default_value = "etcd-cluster")]
    initial_cluster_token: String,
    /// Where the other members reach this one
    #[arg(long, value_name = "URLS", default_value = "http://localhost:2380")]
    initial_advertise_peer_urls: String,
    /// Do not look at the hash (for a file copied out of a data directory)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    skip_hash_check: bool,
    /// Raise the revision by so many
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        hide_default_value = true
    )]
    bump_revision: u64,
    /// Mark everything before the raised revision as compacted (goes with --bump-revision)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    mark_compacted: bool,
    #[arg(long, hide = true)]
    wal_dir: Option<String>,
}

pub(super) fn run(args: &RestoreArgs) -> Result<(), Failure> {
    let [snapshot] = args.arguments.as_slice() else {
        return Err(Failure::bad_arguments(
            "snapshot restore requires exactly one argument",
        ));
    };
    if args.wal_dir.as_deref().is_some_and(|path| !path.is_empty()) {
        return Err(Failure::bad_feature(
            "--wal-dir: the log lies in the data directory",
        ));
    }
    // etcdutl's rule. Without the mark, revisions in between would look as if they had been.
    let bump_revision = NonZeroU64::new(args.bump_revision);
    if bump_revision.is_some() != args.mark_compacted {
        return Err(Failure::bad_arguments(
            "--mark-compacted required if --bump-revision > 0, and goes with nothing else",
        ));
    }
    let settings = settings(args)?;
    let members = settings.initial_cluster.into_iter();
    let options = RestoreOptions {
        snapshot: PathBuf::from(snapshot),
        data_dir: settings.data_dir,
        name: settings.name,
        members: members
            .map(|(name, peer_urls)| Member { name, peer_urls })
            .collect(),
        cluster_token: settings.cluster_token,
        skip_hash_check: args.skip_hash_check,
        bump_revision,
    };
    let restored = restore_backup(&options).map_err(|error| Failure::error(error.to_string()))?;
    let line = format!(
        "Restored {} to {}: member {:x} ({}) of the new cluster {:x}, revision {}, {} keys, {} leases\n",
        options.snapshot.display(),
        options.data_dir.display(),
        restored.member_id,
        options.name,
        restored.cluster_id,
        restored.revision,
        restored.keys,
        restored.leases,
    );
    super::super::print(line.as_bytes())?;
    if restored.has_old_id {
        eprintln!(
            "Warning: the new cluster has the id of the old one, as token and members are the same: its members and \
             clients cannot tell the two apart; remove the directory and restore with another --initial-cluster-token"
        );
    }
    Ok(())
}

/// What `quorate serve` makes of the same flags.
fn settings(args: &RestoreArgs) -> Result<ServeSettings, Failure> {
    let mut words = vec![
        format!("--name={}", args.name),
        format!("--initial-cluster-token={}", args.initial_cluster_token),
        format!(
            "--initial-advertise-peer-urls={}",
            args.initial_advertise_peer_urls
        ),
    ];
    let given = [
        ("data-dir", &args.data_dir),
        ("initial-cluster", &args.initial_cluster),
    ];
    for (name, value) in given {
        words.extend(value.as_ref().map(|value| format!("--{name}={value}")));
    }
    let no_file = |_: &str| Err("a restore reads none".to_owned());
    // No environment: it is that of a member that runs, perhaps.
    let asked = flags::read(&words, &[], no_file);
    let settings = asked.and_then(|asked| match asked {
        Asked::Serve(given) => ServeSettings::from_given(&given),
        Asked::Help | Asked::FullHelp | Asked::Version => unreachable!("no word above asks for it"),
    });
    settings.map_err(|error| Failure::bad_arguments(error.to_string()))
}
