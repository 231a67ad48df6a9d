//! Whose is a port that is in use?
//!
//! On Linux `/proc/net/tcp` and `tcp6` list the listening sockets with port, user and inode, and the
//! process that has the socket open shows it in `/proc/PID/fd` (proc(5)). Other users' processes hide
//! their files; then the user is all that can be told. Elsewhere: nothing.

use std::fs;
use std::path::Path;

#[cfg(test)]
mod tests;

/// The state LISTEN in `/proc/net/tcp`.
const LISTEN: &str = "0A";
/// How much of a command line is shown, in characters.
const COMMAND_SHOWN_MAX: usize = 120;

/// A listening socket.
#[derive(Debug, PartialEq, Eq)]
struct Listener {
    inode: u64,
    user: u32,
}

/// Who listens on this TCP port of this machine, in words that complete "is in use by …".
pub(crate) fn describe(port: u16) -> String {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let listeners: Vec<Listener> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listeners(&table, port))
        .collect();
    let inodes: Vec<u64> = listeners.iter().map(|listener| listener.inode).collect();
    if let Some(process) = holder(&inodes) {
        return format!("process {process} ({})", command(process));
    }
    match listeners.first() {
        Some(listener) => format!(
            "a process of user {} (its files are hidden from us)",
            listener.user
        ),
        None => "another process (this system does not tell which)".to_owned(),
    }
}

/// The listening sockets on a port in the text of `/proc/net/tcp` or `tcp6`. Columns, from 0:
/// number, local address:port in hex, remote, state, queues, timer, retransmits, user, timeout, inode.
fn listeners(table: &str, port: u16) -> Vec<Listener> {
    let listener = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = columns.get(1)?.rsplit_once(':')?;
        let here = u16::from_str_radix(local_port, 16).ok()? == port && *columns.get(3)? == LISTEN;
        let listener = Listener {
            user: columns.get(7)?.parse().ok()?,
            inode: columns.get(9)?.parse().ok()?,
        };
        here.then_some(listener)
    };
    table.lines().skip(1).filter_map(listener).collect()
}

/// A process that has one of these sockets open.
fn holder(inodes: &[u64]) -> Option<u32> {
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|process| {
            has_open(
                Path::new("/proc")
                    .join(process.to_string())
                    .join("fd")
                    .as_path(),
                &links,
            )
        })
}

fn has_open(files: &Path, links: &[String]) -> bool {
    let Ok(files) = fs::read_dir(files) else {
        return false;
    };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
}

/// The command line of a process, shortened.
fn command(process: u32) -> String {
    let bytes = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let words: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).replace(char::is_control, "?"))
        .collect();
    let line = words.join(" ");
    if line.is_empty() {
        return "its command line is hidden from us".to_owned();
    }
    match line.char_indices().nth(COMMAND_SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
