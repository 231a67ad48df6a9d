//! `elect`: takes part in an election, or observes it.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use quorate_client::{Client, Session};

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys;
use super::lock::{SESSION_SECONDS, print_key, unless_ended};
use super::output::{Answer, Format, Style};
use super::signals::Signals;

const AFTER_HELP: &str = "\
Examples:
  quorate ctl elect scheduler host-a       waits until it leads, prints the key, and leads until Ctrl-C
  quorate ctl elect --listen scheduler     prints the leader now, and whenever that changes

Elections are etcdctl's, and those of the Election service.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl elect [OPTIONS] <NAME> <PROPOSAL>\n       quorate ctl elect [OPTIONS] --listen <NAME>")]
pub(super) struct ElectArgs {
    #[arg(value_name = "NAME PROPOSAL", hide = true)]
    arguments: Vec<OsString>,
    /// Observe, and take no part
    #[arg(short = 'l', long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    listen: bool,
}

pub(super) async fn run(args: &ElectArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_table()?;
    match (args.arguments.as_slice(), args.listen) {
        ([name], true) => {
            let client = connect.client()?;
            listen(&client, name, format, connect.hex).await
        }
        ([_], false) => Err(Failure::bad_arguments(
            "no proposal argument but -l not set",
        )),
        ([_, _], true) => Err(Failure::bad_arguments("proposal given but -l is set")),
        ([name, proposal], false) => {
            let client = connect.client()?;
            lead(&client, name, proposal, format, connect.hex).await
        }
        _ => Err(Failure::bad_arguments(
            "elect takes one election name argument and an optional proposal argument",
        )),
    }
}

async fn listen(
    client: &Client,
    name: &OsString,
    format: Format,
    hex: bool,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let mut observer = client.observe(&keys::bytes(name));
    let style = Style {
        hex,
        ..Style::default()
    };
    loop {
        let told = tokio::select! {
            told = observer.next() => told?,
            () = signals.next() => return Ok(()),
        };
        super::print(&Answer::Range(told).render(format, style))?;
    }
}

async fn lead(
    client: &Client,
    name: &OsString,
    proposal: &OsString,
    format: Format,
    hex: bool,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let session = Session::open(client, SESSION_SECONDS).await?;
    let name = keys::bytes(name);
    let elected = tokio::select! {
        elected = session.campaign(&name, keys::bytes(proposal)) => {
            elected.map_err(Failure::from)
        }
        () = signals.next() => Err(Failure::error("context canceled")),
    };
    let led = match &elected {
        Ok(place) => match print_key(client, place, "elect: session expired", format, hex).await {
            Ok(()) => tokio::select! {
                () = signals.next() => Ok(()),
                () = session.ended() => Err(Failure::error("elect: session expired")),
            },
            failed => failed,
        },
        Err(_) => Ok(()),
    };
    // The key goes with the lease.
    let closed = session.close().await;
    elected?;
    led?;
    closed.or_else(unless_ended).map_err(Failure::from)
}
