//! Data that a node must not touch: another's, a newer one's, damaged, unreadable, etcd's. Always one line that says
//! what, where and what to do, an exit code other than 0, and nothing changed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quorate_proto::etcdserverpb::PutRequest;

use crate::cluster::{
    Cluster, Plan, Turn, contents, free_ports, hold_ports, kv, quorate_command, real_directory,
    run, runtime, wait_for,
};

/// Starts node `i` with other words than its own; it must refuse. Gives its one line.
fn refusal(words: &[String], directory: &Path) -> String {
    let before = contents(directory);
    let ran = run(quorate_command().args(words).arg("--log-level=error"), "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.error.lines().count(), 1, "{ran:?}");
    let times_told = ran.error.matches("write-ahead log:").count();
    assert!(times_told <= 1, "the same is told twice: {ran:?}");
    assert_eq!(
        contents(directory),
        before,
        "something was changed: {ran:?}"
    );
    ran.error
}

/// Words with the flag that begins like `flag` replaced by it.
fn with(words: &[String], flag: &str) -> Vec<String> {
    let name = flag.split('=').next().expect("a name");
    let kept = words
        .iter()
        .filter(|word| word.split('=').next() != Some(name));
    kept.cloned().chain([flag.to_owned()]).collect()
}

/// One node that has been stopped, with `keys` keys written one after the other: as many batches at least.
fn stopped_node(keys: usize) -> Cluster {
    let mut cluster = Plan::of(1).start();
    put_each(&cluster, keys);
    cluster.terminate(0);
    cluster
}

fn value_of(key: usize) -> String {
    format!("the value of key number {key}, which is easily found")
}

fn put_each(cluster: &Cluster, keys: usize) {
    runtime().block_on(async {
        let mut kv = kv(&cluster.endpoint(0));
        for key in 0..keys {
            let put = PutRequest {
                key: format!("key{key}").into(),
                value: value_of(key).into(),
                ..Default::default()
            };
            kv.put(put).await.expect("a write");
        }
    });
}

/// The log's only segment.
fn segment(directory: &Path) -> PathBuf {
    let files = fs::read_dir(directory.join("wal")).expect("a log");
    let paths = files.map(|file| file.expect("a file").path());
    let mut segments: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "wal"))
        .collect();
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments.remove(0)
}

fn assert_contains(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "no `{part}` in: {line}");
    }
}

#[test]
fn the_data_of_another_cluster_is_refused() {
    let cluster = stopped_node(1);
    let node = &cluster.nodes[0];
    let words = with(&node.words(), "--initial-cluster-token=another");
    let line = refusal(&words, &node.directory);
    let directory = node.directory.display().to_string();
    assert_contains(
        &line,
        &[
            &directory,
            "belongs to cluster",
            "--initial-cluster-token",
            "--data-dir",
        ],
    );
}

#[test]
fn the_data_of_another_member_is_refused() {
    let mut cluster = Plan::of(3).start();
    for i in 0..3 {
        cluster.terminate(i);
    }
    let other = &cluster.nodes[1].directory;
    let flag = format!("--data-dir={}", other.display());
    let line = refusal(&with(&cluster.nodes[0].words(), &flag), other);
    assert_contains(
        &line,
        &[
            &other.display().to_string(),
            "belongs to member",
            "(n2)",
            "--name",
        ],
    );
}

#[test]
fn a_directory_of_a_newer_format_is_refused() {
    let cluster = stopped_node(1);
    let node = &cluster.nodes[0];
    let identity = node.directory.join("member.json");
    let newer = fs::read_to_string(&identity)
        .expect("text")
        .replace("\"format_version\": 2", "\"format_version\": 9")
        .replace("\"format_version\": 1", "\"format_version\": 9");
    fs::write(&identity, newer).expect("written");
    let line = refusal(&node.words(), &node.directory);
    assert_contains(
        &line,
        &[
            "format version 9",
            "start the version of quorate that wrote it",
        ],
    );
}

