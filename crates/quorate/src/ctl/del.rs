//! `del`: deletes a key or a range of keys.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use quorate_proto::etcdserverpb::DeleteRangeRequest;

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys::{KeyRange, key_range};
use super::output::{Answer, Style};

const AFTER_HELP: &str = "\
Examples:
  quorate ctl del name
  quorate ctl del a m               keys from a up to, and without, m
  quorate ctl del user/ --prefix --prev-kv

Prints how many keys were deleted; none is no error.";

#[derive(Args, Debug, Default)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl del [OPTIONS] <KEY> [RANGE_END]")]
pub(super) struct DelArgs {
    #[arg(value_name = "KEY [RANGE_END]", hide = true)]
    arguments: Vec<OsString>,
    /// All keys that begin with KEY
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    prefix: bool,
    /// All keys at or after KEY in byte order
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    from_key: bool,
    /// Print the pairs that were deleted
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    prev_kv: bool,
}

impl DelArgs {
    /// The request that the flags describe.
    pub(super) fn request(&self) -> Result<DeleteRangeRequest, Failure> {
        let KeyRange { key, range_end } =
            key_range("del", &self.arguments, self.prefix, self.from_key)?;
        Ok(DeleteRangeRequest {
            key,
            range_end,
            prev_kv: self.prev_kv,
        })
    }
}

pub(super) async fn run(args: &DelArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_table()?;
    let request = args.request()?;
    let response = connect.client()?.delete_range(request).await?;
    let style = Style {
        hex: connect.hex,
        value_only: false,
    };
    super::print(&Answer::Delete(response).render(format, style))
}
