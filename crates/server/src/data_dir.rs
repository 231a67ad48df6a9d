//! The data directory: whose it is, and where its parts lie.
//!
//! ```text
//! <data-dir>/            0700
//!   member.json          cluster, member, name, format version, whether the log has begun;
//!                        the cluster's first members, and those at the time of joining;
//!                        what it was restored from
//!   wal/                 the log's segments
//! ```
//!
//! `member.json` is there so that a directory that was mixed up is refused with a reason before
//! anything in it is touched; the log checks its own segments again. It is written atomically,
//! twice: before the log begins, and when its first segment is durable. From then on a directory
//! without any segment is one that lost its log, and is refused: the member may have voted and
//! acknowledged, and must not come back as one that has not.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use quorate_replica::{HIGHEST_PROTOCOL_VERSION, Member, MemberTable, TooNew};
use serde_json::{Value, json};

use crate::error::ServerError;
use crate::settings::QUORATE_VERSION;

/// The version of a new directory's layout. A directory of a member whose cluster has agreed on a
/// later protocol version has that version: a program that speaks less, however old, refuses it.
const FORMAT_VERSION: u64 = 1;

/// In the identity file: what a program must know to use the directory.
const FORMAT_FIELD: &str = "format_version";

const IDENTITY_FILE: &str = "member.json";
const LOG_DIRECTORY: &str = "wal";

/// In the identity file: set once the log's first segment is durable.
const LOG_FIELD: &str = "log";
const LOG_BEGUN: &str = "begun";

/// Whom the cluster's log begins with.
const FOUNDERS_FIELD: &str = "founders";

/// Who the members were when this one joined.
const CONTACTS_FIELD: &str = "joined_among";

/// The number made of the snapshot that a founder's log began with, if it was restored from a backup.
const RESTORED_FIELD: &str = "restored_from";

/// What the log of a founder began with that was not restored.
pub(crate) const FOUNDED: u64 = 1;

/// Of a member that joined: its log is that of the others, whatever they began with.
pub(crate) const JOINED: u64 = 0;

/// What a member was told when it first started: whom its log begins with, and, if it joined, who
/// the members were then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) founders: MemberTable,
    pub(crate) contacts: MemberTable,
}

/// Whose a data directory is.
pub(crate) struct Known {
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    pub(crate) origin: Origin,
    /// What its log began with: [`FOUNDED`], [`JOINED`], or the number of a snapshot.
    pub(crate) began_with: u64,
}

/// Whose `path` is, if it is anyone's, for a program that speaks at most `highest`; nothing is made or
/// changed.
pub(crate) fn look(path: &Path, highest: u32) -> Result<Option<Known>, ServerError> {
    let fault = |reason: String| ServerError::DataDir {
        path: path.to_owned(),
        reason,
    };
    let bytes = match fs::read(path.join(IDENTITY_FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(format!("cannot read {IDENTITY_FILE}: {error}"))),
    };
    let identity = read_identity(&bytes).map_err(fault)?;
    let needed = identity[FORMAT_FIELD].as_u64().unwrap_or(0);
    let needed = u32::try_from(needed).unwrap_or(u32::MAX);
    if needed > highest {
        let too_new = TooNew { needed, highest };
        return Err(fault(format!("it needs {too_new}. Nothing was touched")));
    }
    let id = |field: &str| {
        let text = identity[field].as_str().unwrap_or_default();
        u64::from_str_radix(text, 16).ok().filter(|id| *id != 0)
    };
    let known = || {
        let origin = Origin {
            founders: table_of(&identity[FOUNDERS_FIELD])?,
            contacts: table_of(&identity[CONTACTS_FIELD])?,
        };
        let unrestored = match origin.contacts.iter().next() {
            None => FOUNDED,
            Some(_) => JOINED,
        };
        Some(Known {
            cluster_id: id("cluster_id")?,
            member_id: id("member_id")?,
            origin,
            began_with: id(RESTORED_FIELD).unwrap_or(unrestored),
        })
    };
    match known() {
        Some(known) => Ok(Some(known)),
        None => Err(fault(format!(
            "{IDENTITY_FILE} does not say whose it is and who founded the cluster; put it back"
        ))),
    }
}

/// Members as JSON: what a person can read, and what no later version of the table needs.
fn json_of(table: &MemberTable) -> Value {
    let member = |(id, member): (u64, &Member)| {
        json!({
            "id": hex(id),
            "name": member.name,
            "peer_urls": member.peer_urls,
            "client_urls": member.client_urls,
            "learner": member.is_learner,
        })
    };
    table.iter().map(member).collect()
}

