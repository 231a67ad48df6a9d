//! Who is in the cluster, where, and with which flags; and the record of it in the directory.
//!
//! The record (`up.json`) is what makes `up` find its data again: a cluster's members, their names and
//! peer URLs are founded once. So another number of nodes or other ports are refused for a directory
//! that has a record. Members that were removed since are in it too: they are not started again.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::directory::{self, Refusal};
use crate::port_owner;

/// The most nodes of one cluster on one machine; more members make a cluster slower, not safer.
pub(super) const NODES_MAX: u16 = 9;
const NODES_DEFAULT: u16 = 3;
const BASE_PORT_DEFAULT: u16 = 2379;
/// The version of the record's form.
const RECORD_VERSION: u32 = 1;
const RECORD_FILE: &str = "up.json";
/// A log that is longer at a start is set aside as `node.log.1`.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// What `up.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u32,
    nodes: u16,
    base_port: u16,
    /// Different for each directory, so that clusters on the same ports never mix.
    token: String,
    /// The nodes that were removed from the cluster, by name. They are never started again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// `n1`, `n2`, …
    pub(super) name: String,
    pub(super) client_port: u16,
    pub(super) peer_port: u16,
    /// Its directory, with `node.log` and `data/` inside.
    pub(super) directory: PathBuf,
}

/// The whole cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) directory: PathBuf,
    /// Those that the cluster was founded with: what each is told of the others.
    founders: Vec<Node>,
    record: Record,
    is_founded: bool,
}

/// Plans, by what is in the directory and what is asked for. Nothing is written.
pub(super) fn look(
    directory: &Path,
    nodes: Option<u16>,
    base_port: Option<u16>,
) -> anyhow::Result<Plan> {
    let shown = directory.display();
    if directory.exists() && !directory.is_dir() {
        bail!("{shown} is not a directory; name another with --data-dir");
    }
    let record = read_record(directory)?;
    if record.is_none()
        && !directory::is_empty(directory).with_context(|| format!("cannot look into {shown}"))?
    {
        bail!(
            "{shown} holds files that `quorate up` did not make; name another directory with --data-dir"
        );
    }
    let wanted = reconcile(record.as_ref(), nodes, base_port)
        .with_context(|| format!("data directory {shown}"))?;
    Plan::new(directory, wanted, record.is_some())
}

/// Makes the directory if need be, and takes its lock, which is held until the file is dropped.
/// Nothing is founded yet: see [`Plan::found`].
pub(super) fn lock(directory: &Path) -> anyhow::Result<File> {
    let shown = directory.display();
    directory::make_durably(directory).with_context(|| {
        format!("cannot make the directory {shown}; name another with --data-dir")
    })?;
    directory::lock(directory).map_err(|refusal| match refusal {
        Refusal::Held(owner) => {
            anyhow::anyhow!("{shown} is in use by {owner}: another `quorate up` runs there")
        }
        Refusal::Io(e) => anyhow::anyhow!("cannot lock {shown}: {e}"),
    })
}

/// The record to go by: the one found, if what is asked for agrees, or a new one.
fn reconcile(
    found: Option<&Record>,
    nodes: Option<u16>,
    base_port: Option<u16>,
) -> anyhow::Result<Record> {
    let Some(found) = found else {
        return Ok(Record {
            version: RECORD_VERSION,
            nodes: nodes.unwrap_or(NODES_DEFAULT),
            base_port: base_port.unwrap_or(BASE_PORT_DEFAULT),
            token: new_token(),
            removed: Vec::new(),
        });
    };
    if found.version != RECORD_VERSION {
        bail!(
            "its {RECORD_FILE} has version {}, and this program knows version {RECORD_VERSION}; use the program that made it",
            found.version
        );
    }
    if let Some(nodes) = nodes.filter(|nodes| *nodes != found.nodes) {
        bail!(
            "it holds a cluster of {}, so --nodes {nodes} does not fit; leave --nodes out, or name another directory \
             with --data-dir",
            found.nodes
        );
    }
    if let Some(port) = base_port.filter(|port| *port != found.base_port) {
        bail!(
            "its cluster was founded with --base-port {}, so {port} does not fit; leave --base-port out, or name \
             another directory with --data-dir",
            found.base_port
        );
    }
    Ok(found.clone())
}

/// A word that no other directory has: the time of its making and the process that made it.
fn new_token() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("up-{:x}-{:x}", since.as_nanos(), std::process::id())
}

fn read_record(directory: &Path) -> anyhow::Result<Option<Record>> {
    let path = directory.join(RECORD_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    };
    let record: Record =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
    let in_range = (1..=NODES_MAX).contains(&record.nodes) && record.base_port > 0;
    if !in_range {
        bail!(
            "{} is damaged: it speaks of {} nodes from port {}",
            path.display(),
            record.nodes,
            record.base_port
        );
    }
    Ok(Some(record))
}

