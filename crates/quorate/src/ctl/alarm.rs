//! `alarm list|disarm`: what the cluster refuses because a member is in need.

use clap::{Args, Subcommand};
use quorate_proto::etcdserverpb::AlarmResponse;

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::output::{Answer, Style};

const AFTER_HELP: &str = "\
Examples:
  quorate ctl alarm list
  quorate ctl alarm disarm

NOSPACE: a member's store has reached its quota. Writes are refused; reads, deletes and compactions are not. Make
room (compact, delete), then disarm it; a store that still is too large raises it again at the next write.
CORRUPT: members hold different things. Reads and writes are refused. Compare the members
(`quorate ctl endpoint hashkv --cluster`), and replace the one that differs, before it is disarmed.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct AlarmArgs {
    #[command(subcommand)]
    command: AlarmCommand,
}

#[derive(Subcommand, Debug)]
enum AlarmCommand {
    /// Lists the alarms that are on
    List(NoArgs),
    /// Ends all alarms that are on
    Disarm(NoArgs),
}

#[derive(Args, Debug)]
struct NoArgs {
    #[arg(hide = true)]
    arguments: Vec<String>,
}

impl NoArgs {
    fn check(&self, command: &str) -> Result<(), Failure> {
        match self.arguments.as_slice() {
            [] => Ok(()),
            _ => Err(Failure::bad_arguments(format!(
                "{command} command accepts no arguments"
            ))),
        }
    }
}

pub(super) async fn run(args: &AlarmArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_table()?;
    let response = match &args.command {
        AlarmCommand::List(args) => {
            args.check("alarm list")?;
            connect.client()?.alarms().await?
        }
        AlarmCommand::Disarm(args) => {
            args.check("alarm disarm")?;
            disarm(connect).await?
        }
    };
    super::print(&Answer::Alarms(response).render(format, Style::default()))
}

/// One after the other, as etcd's client does; so the answer has no header.
async fn disarm(connect: &ConnectArgs) -> Result<AlarmResponse, Failure> {
    let client = connect.client()?;
    let mut disarmed = AlarmResponse::default();
    for alarm in client.alarms().await?.alarms {
        let response = client.alarm_disarm(&alarm).await?;
        disarmed.alarms.extend(response.alarms);
    }
    Ok(disarmed)
}
