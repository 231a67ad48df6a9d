//! `snapshot save|status|restore`: backups.
//!
//! `save` takes what any server of etcd's API streams, and verifies the hash at its end; `status` and `restore` know
//! Quorate's form alone (`docs/format-snapshot.md`). Flags and output are those of etcdctl 3.4 and etcdutl 3.5 and 3.6.

mod restore;
mod save;
mod status;

use clap::{Args, Subcommand};

use super::connect::ConnectArgs;
use super::failure::Failure;

const AFTER_HELP: &str = "\
Examples:
  quorate ctl snapshot save backup.db --endpoints 10.0.0.1:2379
  quorate ctl snapshot status backup.db -w table
  quorate ctl snapshot restore backup.db --name n1 --data-dir /var/lib/quorate \\
    --initial-cluster n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380,n3=http://10.0.0.3:2380 \\
    --initial-cluster-token after-the-fire --initial-advertise-peer-urls http://10.0.0.1:2380

docs/backup.md goes through it step by step.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct SnapshotArgs {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Subcommand, Debug)]
enum SnapshotCommand {
    /// Saves the store of one member to a file
    Save(save::SaveArgs),
    /// Verifies such a file, and says what it holds
    Status(status::StatusArgs),
    /// Makes of such a file the data directory of a member of a new cluster
    Restore(restore::RestoreArgs),
}

pub(super) async fn run(args: &SnapshotArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    match &args.command {
        SnapshotCommand::Save(args) => save::run(args, connect).await,
        SnapshotCommand::Status(args) => status::run(args, connect),
        SnapshotCommand::Restore(args) => restore::run(args),
    }
}
