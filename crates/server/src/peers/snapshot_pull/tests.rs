use quorate_disk::DiskError;
use quorate_raft::Term;
use quorate_wal::WalError;

use super::*;

fn install(from: u64, index: u64) -> InstallWanted {
    InstallWanted {
        from: NodeId(from),
        index: LogIndex(index),
        term: Term(1),
    }
}

#[test]
fn pauses_grow_with_failures_and_with_what_is_here_again_and_end_with_news() {
    let mut retry = Retry::default();
    assert!(retry.pause().is_zero());
    retry.failed();
    assert_eq!(retry.pause(), SNAPSHOT_RETRY_FIRST);
    retry.failed();
    assert_eq!(retry.pause(), 2 * SNAPSHOT_RETRY_FIRST);
    for _ in 0..100 {
        retry.failed();
    }
    assert_eq!(retry.pause(), SNAPSHOT_RETRY_LONGEST);
    assert!(retry.succeeded(LogIndex(7)) && retry.pause().is_zero());
    assert!(!retry.succeeded(LogIndex(7)), "consensus refused it");
    assert_eq!(retry.pause(), SNAPSHOT_RETRY_FIRST);
    assert!(retry.succeeded(LogIndex(8)) && retry.pause().is_zero());

    retry.asks(NodeId(1));
    retry.failed();
    retry.asks(NodeId(1));
    assert_eq!(retry.pause(), SNAPSHOT_RETRY_FIRST);
    retry.asks(NodeId(2));
    assert!(retry.pause().is_zero());
}

#[test]
fn only_a_disk_that_cannot_be_trusted_is_the_end_of_the_process() {
    let of_disk = |kind| {
        let error = DiskError {
            kind,
            operation: "sync".to_owned(),
            file: "the directory".to_owned(),
            reason: "a fault".to_owned(),
        };
        SnapshotContentError::File(WalError::Disk(error))
    };
    assert!(is_final(&of_disk(ErrorKind::Io)));
    assert!(!is_final(&of_disk(ErrorKind::NoSpace)));
    assert!(!is_final(&of_disk(ErrorKind::NotFound)));
    assert!(!is_final(&SnapshotContentError::EndsInHead));
    let words = words_of(Failure::Here(of_disk(ErrorKind::NoSpace)));
    assert!(words.contains("free some space"), "{words}");
}

#[tokio::test]
async fn a_pull_from_a_member_that_is_silent_ends_when_another_has_the_snapshot() {
    let (sender, mut wanted) = watch::channel(Some(install(1, 5)));
    let silent = || std::future::pending::<Result<(), Failure>>();
    let pull = unless_elsewhere(&mut wanted, install(1, 5), silent());
    sender.send_replace(Some(install(2, 5)));
    assert!(matches!(pull.await, Err(Failure::OtherSource)));
    // A newer one of the same member does not end it, nor does the end of the server.
    sender.send_replace(Some(install(2, 9)));
    drop(sender);
    let work = async { Ok(7) };
    let done = unless_elsewhere(&mut wanted, install(2, 5), work).await;
    assert!(matches!(done, Ok(7)));
}
