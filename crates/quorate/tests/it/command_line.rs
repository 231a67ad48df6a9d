//! Help, versions, refusals and exit codes.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

/// Runs the binary with these words in this directory; returns exit code, standard output and error.
fn quorate(directory: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(words)
        .current_dir(directory)
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// As [`quorate`], for what must fail with one line on standard error and change nothing.
fn refused(directory: &Path, words: &[&str], code: i32) -> String {
    let before = names(directory);
    let (found, out, error) = quorate(directory, words);
    assert_eq!(
        (found, out.as_str()),
        (Some(code), ""),
        "{words:?}: {error}"
    );
    assert_eq!(error.lines().count(), 1, "{words:?}: {error}");
    assert_eq!(names(directory), before, "{words:?} changed the directory");
    error
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("readable");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_version_names_etcds_too() {
    let temp = tempfile::tempdir().expect("temp dir");
    let expected = format!("quorate {} (etcd API 3.5.21)\n", env!("CARGO_PKG_VERSION"));
    for words in [
        &["--version"][..],
        &["-V"],
        &["serve", "--version"],
        &["serve", "-version"],
    ] {
        assert_eq!(
            quorate(temp.path(), words),
            (Some(0), expected.clone(), String::new()),
            "{words:?}"
        );
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let temp = tempfile::tempdir().expect("temp dir");
    for words in [
        &["--help"][..],
        &["serve", "--help"],
        &["serve", "-h"],
        &["up", "--help"],
    ] {
        let (code, out, error) = quorate(temp.path(), words);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{words:?}");
        assert!(out.contains("Examples:"), "{words:?}");
    }
    assert!(
        quorate(temp.path(), &["--help"])
            .1
            .contains("Exit codes: 0 ")
    );
    assert!(
        quorate(temp.path(), &["serve", "--help-all"])
            .1
            .contains("--cert-file=PATH")
    );
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let temp = tempfile::tempdir().expect("temp dir");
    let line = refused(temp.path(), &["serve", "--data-dri=x"], 2);
    assert!(line.contains("did you mean --data-dir?"), "{line}");
    let line = refused(temp.path(), &["serve", "--cert-file=c.pem"], 2);
    assert!(
        line.contains("refuses to start rather than to serve in the clear"),
        "{line}"
    );
    let line = refused(temp.path(), &["serve", "--config-file=missing.yml"], 2);
    assert!(
        line.contains("configuration file missing.yml: No such file"),
        "{line}"
    );
    assert_eq!(quorate(temp.path(), &["sreve"]).0, Some(2));
    assert_eq!(quorate(temp.path(), &["up", "--nodes", "0"]).0, Some(2));
    assert_eq!(quorate(temp.path(), &[]).0, Some(2));
}

#[test]
fn etcds_data_directory_is_refused() {
    let temp = tempfile::tempdir().expect("temp dir");
    std::fs::create_dir_all(temp.path().join("default.etcd/member/wal")).expect("mkdir");
    let line = refused(temp.path(), &["serve", "--data-dir=default.etcd"], 1);
    assert!(
        line.contains("belongs to etcd") && line.contains("make-mirror"),
        "{line}"
    );
    assert_eq!(names(&temp.path().join("default.etcd")), ["member"]);
}

#[test]
fn a_node_whose_parent_is_gone_does_not_start() {
    let temp = tempfile::tempdir().expect("temp dir");
    // Process 1 starts no tests.
    let line = refused(temp.path(), &["serve", "--exit-with-parent=1"], 1);
    assert!(
        line.contains("process 1, which was to be our parent (--exit-with-parent), is gone"),
        "{line}"
    );
}

#[test]
fn up_says_whose_a_port_is() {
    let temp = tempfile::tempdir().expect("temp dir");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let (code, out, line) = quorate(temp.path(), &["up", "--nodes", "1", "--base-port", &port]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        line.contains(&format!(
            "port {port} (for clients of n1) is in use by process {}",
            std::process::id()
        )),
        "{line}"
    );
}

/// Runs the binary with its standard output going elsewhere; its exit code and standard error.
fn printing_to(output: File, words: &[&str]) -> (Option<i32>, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(words)
        .stdout(output)
        .output()
        .expect("the binary runs");
    let error = String::from_utf8(ran.stderr).expect("UTF-8");
    (ran.status.code(), error)
}

#[test]
fn an_output_that_takes_no_more_is_one_line_and_no_panic() {
    let temp = tempfile::tempdir().expect("temp dir");
    let history = temp.path().join("empty.jsonl");
    let header = r#"{"format":"quorate-history","version":1}"#;
    std::fs::write(&history, header).expect("written");
    let history = history.to_str().expect("UTF-8");
    let commands: [&[&str]; 4] = [
        &["sim", "course", "list"],
        &["sim", "course", "initial_election"],
        &["sim", "run", "--seeds", "1", "--json"],
        &["check", history],
    ];
    for words in commands {
        let full = File::options().write(true).open("/dev/full");
        let (code, error) = printing_to(full.expect("Linux has it"), words);
        assert_eq!(code, Some(1), "{words:?}: {error}");
        let line = "quorate: standard output: No space left on device (os error 28)\n";
        assert_eq!(error, line, "{words:?}");

        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (code, error) = printing_to(File::from(OwnedFd::from(writer)), words);
        assert_eq!((code, error.as_str()), (Some(141), ""), "{words:?}");
    }
}

#[test]
fn a_place_where_up_can_keep_nothing_is_refused_before_anything_starts() {
    let temp = tempfile::tempdir().expect("temp dir");
    std::fs::write(temp.path().join("file"), "").expect("written");
    let error = refused(temp.path(), &["up", "--data-dir", "file"], 1);
    assert_eq!(
        error,
        "quorate: file is not a directory; name another with --data-dir\n"
    );
    let not_text = OsStr::from_bytes(b"--data-dir=bad\xff");
    let ran = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("up")
        .arg(not_text)
        .current_dir(temp.path())
        .output()
        .expect("the binary runs");
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    assert_eq!(names(temp.path()), ["file"]);
}
