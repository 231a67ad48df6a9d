use std::path::Path;
use std::time::Duration;

use quorate_proto::mvccpb::KeyValue;
use tokio::sync::oneshot::Receiver;
use tokio::task::JoinHandle;

use super::*;
use crate::bodies::Requests;
use crate::core::tests::without_threads;
use crate::limits::WATCH_STREAMS;
use crate::start::Server;
use crate::test_servers::{start, wait_until};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// One server, and its contests.
async fn alone(directory: &Path) -> (Server, Arc<Contests>) {
    let mut servers = start(1, directory, |_| {}).await;
    let server = servers.remove(0);
    let contests = Contests::new(&server.core());
    (server, contests)
}

impl Contests {
    async fn new_lease(&self) -> i64 {
        self.lease_or_new(0).await.expect("a lease")
    }

    /// The line of `name`, in the order in which it was joined.
    async fn line(&self) -> Vec<KeyValue> {
        let (key, range_end) = range_in(&line_of(b"name"));
        let request = RangeRequest {
            key,
            range_end,
            ..Default::default()
        };
        let mut line = self.read(&request).await.expect("a line").kvs;
        line.sort_by_key(|kv| kv.create_revision);
        line
    }

    async fn wait_for_line(&self, holds: impl Fn(&[KeyValue]) -> bool) -> Vec<KeyValue> {
        let waited = async {
            loop {
                let line = self.line().await;
                if holds(&line) {
                    return line;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited)
            .await
            .expect("in time")
    }

    /// Contends as a call does whose caller goes when the receiver is dropped.
    fn call(self: &Arc<Contests>, lease: i64) -> (Receiver<Result<Won, Status>>, JoinHandle<()>) {
        let (caller, heard) = oneshot::channel();
        let contests = Arc::clone(self);
        let serving = tokio::spawn(async move { contests.serve(contender(lease), caller).await });
        (heard, serving)
    }

    /// Has another one hold the lock, and `lease` behind it.
    async fn holder_and_waiter(
        self: &Arc<Contests>,
        lease: i64,
    ) -> (Won, Receiver<Result<Won, Status>>, JoinHandle<()>) {
        let holder = self.new_lease().await;
        let held = self.contend(contender(holder)).await.expect("the lock");
        let (heard, serving) = self.call(lease);
        self.wait_for_line(|line| line.len() == 2).await;
        (held, heard, serving)
    }

    async fn release(&self, won: &Won) {
        let delete = delete_if_created_at(won.create_revision, won.key.clone());
        assert!(self.txn(delete).await.expect("an answer").succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_departs_leaves_the_key_on_which_a_second_call_of_its_lease_relies() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, contests) = alone(directory.path()).await;
    let lease = contests.new_lease().await;
    let (held, first, first_ends) = contests.holder_and_waiter(lease).await;
    let before = contests.line().await;
    // The caller tries again, and the first call learns only then that its caller has gone.
    let (second, _) = contests.call(lease);
    let after = contests.wait_for_line(|line| line[1].version == 2).await;
    assert_eq!(
        after[1].create_revision, before[1].create_revision,
        "its place"
    );
    assert_eq!((after[1].lease, &after[1].value), (lease, &before[1].value));
    drop(first);
    first_ends.await.expect("it leaves");
    assert_eq!(contests.line().await, after);
    contests.release(&held).await;
    let won = second.await.expect("an answer").expect("the lock");
    assert_eq!(won.create_revision, before[1].create_revision);
    assert_eq!(contests.line().await[0].key, won.key, "its key stands");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_call_of_a_lease_takes_the_key_away_while_an_older_one_stands_and_not_after() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, contests) = alone(directory.path()).await;
    let lease = contests.new_lease().await;
    let (held, first, first_ends) = contests.holder_and_waiter(lease).await;
    let (second, second_ends) = contests.call(lease);
    contests.wait_for_line(|line| line[1].version == 2).await;
    drop(second);
    second_ends.await.expect("it leaves");
    assert_eq!(contests.line().await.len(), 1);
    let expired = first
        .await
        .expect("an answer")
        .expect_err("its key has gone");
    assert_eq!(expired.message(), "mutex: session is expired");
    first_ends.await.expect("it ends");
    // Now the first call holds the lock, and a second one of the lease goes unheard.
    contests.release(&held).await;
    let won = contests.contend(contender(lease)).await.expect("the lock");
    let (again, again_ends) = contests.call(lease);
    drop(again);
    again_ends.await.expect("it ends");
    assert_eq!(contests.line().await[0].key, won.key);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_the_line_is_kept_while_there_are_as_many_streams_as_there_may_be() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, contests) = alone(directory.path()).await;
    let core = server.core();
    let lease = contests.new_lease().await;
    let (held, first, _) = contests.holder_and_waiter(lease).await;
    wait_until("the waiter watches", || core.watches.stream_count() == 1).await;
    let fill = || {
        let open = || core.watches.open(0, Duration::from_secs(600));
        std::iter::from_fn(open).count()
    };
    assert_eq!(fill(), WATCH_STREAMS - 1);
    // One comes when there is none left.
    let second_lease = contests.new_lease().await;
    let (second, _) = contests.call(second_lease);
    contests.wait_for_line(|line| line.len() == 3).await;
    contests.release(&held).await;
    let won = first.await.expect("an answer").expect("the lock");
    contests.release(&won).await;
    let won = second.await.expect("an answer").expect("the lock");
    assert_eq!(won.lease, second_lease);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_line_is_charged_for_its_name_and_not_for_its_value() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, contests) = alone(directory.path()).await;
    let requests = Requests::new();
    let value_bytes = 512 << 10;
    let campaign = |lease, requests: &Requests| Contender {
        prize: Prize::Leadership(vec![b'v'; value_bytes].into()),
        charge: Some(requests.held_for_tests(value_bytes)),
        ..contender(lease)
    };
    let first = contests.new_lease().await;
    let led = contests.contend(campaign(first, &requests)).await;
    led.expect("it leads");
    let second = contests.new_lease().await;
    let waiting = tokio::spawn({
        let contests = Arc::clone(&contests);
        let contender = campaign(second, &requests);
        async move { contests.contend(contender).await }
    });
    wait_until("its value is in the store", || requests.large_bytes() < 100).await;
    assert_eq!(contests.line().await.len(), 2);
    waiting.abort();
    server.stop().await;
}

