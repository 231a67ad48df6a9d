//! `member add`, `remove`, `update` and `promote`: the cluster's members come, go and change.
//!
//! What is printed after `member add` is the environment to start the new member with; its name is nowhere else yet,
//! since a member tells its name itself when it first starts.

use clap::{ArgAction, Args};
use quorate_proto::etcdserverpb::{
    MemberAddRequest, MemberListResponse, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest,
};

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys::parse_id;
use super::output::{Answer, Format, Style};

const ADD_HELP: &str = "\
Examples:
  quorate ctl member add n4 --peer-urls http://10.0.0.4:2380
  quorate ctl member add n4 --learner --peer-urls http://10.0.0.4:2380
                                         a learner follows without a vote; promote it when it has caught up

Prints the environment to start the new member with: `quorate serve` and etcd both read it.
A voter counts for the majority from now on, started or not: add a learner first if in doubt.";

const REMOVE_HELP: &str = "\
Examples:
  quorate ctl member list                who is there, with ids
  quorate ctl member remove 139cde807ab4a058

A member that was removed stops. Its data are of no more use: to have it back, add a new one.";

const UPDATE_HELP: &str = "\
Examples:
  quorate ctl member update 139cde807ab4a058 --peer-urls http://10.0.0.5:2380

Say it before the member moves: the others reach it there from now on.";

const PROMOTE_HELP: &str = "\
Examples:
  quorate ctl member promote 139cde807ab4a058

Refused until the learner has caught up with the leader: try again.";

#[derive(Args, Debug)]
#[command(after_help = ADD_HELP, args_override_self = true,
    override_usage = "quorate ctl member add [OPTIONS] <NAME> --peer-urls <URLS>")]
pub(super) struct AddArgs {
    #[arg(value_name = "NAME", hide = true)]
    arguments: Vec<String>,
    /// Where the other members reach it: URLs, separated by commas
    #[arg(
        long,
        value_name = "URLS",
        value_delimiter = ',',
        default_value = "",
        hide_default_value = true
    )]
    peer_urls: Vec<String>,
    /// Without a vote, until it is promoted
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    learner: bool,
}

#[derive(Args, Debug)]
#[command(after_help = REMOVE_HELP, args_override_self = true,
    override_usage = "quorate ctl member remove [OPTIONS] <ID>")]
pub(super) struct RemoveArgs {
    #[arg(value_name = "ID", hide = true)]
    arguments: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = UPDATE_HELP, args_override_self = true,
    override_usage = "quorate ctl member update [OPTIONS] <ID> --peer-urls <URLS>")]
pub(super) struct UpdateArgs {
    #[arg(value_name = "ID", hide = true)]
    arguments: Vec<String>,
    /// Where the other members reach it from now on: URLs, separated by commas
    #[arg(
        long,
        value_name = "URLS",
        value_delimiter = ',',
        default_value = "",
        hide_default_value = true
    )]
    peer_urls: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = PROMOTE_HELP, args_override_self = true,
    override_usage = "quorate ctl member promote [OPTIONS] <ID>")]
pub(super) struct PromoteArgs {
    #[arg(value_name = "ID", hide = true)]
    arguments: Vec<String>,
}

pub(super) async fn add(args: &AddArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = format(connect)?;
    let name = match args.arguments.as_slice() {
        [name] => name.clone(),
        [] => return Err(Failure::bad_arguments("member name not provided")),
        words => return Err(too_many(words)),
    };
    let request = MemberAddRequest {
        peer_ur_ls: urls(&args.peer_urls)?,
        is_learner: args.learner,
    };
    let response = connect.client()?.member_add(request).await?;
    let answer = Answer::MemberAdded { name, response };
    super::print(&answer.render(format, Style::default()))
}

pub(super) async fn remove(args: &RemoveArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let (format, id) = (format(connect)?, id(&args.arguments)?);
    let request = MemberRemoveRequest { id };
    let response = connect.client()?.member_remove(request).await?;
    let response = MemberListResponse {
        header: response.header,
        members: response.members,
    };
    changed(format, id, "removed from", response)
}

pub(super) async fn update(args: &UpdateArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let (format, id) = (format(connect)?, id(&args.arguments)?);
    let request = MemberUpdateRequest {
        id,
        peer_ur_ls: urls(&args.peer_urls)?,
    };
    let response = connect.client()?.member_update(request).await?;
    let response = MemberListResponse {
        header: response.header,
        members: response.members,
    };
    changed(format, id, "updated in", response)
}

pub(super) async fn promote(args: &PromoteArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let (format, id) = (format(connect)?, id(&args.arguments)?);
    let request = MemberPromoteRequest { id };
    let response = connect.client()?.member_promote(request).await?;
    let response = MemberListResponse {
        header: response.header,
        members: response.members,
    };
    changed(format, id, "promoted in", response)
}

fn changed(
    format: Format,
    id: u64,
    done: &'static str,
    response: MemberListResponse,
) -> Result<(), Failure> {
    let answer = Answer::MemberChanged { id, done, response };
    super::print(&answer.render(format, Style::default()))
}

/// The forms that a change has; etcdctl finds out after it was made.
pub(super) fn format(connect: &ConnectArgs) -> Result<Format, Failure> {
    let format = connect.format()?;
    format.refuse_table()?;
    format.refuse_fields()?;
    Ok(format)
}

fn id(arguments: &[String]) -> Result<u64, Failure> {
    let [id] = arguments else {
        return Err(Failure::bad_arguments("member ID is not provided"));
    };
    parse_id(id).map_err(|reason| {
        Failure::bad_arguments(format!("bad member ID arg ({reason}), expecting ID in Hex"))
    })
}

fn urls(given: &[String]) -> Result<Vec<String>, Failure> {
    match given {
        [] => Err(Failure::bad_arguments("member peer urls not provided")),
        [nothing] if nothing.is_empty() => {
            Err(Failure::bad_arguments("member peer urls not provided"))
        }
        urls => Ok(urls.to_vec()),
    }
}

/// A URL among the names is a flag forgotten.
fn too_many(words: &[String]) -> Failure {
    let mut message = "too many arguments".to_owned();
    for url in words
        .iter()
        .filter(|word| word.to_lowercase().starts_with("http"))
    {
        message += &format!(", did you mean --peer-urls={url}");
    }
    Failure::bad_arguments(message)
}
