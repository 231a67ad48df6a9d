//! `status` (etcdctl's `endpoint status`) and `endpoint health`: how each endpoint is.

use std::time::Instant;

use clap::{ArgAction, Args};
use quorate_client::{Client, Code, Connection};

use super::connect::ConnectArgs;
use super::duration;
use super::failure::Failure;
use super::output::{Answer, Format, Health, Style};

const AFTER_HELP: &str = "\
Examples:
  quorate ctl status -w table
  quorate ctl status --cluster -w json      every member that the first endpoint knows of
  quorate ctl endpoint health --cluster

The exit code is 1 when one of the endpoints did not answer.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
pub(super) struct StatusArgs {
    /// Ask all members of the cluster rather than the given endpoints
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    cluster: bool,
}

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
pub(super) struct HealthArgs {
    /// Ask all members of the cluster rather than the given endpoints
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    cluster: bool,
}

pub(super) async fn run(args: &StatusArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_protobuf()?;
    let client = client(connect, args.cluster).await?;
    let mut statuses = Vec::new();
    let mut all_answered = true;
    for connection in client.connections() {
        match client.status(connection).await {
            Ok(status) => statuses.push((connection.endpoint().to_string(), status)),
            Err(error) => {
                let endpoint = connection.endpoint();
                eprintln!("Failed to get the status of endpoint {endpoint} ({error})");
                all_answered = false;
            }
        }
    }
    super::print(&Answer::Statuses(statuses).render(format, Style::default()))?;
    if all_answered {
        Ok(())
    } else {
        Err(Failure::error("not every endpoint answered"))
    }
}

pub(super) async fn run_health(args: &HealthArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_protobuf()?;
    let client = client(connect, args.cluster).await?;
    let mut healths = Vec::new();
    for connection in client.connections() {
        let start = Instant::now();
        let error = why_unhealthy(&client, connection).await;
        healths.push(Health {
            endpoint: connection.endpoint().to_string(),
            took: duration::format(start.elapsed()),
            error,
        });
    }
    let all_healthy = healths.iter().all(|health| health.error.is_none());
    let rendered = Answer::Healths(healths).render(format, Style::default());
    // etcdctl's: the plain lines are for people and go where messages go.
    if format == Format::Simple {
        eprint!("{}", String::from_utf8_lossy(&rendered));
    } else {
        super::print(&rendered)?;
    }
    if all_healthy {
        Ok(())
    } else {
        Err(Failure::error("unhealthy cluster"))
    }
}

/// As etcdctl 3.5 judges: it must serve a linearizable read, and no alarm may be on.
async fn why_unhealthy(client: &Client, connection: &Connection) -> Option<String> {
    if let Err(error) = client.health(connection).await {
        return Some(error.to_string());
    }
    match client.alarms_at(connection).await {
        Ok(response) if response.alarms.is_empty() => None,
        Ok(response) => {
            let kinds = response
                .alarms
                .iter()
                .map(|alarm| alarm.alarm().as_str_name());
            let kinds: String = kinds.map(|kind| format!("{kind} ")).collect();
            Some(format!("Active Alarm(s): {kinds}"))
        }
        // A server without alarms.
        Err(error) if error.code() == Some(Code::Unimplemented) => None,
        Err(error) => Some(format!("Unable to fetch the alarm list: {error}")),
    }
}

/// A client of the given endpoints, or of all that the members advertise.
pub(super) async fn client(connect: &ConnectArgs, cluster: bool) -> Result<Client, Failure> {
    let given = connect.client()?;
    if !cluster {
        return Ok(given);
    }
    let members = given.member_list(true).await?.members;
    let mut endpoints: Vec<String> = members
        .into_iter()
        .flat_map(|member| member.client_ur_ls)
        .collect();
    endpoints.sort();
    endpoints.dedup();
    connect.client_of(endpoints)
}
