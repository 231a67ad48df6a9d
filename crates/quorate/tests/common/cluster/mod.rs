//! A cluster of real `quorate serve` processes on real disks, to be killed, stopped and started again.
//!
//! - A [`Cluster`] owns its processes: they end with it, and with this process whatever becomes of it
//!   (`--exit-with-parent`). The kernel ties a child to the *thread* that started it, so a cluster never leaves
//!   the test's own thread; the guard in it keeps it from being sent.
//! - Nothing here sleeps for luck: what takes time is waited for, with a deadline ([`wait_for`]).
//! - What the nodes log goes to files, whose ends are printed when the test fails.
//! - Tests that measure time ask to be [alone](Plan::alone): no other cluster runs meanwhile.

mod contents;
mod disk;
mod etcdctl;
mod http;
mod kv;
mod node;
mod place;
mod ports;
mod run;
mod shared;
mod skip;
mod status;
mod turns;
mod up;
mod wait;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

pub(crate) use contents::contents;
pub(crate) use disk::{DIRECTORY_PREFIX, parent_of_directories, real_directory, refuse_memory};
pub(crate) use etcdctl::Etcdctl;
pub(crate) use http::get;
pub(crate) use kv::{Kv, Pairs, kv, read_all, runtime};
pub(crate) use node::{Node, signal};
pub(crate) use place::Place;
pub(crate) use ports::{free_ports, hold_ports};
pub(crate) use run::{Ran, quorate, quorate_command, run};
pub(crate) use shared::{shared_data, word_counts};
pub(crate) use skip::{is_root, skip};
pub(crate) use status::NodeStatus;
pub(crate) use turns::Turn;
pub(crate) use up::Up;
pub(crate) use wait::{PATIENCE, wait_for};

/// How often a cluster is founded anew because a port was taken between choosing and using it.
const FOUNDING_ATTEMPTS: usize = 5;

/// What cluster to start.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many nodes.
    pub(crate) nodes: usize,
    /// A data directory for each node; empty: in a temporary directory on a real disk.
    pub(crate) directories: Vec<PathBuf>,
    /// A place for each node; empty: free ports of the loopback address.
    pub(crate) places: Vec<Place>,
    /// A [launcher](Node::launcher) for each node; empty: none has one.
    pub(crate) launchers: Vec<Vec<String>>,
    /// More flags for every node.
    pub(crate) flags: Vec<String>,
    /// No other cluster may run at the same time, because the test measures.
    pub(crate) alone: bool,
}

impl Plan {
    /// `nodes` nodes with default flags.
    pub(crate) fn of(nodes: usize) -> Plan {
        Plan {
            nodes,
            directories: Vec::new(),
            places: Vec::new(),
            launchers: Vec::new(),
            flags: Vec::new(),
            alone: false,
        }
    }

    /// No other cluster may run meanwhile.
    pub(crate) fn alone(mut self) -> Plan {
        self.alone = true;
        self
    }

    /// The nodes' data directories, in order; they must lie on real disks.
    pub(crate) fn directories(mut self, directories: &[PathBuf]) -> Plan {
        self.directories = directories.to_vec();
        self
    }

    /// The nodes' places, in order.
    pub(crate) fn places(mut self, places: &[Place]) -> Plan {
        self.places = places.to_vec();
        self
    }

    /// The nodes' launchers, in order.
    pub(crate) fn launchers(mut self, launchers: &[Vec<String>]) -> Plan {
        self.launchers = launchers.to_vec();
        self
    }

    /// One more flag for every node.
    pub(crate) fn flag(mut self, flag: &str) -> Plan {
        self.flags.push(flag.to_owned());
        self
    }

    /// Starts the cluster and waits until all nodes know one leader.
    pub(crate) fn start(self) -> Cluster {
        let turn = Turn::take(self.alone);
        for attempt in 1.. {
            let scratch = real_directory();
            match self.found(scratch.path()) {
                Ok(nodes) => {
                    let cluster = Cluster {
                        nodes,
                        _scratch: scratch,
                        _turn: turn,
                    };
                    cluster.wait_for_leader();
                    return cluster;
                }
                Err(taken) => assert!(attempt < FOUNDING_ATTEMPTS, "{taken}"),
            }
        }
        unreachable!("the loop returns or fails")
    }

