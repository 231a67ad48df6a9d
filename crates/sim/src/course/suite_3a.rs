//! 3A: the key-value store; and what 3B shares with it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::clerk::Clerk;
use super::kv_lab::{KvLab, KvSetup, Spawned};
use super::lab::{T, Verdict, demand};
use super::scenario::{Scenario, Script, Steps, Suite};

/// Rounds of the general test, and how long the clients work in each.
const ROUNDS: usize = 3;
const ROUND_TIME: Duration = Duration::from_secs(5);

/// A log may be so many times as large as it is when a snapshot is due: it goes on meanwhile.
const RAFT_STATE_FACTOR: u64 = 8;

/// What a client of the speed test may take for one operation: three fit in a heartbeat of 100 ms.
const SPEED_OPERATIONS: u64 = 1_000;
const SPEED_LIMIT: Duration = Duration::from_millis(33_333);

/// The course's general test: who works, and what goes wrong meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct General {
    pub(crate) clients: usize,
    pub(crate) crashes: bool,
    pub(crate) partitions: bool,
    pub(crate) random_keys: bool,
}

impl General {
    pub(crate) const fn of(clients: usize) -> General {
        General {
            clients,
            crashes: false,
            partitions: false,
            random_keys: false,
        }
    }

    pub(crate) const fn crashes(mut self) -> General {
        self.crashes = true;
        self
    }

    pub(crate) const fn partitions(mut self) -> General {
        self.partitions = true;
        self
    }

    pub(crate) const fn random_keys(mut self) -> General {
        self.random_keys = true;
        self
    }
}

