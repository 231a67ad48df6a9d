//! `endpoint hashkv`: what each endpoint holds, as a hash, to see whether members hold the same.

use clap::{ArgAction, Args};

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::output::{Answer, Style};

const AFTER_HELP: &str = "\
Examples:
  quorate ctl endpoint hashkv --cluster
  quorate ctl endpoint hashkv --cluster --rev 42 -w json

Members agree at equal revision (--rev) and equal compact_revision (-w json shows it). Hashes of Quorate and of etcd
cannot be compared with each other.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
pub(super) struct HashKvArgs {
    /// etcdctl passes over them.
    #[arg(hide = true)]
    arguments: Vec<String>,
    /// The revision up to which is hashed; 0 is the newest
    #[arg(
        long,
        value_name = "REVISION",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    rev: i64,
    /// Ask all members of the cluster rather than the given endpoints
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    cluster: bool,
}

pub(super) async fn run(args: &HashKvArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_protobuf()?;
    let client = super::status::client(connect, args.cluster).await?;
    let mut hashes = Vec::new();
    let mut all_answered = true;
    for connection in client.connections() {
        let endpoint = connection.endpoint();
        match client.hash_kv(connection, args.rev).await {
            Ok(hash) => hashes.push((endpoint.to_string(), hash)),
            Err(error) => {
                eprintln!("Failed to get the hash of endpoint {endpoint} ({error})");
                all_answered = false;
            }
        }
    }
    super::print(&Answer::Hashes(hashes).render(format, Style::default()))?;
    match all_answered {
        true => Ok(()),
        false => Err(Failure::error("not every endpoint answered")),
    }
}