    /// Starts all nodes and waits until each serves; an error when a port was taken meanwhile.
    fn found(&self, scratch: &Path) -> Result<Vec<Node>, String> {
        let held = hold_ports(2 * self.nodes);
        let places: Vec<Place> = match self.places.len() {
            0 => held.chunks(2).map(place_of).collect(),
            _ => self.places.clone(),
        };
        let names: Vec<String> = (1..=self.nodes).map(|i| format!("n{i}")).collect();
        let members: Vec<String> = names
            .iter()
            .zip(&places)
            .map(|(name, place)| format!("{name}=http://{}", place.dialled_at))
            .collect();
        let mut nodes: Vec<Node> = names
            .iter()
            .zip(&places)
            .enumerate()
            .map(|(i, (name, place))| Node {
                name: name.clone(),
                address: place.address,
                client_port: place.client_port,
                peer_port: place.peer_port,
                dialled_at: place.dialled_at,
                launcher: self.launchers.get(i).cloned().unwrap_or_default(),
                directory: match self.directories.get(i) {
                    Some(given) => given.clone(),
                    None => scratch.join(name),
                },
                log: scratch.join(format!("{name}.log")),
                initial_cluster: members.join(","),
                joins: false,
                flags: self.flags.clone(),
                process: None,
            })
            .collect();
        drop(held);
        for node in &mut nodes {
            refuse_memory(node.directory.parent().unwrap_or(Path::new("/")));
            node.spawn();
        }
        for node in &mut nodes {
            node.wait_until_serving()?;
        }
        Ok(nodes)
    }
}

/// Two free ports of the loopback address.
fn place_of(held: &[TcpListener]) -> Place {
    Place::at(
        Ipv4Addr::LOCALHOST,
        ports::port(&held[0]),
        ports::port(&held[1]),
    )
}

/// Real processes, numbered from 0.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    // Dropped after the nodes, in the order of declaration.
    _scratch: tempfile::TempDir,
    _turn: Turn,
}

impl Cluster {
    /// How many nodes, running or not.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// `127.0.0.1:port` of node `i`, for clients.
    pub(crate) fn endpoint(&self, i: usize) -> String {
        self.nodes[i].endpoint()
    }

