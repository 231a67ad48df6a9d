//! `watch`: prints what happens to a key or a range of keys, or runs a command for each event.

mod command;
mod interactive;

use std::ffi::OsString;
use std::io::Write as _;

use clap::{ArgAction, Args};
use quorate_client::{Client, Watcher};
use quorate_proto::etcdserverpb::{WatchCreateRequest, WatchResponse};

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::keys::key_range;
use super::output::{Answer, Format, Style};

/// What etcd's client says of a watch that compaction overtook, though the server does not.
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

const AFTER_HELP: &str = "\
Examples:
  quorate ctl watch name                        one key, from now on
  quorate ctl watch user/ --prefix --prev-kv    with the values before
  quorate ctl watch name --rev 42               from a revision on, which may lie in the past
  quorate ctl watch name -- sh -c 'env | grep ETCD_WATCH_'
  quorate ctl watch -i                          reads `watch …` and `progress` from standard input

The command after -- is run once for each event, one after the other, with ETCD_WATCH_REVISION,
ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and ETCD_WATCH_VALUE in its environment (the last three
in quotes). ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END stand for the arguments.

With several endpoints the watch goes on at another one when its own is lost; no event is lost
or told twice.";

#[derive(Args, Debug, Default, Clone)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl watch [OPTIONS] [KEY [RANGE_END]] [-- COMMAND [ARGS]...]")]
pub(super) struct WatchArgs {
    #[arg(value_name = "KEY [RANGE_END]", hide = true)]
    arguments: Vec<OsString>,
    /// What to run for each event
    #[arg(last = true, hide = true)]
    command: Vec<OsString>,
    /// Read `watch …` and `progress` from standard input, a line each
    #[arg(short = 'i', long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    interactive: bool,
    /// All keys that begin with KEY
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    prefix: bool,
    /// Revision to begin at; 0 is from now on
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    rev: i64,
    /// The value before, too
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    prev_kv: bool,
    /// Say now and then how far the watch has been told, when there is nothing else to tell
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    progress_notify: bool,
}

impl WatchArgs {
    /// The request that the flags describe; without a key on the command line the environment's.
    fn request(&self) -> Result<WatchCreateRequest, Failure> {
        let arguments = self.keys()?;
        if !matches!(arguments.len(), 1 | 2) {
            return Err(Failure::bad_arguments("bad number of arguments"));
        }
        if arguments.len() == 2 && self.prefix {
            return Err(Failure::bad_arguments(
                "`range_end` and `--prefix` are mutually exclusive",
            ));
        }
        let range = key_range("watch", &arguments, self.prefix, false)?;
        Ok(WatchCreateRequest {
            key: range.key,
            range_end: range.range_end,
            start_revision: self.rev,
            progress_notify: self.progress_notify,
            prev_kv: self.prev_kv,
            ..Default::default()
        })
    }

    fn keys(&self) -> Result<Vec<OsString>, Failure> {
        let (key, end) = environment()?;
        match (key, self.arguments.is_empty()) {
            (Some(_), false) => Err(Failure::bad_arguments(
                "bad number of arguments (found conflicting environment key)",
            )),
            (Some(key), true) => Ok([Some(key), end].into_iter().flatten().collect()),
            (None, _) => Ok(self.arguments.clone()),
        }
    }
}

/// The key and the range's end as the environment has them.
fn environment() -> Result<(Option<OsString>, Option<OsString>), Failure> {
    let read = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let key = read("ETCDCTL_WATCH_KEY");
    let end = read("ETCDCTL_WATCH_RANGE_END");
    if let (None, Some(end)) = (&key, &end) {
        return Err(Failure::bad_arguments(format!(
            "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={end:?}"
        )));
    }
    Ok((key, end))
}

/// How the answers of a watch are shown.
#[derive(Clone, Copy)]
struct Shown {
    format: Format,
    style: Style,
}

pub(super) async fn run(args: &WatchArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_table()?;
    let style = Style {
        hex: connect.hex,
        ..Style::default()
    };
    let shown = Shown { format, style };
    let client = connect.client()?;
    if args.interactive {
        environment()?;
        return interactive::run(&client, args, shown).await;
    }
    follow(watcher(&client, args)?, &args.command, shown).await?;
    Err(Failure::interrupted("watch is canceled by the server"))
}

fn watcher(client: &Client, args: &WatchArgs) -> Result<Watcher, Failure> {
    Ok(client.watch(args.request()?))
}

/// Shows a watch to its end.
async fn follow(mut watcher: Watcher, command: &[OsString], shown: Shown) -> Result<(), Failure> {
    while let Some(response) = watcher.next().await? {
        show(response, command, shown).await?;
    }
    Ok(())
}

async fn show(response: WatchResponse, command: &[OsString], shown: Shown) -> Result<(), Failure> {
    if response.canceled {
        let reason = match response.cancel_reason.as_str() {
            "" => COMPACTED,
            reason => reason,
        };
        eprintln!("watch was canceled ({reason})");
    } else if response.created {
        return Ok(());
    }
    let is_progress = !response.canceled && response.events.is_empty();
    let revision = response.header.as_ref().map_or(0, |header| header.revision);
    let mut out = Vec::new();
    if is_progress {
        // A vector takes everything.
        let _ = writeln!(out, "progress notify: {revision}");
    }
    let answer = Answer::Watch(response);
    out.extend(answer.render(shown.format, shown.style));
    super::print(&out)?;
    if let (Answer::Watch(response), false) = (&answer, command.is_empty()) {
        for event in &response.events {
            command::run(command, revision, event).await?;
        }
    }
    Ok(())
}
