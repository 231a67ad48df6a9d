//! `lease grant|revoke|timetolive|list|keep-alive`: leases, and how long they live.

use clap::{ArgAction, Args, Subcommand};
use quorate_proto::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveResponse};

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys::parse_int;
use super::output::{Answer, Format, Style};

const AFTER_HELP: &str = "\
Examples:
  quorate ctl lease grant 60
  quorate ctl put name value --lease 694d81417acd4754
  quorate ctl lease keep-alive 694d81417acd4754
  quorate ctl lease timetolive 694d81417acd4754 --keys
  quorate ctl lease revoke 694d81417acd4754

A key that was put with a lease goes when the lease ends: when it is revoked, or was not kept
alive for the seconds that it was granted. An id is written as `lease grant` prints it, in
hexadecimal.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct LeaseArgs {
    #[command(subcommand)]
    command: LeaseCommand,
}

#[derive(Subcommand, Debug)]
enum LeaseCommand {
    /// Grants a lease of so many seconds
    Grant(GrantArgs),
    /// Ends a lease, and its keys
    Revoke(RevokeArgs),
    /// Tells how long a lease lives
    Timetolive(TimeToLiveArgs),
    /// Lists the leases
    List(ListArgs),
    /// Gives a lease all its time again, and goes on doing so
    KeepAlive(KeepAliveArgs),
}

#[derive(Args, Debug)]
#[command(
    args_override_self = true,
    override_usage = "quorate ctl lease grant [OPTIONS] <SECONDS>"
)]
struct GrantArgs {
    #[arg(value_name = "SECONDS", hide = true)]
    arguments: Vec<String>,
}

#[derive(Args, Debug)]
#[command(
    args_override_self = true,
    override_usage = "quorate ctl lease revoke [OPTIONS] <ID>"
)]
struct RevokeArgs {
    #[arg(value_name = "ID", hide = true)]
    arguments: Vec<String>,
}

#[derive(Args, Debug)]
#[command(
    args_override_self = true,
    override_usage = "quorate ctl lease timetolive [OPTIONS] <ID>"
)]
struct TimeToLiveArgs {
    #[arg(value_name = "ID", hide = true)]
    arguments: Vec<String>,
    /// Tell its keys as well
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    keys: bool,
}

#[derive(Args, Debug)]
struct ListArgs {
    /// etcdctl passes over them.
    #[arg(hide = true)]
    arguments: Vec<String>,
}

#[derive(Args, Debug)]
#[command(
    args_override_self = true,
    override_usage = "quorate ctl lease keep-alive [OPTIONS] <ID>"
)]
struct KeepAliveArgs {
    #[arg(value_name = "ID", hide = true)]
    arguments: Vec<String>,
    /// Once, and no more
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    once: bool,
}

pub(super) async fn run(args: &LeaseArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_table()?;
    match &args.command {
        LeaseCommand::Grant(args) => grant(args, connect, format).await,
        LeaseCommand::Revoke(args) => revoke(args, connect, format).await,
        LeaseCommand::Timetolive(args) => time_to_live(args, connect, format).await,
        LeaseCommand::List(_) => {
            let response = connect.client()?.leases().await?;
            print(&Answer::Leases(response), format)
        }
        LeaseCommand::KeepAlive(args) if args.once => renew(args, connect, format).await,
        LeaseCommand::KeepAlive(args) => keep_alive(args, connect, format).await,
    }
}

async fn grant(args: &GrantArgs, connect: &ConnectArgs, format: Format) -> Result<(), Failure> {
    let [seconds] = args.arguments.as_slice() else {
        return Err(Failure::bad_arguments(
            "lease grant command needs TTL argument",
        ));
    };
    let ttl = parse_int(seconds, 10)
        .map_err(|reason| Failure::bad_arguments(format!("bad TTL ({reason})")))?;
    let request = LeaseGrantRequest { ttl, id: 0 };
    let granted = connect.client()?.lease_grant(request).await;
    let granted =
        granted.map_err(|error| Failure::error(format!("failed to grant lease ({error})")))?;
    print(&Answer::LeaseGranted(granted), format)
}

async fn revoke(args: &RevokeArgs, connect: &ConnectArgs, format: Format) -> Result<(), Failure> {
    let id = id(&args.arguments, "lease revoke command needs 1 argument")?;
    let revoked = connect.client()?.lease_revoke(id).await;
    let response =
        revoked.map_err(|error| Failure::error(format!("failed to revoke lease ({error})")))?;
    print(&Answer::LeaseRevoked { id, response }, format)
}

async fn time_to_live(
    args: &TimeToLiveArgs,
    connect: &ConnectArgs,
    format: Format,
) -> Result<(), Failure> {
    let needs = "lease timetolive command needs lease ID as argument";
    let id = id(&args.arguments, needs)?;
    let response = connect.client()?.lease_time_to_live(id, args.keys).await?;
    let with_keys = args.keys;
    let answer = Answer::LeaseTime {
        response,
        with_keys,
    };
    print(&answer, format)
}

const KEEP_ALIVE_NEEDS: &str = "lease keep-alive command needs lease ID as argument";

async fn renew(args: &KeepAliveArgs, connect: &ConnectArgs, format: Format) -> Result<(), Failure> {
    let id = id(&args.arguments, KEEP_ALIVE_NEEDS)?;
    let renewed = connect.client()?.lease_renew(id).await?;
    if renewed.ttl <= 0 {
        return Err(Failure::bad_connection(
            "etcdserver: requested lease not found",
        ));
    }
    print(&Answer::LeaseRenewed(renewed), format)
}

async fn keep_alive(
    args: &KeepAliveArgs,
    connect: &ConnectArgs,
    format: Format,
) -> Result<(), Failure> {
    let id = id(&args.arguments, KEEP_ALIVE_NEEDS)?;
    let mut printed = Ok(());
    let heard = |renewed: &LeaseKeepAliveResponse| {
        if renewed.ttl > 0 && printed.is_ok() {
            printed = print(&Answer::LeaseRenewed(*renewed), format);
        }
    };
    connect.client()?.keep_alive(id, heard).await?;
    printed?;
    super::print(format!("lease {id:016x} expired or revoked.\n").as_bytes())
}

fn id(arguments: &[String], needs: &str) -> Result<i64, Failure> {
    let [id] = arguments else {
        return Err(Failure::bad_arguments(needs));
    };
    parse_int(id, 16).map_err(|reason| {
        Failure::bad_arguments(format!("bad lease ID arg ({reason}), expecting ID in Hex"))
    })
}

fn print(answer: &Answer, format: Format) -> Result<(), Failure> {
    super::print(&answer.render(format, Style::default()))
}
