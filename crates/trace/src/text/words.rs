//! What events are called in the columns of text: short, since a column may have fifteen cells.

use super::Words;
use super::grid::Style;
use crate::{FaultKind, Operation, Outcome, Role, Sent, ServerState, What};

/// What a newcomer must know to read the columns.
pub(super) const LEGEND: [&str; 5] = [
    "Time runs down, a column is a server. t3: term 3; a term has at most one leader, and a colour.",
    "Its line: ┃ leader, ╎ candidate, │ follower, ┊ paused; none while it is down.",
    "log 1 1 2 (4): the term of each entry, oldest first; in brackets: not known here as committed;",
    "9…: nine entries before those shown; ▣9: nine that only a snapshot holds.",
    "A message is drawn when it arrives; ╳ is one that never does.",
];

/// The server that an event changes the state of; `None` for all other events.
pub(super) fn server_changed(what: &What) -> Option<usize> {
    match what {
        What::Started { server, .. }
        | What::Role { server, .. }
        | What::Vote { server, .. }
        | What::Log { server, .. }
        | What::Commit { server, .. }
        | What::Applied { server, .. }
        | What::SnapshotTaken { server, .. }
        | What::SnapshotInstalled { server, .. } => Some(*server),
        _ => None,
    }
}

/// Milliseconds with microseconds, right-aligned.
pub(super) fn milliseconds(nanos: u64) -> String {
    let micros = nanos / 1_000;
    format!("{:>6}.{:03}", micros / 1_000, micros % 1_000)
}

/// Lines for changes of one server at one time.
pub(super) fn of_changes<'a>(
    changes: impl Iterator<Item = &'a What>,
    before: &ServerState,
    after: &ServerState,
    names: &[String],
    room: usize,
) -> Vec<Words> {
    let mut lines = Vec::new();
    let mut log_changed = false;
    for what in changes {
        match what {
            What::Started { term, log, .. } => {
                let words = format!("↻ starts t{term}");
                lines.push((words, Style::BOLD));
                log_changed |= !log.is_empty();
            }
            What::Role {
                role, term, leader, ..
            } => lines.push(of_role(*role, *term, *leader, before, names)),
            What::Vote {
                term, candidate, ..
            } => {
                let name = of_server(*candidate, names);
                lines.push((format!("votes {name} t{term}"), Style::of_term(*term)));
            }
            What::Log { keep, .. } => {
                log_changed = true;
                let (first, last) = (keep + 1, before.last_index());
                let cut = match last.checked_sub(first) {
                    None => continue,
                    Some(0) => format!("✂ cuts entry {last}"),
                    Some(_) => format!("✂ cuts {first}-{last}"),
                };
                lines.push((cut, Style::ALARM));
            }
            What::Commit { .. } => log_changed |= before.commit != after.commit,
            What::SnapshotTaken { index, .. } => {
                lines.push((format!("▣ snapshot 1-{index}"), Style::BOLD));
                log_changed = true;
            }
            What::SnapshotInstalled { index, .. } => {
                lines.push((format!("▣ installs 1-{index}"), Style::BOLD));
                log_changed = true;
            }
            _ => {}
        }
    }
    if log_changed {
        lines.push((of_log(after, room), Style::of_term(after.term)));
    }
    lines
}

fn of_role(
    role: Role,
    term: u64,
    leader: Option<usize>,
    before: &ServerState,
    names: &[String],
) -> Words {
    let mut style = Style::of_term(term);
    let words = match (role, leader) {
        (Role::Leader, _) => {
            style.bold = true;
            format!("★ LEADS t{term}")
        }
        (Role::Candidate, _) => format!("▲ candidate t{term}"),
        (Role::PreCandidate, _) => format!("△ could I win? t{term}"),
        (Role::Follower, Some(leader)) => {
            let name = of_server(leader, names);
            format!("follows {name} t{term}")
        }
        (Role::Follower, None) => match before.role {
            Role::Leader => format!("steps down t{term}"),
            _ if before.term != term => format!("new term t{term}"),
            Role::Follower => format!("lost its leader t{term}"),
            Role::Candidate | Role::PreCandidate => format!("gives up t{term}"),
        },
    };
    (words, style)
}

