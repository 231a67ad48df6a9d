//! `move-leader`: another member is to lead.
//!
//! Only the leader can hand leadership on. etcdctl looks for it among the endpoints it was given; here the other
//! members are asked too, by the addresses they advertise, so that any one endpoint is enough.

use clap::Args;
use quorate_client::{Client, Connection};
use quorate_proto::etcdserverpb::MoveLeaderRequest;

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys::parse_id;
use super::output::{Answer, Style};

const AFTER_HELP: &str = "\
Examples:
  quorate ctl member list                who is there, with ids
  quorate ctl move-leader 139cde807ab4a058

Answers when the other member leads; writes wait for it. Use it before a leader is stopped.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl move-leader [OPTIONS] <ID>")]
pub(super) struct MoveLeaderArgs {
    #[arg(value_name = "ID", hide = true)]
    arguments: Vec<String>,
}

/// What the endpoints say of the leader.
enum Found {
    /// It is this one.
    Here { connection: Connection, id: u64 },
    /// It is none of them, but this member.
    Elsewhere { id: u64 },
    /// Nobody knows one.
    Nowhere,
}

pub(super) async fn run(args: &MoveLeaderArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = super::member_changes::format(connect)?;
    let [target] = args.arguments.as_slice() else {
        return Err(Failure::bad_arguments(
            "move-leader command needs 1 argument",
        ));
    };
    let to = parse_id(target).map_err(Failure::bad_arguments)?;
    let client = connect.client()?;
    let mut found = look_for_leader(&client).await?;
    if let Found::Elsewhere { id } = found {
        let members = client.member_list(true).await?.members;
        let leader = members.into_iter().find(|member| member.id == id);
        let urls = leader.map_or_else(Vec::new, |leader| leader.client_ur_ls);
        if !urls.is_empty() {
            found = look_for_leader(&connect.client_of(urls)?).await?;
        }
    }
    let Found::Here {
        connection,
        id: from,
    } = found
    else {
        let given = connect.endpoints.join(" ");
        let message = format!("no leader endpoint given at [{given}]");
        return Err(Failure::bad_arguments(message));
    };
    let request = MoveLeaderRequest { target_id: to };
    let response = client.move_leader(&connection, request).await?;
    let answer = Answer::LeaderMoved { from, to, response };
    super::print(&answer.render(format, Style::default()))
}

/// Asks each endpoint; one that does not answer is passed over while another does.
async fn look_for_leader(client: &Client) -> Result<Found, Failure> {
    let mut found = Found::Nowhere;
    let (mut answered, mut last_error) = (false, None);
    for connection in client.connections() {
        let status = match client.status(connection).await {
            Ok(status) => status,
            Err(error) => {
                last_error = Some(error);
                continue;
            }
        };
        answered = true;
        let id = status.header.map_or(0, |header| header.member_id);
        if status.leader == id {
            let connection = connection.clone();
            return Ok(Found::Here { connection, id });
        }
        if status.leader != 0 {
            found = Found::Elsewhere { id: status.leader };
        }
    }
    match last_error {
        Some(error) if !answered => Err(error.into()),
        _ => Ok(found),
    }
}
