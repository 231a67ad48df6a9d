//! Runs a program to its end and keeps what it printed.

use std::io::{Read, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use super::node::without_settings;
use super::{PATIENCE, wait_for};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) error: String,
    /// Nothing if a signal ended it.
    pub(crate) code: Option<i32>,
}

/// The binary under test, told nothing by the environment: cargo's, or another build at `$QUORATE_TEST_BINARY`.
pub(crate) fn quorate_command() -> Command {
    quorate_command_by(&[])
}

/// The same, run by a program with its words if `launcher` is not empty.
pub(crate) fn quorate_command_by(launcher: &[String]) -> Command {
    let other = std::env::var_os("QUORATE_TEST_BINARY");
    let binary = other.unwrap_or_else(|| env!("CARGO_BIN_EXE_quorate").into());
    let mut command = match launcher {
        [] => Command::new(binary),
        [program, words @ ..] => {
            let mut command = Command::new(program);
            command.args(words).arg(binary);
            command
        }
    };
    without_settings(&mut command);
    command
}

/// Runs `quorate` with these words to its end.
pub(crate) fn quorate(words: &[impl AsRef<std::ffi::OsStr>]) -> Ran {
    run(quorate_command().args(words), "")
}

/// Runs a program with `input` on standard input; it must end by itself, and soon.
pub(crate) fn run(command: &mut Command, input: &str) -> Ran {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    // A program that does not read its input may have closed it.
    let _ = child
        .stdin
        .take()
        .expect("it is piped")
        .write_all(input.as_bytes());
    let out = read(child.stdout.take().expect("it is piped"));
    let error = read(child.stderr.take().expect("it is piped"));
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for(&format!("{what} to end"), PATIENCE, || {
            child.try_wait().expect("it can be waited for")
        })
    }));
    let Ok(how) = ended else {
        let _ = child.kill();
        let _ = child.wait();
        panic!(
            "{what} does not end; it printed {:?} and {:?}",
            out.join(),
            error.join()
        );
    };
    Ran {
        out: out.join().expect("text"),
        error: error.join().expect("text"),
        code: how.code(),
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("the pipe is readable");
        String::from_utf8(bytes).expect("the output is text")
    })
}
