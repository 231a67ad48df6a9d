//! No acknowledged write is lost, whoever is killed: the words of eight books, written while leaders die.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quorate_proto::etcdserverpb::PutRequest;

use crate::cluster::{Cluster, Kv, Pairs, Plan, kv, runtime, shared_data, word_counts};

const DISTINCT_WORDS: usize = 22_107;
const WRITERS: usize = 24;
const KILLS: usize = 10;
/// Longer than a node takes to give up on a write (five seconds and two election timeouts): whoever is silent for
/// so long is not coming back.
const PUT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries of one writer, so that a cluster without a leader is not shouted at.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

#[test]
fn every_acknowledged_word_survives_ten_killed_leaders_and_the_death_of_all_three() {
    let Some(data) = shared_data() else { return };
    let words = word_counts(&data);
    assert_eq!(words.len(), DISTINCT_WORDS);
    let mut cluster = Plan::of(3).start();
    let started = Instant::now();

    let runtime = runtime();
    // Channels are made inside a runtime.
    let writing = {
        let _inside = runtime.enter();
        Arc::new(Writing::new(&cluster, &words))
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|i| runtime.spawn(Arc::clone(&writing).write_all(i)))
        .collect();
    for kill in 1..=KILLS {
        let share = DISTINCT_WORDS * kill / (KILLS + 1);
        cluster.wait_for("the writers' progress", || {
            (writing.acknowledged.load(Ordering::SeqCst) >= share).then_some(())
        });
        let leader = cluster.wait_for_leader();
        cluster.kill(leader);
        cluster.wait_for_leader();
        cluster.restart(leader);
    }
    for writer in writers {
        runtime.block_on(writer).expect("a writer ends well");
    }
    eprintln!(
        "{DISTINCT_WORDS} words acknowledged in {:?}, {} tries without an answer that says what became of them",
        started.elapsed(),
        writing.unknown_outcomes.load(Ordering::SeqCst)
    );
    let before = cluster.wait_until_equal();
    everything_is_on_every_node(&cluster, &words);

    for i in 0..cluster.len() {
        cluster.kill(i);
    }
    for i in 0..cluster.len() {
        cluster.restart(i);
    }
    cluster.wait_for_leader();
    cluster.wait_for("all that was committed to be applied again", || {
        let statuses = (0..cluster.len()).filter_map(|i| cluster.status(i));
        let caught_up = statuses.filter(|status| status.applied >= before.applied);
        (caught_up.count() == cluster.len()).then_some(())
    });
    let after = cluster.wait_until_equal();
    assert_eq!(after.revision, before.revision);
    assert_eq!(after.state_hash, before.state_hash);
    everything_is_on_every_node(&cluster, &words);
    eprintln!("all of it took {:?}", started.elapsed());
}

fn everything_is_on_every_node(cluster: &Cluster, words: &Pairs) {
    for i in 0..cluster.len() {
        let found = cluster.read_all(i);
        let lost: Vec<_> = words
            .iter()
            .filter(|(word, count)| found.get(*word) != Some(*count))
            .map(|(word, _)| String::from_utf8_lossy(word))
            .collect();
        assert!(
            lost.is_empty(),
            "node {i} has lost {} words: {lost:?}",
            lost.len()
        );
        assert_eq!(
            found.len(),
            words.len(),
            "node {i} has keys that nobody wrote"
        );
    }
}

/// What the writers share.
struct Writing {
    words: Vec<(Vec<u8>, Vec<u8>)>,
    next: AtomicUsize,
    acknowledged: AtomicUsize,
    unknown_outcomes: AtomicU64,
    nodes: Vec<Kv>,
}

impl Writing {
    fn new(cluster: &Cluster, words: &Pairs) -> Writing {
        Writing {
            words: words
                .iter()
                .map(|(word, count)| (word.clone(), count.clone()))
                .collect(),
            next: AtomicUsize::new(0),
            acknowledged: AtomicUsize::new(0),
            unknown_outcomes: AtomicU64::new(0),
            nodes: cluster.endpoints().iter().map(|to| kv(to)).collect(),
        }
    }

    /// Takes one word after the other and writes it until that is acknowledged.
    async fn write_all(self: Arc<Self>, writer: usize) {
        loop {
            let taken = self.next.fetch_add(1, Ordering::SeqCst);
            let Some((word, count)) = self.words.get(taken) else {
                return;
            };
            let request = PutRequest {
                key: word.clone().into(),
                value: count.clone().into(),
                ..Default::default()
            };
            self.write(request, writer + taken).await;
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A try whose outcome is unknown is made again: the same word twice is the same.
    async fn write(&self, request: PutRequest, first: usize) {
        for node in first.. {
            let mut to = self.nodes[node % self.nodes.len()].clone();
            let put = tokio::time::timeout(PUT_TIMEOUT, to.put(request.clone()));
            if let Ok(Ok(_)) = put.await {
                return;
            }
            self.unknown_outcomes.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
