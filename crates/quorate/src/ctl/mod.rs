//! `quorate ctl`: the store from the command line, for those who have no etcdctl at hand.
//!
//! Flags, output forms and exit codes are etcdctl's, so that a script written for one runs with the other. Where a
//! form exists in etcdctl 3.4 the bytes on standard output are the same; `tests/it/etcdctl.rs` compares them when
//! etcd is installed. The known differences are listed in `docs/ctl.md`.
//!
//! Every command is: check the flags, build one request, send it, render the answer. What is wrong with the flags is
//! found before anything is sent.

mod alarm;
mod check;
mod compact;
mod connect;
mod defrag;
mod del;
mod duration;
mod elect;
mod failure;
mod get;
mod hash_kv;
mod keys;
mod lease;
mod lock;
mod make_mirror;
mod member_changes;
mod members;
mod move_leader;
mod output;
mod put;
mod signals;
mod snapshot;
mod status;
mod txn;
mod txn_script;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use connect::ConnectArgs;
use failure::Failure;

const AFTER_HELP: &str = "\
Examples:
  quorate ctl put greeting hello
  quorate ctl get greeting
  quorate ctl get --prefix '' --keys-only
  quorate ctl member list
  quorate ctl status -w table --endpoints 127.0.0.1:2379,127.0.0.1:2381,127.0.0.1:2383
  printf 'version(\"lock\") = \"0\"\\n\\nput lock me\\n\\nget lock\\n\\n' | quorate ctl txn

The global options also come from the environment, as etcdctl's:
  ETCDCTL_ENDPOINTS, ETCDCTL_WRITE_OUT, ETCDCTL_HEX, ETCDCTL_DIAL_TIMEOUT,
  ETCDCTL_COMMAND_TIMEOUT, ETCDCTL_KEEPALIVE_TIME, ETCDCTL_KEEPALIVE_TIMEOUT

Exit codes (etcdctl's):
  0    done
  1    the request failed, or a member could not be asked
  2    unknown command or flag; a lease that is to be kept alive is not there
  3    the text of a transaction cannot be understood
  4    an output form or feature that the command does not have
  5    a watch was ended by the server
  128  wrong arguments";

/// Reads and writes keys, and asks and changes members.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
pub(crate) struct CtlArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Reads a key or a range of keys
    Get(get::GetArgs),
    /// Writes a key
    Put(put::PutArgs),
    /// Deletes a key or a range of keys
    Del(del::DelArgs),
    /// Runs the transaction written on standard input
    Txn(txn::TxnArgs),
    /// Prints what happens to a key or a range of keys
    Watch(watch::WatchArgs),
    /// Forgets versions older than a revision
    #[command(visible_alias = "compaction")]
    Compact(compact::CompactArgs),
    /// Grants, keeps alive, revokes and lists leases
    Lease(lease::LeaseArgs),
    /// Holds a lock, while a command runs or until Ctrl-C
    Lock(lock::LockArgs),
    /// Takes part in an election, or observes it
    Elect(elect::ElectArgs),
    /// Asks each endpoint for its state
    Status(status::StatusArgs),
    /// Lists the members of the cluster
    Members(members::MembersArgs),
    /// Asks each endpoint how it is: status, health, hashkv
    Endpoint(EndpointArgs),
    /// Adds, removes, promotes and lists the members of the cluster
    Member(MemberArgs),
    /// Lists and ends the alarms of the cluster
    Alarm(alarm::AlarmArgs),
    /// Does nothing, at once: the store needs no defragmentation
    Defrag(defrag::DefragArgs),
    /// Has another member lead
    MoveLeader(move_leader::MoveLeaderArgs),
    /// Copies keys to another cluster, and goes on copying what happens to them
    MakeMirror(make_mirror::MakeMirrorArgs),
    /// Says whether the cluster is fast enough for a load
    Check(check::CheckArgs),
    /// Saves, verifies and restores backups
    Snapshot(snapshot::SnapshotArgs),
}

const ENDPOINT_HELP: &str = "\
Examples:
  quorate ctl endpoint status --cluster -w table
  quorate ctl endpoint health --endpoints 127.0.0.1:2379,127.0.0.1:2381";

