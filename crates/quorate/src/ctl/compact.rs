//! `compact`: forgets versions older than a revision.

use clap::{ArgAction, Args};
use quorate_proto::etcdserverpb::CompactionRequest;

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys::parse_int;

const AFTER_HELP: &str = "\
Examples:
  quorate ctl compact 1234
  quorate ctl compaction 1234 --physical    wait until the versions are gone";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl compact [OPTIONS] <REVISION>")]
pub(super) struct CompactArgs {
    #[arg(value_name = "REVISION", hide = true)]
    arguments: Vec<String>,
    /// Answer only when the old versions are really gone
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    physical: bool,
}

pub(super) async fn run(args: &CompactArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let [revision] = args.arguments.as_slice() else {
        return Err(Failure::bad_arguments(
            "compaction command needs 1 argument",
        ));
    };
    let revision = parse_int(revision, 10).map_err(Failure::error)?;
    let request = CompactionRequest {
        revision,
        physical: args.physical,
    };
    connect.client()?.compact(request).await?;
    super::print(format!("compacted revision {revision}\n").as_bytes())
}
