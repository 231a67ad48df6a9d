//! `lock`: holds a lock while a command runs, or until somebody ends it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitStatus;

use clap::Args;
use quorate_client::{Client, Error, Place, Session};
use quorate_proto::etcdserverpb::RangeRequest;
use tokio::process::Command;

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys;
use super::output::{Answer, Format, Style};
use super::signals::Signals;

/// What etcdctl's is called when it is ended before it holds the lock.
const CANCELED: &str = "context canceled";

const AFTER_HELP: &str = "\
Examples:
  quorate ctl lock backup                       prints the key, and holds the lock until Ctrl-C
  quorate ctl lock backup ./backup.sh --full    holds it while the command runs
  quorate ctl lock --ttl 30 backup sh -c 'echo $ETCD_LOCK_KEY $ETCD_LOCK_REV'

All options stand before the name; what follows it is the command (behind \"--\" or not), which has ETCD_LOCK_KEY and ETCD_LOCK_REV in its
environment, and whose exit code is this command's. The lock hangs on a lease that is kept alive: when this process
vanishes, the next in the line has the lock after at most --ttl seconds. Locks are etcdctl's, and those of the Lock
service: all exclude each other.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl lock [OPTIONS] <NAME> [COMMAND [ARGS]...]")]
pub(super) struct LockArgs {
    #[arg(
        value_name = "NAME [COMMAND [ARGS]...]",
        hide = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
    /// Seconds after which the lock is free when this process has vanished
    #[arg(long, default_value_t = 10, allow_negative_numbers = true)]
    ttl: i64,
}

pub(super) async fn run(args: &LockArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_table()?;
    let [name, command @ ..] = args.arguments.as_slice() else {
        return Err(Failure::bad_arguments(
            "lock takes a lock name argument and an optional command to execute",
        ));
    };
    // As etcdctl's, whose own flags end there.
    let command = match command {
        [dashes, command @ ..] if dashes == "--" => command,
        command => command,
    };
    let ttl = if args.ttl > 0 {
        args.ttl
    } else {
        SESSION_SECONDS
    };
    let mut signals = Signals::listen()?;
    let client = connect.client()?;
    let session = Session::open(&client, ttl).await?;
    let name = keys::bytes(name);
    let locked = tokio::select! {
        locked = session.lock(&name) => locked.map_err(Failure::from),
        () = signals.next() => Err(Failure::error(CANCELED)),
    };
    let done = match &locked {
        Ok(place) if command.is_empty() => {
            hold(&session, place, format, connect.hex, &mut signals).await
        }
        Ok(place) => run_command(command, place).await,
        Err(_) => Ok(()),
    };
    // The key goes with the lease, also one that was on its way when the waiting ended.
    let closed = session.close().await;
    locked?;
    done?;
    closed.or_else(unless_ended).map_err(Failure::from)
}

/// What etcd's client grants when it is told nothing that makes sense.
pub(super) const SESSION_SECONDS: i64 = 60;

/// That a lease has ended before it was revoked is no failure.
pub(super) fn unless_ended(error: Error) -> Result<(), Error> {
    match &error {
        Error::Server { message, .. } if message.ends_with("requested lease not found") => Ok(()),
        _ => Err(error),
    }
}

/// The pair that stands for a place, as `get` prints it.
pub(super) async fn print_key(
    client: &Client,
    place: &Place,
    lost: &str,
    format: Format,
    hex: bool,
) -> Result<(), Failure> {
    let request = RangeRequest {
        key: place.key.clone(),
        ..Default::default()
    };
    let found = client.range(request).await?;
    if found.kvs.is_empty() {
        return Err(Failure::error(lost));
    }
    let style = Style {
        hex,
        ..Style::default()
    };
    super::print(&Answer::Range(found).render(format, style))
}

async fn hold(
    session: &Session,
    place: &Place,
    format: Format,
    hex: bool,
    signals: &mut Signals,
) -> Result<(), Failure> {
    print_key(session.client(), place, "lock lost on init", format, hex).await?;
    tokio::select! {
        () = signals.next() => Ok(()),
        () = session.ended() => Err(Failure::error("session expired")),
    }
}

/// Runs it to its end, whatever signals come: a terminal's Ctrl-C is the command's, too.
async fn run_command(words: &[OsString], place: &Place) -> Result<(), Failure> {
    let [program, arguments @ ..] = words else {
        return Ok(());
    };
    let status = Command::new(program)
        .args(arguments)
        .env("ETCD_LOCK_KEY", OsStr::from_bytes(&place.key))
        .env("ETCD_LOCK_REV", place.revision.to_string())
        .status()
        .await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(status)),
        Err(error) => {
            let program = program.to_string_lossy();
            Err(Failure::error(format!("exec: {program:?}: {error}")))
        }
    }
}

/// The command's own exit code; 255 for one that a signal ended, as Go has it.
fn failed(status: ExitStatus) -> Failure {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Failure::with_code(code.unwrap_or(u8::MAX), status.to_string().replace(':', ""))
}
