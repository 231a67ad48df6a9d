//! Debian's etcdctl, unchanged.

use std::process::{Command, Stdio};

use super::{Ran, run, skip};

/// etcdctl for one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Etcdctl {
    endpoint: String,
}

impl Etcdctl {
    /// For `endpoint`, or several, separated by commas.
    pub(crate) fn new(endpoint: &str) -> Etcdctl {
        Etcdctl {
            endpoint: endpoint.to_owned(),
        }
    }

    /// Whether etcdctl is there; a test without it says that it is skipped.
    pub(crate) fn is_installed() -> bool {
        let found = Command::new("etcdctl")
            .arg("version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !found {
            skip("etcdctl is not installed (Debian: apt-get install etcd-client)");
        }
        found
    }

    /// Runs it with these words.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, "")
    }

    /// Runs it with these words and standard input.
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> Ran {
        let mut command = Command::new("etcdctl");
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("ETCDCTL_") {
                command.env_remove(&variable);
            }
        }
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.endpoint))
            .args(words);
        run(&mut command, input)
    }

    /// What it prints when it succeeds.
    pub(crate) fn output(&self, words: &[&str]) -> String {
        self.output_with(words, "")
    }

    /// What it prints when it succeeds, with standard input.
    pub(crate) fn output_with(&self, words: &[&str], input: &str) -> String {
        let ran = self.run_with(words, input);
        assert_eq!(ran.code, Some(0), "etcdctl {words:?}: {ran:?}");
        ran.out
    }

    /// The error that it ends with: its last line on standard error.
    pub(crate) fn error(&self, words: &[&str]) -> String {
        self.error_with(words, "")
    }

    /// The error that it ends with, with standard input.
    pub(crate) fn error_with(&self, words: &[&str], input: &str) -> String {
        let ran = self.run_with(words, input);
        assert_ne!(ran.code, Some(0), "etcdctl {words:?}: {ran:?}");
        ran.error.lines().last().unwrap_or_default().to_owned()
    }
}