#[derive(Args, Debug)]
#[command(after_help = ENDPOINT_HELP)]
struct EndpointArgs {
    #[command(subcommand)]
    command: EndpointCommand,
}

#[derive(Subcommand, Debug)]
enum EndpointCommand {
    /// Asks each endpoint for its state
    Status(status::StatusArgs),
    /// Checks that each endpoint can serve a linearizable read
    Health(status::HealthArgs),
    /// Hashes what each endpoint holds
    Hashkv(hash_kv::HashKvArgs),
}

const MEMBER_HELP: &str = "\
Examples:
  quorate ctl member list -w table
  quorate ctl member add n4 --learner --peer-urls http://10.0.0.4:2380
  quorate ctl member promote 139cde807ab4a058
  quorate ctl member remove 139cde807ab4a058

An id is written as `member list` and `member add` print it, in hexadecimal.";

#[derive(Args, Debug)]
#[command(after_help = MEMBER_HELP)]
struct MemberArgs {
    #[command(subcommand)]
    command: MemberCommand,
}

#[derive(Subcommand, Debug)]
enum MemberCommand {
    /// Lists the members of the cluster
    List(members::MembersArgs),
    /// Adds a member, which is started then
    Add(member_changes::AddArgs),
    /// Makes a learner that has caught up a voter
    Promote(member_changes::PromoteArgs),
    /// Gives a member other peer URLs
    Update(member_changes::UpdateArgs),
    /// Removes a member, running or not
    Remove(member_changes::RemoveArgs),
}

/// Runs one command; what goes wrong is on standard error by then.
///
/// # Errors
/// None that the user could act on: only that standard output cannot be written.
pub(crate) async fn run(args: CtlArgs) -> anyhow::Result<ExitCode> {
    match dispatch(args).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) => {
            if !failure.is_silent() {
                eprintln!("Error: {failure}");
            }
            Ok(failure.exit_code())
        }
    }
}

async fn dispatch(args: CtlArgs) -> Result<(), Failure> {
    let connect = args.connect;
    connect.check()?;
    match args.command {
        Command::Get(args) => get::run(&args, &connect).await,
        Command::Put(args) => put::run(&args, &connect).await,
        Command::Del(args) => del::run(&args, &connect).await,
        Command::Txn(args) => txn::run(&args, &connect).await,
        Command::Watch(args) => watch::run(&args, &connect).await,
        Command::Compact(args) => compact::run(&args, &connect).await,
        Command::Lease(args) => lease::run(&args, &connect).await,
        Command::Lock(args) => lock::run(&args, &connect).await,
        Command::Elect(args) => elect::run(&args, &connect).await,
        Command::Status(args)
        | Command::Endpoint(EndpointArgs {
            command: EndpointCommand::Status(args),
        }) => status::run(&args, &connect).await,
        Command::Endpoint(EndpointArgs {
            command: EndpointCommand::Health(args),
        }) => status::run_health(&args, &connect).await,
        Command::Endpoint(EndpointArgs {
            command: EndpointCommand::Hashkv(args),
        }) => hash_kv::run(&args, &connect).await,
        Command::Alarm(args) => alarm::run(&args, &connect).await,
        Command::Defrag(args) => defrag::run(&args, &connect).await,
        Command::Members(_) => members::run(&connect).await,
        Command::Member(MemberArgs { command }) => match command {
            MemberCommand::List(_) => members::run(&connect).await,
            MemberCommand::Add(args) => member_changes::add(&args, &connect).await,
            MemberCommand::Promote(args) => member_changes::promote(&args, &connect).await,
            MemberCommand::Update(args) => member_changes::update(&args, &connect).await,
            MemberCommand::Remove(args) => member_changes::remove(&args, &connect).await,
        },
        Command::MoveLeader(args) => move_leader::run(&args, &connect).await,
        Command::MakeMirror(args) => make_mirror::run(&args, &connect).await,
        Command::Check(args) => check::run(&args, &connect).await,
        Command::Snapshot(args) => snapshot::run(&args, &connect).await,
    }
}

/// Puts an answer on standard output in one piece.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // The reader has seen enough (`… | head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::error(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
