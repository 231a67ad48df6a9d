//! A cluster of three processes on this machine.
//!
//! Quorate takes etcd's flags, so both get the same ones, and everything else is each one's default.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::arguments::MEMBERS;
use crate::child::Child;
use crate::measure::System;
use crate::{health, interrupt, ports};

/// How long a cluster may take until every member serves.
pub(crate) const READY_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A cluster that serves; dropped, it is killed and its data removed.
pub(crate) struct Cluster {
    system: System,
    program: PathBuf,
    /// Holds everything of this cluster and nothing else.
    directory: PathBuf,
    client_ports: Vec<u16>,
    peer_ports: Vec<u16>,
    nodes: Vec<Child>,
}

impl Cluster {
    /// Founds a cluster in a directory that must not be there, and waits until every member serves.
    pub(crate) fn found(
        system: System,
        program: &Path,
        directory: &Path,
    ) -> anyhow::Result<Cluster> {
        sync_filesystem(directory.parent().unwrap_or(directory))?;
        fs::create_dir(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let ports = ports::free(2 * MEMBERS)?;
        let (client_ports, peer_ports) = ports.split_at(MEMBERS);
        let mut cluster = Cluster {
            system,
            program: program.to_owned(),
            directory: directory.to_owned(),
            client_ports: client_ports.to_vec(),
            peer_ports: peer_ports.to_vec(),
            nodes: Vec::new(),
        };
        cluster.start()?;
        Ok(cluster)
    }

    /// `127.0.0.1:…,127.0.0.1:…,127.0.0.1:…`
    pub(crate) fn endpoints(&self) -> String {
        self.endpoint_list().join(",")
    }

    /// Each member's, in their order.
    pub(crate) fn endpoint_list(&self) -> Vec<String> {
        let endpoint = |port: &u16| format!("127.0.0.1:{port}");
        self.client_ports.iter().map(endpoint).collect()
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn process_ids(&self) -> Vec<u32> {
        self.nodes.iter().map(Child::id).collect()
    }

    /// Stops every member in good order and starts them again with their data.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        self.start()
    }

    /// Stops every member in good order, and writes out what they left.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.check_running()?;
        for node in &self.nodes {
            node.terminate()?;
        }
        for node in self.nodes.drain(..) {
            node.wait_terminated()?;
        }
        sync_filesystem(&self.directory)
    }

    /// Kills a member as `kill -9` does; it is gone when this returns.
    pub(crate) fn kill(&mut self, member: usize) {
        drop(self.nodes.remove(member));
    }

    /// Starts the member that was killed, with its data, and waits until every member serves.
    pub(crate) fn revive(&mut self, member: usize) -> anyhow::Result<()> {
        let node = self.start_node(member)?;
        self.nodes.insert(member, node);
        self.wait_ready()
    }

    /// An error if a member has ended.
    pub(crate) fn check_running(&mut self) -> anyhow::Result<()> {
        self.nodes.iter_mut().try_for_each(Child::check_running)
    }

    /// Kills it, and removes its data.
    pub(crate) fn remove(mut self) -> anyhow::Result<()> {
        self.nodes.clear();
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.start_nodes()?;
        self.wait_ready()
    }

    /// Starts every member of a cluster that is stopped, and does not wait for them.
    pub(crate) fn start_nodes(&mut self) -> anyhow::Result<()> {
        for index in 0..MEMBERS {
            let node = self.start_node(index)?;
            self.nodes.push(node);
        }
        Ok(())
    }

    fn start_node(&self, index: usize) -> anyhow::Result<Child> {
        let name = format!("{} n{}", self.system, index + 1);
        let log = self.directory.join(format!("n{}.log", index + 1));
        Child::start(&name, &self.program, &self.arguments(index), &log, None)
    }

    /// Waits until every member serves.
    pub(crate) fn wait_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            self.check_running()?;
            if self.client_ports.iter().copied().all(health::is_healthy) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} does not serve on all of {} within {} s",
                    self.system,
                    self.endpoints(),
                    READY_DEADLINE.as_secs()
                );
            }
            interrupt::pause(POLL)?;
        }
    }

    fn arguments(&self, index: usize) -> Vec<String> {
        let name = |index: usize| format!("n{}", index + 1);
        let peer_url = |index: usize| format!("http://127.0.0.1:{}", self.peer_ports[index]);
        let client_url = format!("http://127.0.0.1:{}", self.client_ports[index]);
        let members: Vec<String> = (0..MEMBERS)
            .map(|index| format!("{}={}", name(index), peer_url(index)))
            .collect();
        let flags = [
            format!("--name={}", name(index)),
            format!("--data-dir={}", self.directory.join(name(index)).display()),
            format!("--listen-client-urls={client_url}"),
            format!("--advertise-client-urls={client_url}"),
            format!("--listen-peer-urls={}", peer_url(index)),
            format!("--initial-advertise-peer-urls={}", peer_url(index)),
            format!("--initial-cluster={}", members.join(",")),
            "--initial-cluster-state=new".to_owned(),
            // Both servers' defaults, said aloud since the time without a leader hangs on them.
            "--heartbeat-interval=100".to_owned(),
            "--election-timeout=1000".to_owned(),
            "--log-level=error".to_owned(),
        ];
        let subcommand = match self.system {
            System::Quorate => Some("serve".to_owned()),
            System::Etcd => None,
        };
        subcommand.into_iter().chain(flags).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The processes first: one that writes would bring its files back.
        self.nodes.clear();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Writes out what the last cluster left to the page cache, so that this one does not wait for it.
fn sync_filesystem(directory: &Path) -> anyhow::Result<()> {
    let opened =
        File::open(directory).with_context(|| format!("cannot open {}", directory.display()))?;
    rustix::fs::syncfs(opened).with_context(|| format!("cannot sync {}", directory.display()))
}