    /// All clients' endpoints.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(Node::endpoint).collect()
    }

    /// Adds a member by etcdctl at node `by`, starts it with the flags that etcdctl prints, and waits
    /// until it serves; gives its number.
    pub(crate) fn join(&mut self, by: usize, learner: bool) -> usize {
        let i = self.add(by, learner);
        self.restart(i);
        i
    }

    /// Adds a member as [`Cluster::join`] does, and does not start it.
    pub(crate) fn add(&mut self, by: usize, learner: bool) -> usize {
        let (scratch, number) = (self._scratch.path().to_owned(), self.len() + 1);
        let place = place_of(&hold_ports(2));
        self.nodes.push(Node {
            name: format!("n{number}"),
            address: place.address,
            client_port: place.client_port,
            peer_port: place.peer_port,
            dialled_at: place.dialled_at,
            launcher: Vec::new(),
            directory: scratch.join(format!("n{number}")),
            log: scratch.join(format!("n{number}.log")),
            initial_cluster: String::new(),
            joins: true,
            flags: Vec::new(),
            process: None,
        });
        self.add_at(by, learner, number - 1)
    }

    /// As [`Cluster::join`], with the ports of node `i`, which does not run, and an empty directory.
    pub(crate) fn join_at(&mut self, by: usize, learner: bool, i: usize) -> usize {
        self.add_at(by, learner, i);
        self.restart(i);
        i
    }

    fn add_at(&mut self, by: usize, learner: bool, i: usize) -> usize {
        let node = &self.nodes[i];
        let (name, url) = (
            node.name.clone(),
            format!("--peer-urls=http://{}", node.dialled_at),
        );
        let mut words = vec!["member", "add", &name, &url];
        if learner {
            words.push("--learner");
        }
        let out = self.etcdctl(by).output(&words);
        let printed = |name: &str| {
            let line = out.lines().find_map(|line| line.strip_prefix(name));
            let value = line.unwrap_or_else(|| panic!("no {name} in {out}"));
            value.trim_matches(['=', '"']).to_owned()
        };
        assert_eq!(printed("ETCD_INITIAL_CLUSTER_STATE"), "existing");
        let node = &mut self.nodes[i];
        if node.directory.exists() {
            std::fs::remove_dir_all(&node.directory).expect("removed");
        }
        node.initial_cluster = printed("ETCD_INITIAL_CLUSTER=");
        node.joins = true;
        i
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(&mut self, i: usize) {
        self.nodes[i].kill();
    }

    /// SIGTERM, and waits until the process has ended.
    pub(crate) fn terminate(&mut self, i: usize) -> ExitStatus {
        self.nodes[i].terminate()
    }

    /// Starts node `i` again on its directory and ports, and waits until it answers clients.
    pub(crate) fn restart(&mut self, i: usize) {
        self.nodes[i].spawn();
        let started = self.nodes[i].wait_until_serving();
        started
            .unwrap_or_else(|error| panic!("{} does not start again: {error}", self.nodes[i].name));
    }

    /// What node `i` says of itself; nothing if it does not answer.
    pub(crate) fn status(&self, i: usize) -> Option<NodeStatus> {
        self.nodes[i].status()
    }

    /// Waits until all running nodes agree on a leader, which is one of them; gives its number.
    pub(crate) fn wait_for_leader(&self) -> usize {
        self.wait_for("a leader that all running nodes know", || self.leader())
    }

    /// Waits until node `i` serves a linearizable read: it has applied all that was acknowledged before.
    pub(crate) fn wait_until_healthy(&self, i: usize) {
        let what = format!("{} to be healthy", self.nodes[i].name);
        self.wait_for(&what, || self.nodes[i].page("/health").ok());
    }

    /// The leader that all running nodes agree on now, if they do.
    pub(crate) fn leader(&self) -> Option<usize> {
        let running = || (0..self.len()).filter(|i| self.nodes[*i].is_running());
        let statuses: Option<Vec<NodeStatus>> = running().map(|i| self.status(i)).collect();
        let statuses = statuses?;
        let first = statuses.first()?;
        let agree =
            |status: &NodeStatus| status.term == first.term && status.leader == first.leader;
        if !statuses.iter().all(agree) {
            return None;
        }
        running().find(|i| self.nodes[*i].name == first.leader)
    }

    /// Waits until all nodes run, and stand at one applied index with one state hash and one revision.
    pub(crate) fn wait_until_equal(&self) -> NodeStatus {
        self.wait_for("all nodes to be equal", || {
            let statuses: Option<Vec<NodeStatus>> =
                (0..self.len()).map(|i| self.status(i)).collect();
            let statuses = statuses?;
            let first = &statuses[0];
            if statuses
                .iter()
                .any(|status| status.applied != first.applied)
            {
                return None;
            }
            for status in &statuses {
                assert_eq!(
                    (&status.state_hash, status.revision),
                    (&first.state_hash, first.revision),
                    "{} and {} differ at applied index {}: {statuses:?}",
                    status.member,
                    first.member,
                    first.applied
                );
            }
            Some(first.clone())
        })
    }

    /// As [`wait_for`], and fails at once when a node that should be running has ended.
    pub(crate) fn wait_for<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.wait_within(what, PATIENCE, look)
    }

    /// The same, with a limit of its own.
    pub(crate) fn wait_within<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> T {
        wait_for(what, limit, || {
            for node in &self.nodes {
                if let Some(how) = node.ended_unasked() {
                    panic!(
                        "{} ended {how}, while waiting for {what}; its log ends:\n{}",
                        node.name,
                        node.log_end()
                    );
                }
            }
            look()
        })
    }

    /// The sum over all labels of a metric on node `i`; `name` is as on the page.
    pub(crate) fn metric(&self, i: usize, name: &str) -> f64 {
        let page = self.nodes[i].page("/metrics").expect("the page of metrics");
        let mut values = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(left, _)| left.split('{').next() == Some(name))
            .map(|(_, value)| value.parse::<f64>().expect("a number"))
            .peekable();
        assert!(values.peek().is_some(), "no metric {name} in\n{page}");
        values.sum()
    }

    /// All keys with their values, as node `i` alone sees them (serializable).
    pub(crate) fn read_all(&self, i: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
        runtime().block_on(read_all(&self.endpoint(i)))
    }

    /// etcdctl for node `i`.
    pub(crate) fn etcdctl(&self, i: usize) -> Etcdctl {
        Etcdctl::new(&self.endpoint(i))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("--- the end of {}'s log\n{}", node.name, node.log_end());
            }
        }
    }
}