#[test]
fn a_log_of_a_newer_format_is_refused() {
    let cluster = stopped_node(1);
    let node = &cluster.nodes[0];
    let path = segment(&node.directory);
    let mut bytes = fs::read(&path).expect("readable");
    // The version, in both copies of the segment's header.
    for copy in [0, 2048] {
        bytes[copy + 8] = 2;
    }
    fs::write(&path, bytes).expect("written");
    let line = refusal(&node.words(), &node.directory);
    let name = path.file_name().expect("a name").to_string_lossy();
    assert_contains(&line, &[&name, "format version 2"]);
}

#[test]
fn one_flipped_bit_in_acknowledged_data_is_named_and_never_cut_away() {
    // Twenty writes one after the other: each batch says that those before it are durable, and the stop says it of
    // the last one, which could pass for a torn tail otherwise.
    let mut cluster = stopped_node(20);
    let path = segment(&cluster.nodes[0].directory);
    let sound = fs::read(&path).expect("readable");
    for key in [0, 9, 18, 19] {
        let value = value_of(key);
        let place = sound
            .windows(value.len())
            .position(|bytes| bytes == value.as_bytes())
            .expect("values lie in the log as they are");
        let mut damaged = sound.clone();
        damaged[place] ^= 1;
        fs::write(&path, &damaged).expect("written");
        let node = &cluster.nodes[0];
        let line = refusal(&node.words(), &node.directory);
        let name = path.file_name().expect("a name").to_string_lossy();
        assert_contains(
            &line,
            &[
                &name,
                "is damaged at byte ",
                "acknowledged",
                "nothing was cut",
            ],
        );
        let offset: usize = line
            .split("is damaged at byte ")
            .nth(1)
            .and_then(|rest| {
                rest.split(|c: char| !c.is_ascii_digit())
                    .next()?
                    .parse()
                    .ok()
            })
            .expect("an offset");
        // A batch begins at a sector, with a header of 128 bytes.
        assert!(
            (offset..offset + 1024).contains(&place),
            "{offset}, not {place}: {line}"
        );
    }
    fs::write(&path, &sound).expect("written");
    cluster.restart(0);
    cluster.wait_until_healthy(0);
    assert_eq!(cluster.read_all(0).len(), 20);
}

