//! What `up` tells: for people, or as JSON lines for scripts. Events go to standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Something that happened. The JSON form has the variant's name as `event`, and these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// All nodes have been started for the first time.
    Started {
        data_dir: PathBuf,
        endpoints: String,
        nodes: Vec<StartedNode>,
        /// Those that are not started, because they were removed from the cluster.
        removed: Vec<String>,
        commands: Vec<String>,
    },
    /// A leader is there for the first time: clients may come.
    Ready {
        leader: String,
        term: u64,
        /// It is none of these nodes.
        elsewhere: bool,
        endpoints: String,
    },
    /// Another node leads, or the same in another term.
    Leader {
        leader: String,
        term: u64,
        elsewhere: bool,
    },
    /// Nobody has led for a while.
    NoLeader {
        running: usize,
        needed: usize,
        data_dir: PathBuf,
    },
    /// A node's process ended unasked.
    Died {
        node: String,
        pid: u32,
        how: String,
        led: bool,
        leader: Option<String>,
        running: usize,
        needed: usize,
        log: PathBuf,
        last_lines: Vec<String>,
    },
    /// A node's process ended because the node was removed from the cluster.
    Removed { node: String, pid: u32 },
    /// It will be started again.
    Restarting { node: String, after_ms: u128 },
    /// It was.
    Restarted { node: String, pid: u32 },
    /// It will not be.
    GivenUp { node: String, why: String },
    /// All nodes are being stopped.
    Stopping { nodes: usize },
    /// A node was killed: it did not stop in time, or a second signal came.
    Killed {
        node: String,
        pid: u32,
        at_once: bool,
    },
    /// No node runs any more.
    Stopped,
}

/// A node in [`Event::Started`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct StartedNode {
    pub(super) node: String,
    pub(super) pid: u32,
    pub(super) client_url: String,
    pub(super) log: PathBuf,
}

/// Where events go.
pub(super) struct Reporter(Box<dyn FnMut(&Event)>);

impl Reporter {
    pub(super) fn text() -> Reporter {
        Reporter::new(|event| print(&sentence(event)))
    }

    pub(super) fn json() -> Reporter {
        Reporter::new(|event| {
            let line = serde_json::to_string(event)
                .expect("an event is text and numbers, which JSON can always say");
            print(&line);
        })
    }

    pub(super) fn new(tell: impl FnMut(&Event) + 'static) -> Reporter {
        Reporter(Box::new(tell))
    }

    pub(super) fn tell(&mut self, event: &Event) {
        (self.0)(event);
    }
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading any more (`| head`); the nodes run on.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// The event in words.
pub(super) fn sentence(event: &Event) -> String {
    match event {
        Event::Started {
            data_dir,
            nodes,
            removed,
            commands,
            ..
        } => started(data_dir, nodes, removed, commands),
        Event::Ready {
            leader,
            term,
            elsewhere,
            ..
        } => format!(
            "ready: {leader} leads (term {term}){}",
            where_it_is(*elsewhere)
        ),
        Event::Leader {
            leader,
            term,
            elsewhere,
        } => format!(
            "{leader} leads now (term {term}){}",
            where_it_is(*elsewhere)
        ),
        Event::NoLeader {
            running,
            needed,
            data_dir,
        } => format!(
            "nobody leads: {running} running, {needed} needed; see the logs in {}",
            data_dir.display()
        ),
        Event::Died { .. } => died(event),
        Event::Removed { node, pid } => format!(
            "{node} (pid {pid}) was removed from the cluster and has stopped; it is not started again"
        ),
        Event::Restarting { node, after_ms } => {
            format!("{node} will be started again in {after_ms} ms")
        }
        Event::Restarted { node, pid } => format!("{node} is started again (pid {pid})"),
        Event::GivenUp { node, why } => format!("{node} is given up: {why}"),
        Event::Stopping { nodes } => format!("stopping {}", count(*nodes)),
        Event::Killed { node, pid, at_once } => {
            let why = match at_once {
                true => "was killed at once, as a second signal came",
                false => "did not stop in time and was killed",
            };
            format!("{node} (pid {pid}) {why}: what it acknowledged is on its disk")
        }
        Event::Stopped => {
            "all nodes are stopped; run it again to go on with the same data".to_owned()
        }
    }
}

fn where_it_is(elsewhere: bool) -> &'static str {
    match elsewhere {
        true => ", a member that was started elsewhere",
        false => "",
    }
}

fn started(
    data_dir: &Path,
    nodes: &[StartedNode],
    removed: &[String],
    commands: &[String],
) -> String {
    let mut lines = vec![format!(
        "{}, data in {}",
        count(nodes.len()),
        data_dir.display()
    )];
    for node in nodes {
        lines.push(format!(
            "  {}  {}  pid {}  log {}",
            node.node,
            node.client_url,
            node.pid,
            node.log.display()
        ));
    }
    for name in removed {
        lines.push(format!(
            "  {name}  was removed from the cluster: not started"
        ));
    }
    lines.push("try, in another terminal:".to_owned());
    lines.extend(commands.iter().map(|command| format!("  {command}")));
    lines.push("Ctrl-C stops all nodes.".to_owned());
    lines.join("\n")
}

fn died(event: &Event) -> String {
    let Event::Died {
        node,
        pid,
        how,
        led,
        leader,
        running,
        needed,
        log,
        last_lines,
    } = event
    else {
        return String::new();
    };
    let led = if *led { ", the leader," } else { "" };
    let mut text = format!("{node}{led} (pid {pid}) {how}; {running} still running");
    if running < needed {
        text.push_str(&format!(
            ", {needed} needed: no write or linearizable read until one is back"
        ));
    }
    if let Some(leader) = leader {
        text.push_str(&format!("; {leader} leads"));
    }
    if !last_lines.is_empty() {
        text.push_str(&format!("\n  the end of {}:", log.display()));
        for line in last_lines {
            text.push_str(&format!("\n  | {line}"));
        }
    }
    text
}

fn count(nodes: usize) -> String {
    if nodes == 1 {
        "1 node".to_owned()
    } else {
        format!("{nodes} nodes")
    }
}
