//! 2C: persistence.

use super::baseline::{Baseline, baseline};
use super::executor::Joined;
use super::lab::Retry::Yes;
use super::lab::{Lab, T, Verdict, command, demand};
use super::scenario::{Scenario, Script, Steps, Suite};
use bytes::Bytes;
use std::cell::Cell;
use std::rc::Rc;

const fn scenario(
    title: &'static str,
    name: &'static str,
    servers: usize,
    baseline: Option<Baseline>,
    steps: fn(Lab) -> Steps,
) -> Scenario {
    Scenario {
        suite: Suite::Persistence2C,
        title,
        name,
        servers,
        baseline,
        script: Script::Raft(steps),
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario(
        "basic persistence",
        "basic_persistence",
        3,
        baseline(3.1, 78, 18_954, 6),
        |lab| Box::pin(basic_persistence(lab)),
    ),
    scenario(
        "more persistence",
        "more_persistence",
        5,
        baseline(14.4, 1_036, 200_240, 16),
        |lab| Box::pin(more_persistence(lab)),
    ),
    scenario(
        "partitioned leader and one follower crash, leader restarts",
        "partitioned_leader_and_one_follower_crash",
        3,
        baseline(1.3, 36, 8_539, 4),
        |lab| Box::pin(partitioned_leader_and_one_follower_crash(lab)),
    ),
    scenario(
        "Figure 8",
        "figure_8",
        5,
        baseline(27.0, 1_180, 256_006, 58),
        |lab| Box::pin(figure_8(lab)),
    ),
    scenario(
        "unreliable agreement",
        "unreliable_agreement",
        5,
        baseline(1.7, 1_048, 345_471, 246),
        |lab| Box::pin(unreliable_agreement(lab)),
    ),
    scenario(
        "Figure 8 (unreliable)",
        "figure_8_unreliable",
        5,
        baseline(33.6, 19_228, 18_476_272, 138),
        |lab| Box::pin(figure_8_unreliable(lab)),
    ),
    scenario(
        "churn",
        "churn",
        5,
        baseline(16.4, 6_992, 9_763_562, 1_432),
        |lab| Box::pin(churn(lab, false)),
    ),
    scenario(
        "unreliable churn",
        "unreliable_churn",
        5,
        baseline(16.1, 4_236, 5_664_994, 384),
        |lab| Box::pin(churn(lab, true)),
    ),
];

async fn basic_persistence(lab: Lab) -> Verdict {
    lab.one(command(11), 3, Yes).await?;
    for server in 0..3 {
        lab.start(server);
    }
    for server in 0..3 {
        lab.connect(server);
    }
    lab.one(command(12), 3, Yes).await?;
    let leader = lab.check_one_leader().await?;
    lab.disconnect(leader);
    lab.restart_and_connect(leader);
    lab.one(command(13), 3, Yes).await?;
    let leader = lab.check_one_leader().await?;
    lab.disconnect(leader);
    lab.one(command(14), 2, Yes).await?;
    lab.restart_and_connect(leader);
    lab.wait(4, 3, None).await?;
    let follower = (lab.check_one_leader().await? + 1) % 3;
    lab.disconnect(follower);
    lab.one(command(15), 2, Yes).await?;
    lab.restart_and_connect(follower);
    lab.one(command(16), 3, Yes).await?;
    Ok(())
}

async fn more_persistence(lab: Lab) -> Verdict {
    let mut number = 1;
    for _ in 0..5 {
        lab.one(command(10 + number), 5, Yes).await?;
        number += 1;
        let leader = lab.check_one_leader().await?;
        let [first, second, third, fourth] = [1, 2, 3, 4].map(|after| (leader + after) % 5);
        lab.disconnect(first);
        lab.disconnect(second);
        lab.one(command(10 + number), 3, Yes).await?;
        number += 1;
        for server in [leader, third, fourth] {
            lab.disconnect(server);
        }
        // Two who missed the last command, and one who has it.
        lab.restart_and_connect(first);
        lab.restart_and_connect(second);
        lab.sleep(T).await;
        lab.restart_and_connect(third);
        lab.one(command(10 + number), 3, Yes).await?;
        number += 1;
        lab.connect(fourth);
        lab.connect(leader);
    }
    lab.one(command(1000), 5, Yes).await?;
    Ok(())
}

async fn partitioned_leader_and_one_follower_crash(lab: Lab) -> Verdict {
    lab.one(command(101), 3, Yes).await?;
    let leader = lab.check_one_leader().await?;
    let (first, second) = ((leader + 1) % 3, (leader + 2) % 3);
    lab.disconnect(second);
    lab.one(command(102), 2, Yes).await?;
    lab.crash(leader);
    lab.crash(first);
    lab.connect(second);
    lab.restart_and_connect(leader);
    lab.one(command(103), 2, Yes).await?;
    lab.restart_and_connect(first);
    lab.one(command(104), 3, Yes).await?;
    Ok(())
}

/// The pause between two steps of Figure 8: mostly shorter than a commit takes.
async fn pause(lab: &Lab) {
    let millis = match lab.percent(10) {
        true => lab.below(500),
        false => lab.below(13),
    };
    lab.sleep_ms(millis).await;
}

/// Leaders crash before, while and after their entries spread, so that entries of old terms lie on
/// majorities without being committed.
async fn figure_8(lab: Lab) -> Verdict {
    lab.one(lab.random_command(), 1, Yes).await?;
    let mut up = 5;
    for _ in 0..1_000 {
        let mut leader = None;
        for server in 0..5 {
            if lab.propose(server, lab.random_command()).is_some() {
                leader = Some(server);
            }
        }
        pause(&lab).await;
        if let Some(leader) = leader {
            lab.crash(leader);
            up -= 1;
        }
        if up < 3 {
            let server = lab.any_server();
            if !lab.is_up(server) {
                lab.restart_and_connect(server);
                up += 1;
            }
        }
    }
    for server in 0..5 {
        if !lab.is_up(server) {
            lab.restart_and_connect(server);
        }
    }
    lab.one(lab.random_command(), 5, Yes).await?;
    Ok(())
}

async fn unreliable_agreement(lab: Lab) -> Verdict {
    lab.set_unreliable(true);
    let mut others: Vec<Joined<Verdict<u64>>> = Vec::new();
    for round in 1..50 {
        for client in 0..4 {
            let on = lab.clone();
            let value = command(100 * round + client);
            others.push(lab.spawn(async move { on.one(value, 1, Yes).await }));
        }
        lab.one(command(round), 1, Yes).await?;
    }
    lab.set_unreliable(false);
    for other in others {
        lab.join(other).await?;
    }
    lab.one(command(100), 5, Yes).await?;
    Ok(())
}

async fn figure_8_unreliable(lab: Lab) -> Verdict {
    lab.set_unreliable(true);
    lab.one(lab.random_command(), 1, Yes).await?;
    let mut up = 5;
    for round in 0..1_000 {
        if round == 200 {
            lab.set_long_reordering(true);
        }
        let mut leader = None;
        for server in 0..5 {
            let took = lab.propose(server, lab.random_command()).is_some();
            if took && lab.is_connected(server) {
                leader = Some(server);
            }
        }
        pause(&lab).await;
        if let Some(leader) = leader
            && lab.percent(50)
        {
            lab.disconnect(leader);
            up -= 1;
        }
        if up < 3 {
            let server = lab.any_server();
            if !lab.is_connected(server) {
                lab.connect(server);
                up += 1;
            }
        }
    }
    for server in 0..5 {
        lab.connect(server);
    }
    lab.one(lab.random_command(), 5, Yes).await?;
    Ok(())
}

/// A client of the churn: the commands that it saw applied.
async fn churn_client(lab: Lab, number: u64, is_over: Rc<Cell<bool>>) -> Vec<Bytes> {
    let mut seen = Vec::new();
    while !is_over.get() {
        let value = lab.random_command();
        let mut taken = None;
        for server in 0..5 {
            taken = lab.propose(server, value.clone()).or(taken);
        }
        let Some(started) = taken else {
            lab.sleep_ms(79 + 17 * number).await;
            continue;
        };
        for pause_ms in [0, 10, 20, 50, 100, 200] {
            lab.sleep_ms(pause_ms).await;
            if let Some(applied) = lab.applied_at(started) {
                if applied == value {
                    seen.push(applied);
                }
                break;
            }
        }
    }
    seen
}

async fn churn(lab: Lab, is_unreliable: bool) -> Verdict {
    lab.set_unreliable(is_unreliable);
    let is_over = Rc::new(Cell::new(false));
    let clients: Vec<_> = (0..3)
        .map(|number| lab.spawn(churn_client(lab.clone(), number, Rc::clone(&is_over))))
        .collect();
    for _ in 0..20 {
        if lab.percent(20) {
            lab.disconnect(lab.any_server());
        }
        if lab.percent(50) {
            let server = lab.any_server();
            if !lab.is_up(server) {
                lab.start(server);
            }
            lab.connect(server);
        }
        if lab.percent(20) {
            let server = lab.any_server();
            if lab.is_up(server) {
                lab.crash(server);
            }
        }
        // Slower than an election, so that there is sometimes a leader.
        lab.sleep(T * 7 / 10).await;
    }
    lab.sleep(T).await;
    lab.set_unreliable(false);
    for server in 0..5 {
        if !lab.is_up(server) {
            lab.start(server);
        }
        lab.connect(server);
    }
    is_over.set(true);
    let mut seen = Vec::new();
    for client in clients {
        seen.extend(lab.join(client).await);
    }
    lab.sleep(T).await;
    all_on_all_servers(&lab, &seen).await
}

/// Every command through the last is on all servers, and all that the clients saw are among them.
async fn all_on_all_servers(lab: &Lab, seen: &[Bytes]) -> Verdict {
    let last = lab.one(lab.random_command(), 5, Yes).await?;
    let mut values = Vec::new();
    for ordinal in 1..=last {
        values.extend(lab.wait(ordinal, 5, None).await?);
    }
    demand!(
        values.len() as u64 == last,
        "{} of {last} commands can be read",
        values.len()
    );
    demand!(!seen.is_empty(), "no client ever saw a command applied");
    let values: std::collections::BTreeSet<Bytes> = values.into_iter().collect();
    for value in seen {
        demand!(
            values.contains(value),
            "a client saw {value:?}, which is lost"
        );
    }
    Ok(())
}