#[tokio::test]
async fn a_join_that_nobody_answered_is_tried_again_until_its_caller_goes() {
    let core = without_threads();
    let contests = Contests::new(&core);
    let (heard, serving) = contests.call(7);
    // Nobody answers here but the test.
    let mut joins = 0;
    while joins < 3 {
        let mut proposed = Vec::new();
        core.consensus.take(Some(Duration::ZERO), &mut proposed);
        joins += proposed.len();
        core.answers.fail_all(&RequestError::LeaderLost);
        sleep(Duration::from_millis(10)).await;
    }
    drop(heard);
    core.answers.fail_all(&RequestError::LeaderLost);
    tokio::time::timeout(PATIENCE, serving)
        .await
        .expect("in time")
        .expect("it ends");
}

fn contender(lease: i64) -> Contender {
    Contender {
        name: "name".into(),
        lease,
        prize: Prize::Lock,
        charge: None,
    }
}

#[tokio::test]
async fn one_contender_too_many_is_refused_until_another_has_left() {
    let contests = Contests::new(&without_threads());
    let mut entered: Vec<_> = (0..CONTENDERS).map(|_| contests.enter()).collect();
    let refused = contests.contend(contender(1)).await;
    let refused = refused.expect_err("it is one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "etcdserver: too many requests");
    drop(entered.pop());
    assert!(contests.enter().is_ok());
}

#[test]
fn a_line_holds_the_keys_under_its_name_and_no_others() {
    let (start, end) = range_in(&line_of(b"name"));
    let is_in = |key: &[u8]| start.as_ref() <= key && key < end.as_ref();
    assert!(is_in(b"name/1f") && is_in(b"name/"));
    assert!(!is_in(b"name") && !is_in(b"name0") && !is_in(b"name2/1f"));
    assert_eq!(line_of(b""), "/");
}

#[test]
fn a_refusal_is_unknown_as_in_etcd_and_what_passes_stays_worth_another_try() {
    let not_found = Status::not_found("etcdserver: requested lease not found");
    let refused = as_etcds(not_found);
    assert_eq!(refused.code(), Code::Unknown);
    assert_eq!(refused.message(), "etcdserver: requested lease not found");
    let stopped = as_etcds(status::of_request(&RequestError::Stopped));
    assert_eq!(stopped.code(), Code::Unavailable);
}
