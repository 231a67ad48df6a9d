//! Which directories are used, which are refused, and that a refusal changes nothing.

use std::fs::Permissions;

use super::*;

fn refusal(path: &Path, join_existing: bool) -> String {
    DataDir::open(path, join_existing)
        .expect_err("should be refused")
        .to_string()
}

#[test]
fn a_missing_directory_is_made_for_its_owner_alone() {
    let temp = tempfile::tempdir().expect("temp dir");
    let path = temp.path().join("a/b");
    let (data_dir, notes) = DataDir::open(&path, false).expect("made");
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
    let (_data_dir, notes) = DataDir::open(temp.path(), false).expect("used");
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
        let line = refusal(temp.path(), false);
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
    let held = DataDir::open(temp.path(), false).expect("free");
    let line = refusal(temp.path(), false);
    let process = std::process::id();
    assert!(
        line.contains(&format!("is in use by process {process};")),
        "{line}"
    );
    drop(held);
    assert!(DataDir::open(temp.path(), false).is_ok(), "free again");
}

#[test]
fn who_says_existing_must_have_data() {
    let temp = tempfile::tempdir().expect("temp dir");
    assert!(
        refusal(temp.path(), true).contains("joining an existing cluster comes in a later version")
    );
    assert!(refusal(&temp.path().join("missing"), true).contains("is empty"));
    fs::write(temp.path().join("identity"), "x").expect("written");
    assert!(DataDir::open(temp.path(), true).is_ok());
}

#[test]
fn a_file_is_no_directory() {
    let temp = tempfile::NamedTempFile::new().expect("temp file");
    assert!(refusal(temp.path(), false).contains("it is not a directory"));
    assert!(refusal(&temp.path().join("below"), false).contains("cannot look at it"));
}