#[test]
fn a_member_whose_log_is_gone_does_not_come_back_as_a_new_one() {
    let cluster = stopped_node(1);
    let node = &cluster.nodes[0];
    fs::remove_file(segment(&node.directory)).expect("removed");
    let line = refusal(&node.words(), &node.directory);
    let directory = node.directory.display().to_string();
    assert_contains(
        &line,
        &[&directory, "its log is gone", "put the segments back"],
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let cluster = stopped_node(1);
    let node = &cluster.nodes[0];
    // Root may read any file, but nobody can read a directory as one.
    let segment = segment(&node.directory);
    let identity = node.directory.join("member.json");
    for path in [&segment, &identity] {
        let aside = path.with_extension("aside");
        fs::rename(path, &aside).expect("moved");
        fs::create_dir(path).expect("made");
        let line = refusal(&node.words(), &node.directory);
        let name = path.file_name().expect("a name").to_string_lossy();
        assert_contains(&line, &[&name, "Is a directory"]);
        fs::remove_dir(path).expect("removed");
        fs::rename(&aside, path).expect("moved back");
    }
    let log = node.directory.join("wal");
    fs::rename(&log, node.directory.join("aside")).expect("moved");
    fs::write(&log, "").expect("written");
    let line = refusal(&node.words(), &node.directory);
    assert_contains(&line, &["wal", "directory"]);
    let file = format!("--data-dir={}", identity.display());
    let line = refusal(&with(&node.words(), &file), &node.directory);
    assert_contains(&line, &["member.json: it is not a directory", "--data-dir"]);
}

#[test]
fn a_directory_in_use_is_refused_and_its_user_named() {
    let cluster = Plan::of(1).start();
    let node = &cluster.nodes[0];
    let port = free_ports(2);
    let mut words = node.words();
    for flag in [
        format!("--listen-client-urls=http://127.0.0.1:{port}"),
        format!("--listen-peer-urls=http://127.0.0.1:{}", port + 1),
    ] {
        words = with(&words, &flag);
    }
    let ran = run(quorate_command().args(words).arg("--log-level=error"), "");
    assert_eq!(
        (ran.code, ran.error.lines().count()),
        (Some(1), 1),
        "{ran:?}"
    );
    let owner = format!("in use by process {}", node.pid());
    assert_contains(&ran.error, &[&node.directory.display().to_string(), &owner]);
    put_each(&cluster, 1);
}

#[test]
fn a_port_in_use_is_refused_and_its_user_named() {
    let _turn = Turn::take(false);
    let scratch = real_directory();
    let data = scratch.path().join("data");
    let held = hold_ports(1);
    let taken = held[0].local_addr().expect("bound").port();
    let free = free_ports(1);
    for (client, peer) in [(taken, free), (free, taken)] {
        let words = [
            "serve".to_owned(),
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls=http://127.0.0.1:{client}"),
            format!("--advertise-client-urls=http://127.0.0.1:{client}"),
            format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
            "--log-level=error".to_owned(),
        ];
        let ran = run(quorate_command().args(words), "");
        assert_eq!(
            (ran.code, ran.error.lines().count()),
            (Some(1), 1),
            "{ran:?}"
        );
        let owner = format!("in use by process {}", std::process::id());
        assert_contains(&ran.error, &[&format!("127.0.0.1:{taken}"), &owner]);
        assert!(!data.join("member.json").exists(), "founded in spite of it");
    }
}

#[test]
fn etcds_own_data_directory_is_refused_with_how_to_migrate() {
    let _turn = Turn::take(false);
    let scratch = real_directory();
    let made_up = scratch.path().join("made-up.etcd");
    fs::create_dir_all(made_up.join("member/snap")).expect("made");
    fs::create_dir_all(made_up.join("member/wal")).expect("made");
    fs::write(made_up.join("member/snap/db"), "bolt").expect("written");
    let mut directories = vec![made_up];
    directories.extend(real_etcds_data(scratch.path()));
    for directory in directories {
        let words = [
            "serve".to_owned(),
            format!("--data-dir={}", directory.display()),
        ];
        let line = refusal(&words, &directory);
        let shown = directory.display().to_string();
        assert_contains(
            &line,
            &[
                &shown,
                "belongs to etcd",
                "make-mirror",
                "nothing was changed",
            ],
        );
    }
}

/// What a real etcd leaves behind, where one is installed.
fn real_etcds_data(scratch: &Path) -> Option<PathBuf> {
    let directory = scratch.join("real.etcd");
    let port = free_ports(2);
    let peer = format!("http://127.0.0.1:{}", port + 1);
    let client = format!("http://127.0.0.1:{port}");
    let mut etcd = Command::new("etcd")
        .arg(format!("--data-dir={}", directory.display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let ready = std::panic::catch_unwind(|| {
        wait_for("etcd's database", crate::cluster::PATIENCE, || {
            directory.join("member/snap/db").exists().then_some(())
        });
    });
    let _ = etcd.kill();
    let _ = etcd.wait();
    ready.expect("etcd starts");
    Some(directory)
}

#[test]
fn nothing_listens_on_the_ports_of_a_node_that_refused() {
    let cluster = stopped_node(1);
    let node = &cluster.nodes[0];
    refusal(
        &with(&node.words(), "--initial-cluster-token=another"),
        &node.directory,
    );
    for port in [node.client_port, node.peer_port] {
        TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    }
}