const fn scenario(
    title: &'static str,
    name: &'static str,
    (servers, is_unreliable): (usize, bool),
    steps: fn(KvLab) -> Steps,
) -> Scenario {
    Scenario {
        suite: Suite::KeyValue3A,
        title,
        name,
        servers,
        baseline: None,
        script: Script::KeyValue(
            KvSetup {
                is_unreliable,
                max_raft_state: None,
            },
            steps,
        ),
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario("one client", "kv_basic", (5, false), |lab| {
        Box::pin(general(lab, General::of(1)))
    }),
    scenario("ops complete fast enough", "kv_speed", (3, false), |lab| {
        Box::pin(speed(lab))
    }),
    scenario("many clients", "kv_concurrent", (5, false), |lab| {
        Box::pin(general(lab, General::of(5)))
    }),
    scenario(
        "unreliable net, many clients",
        "kv_unreliable",
        (5, true),
        |lab| Box::pin(general(lab, General::of(5))),
    ),
    scenario(
        "concurrent append to same key, unreliable",
        "kv_unreliable_one_key",
        (3, true),
        |lab| Box::pin(unreliable_one_key(lab)),
    ),
    scenario(
        "progress in majority, none in minority, and after heal",
        "kv_one_partition",
        (5, false),
        |lab| Box::pin(one_partition(lab)),
    ),
    scenario(
        "partitions, one client",
        "kv_many_partitions_one_client",
        (5, false),
        |lab| Box::pin(general(lab, General::of(1).partitions())),
    ),
    scenario(
        "partitions, many clients",
        "kv_many_partitions_many_clients",
        (5, false),
        |lab| Box::pin(general(lab, General::of(5).partitions())),
    ),
    scenario(
        "restarts, one client",
        "kv_persist_one_client",
        (5, false),
        |lab| Box::pin(general(lab, General::of(1).crashes())),
    ),
    scenario(
        "restarts, many clients",
        "kv_persist_concurrent",
        (5, false),
        |lab| Box::pin(general(lab, General::of(5).crashes())),
    ),
    scenario(
        "unreliable net, restarts, many clients",
        "kv_persist_concurrent_unreliable",
        (5, true),
        |lab| Box::pin(general(lab, General::of(5).crashes())),
    ),
    scenario(
        "restarts, partitions, many clients",
        "kv_persist_partition",
        (5, false),
        |lab| Box::pin(general(lab, General::of(5).crashes().partitions())),
    ),
    scenario(
        "unreliable net, restarts, partitions, many clients",
        "kv_persist_partition_unreliable",
        (5, true),
        |lab| Box::pin(general(lab, General::of(5).crashes().partitions())),
    ),
    scenario(
        "unreliable net, restarts, partitions, random keys, many clients",
        "kv_persist_partition_unreliable_linearizable",
        (7, true),
        |lab| {
            let general_of = General::of(15).crashes().partitions().random_keys();
            Box::pin(general(lab, general_of))
        },
    ),
];

fn piece(client: usize, number: u64) -> String {
    format!("x {client} {number} y")
}

/// A client that works until it is told that it is over: its clerk, and how many pieces it appended.
async fn client(
    lab: KvLab,
    of: General,
    number: usize,
    mut clerk: Clerk,
    is_over: Rc<Cell<bool>>,
) -> Verdict<(Clerk, u64)> {
    let mut appended = 0;
    let mut expected = String::new();
    clerk.put(&number.to_string(), "").await;
    while !is_over.get() {
        let key = match of.random_keys {
            true => lab.below(of.clients as u64) as usize,
            false => number,
        };
        let key = key.to_string();
        let text = piece(number, appended);
        if lab.percent(50) {
            clerk.append(&key, &text).await;
            expected += &text;
            appended += 1;
        } else if of.random_keys && lab.percent(10) {
            clerk.put(&key, &text).await;
            appended += 1;
        } else {
            let value = clerk.get(&key).await;
            demand!(
                of.random_keys || value == expected,
                "client {number} reads {value:?} where it wrote {expected:?}"
            );
        }
    }
    Ok((clerk, appended))
}

/// Assigns every server to one of two sides, again and again.
async fn partitioner(lab: KvLab, is_over: Rc<Cell<bool>>) {
    while !is_over.get() {
        let sides: Vec<usize> = (0..lab.servers()).map(|_| lab.below(2) as usize).collect();
        lab.partition(&sides);
        lab.sleep(T + Duration::from_millis(lab.below(200))).await;
    }
}

/// Clients append, put and get; servers are parted and crash; nothing is lost, doubled or out of order.
pub(crate) async fn general(lab: KvLab, of: General) -> Verdict {
    let mut clerks: Vec<Clerk> = (0..of.clients)
        .map(|client| Clerk::of_all(&lab, client as u64))
        .collect();
    let mut checker = Clerk::of_all(&lab, of.clients as u64);
    let mut appended_by_all = 0;
    for _ in 0..ROUNDS {
        let is_over = Rc::new(Cell::new(false));
        let parting_is_over = Rc::new(Cell::new(false));
        let mut clients: Vec<Spawned<_>> = Vec::new();
        for (number, clerk) in clerks.drain(..).enumerate() {
            let work = client(lab.clone(), of, number, clerk, Rc::clone(&is_over));
            clients.push(lab.spawn(work));
        }
        let mut parting = None;
        if of.partitions {
            lab.sleep(T).await;
            parting = Some(lab.spawn(partitioner(lab.clone(), Rc::clone(&parting_is_over))));
        }
        lab.sleep(ROUND_TIME).await;
        is_over.set(true);
        parting_is_over.set(true);
        if let Some(parting) = parting {
            lab.join(parting).await;
            lab.heal();
            lab.sleep(T).await;
        }
        if of.crashes {
            lab.crash_all();
            lab.sleep(T).await;
            lab.start_all();
        }
        for (number, client) in clients.into_iter().enumerate() {
            let (clerk, appended) = lab.join(client).await?;
            clerks.push(clerk);
            appended_by_all += appended;
            let value = checker.get(&number.to_string()).await;
            if !of.random_keys {
                let whole: String = (0..appended).map(|at| piece(number, at)).collect();
                demand!(
                    value == whole,
                    "client {number} appended {whole:?}, and there is {value:?}"
                );
            }
        }
        check_sizes(&lab).await?;
    }
    demand!(appended_by_all > 0, "no client got anything done");
    lab.check_history()
}

/// The log stays small where snapshots are taken, and there are none where they are not.
///
/// The course's servers stand still while they take a snapshot. Ours go on, so at the end of a load,
/// or of what a restart applies again, there is a log that only the next snapshot covers: it
/// has `T` to be taken, while nobody asks for anything.
pub(crate) async fn check_sizes(lab: &KvLab) -> Verdict {
    let Some(least) = lab.setup().max_raft_state else {
        let snapshot = lab.max_snapshot_bytes();
        demand!(snapshot == 0, "there is a snapshot of {snapshot} bytes");
        return Ok(());
    };
    let limit = RAFT_STATE_FACTOR * least;
    let until = lab.now() + T;
    while lab.max_raft_state_bytes() > limit && lab.now() < until {
        lab.sleep(T / 100).await;
    }
    let (bytes, snapshot) = (lab.max_raft_state_bytes(), lab.max_snapshot_bytes());
    demand!(
        bytes <= limit,
        "the log takes {bytes} bytes after the last snapshot, more than {limit}"
    );
    demand!(snapshot > 0, "there is no snapshot");
    Ok(())
}

pub(crate) async fn speed(lab: KvLab) -> Verdict {
    let mut clerk = Clerk::of_all(&lab, 0);
    clerk.get("x").await;
    let begun = lab.now();
    for number in 0..SPEED_OPERATIONS {
        clerk.append("x", &piece(0, number)).await;
    }
    let took = lab.now().since(begun);
    let whole: String = (0..SPEED_OPERATIONS).map(|at| piece(0, at)).collect();
    let value = clerk.get("x").await;
    demand!(value == whole, "{value:?} is not what was appended");
    demand!(
        took <= SPEED_LIMIT,
        "{SPEED_OPERATIONS} operations took {took:?}, more than {SPEED_LIMIT:?}"
    );
    lab.check_history()
}

async fn unreliable_one_key(lab: KvLab) -> Verdict {
    const CLIENTS: usize = 5;
    const PIECES: u64 = 10;
    let mut checker = Clerk::of_all(&lab, CLIENTS as u64);
    checker.put("k", "").await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut clerk = Clerk::of_all(&lab, number as u64);
        clients.push(lab.spawn(async move {
            for at in 0..PIECES {
                clerk.append("k", &piece(number, at)).await;
            }
        }));
    }
    for client in clients {
        lab.join(client).await;
    }
    let value = checker.get("k").await;
    for number in 0..CLIENTS {
        let mut last = None;
        for at in 0..PIECES {
            let text = piece(number, at);
            let places: Vec<usize> = value.match_indices(&text).map(|found| found.0).collect();
            demand!(
                places.len() == 1,
                "{text:?} is there {} times",
                places.len()
            );
            demand!(last < places.first().copied(), "{text:?} is out of order");
            last = places.first().copied();
        }
    }
    lab.check_history()
}

