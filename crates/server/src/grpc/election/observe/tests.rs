use std::path::Path;

use super::super::super::contest::{Contender, Prize};
use super::*;
use crate::limits::{WATCH_UNREAD_FOR, WATCH_UNSENT_BYTES};
use crate::start::Server;
use crate::test_servers::{start, wait_until};

const NAME: &[u8] = b"name";

/// One server, and its contests.
async fn alone(directory: &Path) -> (Server, Arc<Contests>) {
    let mut servers = start(1, directory, |_| {}).await;
    let server = servers.remove(0);
    let contests = Contests::new(&server.core());
    (server, contests)
}

fn observe(contests: &Arc<Contests>, end: Option<ConnectionEnd>) -> Observed {
    let request = LeaderRequest {
        name: Bytes::from_static(NAME),
    };
    begin(contests, &request, false, end).expect("there is room")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_observes_has_one_stream_of_watches_whether_or_not_there_is_a_leader() {
    const OBSERVERS: usize = 5;
    let directory = tempfile::tempdir().expect("a directory");
    let (server, contests) = alone(directory.path()).await;
    let core = server.core();
    let observers: Vec<_> = (0..OBSERVERS).map(|_| observe(&contests, None)).collect();
    let all_watch = || core.watches.with(|hub| hub.watcher_count()) == OBSERVERS;
    wait_until("all watch", all_watch).await;
    assert_eq!(core.watches.stream_count(), OBSERVERS);
    lead(&contests).await;
    let mut told = Vec::new();
    for mut observed in observers {
        let (first, _) = observed
            .told
            .recv()
            .await
            .expect("no end")
            .expect("a leader");
        assert_eq!(first.kv.expect("a key").value, "value");
        wait_until("it watches the leader", all_watch).await;
        assert_eq!(core.watches.stream_count(), OBSERVERS);
        told.push(observed);
    }
    drop(told);
    server.stop().await;
}

async fn lead(contests: &Arc<Contests>) {
    let contender = Contender {
        name: Bytes::from_static(NAME),
        lease: 0,
        prize: Prize::Leadership("value".into()),
        charge: None,
    };
    contests.contend(contender).await.expect("it leads");
}

#[tokio::test]
async fn one_who_does_not_read_while_others_wait_is_ended_and_then_its_connection() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, contests) = alone(directory.path()).await;
    let core = server.core();
    lead(&contests).await;
    let end = ConnectionEnd::default();
    let mut observed = observe(&contests, Some(end.clone()));
    wait_until("it is told", || observed.unsent.has_unsent()).await;
    let _others = core.watch_answers.charge_always(WATCH_UNSENT_BYTES);
    // Nothing of the server's is waited for from here on.
    tokio::time::pause();
    let ended = timeout(4 * WATCH_UNREAD_FOR, end.wanted()).await;
    assert!(ended.is_ok(), "its connection goes on");
    assert!(observed.told.recv().await.expect("the leader").is_ok());
    assert!(
        observed.told.recv().await.is_none(),
        "it had no room for the reason"
    );
    let page = core.metrics.encode(&core);
    let counted = "quorate_watch_streams_unread_total 1\n";
    assert!(page.contains(counted), "{page}");
    tokio::time::resume();
    server.stop().await;
}

#[tokio::test]
async fn one_who_does_not_read_and_keeps_nobody_waiting_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, contests) = alone(directory.path()).await;
    lead(&contests).await;
    let end = ConnectionEnd::default();
    let observed = observe(&contests, Some(end.clone()));
    wait_until("it is told", || observed.unsent.has_unsent()).await;
    tokio::time::pause();
    assert!(timeout(4 * WATCH_UNREAD_FOR, end.wanted()).await.is_err());
    tokio::time::resume();
    server.stop().await;
}
