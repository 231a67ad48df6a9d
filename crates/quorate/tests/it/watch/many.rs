//! Many watchers, slow ones, and one that loses its node.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quorate_client::{Client, Options, Watcher};
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};
use tokio::sync::oneshot;

use super::stream::{Stream, of_prefix, revisions};
use super::{WATCHERS, revision, start};
use crate::cluster::{Cluster, PATIENCE, Plan, kv, runtime};

const SLOW_WATCHERS: &str = "etcd_debugging_mvcc_slow_watcher_total";
const QUEUED_BYTES: &str = "quorate_watch_queued_bytes";
const UNSENT_BYTES: &str = "quorate_watch_unsent_bytes";

async fn try_put(endpoint: &str, key: String, value: Vec<u8>) -> Result<i64, tonic::Status> {
    let request = PutRequest {
        key: key.into(),
        value: value.into(),
        ..Default::default()
    };
    let response = kv(endpoint).put(request).await?;
    Ok(response.into_inner().header.expect("a header").revision)
}

#[test]
fn a_thousand_watchers_on_ten_streams_are_told_of_each_event_once_and_in_order() {
    const STREAMS: usize = 10;
    const WATCHERS_EACH: usize = 100;
    const EVENTS: usize = 100;
    let cluster = start(Plan::of(3));
    runtime().block_on(async {
        let mut streams = Vec::new();
        for number in 0..STREAMS {
            let endpoint = cluster.endpoint(number % 3);
            let mut stream = Stream::open(&endpoint).await;
            for _ in 0..WATCHERS_EACH {
                stream.create(of_prefix("k", 0)).await;
            }
            streams.push(stream);
        }
        let readers = streams.into_iter().map(|mut stream| {
            let (tell_last, last) = oneshot::channel();
            let reader = tokio::spawn(async move {
                let mut told: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
                let mut count = 0;
                while count < WATCHERS_EACH * EVENTS {
                    let response = stream.next().await;
                    let events = told.entry(response.watch_id).or_default();
                    events.extend(revisions(&response));
                    count += response.events.len();
                }
                // And no more than that.
                let last: i64 = last.await.expect("the writer does not fail");
                assert_eq!(
                    stream.told_through(last).await.values().flatten().count(),
                    0
                );
                told
            });
            (tell_last, reader)
        });
        let (tell_last, readers): (Vec<_>, Vec<_>) = readers.unzip();
        let mut expected = Vec::new();
        for number in 0..EVENTS {
            let (endpoint, key) = (cluster.endpoint(number % 3), format!("k{}", number % 7));
            let revision = try_put(&endpoint, key, b"v".to_vec()).await;
            expected.push(revision.expect("it is written"));
        }
        for tell in tell_last {
            tell.send(expected[EVENTS - 1]).expect("the readers wait");
        }
        for reader in readers {
            let told = reader.await.expect("the reader does not fail");
            assert_eq!(told.len(), WATCHERS_EACH);
            assert!(told.values().all(|told| *told == expected), "{told:?}");
        }
    });
}

#[test]
fn watchers_that_read_nothing_hold_up_no_put_and_no_memory() {
    const STREAMS: usize = 20;
    const PUTS: usize = 300;
    const VALUE_BYTES: usize = 100_000;
    /// What one stream may keep alive, in its queue, on its way, and in what HTTP/2 takes of it beyond the client's
    /// window (hyper: 400 KiB), beside one value in each.
    const STREAM_BYTES: usize = (4 << 20) + (64 << 10) + (400 << 10);
    let cluster = start(Plan::of(1));
    let endpoint = cluster.endpoint(0);
    let runtime = runtime();
    let put_one = |key: &str| {
        let began = Instant::now();
        let written = try_put(&endpoint, key.to_owned(), vec![b'v'; VALUE_BYTES]);
        let revision = runtime.block_on(written).expect("it is written");
        (revision, began.elapsed())
    };
    let typical = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let unwatched = typical((0..PUTS / 3).map(|_| put_one("a").1).collect());
    let (mut streams, first) = runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            let mut stream = Stream::open(&endpoint).await;
            stream.create(of_prefix("k", 0)).await;
            streams.push(stream);
        }
        (streams, cluster.status(0).expect("it runs").revision + 1)
    });
    let expected: Vec<i64> = (first..).take(PUTS).collect();
    let mut times = Vec::new();
    for revision in &expected {
        let (found, time) = put_one("k");
        assert_eq!(found, *revision);
        times.push(time);
    }
    // Half of them at least: on a busy machine any single one may take long.
    let watched = typical(times);
    assert!(
        watched < unwatched * 5 + Duration::from_millis(10),
        "a put took {watched:?}, and {unwatched:?} before anybody watched"
    );
    cluster.wait_for("the watchers to be behind", || {
        (cluster.metric(0, SLOW_WATCHERS) == STREAMS as f64).then_some(())
    });
    // Every stream, if it kept what it has not sent, would hold each value again.
    let held = cluster.metric(0, QUEUED_BYTES) + cluster.metric(0, UNSENT_BYTES);
    let bound = STREAMS * (STREAM_BYTES + 2 * (VALUE_BYTES + 1_000));
    assert!(bound * 5 < STREAMS * PUTS * VALUE_BYTES);
    assert!(held < bound as f64, "{held} bytes, more than {bound}");
    assert!(held > 0.0, "there is something to read");
    runtime.block_on(async {
        for stream in &mut streams {
            let mut told = Vec::new();
            while told.len() < PUTS {
                told.extend(revisions(&stream.next().await));
            }
            assert_eq!(told, expected);
        }
    });
    cluster.wait_for("nobody to be behind", || {
        (cluster.metric(0, SLOW_WATCHERS) == 0.0).then_some(())
    });
}

