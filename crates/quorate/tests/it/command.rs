//! Runs a program and keeps what it printed.

use std::io::Write;
use std::process::{Command, Stdio};

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("the output is text")
    }
}

/// Runs `quorate` with nothing on standard input.
pub(crate) fn quorate<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ran {
    quorate_with(arguments, b"")
}

/// Runs `quorate` with `stdin` on standard input.
pub(crate) fn quorate_with<S: AsRef<std::ffi::OsStr>>(arguments: &[S], stdin: &[u8]) -> Ran {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("quorate"));
    run(command.args(arguments), stdin)
}

pub(crate) fn run(command: &mut Command, stdin: &[u8]) -> Ran {
    // The flags alone decide, whatever the machine's environment says.
    for name in [
        "ENDPOINTS",
        "WRITE_OUT",
        "HEX",
        "USER",
        "PASSWORD",
        "CACERT",
        "CERT",
        "KEY",
    ] {
        command.env_remove(format!("ETCDCTL_{name}"));
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that does not read its input may have closed it.
    let _ = child.stdin.take().expect("it is piped").write_all(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Ran {
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
    }
}
