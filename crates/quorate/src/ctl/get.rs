//! `get`: reads a key or a range of keys.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use quorate_proto::etcdserverpb::RangeRequest;
use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys::{KeyRange, key_range};
use super::output::{Answer, Format, Style, go_quote};

const AFTER_HELP: &str = "\
Examples:
  quorate ctl get name                       one key
  quorate ctl get a m                        keys from a up to, and without, m
  quorate ctl get user/ --prefix --limit 10
  quorate ctl get '' --from-key --keys-only  every key
  quorate ctl get name --rev 42 -w json      as it was at revision 42

Keys that are not there are no error: nothing is printed, the exit code is 0.";

#[derive(Args, Debug, Default)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl get [OPTIONS] <KEY> [RANGE_END]")]
pub(super) struct GetArgs {
    #[arg(value_name = "KEY [RANGE_END]", hide = true)]
    arguments: Vec<OsString>,
    /// Linearizable (l) or serializable (s): as of now, or as of the member that answers
    #[arg(long, default_value = "l")]
    consistency: String,
    /// Order of the results: ASCEND or DESCEND
    #[arg(long, default_value = "", hide_default_value = true)]
    order: String,
    /// What to sort by: CREATE, KEY, MODIFY, VALUE or VERSION
    #[arg(long, default_value = "", hide_default_value = true)]
    sort_by: String,
    /// Most keys to return; 0 is no limit
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    limit: i64,
    /// Revision to read at; 0 is the newest
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    rev: i64,
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
    /// Leave the values out
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    keys_only: bool,
    /// Only count the keys (forms fields and json)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    count_only: bool,
    /// Only print the values (form simple)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    print_value_only: bool,
}

impl GetArgs {
    /// The request that the flags describe.
    pub(super) fn request(&self) -> Result<RangeRequest, Failure> {
        let KeyRange { key, range_end } =
            key_range("get", &self.arguments, self.prefix, self.from_key)?;
        if self.keys_only && self.count_only {
            return Err(Failure::bad_arguments(
                "`--keys-only` and `--count-only` cannot be set at the same time, choose one",
            ));
        }
        let serializable = match self.consistency.as_str() {
            "l" => false,
            "s" => true,
            other => {
                let quoted = go_quote(other.as_bytes());
                return Err(Failure::bad_feature(format!(
                    "unknown consistency flag {quoted}"
                )));
            }
        };
        let (sort_order, sort_target) = self.sort()?;
        Ok(RangeRequest {
            key,
            range_end,
            limit: self.limit,
            revision: self.rev.max(0),
            sort_order: sort_order.into(),
            sort_target: sort_target.into(),
            serializable,
            keys_only: self.keys_only,
            count_only: self.count_only,
            ..RangeRequest::default()
        })
    }

    fn sort(&self) -> Result<(SortOrder, SortTarget), Failure> {
        let order = match self.order.to_uppercase().as_str() {
            "" => SortOrder::None,
            "ASCEND" => SortOrder::Ascend,
            "DESCEND" => SortOrder::Descend,
            _ => {
                return Err(Failure::bad_feature(format!(
                    "bad sort order {}",
                    self.order
                )));
            }
        };
        let target = match self.sort_by.to_uppercase().as_str() {
            "" | "KEY" => SortTarget::Key,
            "CREATE" => SortTarget::Create,
            "MODIFY" => SortTarget::Mod,
            "VALUE" => SortTarget::Value,
            "VERSION" => SortTarget::Version,
            _ => {
                return Err(Failure::bad_feature(format!(
                    "bad sort target {}",
                    self.sort_by
                )));
            }
        };
        // Keys come in ascending order by nature; not asking spares the server a full scan (as etcd's client does).
        match (order, target) {
            (SortOrder::Ascend, SortTarget::Key) => Ok((SortOrder::None, target)),
            other => Ok(other),
        }
    }
}

pub(super) async fn run(args: &GetArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    let request = args.request()?;
    if args.count_only && !matches!(format, Format::Fields | Format::Json) {
        return Err(Failure::bad_arguments(
            "--count-only is only for `--write-out=fields`",
        ));
    }
    if args.print_value_only && format != Format::Simple {
        return Err(Failure::bad_arguments(
            "print-value-only is only for `--write-out=simple`",
        ));
    }
    format.refuse_table()?;
    let response = connect.client()?.range(request).await?;
    let style = Style {
        hex: connect.hex,
        value_only: args.print_value_only,
    };
    super::print(&Answer::Range(response).render(format, style))
}