#[test]
fn a_slow_watcher_that_compaction_overtakes_is_told_so() {
    let cluster = start(Plan::of(1));
    let endpoint = cluster.endpoint(0);
    let runtime = runtime();
    let mut stream = runtime.block_on(Stream::open(&endpoint));
    runtime.block_on(stream.create(of_prefix("k", 0)));
    for _ in 0..300 {
        let written = runtime.block_on(try_put(&endpoint, "k".to_owned(), vec![b'v'; 100_000]));
        written.expect("it is written");
    }
    let last = revision(&cluster, 0);
    cluster.wait_for("the watcher to be behind", || {
        (cluster.metric(0, SLOW_WATCHERS) == 1.0).then_some(())
    });
    let compaction = quorate_proto::etcdserverpb::CompactionRequest {
        revision: last,
        ..Default::default()
    };
    let compacted = runtime.block_on(async { kv(&endpoint).compact(compaction).await });
    compacted.expect("it is compacted");
    runtime.block_on(async {
        let mut told = Vec::new();
        let response = loop {
            let response = stream.next().await;
            if response.canceled {
                break response;
            }
            told.extend(revisions(&response));
        };
        assert_eq!(response.compact_revision, last);
        assert!(told.len() < 300, "{}", told.len());
        let in_order: Vec<i64> = (2..).take(told.len()).collect();
        assert_eq!(told, in_order, "without a gap up to where it was overtaken");
    });
}

/// Where the only watcher is.
fn watched_at(cluster: &Cluster) -> Option<usize> {
    (0..3).find(|i| cluster.nodes[*i].is_running() && cluster.metric(*i, WATCHERS) > 0.0)
}

/// What is put under keys of their own, one after the other, until it is told to stop; in doubt, under another key.
async fn write_until(endpoints: Vec<String>, mut stop: oneshot::Receiver<()>) {
    for number in 0.. {
        if stop.try_recv().is_ok() {
            return;
        }
        let endpoint = &endpoints[number % endpoints.len()];
        let put = try_put(endpoint, format!("k{number:06}"), b"v".to_vec());
        // One that fails is in doubt, or nothing.
        let _ = tokio::time::timeout(Duration::from_secs(1), put).await;
    }
}

/// What is told until a revision is reached.
async fn told_until(watcher: &mut Watcher, told: &mut Vec<i64>, reached: impl Fn(&[i64]) -> bool) {
    while !reached(told) {
        let response = tokio::time::timeout(PATIENCE, watcher.next()).await;
        let response = response.expect("an answer in time").expect("no error");
        told.extend(revisions(&response.expect("it goes on")));
    }
}

#[test]
fn a_client_goes_on_at_another_node_under_load_with_nothing_twice_and_nothing_missing() {
    let mut cluster = start(Plan::of(3));
    let runtime = runtime();
    let options = Options {
        endpoints: cluster.endpoints(),
        ..Options::default()
    };
    let client = runtime.block_on(async { Client::new(&options) });
    let mut watcher = client.expect("endpoints").watch(of_prefix("k", 1));
    let mut told = Vec::new();
    let (stop, stopped) = oneshot::channel();
    let writer = runtime.spawn(write_until(cluster.endpoints(), stopped));
    for _ in 0..2 {
        let before = told.len();
        let soon = told_until(&mut watcher, &mut told, |told| told.len() > before + 50);
        runtime.block_on(soon);
        let at = cluster.wait_for("the watch", || watched_at(&cluster));
        cluster.kill(at);
        cluster.wait_for_leader();
        let before = told.len();
        let soon = told_until(&mut watcher, &mut told, |told| told.len() > before + 50);
        runtime.block_on(soon);
        cluster.restart(at);
        cluster.wait_for_leader();
    }
    stop.send(()).expect("the writer runs");
    runtime.block_on(writer).expect("the writer does not fail");
    // Each key was put once at most, so that the keys' revisions are the history.
    let all = RangeRequest {
        key: b"k".to_vec().into(),
        range_end: b"l".to_vec().into(),
        ..Default::default()
    };
    let endpoint = cluster.endpoint(0);
    cluster.wait_until_healthy(0);
    let found = runtime.block_on(async { kv(&endpoint).range(all).await });
    let kvs = found.expect("an answer").into_inner().kvs;
    let mut history: Vec<i64> = kvs.iter().map(|kv| kv.mod_revision).collect();
    history.sort_unstable();
    let last = *history.last().expect("something was written");
    let end = told_until(&mut watcher, &mut told, |told| told.last() >= Some(&last));
    runtime.block_on(end);
    assert_eq!(told, history);
}