/// The leader is with the minority: no progress there, progress in the majority, all after the healing.
async fn one_partition(lab: KvLab) -> Verdict {
    Clerk::of_all(&lab, 0).put("1", "13").await;
    let leader = lab.leader();
    demand!(leader.is_some(), "there is no leader");
    let leader = leader.unwrap_or_default();
    let minority = vec![leader, (leader + 1) % 5];
    let majority: Vec<usize> = (0..5).filter(|one| !minority.contains(one)).collect();
    let sides: Vec<usize> = (0..5)
        .map(|one| usize::from(minority.contains(&one)))
        .collect();
    lab.partition(&sides);

    let mut clerk = Clerk::new(&lab, 1, majority);
    clerk.put("1", "14").await;
    let value = clerk.get("1").await;
    demand!(value == "14", "the majority reads {value:?}");

    let mut writer = Clerk::new(&lab, 2, minority.clone());
    let mut reader = Clerk::new(&lab, 3, minority);
    let put = lab.spawn(async move { writer.put("1", "15").await });
    let get = lab.spawn(async move { reader.get("1").await });
    lab.sleep(T).await;
    demand!(!put.is_done(), "a Put in the minority was acknowledged");
    demand!(!get.is_done(), "a Get in the minority was answered");
    let value = clerk.get("1").await;
    demand!(value == "14", "the majority reads {value:?}");
    clerk.put("1", "16").await;
    let value = clerk.get("1").await;
    demand!(value == "16", "the majority reads {value:?}");

    lab.heal();
    lab.sleep(T).await;
    for _ in 0..30 {
        if put.is_done() && get.is_done() {
            break;
        }
        lab.sleep(Duration::from_millis(100)).await;
    }
    demand!(put.is_done(), "the Put did not complete after the healing");
    demand!(get.is_done(), "the Get did not complete after the healing");
    let value = clerk.get("1").await;
    demand!(value == "15", "after the healing there is {value:?}");
    lab.check_history()
}
