//! `put`: writes a key.

use std::ffi::OsString;
use std::io::{self, Read};

use bytes::Bytes;
use clap::{ArgAction, Args};
use quorate_proto::etcdserverpb::PutRequest;

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys;
use super::output::{Answer, Style};

/// The most that is read from standard input: far above what a server takes by default (1.5 MiB), and far below
/// what a mistaken pipe could deliver.
const STDIN_BYTES_MAX: u64 = 64 << 20;

const NEEDS: &str = "put command needs 1 argument and input from stdin or 2 arguments";

const AFTER_HELP: &str = "\
Examples:
  quorate ctl put name value
  quorate ctl put name < file            the value from standard input
  quorate ctl put name -- -5             a value that begins with a dash
  quorate ctl put name value --prev-kv
  quorate ctl put name value --lease 694d81417acd4754
                                         it goes with the lease (see `quorate ctl lease`)";

#[derive(Args, Debug, Default)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl put [OPTIONS] <KEY> <VALUE>\n       quorate ctl put [OPTIONS] <KEY> < FILE")]
pub(super) struct PutArgs {
    #[arg(value_name = "KEY VALUE", hide = true)]
    arguments: Vec<OsString>,
    /// Lease to attach the key to, in hexadecimal; 0 is none
    #[arg(long, default_value = "0", allow_hyphen_values = true)]
    lease: String,
    /// Print the pair that was there before
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    prev_kv: bool,
    /// Keep the value that is there
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    ignore_value: bool,
    /// Keep the lease that is there
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    ignore_lease: bool,
}

impl PutArgs {
    /// The request that the flags describe; a value that is not among the arguments is read from `stdin`.
    pub(super) fn request(&self, stdin: &mut dyn Read) -> Result<PutRequest, Failure> {
        let (key, value) = match self.arguments.as_slice() {
            [key] => (key, None),
            [_, _] if self.ignore_value => {
                return Err(Failure::bad_arguments(
                    "put command needs only 1 argument when 'ignore-value' is set",
                ));
            }
            [key, value] => (key, Some(keys::bytes(value))),
            _ => return Err(Failure::bad_arguments(NEEDS)),
        };
        let lease = keys::lease(&self.lease)?;
        let value = match value {
            Some(value) => value,
            None if self.ignore_value => Bytes::new(),
            None => read_value(stdin)?,
        };
        Ok(PutRequest {
            key: keys::bytes(key),
            value,
            lease,
            prev_kv: self.prev_kv,
            ignore_value: self.ignore_value,
            ignore_lease: self.ignore_lease,
        })
    }
}

fn read_value(stdin: &mut dyn Read) -> Result<Bytes, Failure> {
    let mut value = Vec::new();
    stdin
        .take(STDIN_BYTES_MAX + 1)
        .read_to_end(&mut value)
        .map_err(|error| Failure::error(format!("standard input: {error}")))?;
    if value.is_empty() {
        return Err(Failure::bad_arguments(NEEDS));
    }
    if value.len() as u64 > STDIN_BYTES_MAX {
        return Err(Failure::bad_arguments(format!(
            "the value on standard input is larger than {STDIN_BYTES_MAX} bytes"
        )));
    }
    Ok(value.into())
}

pub(super) async fn run(args: &PutArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_table()?;
    let request = args.request(&mut io::stdin().lock())?;
    let response = connect.client()?.put(request).await?;
    let style = Style {
        hex: connect.hex,
        value_only: false,
    };
    super::print(&Answer::Put(response).render(format, style))
}
