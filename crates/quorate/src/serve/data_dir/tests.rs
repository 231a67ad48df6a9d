//! Which directories are used, which are refused, and that a refusal changes nothing.

use std::fs::Permissions;

use super::*;

fn refusal(path: &Path) -> String {
    DataDir::open(path)
        .expect_err("should be refused")
        .to_string()
}

#[test]
fn a_missing_directory_is_made_for_its_owner_alone() {
    let temp = tempfile::tempdir().expect("temp dir");
    let path = temp.path().join("a/b");
    let (data_dir, notes) = DataDir::open(&path).expect("made");
    let mode = fs::metadata(data_dir.path())
        .expect("there")
        .permissions()
        .mode()
        & 0o777;
    assert_eq!((mode, notes.len()), (0o700, 0));
}

#[test]
fn a_directory_open_to_others_is_used_with_a_warning() {
    let temp = tempfile::tempdir().expect("temp dir");
    fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).expect("chmod");
    let (_data_dir, notes) = DataDir::open(temp.path()).expect("used");
    assert!(
        notes.len() == 1 && notes[0].contains("has mode 0755"),
        "{notes:?}"
    );
}

#[test]
fn etcds_directory_is_refused_untouched_with_the_way_to_migrate() {
    for part in ["member/snap", "member/wal"] {
        let temp = tempfile::tempdir().expect("temp dir");
        fs::create_dir_all(temp.path().join(part)).expect("mkdir");
        let line = refusal(temp.path());
        assert!(
            line.contains("belongs to etcd") && line.contains("make-mirror"),
            "{line}"
        );
        assert_eq!(
            fs::read_dir(temp.path()).expect("readable").count(),
            1,
            "nothing was added"
        );
    }
}

#[test]
fn a_directory_is_used_by_one_process_at_a_time() {
    let temp = tempfile::tempdir().expect("temp dir");
    let held = DataDir::open(temp.path()).expect("free");
    let line = refusal(temp.path());
    let process = std::process::id();
    assert!(
        line.contains(&format!("is in use by process {process};")),
        "{line}"
    );
    drop(held);
    assert!(DataDir::open(temp.path()).is_ok(), "free again");
}

#[test]
fn a_file_is_no_directory() {
    let temp = tempfile::NamedTempFile::new().expect("temp file");
    assert!(refusal(temp.path()).contains("it is not a directory"));
    assert!(refusal(&temp.path().join("below")).contains("cannot look at it"));
}
