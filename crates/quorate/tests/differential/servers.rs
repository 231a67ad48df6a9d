//! Two empty servers of one member each: an etcd and a `quorate serve`. They end with the values that stand for them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use crate::cluster::{Node, PATIENCE, free_ports, get, real_directory, skip, wait_for};
use crate::differences::Oracle;

/// Where the oracle is; without it, etcd is looked for on the path.
const VARIABLE: &str = "QUORATE_TEST_ETCD";

/// Data in memory makes trials quick. Without such a place they are on disk.
const MEMORY: &str = "/dev/shm";

/// Which etcd there is.
#[derive(Clone, Debug)]
pub(crate) struct Etcd {
    program: PathBuf,
    /// As it says it, for example `3.5.1`.
    pub(crate) version: String,
}

impl Etcd {
    /// None if there is none that will do; then it has been said that the test is skipped.
    pub(crate) fn find() -> Option<Etcd> {
        let program = env::var(VARIABLE).unwrap_or_else(|_| "etcd".to_owned());
        let said = Command::new(&program).arg("--version").output();
        let said = said.map(|ran| String::from_utf8_lossy(&ran.stdout).into_owned());
        let version = said.ok().and_then(|said| {
            let first = said.lines().next()?;
            let version = first.strip_prefix("etcd Version: ")?;
            Some(version.to_owned())
        });
        match version {
            Some(version) if version.starts_with("3.5.") || version.starts_with("3.4.") => {
                Some(Etcd {
                    program: program.into(),
                    version,
                })
            }
            _ => {
                skip("there is no etcd 3.5 or 3.4 at $QUORATE_TEST_ETCD or on the path");
                None
            }
        }
    }

    /// Whose words it uses.
    pub(crate) fn oracle(&self) -> Oracle {
        match self.version.starts_with("3.5.") {
            true => Oracle::Todays,
            false => Oracle::Older,
        }
    }
}

/// Both servers.
pub(crate) struct Both {
    etcd: Child,
    pub(crate) etcd_endpoint: String,
    /// The same for its peers.
    pub(crate) etcd_peer: String,
    quorate: Node,
    _directory: tempfile::TempDir,
}

impl Drop for Both {
    fn drop(&mut self) {
        // It may have ended of its own.
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

impl Both {
    /// Starts both on empty directories, and waits until they serve.
    pub(crate) fn start(etcd: &Etcd) -> Both {
        for attempt in 1.. {
            match Both::try_start(etcd) {
                Ok(both) => return both,
                // A port was taken between choosing and using it.
                Err(why) => assert!(attempt < 5, "{why}"),
            }
        }
        unreachable!("the loop returns or fails")
    }

    fn try_start(etcd: &Etcd) -> Result<Both, String> {
        let directory = match Path::new(MEMORY).is_dir() {
            true => tempfile::Builder::new()
                .prefix("quorate-differential-")
                .tempdir_in(MEMORY)
                .expect("a directory in memory"),
            false => real_directory(),
        };
        let port = free_ports(4);
        let log = directory.path().join("etcd.log");
        let mut both = Both {
            etcd: etcd_process(&etcd.program, directory.path(), port, &log),
            etcd_endpoint: format!("127.0.0.1:{port}"),
            etcd_peer: format!("127.0.0.1:{}", port + 1),
            quorate: quorate_node(directory.path(), port + 2),
            _directory: directory,
        };
        both.quorate.spawn();
        both.quorate.wait_until_serving()?;
        wait_for("Quorate to be healthy", PATIENCE, || {
            both.quorate.page("/health").ok()
        });
        let process = &mut both.etcd;
        wait_for("etcd to serve", PATIENCE, || {
            if process.try_wait().expect("it can be waited for").is_some() {
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Some(Err(format!("etcd has ended: {log}")));
            }
            let health = get(port, "/health").ok()?;
            health.contains("true").then_some(Ok(()))
        })?;
        Ok(both)
    }

    /// `address:port` of Quorate, for clients.
    pub(crate) fn quorate_endpoint(&self) -> String {
        self.quorate.endpoint()
    }

    /// The same for its peers.
    pub(crate) fn quorate_peer(&self) -> String {
        self.quorate.dialled_at.to_string()
    }

    /// What became of the processes, if one has ended.
    pub(crate) fn ended(&mut self) -> Option<String> {
        if let Some(how) = self.quorate.ended_unasked() {
            let log = self.quorate.log_end();
            return Some(format!("Quorate ended {how}; its log ends:\n{log}"));
        }
        let how = self.etcd.try_wait().expect("it can be waited for")?;
        Some(format!("etcd ended: {how}"))
    }
}

fn etcd_process(program: &Path, directory: &Path, port: u16, log: &Path) -> Child {
    let log = fs::File::create(log).expect("a file");
    let (client, peer) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{}", port + 1),
    );
    let mut command = Command::new(program);
    for (variable, _) in env::vars_os() {
        if variable.to_string_lossy().starts_with("ETCD_") {
            command.env_remove(&variable);
        }
    }
    command
        .arg(format!("--data-dir={}", directory.join("etcd").display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        .args(["--log-level=error"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("etcd starts")
}

fn quorate_node(directory: &Path, port: u16) -> Node {
    let address = std::net::Ipv4Addr::LOCALHOST;
    let peer = std::net::SocketAddrV4::new(address, port + 1);
    Node {
        name: "default".to_owned(),
        address,
        client_port: port,
        peer_port: port + 1,
        dialled_at: peer,
        launcher: Vec::new(),
        directory: directory.join("n1"),
        log: directory.join("n1.log"),
        initial_cluster: format!("default=http://{peer}"),
        joins: false,
        flags: Vec::new(),
        process: None,
    }
}