/// Writes the record so that a crash leaves either none or the whole.
fn write_record(directory: &Path, record: &Record) -> io::Result<()> {
    // The lock is ours, so a leftover of this name is nobody's.
    let part = directory.join(format!("{RECORD_FILE}.part"));
    let mut file = File::create(&part)?;
    writeln!(file, "{}", serde_json::to_string_pretty(record)?)?;
    file.sync_all()?;
    fs::rename(&part, directory.join(RECORD_FILE))?;
    File::open(directory)?.sync_all()
}

fn set_long_log_aside(log: &Path) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(metadata) if metadata.len() > LOG_BYTES_MAX => {
            fs::rename(log, log.with_extension("log.1"))
        }
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

impl Plan {
    fn new(directory: &Path, record: Record, is_founded: bool) -> anyhow::Result<Plan> {
        let last_port = u32::from(record.base_port) + 2 * u32::from(record.nodes) - 1;
        if last_port > u32::from(u16::MAX) {
            bail!(
                "{} nodes from port {} need ports up to {last_port}, and the last there is is {}; choose a lower --base-port",
                record.nodes,
                record.base_port,
                u16::MAX
            );
        }
        let node = |i: u16| Node {
            name: format!("n{}", i + 1),
            client_port: record.base_port + 2 * i,
            peer_port: record.base_port + 2 * i + 1,
            directory: directory.join(format!("n{}", i + 1)),
        };
        Ok(Plan {
            directory: directory.to_owned(),
            founders: (0..record.nodes).map(node).collect(),
            record,
            is_founded,
        })
    }

    /// Writes the record, if the directory has none, and makes the nodes' directories. From then on the
    /// ports are the cluster's, so [`Plan::check_ports`] goes first.
    pub(super) fn found(&mut self) -> anyhow::Result<()> {
        if !self.is_founded {
            self.write_record()?;
            self.is_founded = true;
        }
        for node in self.nodes() {
            let shown = node.directory.display();
            directory::make_durably(&node.directory)
                .with_context(|| format!("cannot make {shown}"))?;
            set_long_log_aside(&node.log_file())
                .with_context(|| format!("cannot set the log in {shown} aside"))?;
        }
        Ok(())
    }

    fn write_record(&self) -> anyhow::Result<()> {
        write_record(&self.directory, &self.record)
            .with_context(|| format!("cannot write {}/{RECORD_FILE}", self.directory.display()))
    }

    /// The nodes that are members.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        let is_member = |node: &&Node| !self.record.removed.contains(&node.name);
        self.founders.iter().filter(is_member)
    }

    /// The names of the nodes that were removed from the cluster.
    pub(super) fn removed(&self) -> &[String] {
        &self.record.removed
    }

    /// Notes for all time that this node was removed from the cluster.
    pub(super) fn remove(&mut self, name: &str) -> anyhow::Result<()> {
        self.record.removed.push(name.to_owned());
        self.write_record()
    }

    /// How many of these nodes must run for the cluster to work. If more members than these vote, the
    /// others are taken to run, wherever they are.
    pub(super) fn needed(&self, voters: Option<usize>) -> usize {
        let here = self.nodes().count();
        let voters = voters.unwrap_or(here).max(here);
        let elsewhere = voters - here;
        (voters / 2 + 1).saturating_sub(elsewhere).max(1)
    }

    /// `127.0.0.1:2379,127.0.0.1:2381,…`
    pub(super) fn endpoints(&self) -> String {
        let endpoints: Vec<String> = self
            .nodes()
            .map(|node| format!("127.0.0.1:{}", node.client_port))
            .collect();
        endpoints.join(",")
    }

    /// The flags of one node's `serve`, but for `--exit-with-parent`.
    pub(super) fn flags(&self, node: &Node) -> Vec<String> {
        let members: Vec<String> = self
            .founders
            .iter()
            .map(|node| format!("{}={}", node.name, node.peer_url()))
            .collect();
        vec![
            format!("--name={}", node.name),
            format!("--data-dir={}", node.directory.join("data").display()),
            format!("--listen-client-urls={}", node.client_url()),
            format!("--advertise-client-urls={}", node.client_url()),
            format!("--listen-peer-urls={}", node.peer_url()),
            format!("--initial-advertise-peer-urls={}", node.peer_url()),
            format!("--initial-cluster={}", members.join(",")),
            format!("--initial-cluster-token={}", self.record.token),
            "--initial-cluster-state=new".to_owned(),
        ]
    }

    /// Says whose a port is that is in use.
    pub(super) fn check_ports(&self) -> anyhow::Result<()> {
        for node in self.nodes() {
            for (port, what) in [(node.client_port, "client"), (node.peer_port, "peer")] {
                match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::AddrInUse => bail!(
                        "port {port} (for {what}s of {}) is in use by {}; stop it, or choose another --base-port{}",
                        node.name,
                        port_owner::describe(port),
                        if self.is_founded {
                            " together with another --data-dir"
                        } else {
                            ""
                        }
                    ),
                    Err(e) => bail!(
                        "port {port} (for {what}s of {}) cannot be used: {e}",
                        node.name
                    ),
                }
            }
        }
        Ok(())
    }
}

impl Node {
    pub(super) fn client_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.directory.join("node.log")
    }
}
