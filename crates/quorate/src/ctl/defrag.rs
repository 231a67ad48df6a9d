//! `defrag`: has each endpoint give back what it does not use of its file. A member of Quorate has no such file, and
//! answers at once; one of etcd may be silent for a while.

use clap::{ArgAction, Args};

use super::connect::ConnectArgs;
use super::failure::Failure;

const AFTER_HELP: &str = "\
Examples:
  quorate ctl defrag --cluster

Quorate keeps its store in memory, where nothing is ever to be defragmented: it answers at once. The command is
there for scripts made for etcd, and for members of etcd.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
pub(super) struct DefragArgs {
    /// etcdctl passes over them.
    #[arg(hide = true)]
    arguments: Vec<String>,
    /// Ask all members of the cluster rather than the given endpoints
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    cluster: bool,
}

pub(super) async fn run(args: &DefragArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let client = super::status::client(connect, args.cluster).await?;
    let mut all_done = true;
    for connection in client.connections() {
        let endpoint = connection.endpoint();
        match client.defragment(connection).await {
            Ok(_) => {
                let line = format!("Finished defragmenting etcd member[{endpoint}]\n");
                super::print(line.as_bytes())?;
            }
            Err(error) => {
                eprintln!("Failed to defragment etcd member[{endpoint}] ({error})");
                all_done = false;
            }
        }
    }
    match all_done {
        true => Ok(()),
        false => Err(Failure::error("not every endpoint answered")),
    }
}