fn table_of(value: &Value) -> Option<MemberTable> {
    let texts = |value: &Value| -> Option<Vec<String>> {
        let texts = value.as_array()?.iter();
        texts.map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    let member = |value: &Value| {
        let member = Member {
            name: value["name"].as_str()?.to_owned(),
            peer_urls: texts(&value["peer_urls"])?,
            client_urls: texts(&value["client_urls"])?,
            is_learner: value["learner"].as_bool()?,
        };
        Some((u64::from_str_radix(value["id"].as_str()?, 16).ok()?, member))
    };
    let members: Option<Vec<_>> = value.as_array()?.iter().map(member).collect();
    members.map(MemberTable::new)
}

/// Opens `path` for this member, making it if it is absent; gives the log's directory.
pub(crate) fn open(
    path: &Path,
    cluster_id: u64,
    member_id: u64,
    name: &str,
    origin: &Origin,
) -> Result<PathBuf, ServerError> {
    let fault = |reason: String| ServerError::DataDir {
        path: path.to_owned(),
        reason,
    };
    let identity_path = path.join(IDENTITY_FILE);
    let log_directory = path.join(LOG_DIRECTORY);
    match fs::read(&identity_path) {
        Ok(bytes) => check_identity(&bytes, cluster_id, member_id)
            .and_then(|identity| check_log(&identity, &log_directory))
            .map_err(fault)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if log_directory.exists() {
                return Err(fault(format!(
                    "it has a {LOG_DIRECTORY}/ but no {IDENTITY_FILE}, so it cannot be told whose \
                     log that is; put {IDENTITY_FILE} back, or start on an empty directory"
                )));
            }
            let make = || -> io::Result<()> {
                make_directory(path)?;
                write_identity(path, &identity(cluster_id, member_id, name, origin))
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

/// Notes that the log has begun: its first segment is durable. To be called whenever the log is open.
pub(crate) fn note_log(path: &Path) -> Result<(), ServerError> {
    note(path, LOG_FIELD, LOG_BEGUN)
}

/// Notes what the log began with that was restored from a backup.
pub(crate) fn note_restored(path: &Path, began_with: u64) -> Result<(), ServerError> {
    note(path, RESTORED_FIELD, &hex(began_with))
}

fn note(path: &Path, field: &str, value: &str) -> Result<(), ServerError> {
    let note = || -> io::Result<()> {
        let mut identity: Value = serde_json::from_slice(&fs::read(path.join(IDENTITY_FILE))?)?;
        if identity[field] == value {
            return Ok(());
        }
        identity[field] = value.into();
        write_identity(path, &identity)
    };
    note().map_err(|error| ServerError::DataDir {
        path: path.to_owned(),
        reason: format!("cannot write {IDENTITY_FILE}: {error}"),
    })
}

/// Notes that the cluster goes by this protocol version: from now on no program that speaks less may
/// use the directory.
pub(crate) fn note_version(path: &Path, version: u32) -> io::Result<()> {
    let mut identity: Value = serde_json::from_slice(&fs::read(path.join(IDENTITY_FILE))?)?;
    if identity[FORMAT_FIELD].as_u64() >= Some(u64::from(version)) {
        return Ok(());
    }
    identity[FORMAT_FIELD] = version.into();
    write_identity(path, &identity)
}

/// Whether a log that has begun is still there. A gap among its segments the log notices itself; that the newest are
/// missing cannot be seen from here.
fn check_log(identity: &Value, log_directory: &Path) -> Result<(), String> {
    let is_segment = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| Path::new(&entry.file_name()).extension() == Some("wal".as_ref()))
    };
    let is_there = match fs::read_dir(log_directory) {
        Ok(mut entries) => entries.any(is_segment),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // Whoever opens the log will say what is wrong.
        Err(_) => true,
    };
    if identity[LOG_FIELD] == LOG_BEGUN && !is_there {
        return Err(format!(
            "its log is gone: {LOG_DIRECTORY}/ holds no segment, though this member has begun one. \
             What it voted and acknowledged would be forgotten, and with it perhaps a write; put \
             the segments back, from this very disk"
        ));
    }
    Ok(())
}

fn read_identity(bytes: &[u8]) -> Result<Value, String> {
    let identity: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("{IDENTITY_FILE} cannot be read: {error}"))?;
    let version = identity[FORMAT_FIELD].as_u64().unwrap_or(0);
    let known = FORMAT_VERSION..=u64::from(HIGHEST_PROTOCOL_VERSION);
    if !known.contains(&version) {
        return Err(format!(
            "it has format version {version}, this binary knows {FORMAT_VERSION} to \
             {HIGHEST_PROTOCOL_VERSION}; start the version of quorate that wrote it ({})",
            identity["quorate"].as_str().unwrap_or("unknown")
        ));
    }
    Ok(identity)
}

fn check_identity(bytes: &[u8], cluster_id: u64, member_id: u64) -> Result<Value, String> {
    let identity = read_identity(bytes)?;
    let (theirs, ours) = (
        identity["cluster_id"].as_str().unwrap_or(""),
        hex(cluster_id),
    );
    if theirs != ours {
        return Err(format!(
            "it belongs to cluster {theirs}, but the flags describe cluster {ours}; nothing was \
             touched. Give the --initial-cluster and --initial-cluster-token that the cluster \
             was made with, or --initial-cluster-state=existing if its members have changed since, \
             or another --data-dir"
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
    Ok(identity)
}

fn hex(id: u64) -> String {
    format!("{id:016x}")
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn identity(cluster_id: u64, member_id: u64, name: &str, origin: &Origin) -> Value {
    json!({
        FORMAT_FIELD: FORMAT_VERSION,
        "cluster_id": hex(cluster_id),
        "member_id": hex(member_id),
        "name": name,
        FOUNDERS_FIELD: json_of(&origin.founders),
        CONTACTS_FIELD: json_of(&origin.contacts),
        "quorate": QUORATE_VERSION,
    })
}

fn write_identity(path: &Path, identity: &Value) -> io::Result<()> {
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

    fn origin() -> Origin {
        let member = Member {
            name: "n1".to_owned(),
            peer_urls: vec!["http://n1:2380".to_owned()],
            client_urls: Vec::new(),
            is_learner: false,
        };
        Origin {
            founders: MemberTable::new([(u64::MAX, member)]),
            contacts: MemberTable::default(),
        }
    }

    #[test]
    fn a_directory_says_whose_it_is() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("data");
        assert!(look(&path, 2).expect("nothing is no fault").is_none());
        open(&path, 1, 2, "n1", &origin()).expect("made");
        let known = look(&path, 2).expect("read").expect("there");
        assert_eq!((known.cluster_id, known.member_id), (1, 2));
        assert_eq!(known.began_with, FOUNDED);
        note_restored(&path, u64::MAX).expect("noted");
        let known = look(&path, 2).expect("read").expect("there");
        assert_eq!(known.began_with, u64::MAX);
        assert_eq!(known.origin.founders, origin().founders);
        fs::write(path.join(IDENTITY_FILE), r#"{"format_version": 1}"#).expect("written");
        assert!(look(&path, 2).is_err());
    }

    #[test]
    fn a_directory_of_a_cluster_that_went_on_is_none_for_an_older_program() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("data");
        open(&path, 1, 2, "n1", &origin()).expect("made");
        look(&path, 1).expect("as long as no version was agreed");
        for version in [1, 2, 1, 2] {
            note_version(&path, version).expect("noted");
        }
        let refused = look(&path, 1).err().expect("refused").to_string();
        assert!(refused.contains("needs protocol version 2"), "{refused}");
        look(&path, 2).expect("read").expect("there");
        open(&path, 1, 2, "n1", &origin()).expect("found");
        note_log(&path).expect("noted");
        assert!(look(&path, 1).is_err(), "still");
    }

    fn refusal(result: Result<PathBuf, ServerError>) -> String {
        result.expect_err("refused").to_string()
    }

    #[test]
    fn a_directory_is_made_once_and_found_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("data");
        let log = open(&path, 1, 2, "n1", &origin()).expect("made");
        assert_eq!(open(&path, 1, 2, "n1", &origin()).expect("found"), log);
        assert_eq!(
            fs::metadata(&path).expect("there").permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn anothers_directory_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("data");
        open(&path, 1, 2, "n1", &origin()).expect("made");
        let of_cluster = refusal(open(&path, 9, 2, "n1", &origin()));
        assert!(
            of_cluster.contains("belongs to cluster 0000000000000001"),
            "{of_cluster}"
        );
        let of_member = refusal(open(&path, 1, 9, "n2", &origin()));
        assert!(
            of_member.contains("belongs to member 0000000000000002 (n1)"),
            "{of_member}"
        );
    }

    #[test]
    fn a_log_that_has_begun_must_be_there() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("data");
        let log = open(&path, 1, 2, "n1", &origin()).expect("made");
        open(&path, 1, 2, "n1", &origin()).expect("a crash before the first segment is no loss");
        let segment = log.join("00000000-0000000000000001.wal");
        fs::write(&segment, "").expect("written");
        for _ in 0..2 {
            note_log(&path).expect("noted");
            open(&path, 1, 2, "n1", &origin()).expect("found");
        }
        fs::remove_file(&segment).expect("removed");
        assert!(refusal(open(&path, 1, 2, "n1", &origin())).contains("its log is gone"));
        fs::remove_dir(&log).expect("removed");
        assert!(refusal(open(&path, 1, 2, "n1", &origin())).contains("its log is gone"));
    }

    #[test]
    fn a_newer_format_or_a_damaged_identity_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("data");
        open(&path, 1, 2, "n1", &origin()).expect("made");
        let identity = path.join(IDENTITY_FILE);
        let newer = fs::read_to_string(&identity)
            .expect("text")
            .replace(": 1", ": 9");
        fs::write(&identity, newer).expect("written");
        assert!(refusal(open(&path, 1, 2, "n1", &origin())).contains("format version 9"));
        fs::write(&identity, "{").expect("written");
        assert!(refusal(open(&path, 1, 2, "n1", &origin())).contains("cannot be read"));
        fs::remove_file(&identity).expect("removed");
        assert!(refusal(open(&path, 1, 2, "n1", &origin())).contains("no member.json"));
    }
}
