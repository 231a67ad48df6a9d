//! `watch -i`: watches that are asked for on standard input, line by line, while others go on.

use std::ffi::OsString;

use clap::{Args as _, Command, FromArgMatches as _};
use quorate_client::{Client, Watcher};
use quorate_proto::etcdserverpb::WatchResponse;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::{broadcast, mpsc};

use super::super::failure::Failure;
use super::{Shown, WatchArgs, show, watcher};

/// Requests for progress that wait for a watch to pass them on.
const PROGRESSES: usize = 16;

/// What a watch was told, with the command for it.
type Told = (Result<WatchResponse, Failure>, Vec<OsString>);

/// Reads lines until there are no more, which is etcdctl's error too.
pub(super) async fn run(client: &Client, args: &WatchArgs, shown: Shown) -> Result<(), Failure> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (told, mut hears) = mpsc::channel::<Told>(1);
    let (progress, _) = broadcast::channel::<()>(PROGRESSES);
    loop {
        tokio::select! {
            Some((response, command)) = hears.recv() => show(response?, &command, shown).await?,
            line = lines.next_line() => match line {
                Ok(Some(line)) => match understand(&line, args) {
                    Ok(Said::Progress) => {
                        // Nobody watches: nobody is told.
                        let _ = progress.send(());
                    }
                    Ok(Said::Watch(args)) => match watcher(client, &args) {
                        Ok(watcher) => {
                            let (told, progress) = (told.clone(), progress.subscribe());
                            tokio::spawn(follow(watcher, args.command, told, progress));
                        }
                        Err(failure) => eprintln!("Invalid command {line} ({failure})"),
                    },
                    Err(why) => eprintln!("{why}"),
                },
                Ok(None) => return Err(unreadable("EOF")),
                Err(error) => return Err(unreadable(&error.to_string())),
            },
        }
    }
}

fn unreadable(why: &str) -> Failure {
    Failure::invalid_input(format!("Error reading watch request line: {why}"))
}

async fn follow(
    mut watcher: Watcher,
    command: Vec<OsString>,
    told: mpsc::Sender<Told>,
    mut progress: broadcast::Receiver<()>,
) {
    loop {
        let next = tokio::select! {
            next = watcher.next() => next,
            Ok(()) = progress.recv() => {
                watcher.request_progress().await;
                continue;
            }
        };
        let response = match next.transpose() {
            Some(response) => response.map_err(Failure::from),
            None => return,
        };
        if told.send((response, command.clone())).await.is_err() {
            return;
        }
    }
}

enum Said {
    Progress,
    Watch(WatchArgs),
}

fn understand(line: &str, given: &WatchArgs) -> Result<Said, String> {
    let words = words(line);
    match words.first().map(String::as_str) {
        None => Err(format!(
            "Invalid command: {line} (watch and progress supported)"
        )),
        Some("progress") => Ok(Said::Progress),
        Some("watch") => {
            let parser = WatchArgs::augment_args(Command::new("watch").disable_help_flag(true));
            let parsed = parser
                .try_get_matches_from(&words)
                .and_then(|matches| WatchArgs::from_arg_matches(&matches));
            let mut args =
                parsed.map_err(|error| format!("Invalid command {line} ({})", error.kind()))?;
            if args.command.is_empty() {
                args.command.clone_from(&given.command);
            }
            Ok(Said::Watch(args))
        }
        Some(_) => Err(format!("Invalid command {line} (only support watch)")),
    }
}

/// The words of a line: parted by spaces, or in quotes of either kind.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => {
                let inner = &rest[1..];
                inner.split_once(first).unwrap_or((inner, ""))
            }
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_between_spaces_or_in_quotes() {
        assert_eq!(words("watch a  b"), ["watch", "a", "b"]);
        assert_eq!(
            words(r#"watch "a b" 'c "d' ''"#),
            ["watch", "a b", "c \"d", ""]
        );
        assert_eq!(words("  "), [] as [&str; 0]);
    }

    #[test]
    fn lines_are_watches_or_ask_for_progress() {
        let given = WatchArgs::default();
        let Ok(Said::Watch(args)) = understand("watch --prefix --rev 3 a -- echo x", &given) else {
            panic!("a watch");
        };
        assert!(args.prefix);
        assert_eq!((args.rev, args.arguments), (3, vec!["a".into()]));
        assert_eq!(args.command, ["echo", "x"]);
        assert!(matches!(understand("progress", &given), Ok(Said::Progress)));
        for line in ["", "put a b", "watch --no-such-flag a"] {
            assert!(understand(line, &given).is_err(), "{line}");
        }
    }
}
