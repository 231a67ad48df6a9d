//! The data directory: whose it is, and where its parts lie.
//!
//! ```text
//! <data-dir>/            0700
//!   member.json          cluster, member, name, format version; written once, atomically
//!   wal/                 the log's segments
//! ```
//!
//! `member.json` is there so that a directory that was mixed up is refused with a reason before
//! anything in it is touched; the log checks its own segments again.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::ServerError;
use crate::settings::QUORATE_VERSION;

/// The version of the directory's layout.
const FORMAT_VERSION: u64 = 1;

const IDENTITY_FILE: &str = "member.json";
const LOG_DIRECTORY: &str = "wal";

/// Opens `path` for this member, making it if it is absent; gives the log's directory.
pub(crate) fn open(
    path: &Path,
    cluster_id: u64,
    member_id: u64,
    name: &str,
) -> Result<PathBuf, ServerError> {
    let fault = |reason: String| ServerError::DataDir {
        path: path.to_owned(),
        reason,
    };
    let identity_path = path.join(IDENTITY_FILE);
    let log_directory = path.join(LOG_DIRECTORY);
    match fs::read(&identity_path) {
        Ok(bytes) => check_identity(&bytes, cluster_id, member_id).map_err(fault)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if log_directory.exists() {
                return Err(fault(format!(
                    "it has a {LOG_DIRECTORY}/ but no {IDENTITY_FILE}, so it cannot be told whose \
                     log that is; put {IDENTITY_FILE} back, or start on an empty directory"
                )));
            }
            let make = || -> io::Result<()> {
                make_directory(path)?;
                write_identity(path, cluster_id, member_id, name)
            };
            make().map_err(|error| fault(format!("cannot be made ready: {error}")))?;
        }
        Err(error) => return Err(fault(format!("cannot read {IDENTITY_FILE}: {error}"))),
    }
    let make_log = || -> io::Result<()> {
        make_directory(&log_directory)?;
        File::open(path)?.sync_all()
    };
    make_log().map_err(|error| fault(format!("cannot make {LOG_DIRECTORY}/: {error}")))?;
    Ok(log_directory)
}

fn check_identity(bytes: &[u8], cluster_id: u64, member_id: u64) -> Result<(), String> {
    let identity: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("{IDENTITY_FILE} cannot be read: {error}"))?;
    let version = identity["format_version"].as_u64().unwrap_or(0);
    if version != FORMAT_VERSION {
        return Err(format!(
            "it has format version {version}, this binary knows {FORMAT_VERSION}; start the \
             version of quorate that wrote it ({})",
            identity["quorate"].as_str().unwrap_or("unknown")
        ));
    }
    let (theirs, ours) = (
        identity["cluster_id"].as_str().unwrap_or(""),
        hex(cluster_id),
    );
    if theirs != ours {
        return Err(format!(
            "it belongs to cluster {theirs}, but the flags describe cluster {ours}; nothing was \
             touched. Give the --initial-cluster and --initial-cluster-token that the cluster \
             was made with, or another --data-dir"
        ));
    }
    let (theirs, ours) = (identity["member_id"].as_str().unwrap_or(""), hex(member_id));
    if theirs != ours {
        return Err(format!(
            "it belongs to member {theirs} ({}), but the flags describe member {ours}; nothing \
             was touched. Give that member's --name, or another --data-dir",
            identity["name"].as_str().unwrap_or("unnamed")
        ));
    }
    Ok(())
}

fn hex(id: u64) -> String {
    format!("{id:016x}")
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write_identity(path: &Path, cluster_id: u64, member_id: u64, name: &str) -> io::Result<()> {
    let identity = json!({
        "format_version": FORMAT_VERSION,
        "cluster_id": hex(cluster_id),
        "member_id": hex(member_id),
        "name": name,
        "quorate": QUORATE_VERSION,
    });
    let part = path.join(format!("{IDENTITY_FILE}.part"));
    let mut file = File::create(&part)?;
    writeln!(file, "{identity:#}")?;
    file.sync_all()?;
    fs::rename(&part, path.join(IDENTITY_FILE))?;
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refusal(result: Result<PathBuf, ServerError>) -> String {
        result.expect_err("refused").to_string()
    }

    #[test]
    fn a_directory_is_made_once_and_found_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("data");
        let log = open(&path, 1, 2, "n1").expect("made");
        assert_eq!(open(&path, 1, 2, "n1").expect("found"), log);
        assert_eq!(
            fs::metadata(&path).expect("there").permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn anothers_directory_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("data");
        open(&path, 1, 2, "n1").expect("made");
        let of_cluster = refusal(open(&path, 9, 2, "n1"));
        assert!(
            of_cluster.contains("belongs to cluster 0000000000000001"),
            "{of_cluster}"
        );
        let of_member = refusal(open(&path, 1, 9, "n2"));
        assert!(
            of_member.contains("belongs to member 0000000000000002 (n1)"),
            "{of_member}"
        );
    }

    #[test]
    fn a_newer_format_or_a_damaged_identity_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("data");
        open(&path, 1, 2, "n1").expect("made");
        let identity = path.join(IDENTITY_FILE);
        let newer = fs::read_to_string(&identity)
            .expect("text")
            .replace(": 1", ": 2");
        fs::write(&identity, newer).expect("written");
        assert!(refusal(open(&path, 1, 2, "n1")).contains("format version 2"));
        fs::write(&identity, "{").expect("written");
        assert!(refusal(open(&path, 1, 2, "n1")).contains("cannot be read"));
        fs::remove_file(&identity).expect("removed");
        assert!(refusal(open(&path, 1, 2, "n1")).contains("no member.json"));
    }
}
