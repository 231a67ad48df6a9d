//! Backups: saved from real processes, verified, and restored to new clusters of real processes.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_server::{BackupError, check_backup};

use crate::cluster::{Cluster, Etcdctl, Plan, Ran, quorate, real_directory};
use crate::gateway::post;
use crate::real_faults::{Load, find_lost};

/// The token of the clusters that are restored.
const TOKEN: &str = "--initial-cluster-token=after-the-fire";

fn ctl(cluster: &Cluster, node: usize, words: &[&str]) -> String {
    let ran = try_ctl(cluster, node, words);
    assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
    ran.out
}

fn try_ctl(cluster: &Cluster, node: usize, words: &[&str]) -> Ran {
    let endpoints = format!("--endpoints={}", cluster.endpoint(node));
    let mut all = vec!["ctl", &endpoints];
    all.extend(words);
    quorate(&all)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn save(cluster: &Cluster, node: usize, path: &Path) -> String {
    let out = ctl(cluster, node, &["snapshot", "save", text(path)]);
    assert_eq!(out, format!("Snapshot saved at {}\n", path.display()));
    out
}

/// Restores a backup as node `i` of `cluster`, which does not run, to `directory`.
fn restore_to(cluster: &Cluster, i: usize, backup: &Path, directory: &Path, more: &[&str]) -> Ran {
    let node = &cluster.nodes[i];
    let words = [
        format!("--name={}", node.name),
        format!("--data-dir={}", directory.display()),
        format!("--initial-cluster={}", node.initial_cluster),
        format!("--initial-advertise-peer-urls=http://{}", node.dialled_at),
        TOKEN.to_owned(),
    ];
    let mut all = vec!["ctl", "snapshot", "restore", text(backup)];
    all.extend(words.iter().map(String::as_str));
    all.extend(more);
    quorate(&all)
}

/// In the place of the nodes of `cluster`: a new cluster from a backup.
fn restore(cluster: &mut Cluster, backup: &Path, scratch: &Path, more: &[&str]) {
    for i in 0..cluster.len() {
        if cluster.nodes[i].is_running() {
            cluster.kill(i);
        }
        let directory = scratch.join(format!("restored-{i}"));
        let ran = restore_to(cluster, i, backup, &directory, more);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        cluster.nodes[i].directory = directory;
        cluster.nodes[i].flags.push(TOKEN.to_owned());
    }
    for i in 0..cluster.len() {
        cluster.restart(i);
    }
    cluster.wait_for_leader();
    for i in 0..cluster.len() {
        cluster.wait_until_healthy(i);
    }
}

/// Keys of several versions, deleted ones, a lease with a key, and a compaction; gives the lease.
fn fill(cluster: &Cluster) -> String {
    let granted = ctl(cluster, 0, &["lease", "grant", "600"]);
    let lease = granted.split(' ').nth(1).expect("an id").to_owned();
    for round in 0..3 {
        for key in ["a", "b", "c"] {
            let value = format!("{key}{round}");
            ctl(cluster, 0, &["put", key, &value]);
        }
    }
    let leased = ["put", "leased", "value", "--lease", &lease];
    ctl(cluster, 0, &leased);
    ctl(cluster, 0, &["del", "c"]);
    ctl(cluster, 0, &["compact", "5"]);
    lease
}

/// Every key with its revisions, version and lease, as of a revision.
fn keys_at(cluster: &Cluster, node: usize, revision: &str) -> String {
    let words = ["get", "", "--prefix", "-w", "fields", "--rev", revision];
    let out = ctl(cluster, node, &words);
    let is_of_a_key = |line: &&str| {
        let of_the_header = ["\"ClusterID\"", "\"MemberID\"", "\"RaftTerm\""];
        !of_the_header.iter().any(|name| line.starts_with(name))
    };
    out.lines()
        .filter(is_of_a_key)
        .collect::<Vec<_>>()
        .join("\n")
}

fn saved(scratch: &Path) -> (Cluster, PathBuf) {
    let cluster = Plan::of(1).start();
    fill(&cluster);
    let backup = scratch.join("backup.db");
    save(&cluster, 0, &backup);
    (cluster, backup)
}

#[test]
fn three_members_restored_from_one_backup_serve_what_was_saved() {
    let scratch = real_directory();
    let mut cluster = Plan::of(3).start();
    let lease = fill(&cluster);
    let revisions = ["0", "5", "9", "12"];
    cluster.wait_until_equal();
    let before: Vec<String> = revisions.map(|at| keys_at(&cluster, 0, at)).to_vec();
    let (members, identity) = (
        ctl(&cluster, 0, &["member", "list"]),
        ctl(&cluster, 0, &["status", "-w", "json"]),
    );
    let backup = scratch.path().join("backup.db");
    save(&cluster, 1, &backup);
    assert!(!scratch.path().join("backup.db.part").exists());
    let status = check_backup(&backup).expect("sound");
    assert!(status.has_hash && status.file_bytes % 512 == 32);
    assert_eq!((status.revision, status.compacted_revision), (12, 5));
    assert_eq!((status.live_keys, status.leases), (3, 1));

    // What is written after the backup is not in it.
    ctl(&cluster, 0, &["put", "later", "x"]);
    restore(&mut cluster, &backup, scratch.path(), &[]);
    for node in 0..3 {
        let after: Vec<String> = revisions.map(|at| keys_at(&cluster, node, at)).to_vec();
        assert_eq!(after, before, "n{}", node + 1);
        let compacted = try_ctl(&cluster, node, &["get", "a", "--rev", "4"]);
        assert!(
            compacted.error.contains("has been compacted"),
            "{compacted:?}"
        );
        let asked = ["lease", "timetolive", &lease, "--keys"];
        let time = ctl(&cluster, node, &asked);
        assert!(time.contains("granted with TTL(600s)") && time.contains("leased"));
    }
    // A new cluster, of other members, in which one can write.
    assert_ne!(ctl(&cluster, 0, &["member", "list"]), members);
    assert_ne!(ctl(&cluster, 0, &["status", "-w", "json"]), identity);
    ctl(&cluster, 2, &["put", "new", "y"]);
    assert_eq!(cluster.wait_until_equal().revision, 13);
    // And that starts again like any other.
    for node in 0..3 {
        cluster.kill(node);
    }
    for node in 0..3 {
        cluster.restart(node);
    }
    cluster.wait_for_leader();
    assert_eq!(
        ctl(&cluster, 0, &["get", "new", "--print-value-only"]),
        "y\n"
    );
    let again = scratch.path().join("again.db");
    save(&cluster, 0, &again);
    assert_eq!(check_backup(&again).expect("sound").revision, 13);
}

#[test]
fn a_backup_that_is_saved_under_load_holds_all_that_was_acknowledged_before() {
    let scratch = real_directory();
    let mut cluster = Plan::of(1).start();
    let load = Load::start(&[cluster.endpoint(0)], "before");
    cluster.wait_for("writes to be acknowledged", || {
        (load.acknowledged() >= 500).then_some(())
    });
    let acknowledged = load.stop();
    let load = Load::start(&[cluster.endpoint(0)], "meanwhile");
    cluster.wait_for("writes to be acknowledged", || {
        (load.acknowledged() >= 100).then_some(())
    });
    let ours = scratch.path().join("ours.db");
    save(&cluster, 0, &ours);
    let mut backups = vec![ours];
    if Etcdctl::is_installed() {
        let theirs = scratch.path().join("theirs.db");
        cluster
            .etcdctl(0)
            .output(&["snapshot", "save", text(&theirs)]);
        backups.push(theirs);
    }
    let meanwhile = load.stop();
    assert!(!meanwhile.is_empty());
    for (number, backup) in backups.iter().enumerate() {
        let status = check_backup(backup).expect("sound");
        assert!(status.has_hash);
        let place = scratch.path().join(number.to_string());
        fs::create_dir(&place).expect("a directory");
        restore(&mut cluster, backup, &place, &[]);
        assert_eq!(
            cluster.status(0).expect("it answers").revision,
            status.revision
        );
        let lost = find_lost(&cluster.endpoint(0), &acknowledged);
        assert!(lost.is_empty(), "{} lost {lost:?}", backup.display());
    }
}

#[test]
fn callers_at_the_same_moment_are_given_the_same_snapshot() {
    let scratch = real_directory();
    let cluster = Plan::of(1).start();
    fill(&cluster);
    let endpoint = cluster.endpoint(0);
    let save = |number: usize| {
        let path = scratch.path().join(format!("{number}.db"));
        let endpoints = format!("--endpoints={endpoint}");
        std::thread::spawn(move || {
            let ran = quorate(&["ctl", &endpoints, "snapshot", "save", text(&path)]);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            (
                check_backup(&path).expect("sound"),
                fs::read(path).expect("it was saved"),
            )
        })
    };
    let savers: Vec<_> = (0..4).map(save).collect();
    let savers = savers
        .into_iter()
        .map(|saver| saver.join().expect("it ends"));
    let saved: Vec<_> = savers.collect();
    for (status, bytes) in &saved {
        assert_eq!(status.revision, 12);
        // A member writes now and then for itself: then two are of two moments.
        let same = saved
            .iter()
            .filter(|(other, _)| other.applied == status.applied);
        assert!(same.into_iter().all(|(_, others)| others == bytes));
    }
}

#[test]
fn a_member_that_was_restored_otherwise_than_the_others_is_refused_by_them() {
    let scratch = real_directory();
    let mut cluster = Plan::of(3).start();
    fill(&cluster);
    let backup = scratch.path().join("backup.db");
    save(&cluster, 0, &backup);
    let bumped = ["--bump-revision=7", "--mark-compacted"];
    for i in 0..3 {
        cluster.kill(i);
        let directory = scratch.path().join(format!("restored-{i}"));
        let flags = if i == 2 { &bumped[..] } else { &[] };
        let ran = restore_to(&cluster, i, &backup, &directory, flags);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        cluster.nodes[i].directory = directory;
        cluster.nodes[i].flags.push(TOKEN.to_owned());
    }
    for i in 0..3 {
        cluster.restart(i);
    }
    cluster.wait_until_healthy(0);
    ctl(&cluster, 0, &["put", "a", "x"]);
    for i in 0..3 {
        cluster.wait_for("the members to say why", || {
            let log = cluster.nodes[i].log_text();
            log.contains("must be restored from one backup")
                .then_some(())
        });
    }
    // Restored like the others it is one of them.
    cluster.kill(2);
    let directory = scratch.path().join("restored-again");
    let ran = restore_to(&cluster, 2, &backup, &directory, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    cluster.nodes[2].directory = directory;
    cluster.restart(2);
    assert_eq!(cluster.wait_until_equal().revision, 13);
}

#[test]
fn a_bumped_and_compacted_restore_refuses_every_revision_that_was_seen() {
    let scratch = real_directory();
    let (mut cluster, backup) = saved(scratch.path());
    let now = keys_at(&cluster, 0, "0").replace("\"Revision\" : 12", "");
    let refused = restore_to(
        &cluster,
        0,
        &backup,
        &scratch.path().join("no"),
        &["--bump-revision=1000"],
    );
    assert!(
        refused.error.contains("--mark-compacted required"),
        "{refused:?}"
    );
    assert!(!scratch.path().join("no").exists());
    let flags = ["--bump-revision=1000", "--mark-compacted"];
    restore(&mut cluster, &backup, scratch.path(), &flags);
    assert_eq!(cluster.status(0).expect("it answers").revision, 1012);
    let kept = keys_at(&cluster, 0, "0").replace("\"Revision\" : 1012", "");
    assert_eq!(kept, now);
    for revision in ["5", "12", "13", "1011"] {
        let read = try_ctl(&cluster, 0, &["get", "a", "--rev", revision]);
        assert!(read.error.contains("has been compacted"), "{read:?}");
        let watched = try_ctl(&cluster, 0, &["watch", "a", "--rev", revision]);
        let said = format!("{}{}", watched.out, watched.error);
        assert!(said.contains("compacted"), "{watched:?}");
    }
    ctl(&cluster, 0, &["put", "a", "next"]);
    assert_eq!(cluster.status(0).expect("it answers").revision, 1013);
    // What it makes of itself from here on can be loaded: two snapshots, and a start from the newer of them.
    for name in ["once.db", "twice.db"] {
        let path = scratch.path().join(name);
        save(&cluster, 0, &path);
        let status = quorate(&["ctl", "snapshot", "status", text(&path)]);
        assert_eq!(status.code, Some(0), "{status:?}");
        ctl(&cluster, 0, &["put", "a", name]);
    }
    cluster.kill(0);
    cluster.restart(0);
    cluster.wait_until_healthy(0);
    assert_eq!(cluster.status(0).expect("it answers").revision, 1015);
}

#[test]
fn a_damaged_byte_anywhere_and_a_cut_anywhere_are_refused_and_leave_nothing() {
    let scratch = real_directory();
    let (cluster, backup) = saved(scratch.path());
    let whole = fs::read(&backup).expect("it was saved");
    let copy = scratch.path().join("copy.db");
    let check = |bytes: &[u8]| {
        fs::write(&copy, bytes).expect("written");
        check_backup(&copy)
    };
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(check(&damaged).is_err(), "byte {at} of {}", whole.len());
    }
    let mut without_hash = 0;
    for length in 0..whole.len() {
        match check(&whole[..length]) {
            Err(_) => {}
            // The snapshot alone, as it lies in a data directory.
            Ok(status) => {
                assert!(!status.has_hash);
                without_hash += 1;
            }
        }
    }
    assert_eq!(without_hash, 1);
    let mut longer = whole.clone();
    longer.push(0);
    assert!(matches!(check(&longer), Err(BackupError::Tail { .. })));
    let mut bolt = vec![0; 4096];
    bolt[16..20].copy_from_slice(&0xED0C_DAED_u32.to_le_bytes());
    assert!(matches!(check(&bolt), Err(BackupError::Etcd(_))));
    assert!(matches!(check(b"hello"), Err(BackupError::NoSnapshot(_))));

    let mut damaged = whole.clone();
    damaged[300] ^= 1;
    fs::write(&copy, damaged).expect("written");
    let directory = scratch.path().join("data");
    for flags in [&[][..], &["--skip-hash-check"][..]] {
        let ran = restore_to(&cluster, 0, &copy, &directory, flags);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.error.contains("damaged"), "{ran:?}");
        let left = fs::read_dir(scratch.path()).expect("it is there");
        let is_ours = |name: &str| name.starts_with("data");
        let names = left.map(|entry| entry.expect("a name").file_name());
        let names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        assert!(!names.iter().any(|name| is_ours(name)), "{names:?}");
    }
}

