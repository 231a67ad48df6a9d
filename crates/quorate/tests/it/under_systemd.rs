//! A unit or a file written for etcd starts Quorate when one word is changed.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use quorate_proto::etcdserverpb::PutRequest;
use rustix::process::Signal;

use crate::cluster::{
    PATIENCE, Turn, free_ports, get, kv, quorate_command, real_directory, runtime, signal, wait_for,
};

/// A `quorate serve` that is told everything from outside; ends with this value.
struct Service(Child);

impl Service {
    fn start(command: &mut Command, log: &Path) -> Service {
        let log = fs::File::create(log).expect("a log");
        // What systemd does with its cgroup is done here by the one flag that no unit has.
        command
            .arg(format!("--exit-with-parent={}", std::process::id()))
            .stdin(Stdio::null())
            .stderr(log);
        Service(command.spawn().expect("the binary starts"))
    }

    /// `systemctl stop`.
    fn stop(mut self) {
        signal(&self.0, Signal::TERM);
        let how = wait_for("the service to stop", PATIENCE, || {
            self.0.try_wait().expect("it can be waited for")
        });
        assert_eq!(how.code(), Some(0));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn works_as(name: &str, port: u16) {
    let status = wait_for("the service to be healthy", PATIENCE, || {
        get(port, "/health").ok()?;
        get(port, "/quorate/status").ok()
    });
    assert!(
        status.contains(&format!("\"member\":\"{name}\"")),
        "{status}"
    );
    let put = PutRequest {
        key: "k".into(),
        ..Default::default()
    };
    let put = async { kv(&format!("127.0.0.1:{port}")).put(put).await };
    runtime().block_on(put).expect("a write");
}

#[test]
fn serve_takes_etcds_environment() {
    let _turn = Turn::take(false);
    let directory = real_directory();
    let port = free_ports(2);
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{}", port + 1);
    let data = directory.path().join("data");
    let mut command = quorate_command();
    command
        .arg("serve")
        .env("ETCD_NAME", "infra0")
        .env("ETCD_DATA_DIR", &data)
        .env("ETCD_LISTEN_CLIENT_URLS", &client)
        .env("ETCD_ADVERTISE_CLIENT_URLS", &client)
        .env("ETCD_LISTEN_PEER_URLS", &peer)
        .env("ETCD_INITIAL_ADVERTISE_PEER_URLS", &peer)
        .env("ETCD_INITIAL_CLUSTER", format!("infra0={peer}"))
        .env("ETCD_INITIAL_CLUSTER_STATE", "new");
    let service = Service::start(&mut command, &directory.path().join("log"));
    works_as("infra0", port);
    assert!(data.join("member.json").exists());
    service.stop();
}

#[test]
fn a_unit_that_waits_to_be_notified_hears_when_the_member_is_ready_and_when_it_stops() {
    let _turn = Turn::take(false);
    let directory = real_directory();
    let port = free_ports(2);
    let socket = directory.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).expect("a socket");
    systemd.set_read_timeout(Some(PATIENCE)).expect("set");
    let hear = || {
        let mut word = [0; 64];
        let length = systemd.recv(&mut word).expect("a word in time");
        String::from_utf8_lossy(&word[..length]).into_owned()
    };
    let mut command = quorate_command();
    command
        .arg("serve")
        .env("NOTIFY_SOCKET", &socket)
        .env("ETCD_DATA_DIR", directory.path().join("data"))
        .env(
            "ETCD_LISTEN_CLIENT_URLS",
            format!("http://127.0.0.1:{port}"),
        )
        .env(
            "ETCD_ADVERTISE_CLIENT_URLS",
            format!("http://127.0.0.1:{port}"),
        )
        .env(
            "ETCD_LISTEN_PEER_URLS",
            format!("http://127.0.0.1:{}", port + 1),
        )
        .env(
            "ETCD_INITIAL_ADVERTISE_PEER_URLS",
            format!("http://127.0.0.1:{}", port + 1),
        )
        .env(
            "ETCD_INITIAL_CLUSTER",
            format!("default=http://127.0.0.1:{}", port + 1),
        );
    let service = Service::start(&mut command, &directory.path().join("log"));
    assert_eq!(hear(), "READY=1");
    works_as("default", port);
    service.stop();
    assert_eq!(hear(), "STOPPING=1");
}

#[test]
fn serve_takes_etcds_configuration_file() {
    let _turn = Turn::take(false);
    let directory = real_directory();
    let port = free_ports(2);
    let file = directory.path().join("etcd.conf.yml");
    let yaml = format!(
        "# This is the configuration file for the etcd server.\n\
         name: 'infra1'\n\
         data-dir: {data}\n\
         listen-client-urls: http://127.0.0.1:{port}\n\
         advertise-client-urls: http://127.0.0.1:{port}\n\
         listen-peer-urls: http://127.0.0.1:{peer}\n\
         initial-advertise-peer-urls: http://127.0.0.1:{peer}\n\
         initial-cluster: infra1=http://127.0.0.1:{peer}\n\
         initial-cluster-token: 'etcd-cluster-1'\n\
         initial-cluster-state: 'new'\n\
         snapshot-count: 10000\n\
         heartbeat-interval: 100\n\
         election-timeout: 1000\n\
         quota-backend-bytes: 0\n\
         max-snapshots: 5\n\
         logger: zap\n\
         log-outputs: [stderr]\n",
        data = directory.path().join("data").display(),
        peer = port + 1,
    );
    fs::write(&file, yaml).expect("written");
    let mut command = quorate_command();
    command.arg("serve").arg("--config-file").arg(&file);
    let service = Service::start(&mut command, &directory.path().join("log"));
    works_as("infra1", port);
    service.stop();
}