/// A server's name.
pub(super) fn of_server(server: usize, names: &[String]) -> String {
    let name = names.get(server);
    name.cloned().unwrap_or_else(|| format!("server {server}"))
}

/// The log's newest entries, as many as there is room for.
fn of_log(state: &ServerState, room: usize) -> String {
    // Each entry takes two cells at least; brackets, dots and the word take some too.
    let (first, terms) = state.newest_terms((room / 2).max(1));
    for skip in 0..terms.len() {
        let shown = &terms[skip..];
        let words = of_terms(state, first + skip as u64, shown);
        if words.chars().count() <= room || shown.len() == 1 {
            return words;
        }
    }
    match state.log_after {
        0 => "log empty".to_owned(),
        after => format!("log ▣{after}"),
    }
}

fn of_terms(state: &ServerState, first: u64, terms: &[u64]) -> String {
    let mut words = "log".to_owned();
    if first > 1 {
        // What a snapshot holds, or what there is no room for.
        let before = first - 1;
        match before == state.log_after {
            true => words.push_str(&format!(" ▣{before}")),
            false => words.push_str(&format!(" {before}…")),
        }
    }
    let mut open = false;
    for (index, term) in (first..).zip(terms) {
        words.push(' ');
        if index > state.commit && !open {
            words.push('(');
            open = true;
        }
        words.push_str(&term.to_string());
    }
    if open {
        words.push(')');
    }
    words
}

/// The entries in a line that `of_log` made: where each stands, and its term.
pub(super) fn entries_in(line: &str) -> impl Iterator<Item = (usize, &str, u64)> {
    let is_log = line == "log" || line.starts_with("log ");
    let words = line.split(' ').filter(move |_| is_log);
    let mut at = 0;
    words.filter_map(move |word| {
        let begins = at;
        at += word.chars().count() + 1;
        let entry = word.trim_start_matches('(').trim_end_matches(')');
        let bracket = usize::from(word.starts_with('('));
        let term = entry.parse().ok()?;
        Some((begins + bracket, entry, term))
    })
}

/// A message's label, and in brackets why it was lost, if it was.
pub(super) fn of_message(sent: &Sent, lost: Option<&str>) -> String {
    let again = if sent.repeats.is_some() {
        "again: "
    } else {
        ""
    };
    let Sent {
        kind,
        term,
        summary,
        ..
    } = sent;
    let mut words = format!("{again}{kind} t{term}");
    if !summary.is_empty() {
        words.push_str(&format!(" {summary}"));
    }
    if let Some(why) = lost.filter(|why| !why.is_empty()) {
        words.push_str(&format!(" ({why})"));
    }
    words
}

/// A fault that begins.
pub(super) fn of_fault(
    kind: FaultKind,
    groups: &[Vec<usize>],
    label: &str,
    names: &[String],
) -> String {
    let kind = match kind {
        FaultKind::Crash => "down",
        FaultKind::Pause => "paused",
        FaultKind::Partition => "cut",
        FaultKind::Network => "network",
        FaultKind::Disk => "disk",
        FaultKind::Clock => "clock",
        FaultKind::Other => "fault",
    };
    if groups.iter().map(Vec::len).sum::<usize>() <= 1 {
        return format!("{kind}: {label}");
    }
    let group = |group: &Vec<usize>| {
        let names: Vec<String> = group.iter().map(|one| of_server(*one, names)).collect();
        names.join(" ")
    };
    let groups: Vec<String> = groups.iter().map(group).collect();
    format!("{kind} [{}]: {label}", groups.join(" | "))
}

/// An answer to a client.
pub(super) fn of_answer(began: &Operation, outcome: Outcome, answer: &str) -> String {
    let sign = match outcome {
        Outcome::Done => "▷",
        Outcome::Refused => "▷ refused:",
        Outcome::Unknown => "▷ unknown:",
    };
    let Operation {
        client, request, ..
    } = began;
    format!("{sign} {client}: {request} → {answer}")
}