#[test]
fn the_file_of_a_data_directory_is_restored_when_the_hash_is_not_asked_for() {
    let scratch = real_directory();
    let (mut cluster, _) = saved(scratch.path());
    let now = keys_at(&cluster, 0, "0");
    let files = fs::read_dir(cluster.nodes[0].directory.join("wal")).expect("the log's directory");
    let paths = files.map(|file| file.expect("a file").path());
    let is_snapshot = |path: &PathBuf| text(path).contains("/snapshot-");
    let file = paths
        .filter(is_snapshot)
        .max()
        .expect("a snapshot was taken");
    let status = quorate(&["ctl", "snapshot", "status", text(&file)]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.error.contains("--skip-hash-check"), "{status:?}");
    let directory = scratch.path().join("restored-0");
    let refused = restore_to(&cluster, 0, &file, &directory, &[]);
    assert!(
        refused.error.contains("snapshot missing hash"),
        "{refused:?}"
    );
    restore(&mut cluster, &file, scratch.path(), &["--skip-hash-check"]);
    assert_eq!(keys_at(&cluster, 0, "0"), now);
    // What is there is not touched.
    let again = restore_to(&cluster, 0, &file, &directory, &["--skip-hash-check"]);
    assert!(again.error.contains("not empty"), "{again:?}");
}

#[test]
fn a_backup_over_the_gateway_comes_in_lines() {
    let cluster = Plan::of(1).start();
    fill(&cluster);
    let answer = post(&cluster.endpoint(0), "/v3/maintenance/snapshot", b"{}").text();
    let lines: Vec<&str> = answer
        .lines()
        .filter(|line| line.contains("blob"))
        .collect();
    assert!(lines.len() >= 3, "{answer}");
    assert!(lines[0].contains("\"remaining_bytes\":\"") && lines[0].contains("\"result\""));
    assert!(
        !lines[lines.len() - 1].contains("remaining_bytes"),
        "{answer}"
    );
}
