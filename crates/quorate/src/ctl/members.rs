//! `members` (etcdctl's `member list`): who belongs to the cluster.

use clap::Args;

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::output::{Answer, Style};

const AFTER_HELP: &str = "\
Examples:
  quorate ctl members -w table
  quorate ctl member list";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
pub(super) struct MembersArgs {}

pub(super) async fn run(connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    let response = connect.client()?.member_list(true).await?;
    super::print(&Answer::Members(response).render(format, Style::default()))
}
