//! 2B: the log.

use super::baseline::{Baseline, baseline};
use super::lab::Retry::{No, Yes};
use super::lab::{Failed, Lab, T, Verdict, command, demand};
use super::scenario::{Scenario, Script, Steps, Suite};

const fn scenario(
    title: &'static str,
    name: &'static str,
    servers: usize,
    baseline: Option<Baseline>,
    steps: fn(Lab) -> Steps,
) -> Scenario {
    Scenario {
        suite: Suite::Log2B,
        title,
        name,
        servers,
        baseline,
        script: Script::Raft(steps),
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario(
        "basic agreement",
        "basic_agreement",
        3,
        baseline(0.5, 16, 4_290, 3),
        |lab| Box::pin(basic_agreement(lab)),
    ),
    scenario(
        "RPC byte count",
        "rpc_byte_count",
        3,
        baseline(1.3, 48, 113_614, 11),
        |lab| Box::pin(rpc_byte_count(lab)),
    ),
    scenario(
        "progressive failure of followers",
        "follower_failure",
        3,
        None,
        |lab| Box::pin(follower_failure(lab)),
    ),
    scenario("failure of leaders", "leader_failure", 3, None, |lab| {
        Box::pin(leader_failure(lab))
    }),
    scenario(
        "agreement after follower reconnects",
        "agreement_after_follower_reconnects",
        3,
        baseline(5.3, 192, 50_800, 8),
        |lab| Box::pin(agreement_after_follower_reconnects(lab)),
    ),
    scenario(
        "no agreement if too many followers disconnect",
        "no_agreement_without_a_majority",
        5,
        baseline(3.4, 264, 51_340, 3),
        |lab| Box::pin(no_agreement_without_a_majority(lab)),
    ),
    scenario(
        "concurrent starts",
        "concurrent_starts",
        3,
        baseline(0.6, 24, 6_790, 6),
        |lab| Box::pin(concurrent_starts(lab)),
    ),
    scenario(
        "rejoin of partitioned leader",
        "rejoin_of_partitioned_leader",
        3,
        baseline(3.9, 146, 35_480, 4),
        |lab| Box::pin(rejoin_of_partitioned_leader(lab)),
    ),
    scenario(
        "leader backs up quickly over incorrect follower logs",
        "leader_backs_up_quickly",
        5,
        baseline(14.0, 2_244, 1_728_755, 102),
        |lab| Box::pin(leader_backs_up_quickly(lab)),
    ),
    scenario(
        "RPC counts aren't too high",
        "rpc_counts_are_not_too_high",
        3,
        baseline(2.0, 62, 18_665, 12),
        |lab| Box::pin(rpc_counts_are_not_too_high(lab)),
    ),
];

async fn basic_agreement(lab: Lab) -> Verdict {
    for ordinal in 1..=3 {
        let (count, _) = lab.n_committed(ordinal);
        demand!(
            count == 0,
            "some have committed {ordinal} before it was started"
        );
        lab.one_at(ordinal, command(ordinal * 100), 3, No).await?;
    }
    Ok(())
}

/// Each command goes to each follower once.
async fn rpc_byte_count(lab: Lab) -> Verdict {
    const COMMANDS: u64 = 10;
    const COMMAND_BYTES: u64 = 5_000;
    lab.one_at(1, command(99), 3, No).await?;
    let before = lab.bytes();
    for ordinal in 2..2 + COMMANDS {
        let text: Vec<u8> = (0..COMMAND_BYTES)
            .map(|_| b'a' + lab.below(26) as u8)
            .collect();
        lab.one_at(ordinal, text.into(), 3, No).await?;
    }
    let used = lab.bytes() - before;
    let expected = 3 * COMMANDS * COMMAND_BYTES;
    demand!(
        used <= expected + 50_000,
        "too many bytes: {used}; expected {expected}"
    );
    Ok(())
}

/// Nobody may apply what a leader takes that has no majority.
async fn must_not_commit(lab: &Lab, ordinal: u64) -> Verdict {
    lab.sleep(2 * T).await;
    let (count, _) = lab.n_committed(ordinal);
    demand!(
        count == 0,
        "{count} committed index {ordinal} without a majority"
    );
    Ok(())
}

async fn follower_failure(lab: Lab) -> Verdict {
    lab.one(command(101), 3, No).await?;
    let first = lab.check_one_leader().await?;
    lab.disconnect((first + 1) % 3);
    lab.one(command(102), 2, No).await?;
    lab.sleep(T).await;
    lab.one(command(103), 2, No).await?;
    let second = lab.check_one_leader().await?;
    lab.disconnect((second + 1) % 3);
    lab.disconnect((second + 2) % 3);
    let started = lab.propose_to_leader(second, command(104))?;
    demand!(
        started.ordinal == 4,
        "expected index 4, got {}",
        started.ordinal
    );
    must_not_commit(&lab, 4).await
}

async fn leader_failure(lab: Lab) -> Verdict {
    lab.one(command(101), 3, No).await?;
    let first = lab.check_one_leader().await?;
    lab.disconnect(first);
    lab.one(command(102), 2, No).await?;
    lab.sleep(T).await;
    lab.one(command(103), 2, No).await?;
    let second = lab.check_one_leader().await?;
    lab.disconnect(second);
    for server in 0..3 {
        lab.propose(server, command(104));
    }
    must_not_commit(&lab, 4).await
}

async fn agreement_after_follower_reconnects(lab: Lab) -> Verdict {
    lab.one(command(101), 3, No).await?;
    let leader = lab.check_one_leader().await?;
    let follower = (leader + 1) % 3;
    lab.disconnect(follower);
    lab.one(command(102), 2, No).await?;
    lab.one(command(103), 2, No).await?;
    lab.sleep(T).await;
    lab.one(command(104), 2, No).await?;
    lab.one(command(105), 2, No).await?;
    lab.connect(follower);
    lab.one(command(106), 3, Yes).await?;
    lab.sleep(T).await;
    lab.one(command(107), 3, Yes).await?;
    Ok(())
}

async fn no_agreement_without_a_majority(lab: Lab) -> Verdict {
    lab.one(command(10), 5, No).await?;
    let leader = lab.check_one_leader().await?;
    let three = [1, 2, 3].map(|after| (leader + after) % 5);
    for server in three {
        lab.disconnect(server);
    }
    let started = lab.propose_to_leader(leader, command(20))?;
    demand!(
        started.ordinal == 2,
        "expected index 2, got {}",
        started.ordinal
    );
    must_not_commit(&lab, 2).await?;
    for server in three {
        lab.connect(server);
    }
    // Who leads now may or may not have kept the command that was not committed.
    let leader = lab.check_one_leader().await?;
    let started = lab.propose_to_leader(leader, command(30))?;
    demand!(
        (2..=3).contains(&started.ordinal),
        "unexpected index {}",
        started.ordinal
    );
    lab.one(command(1000), 5, Yes).await?;
    Ok(())
}

async fn concurrent_starts(lab: Lab) -> Verdict {
    for attempt in 0..5 {
        if attempt > 0 {
            lab.sleep_ms(3_000).await;
        }
        if try_concurrent_starts(&lab).await? {
            return Ok(());
        }
    }
    Err(Failed("the term changed too often".to_owned()))
}

/// False if the term changed, so that it says nothing.
async fn try_concurrent_starts(lab: &Lab) -> Verdict<bool> {
    let leader = lab.check_one_leader().await?;
    let Some(first) = lab.propose(leader, command(1)) else {
        return Ok(false);
    };
    let clients: Vec<_> = (0..5)
        .map(|client| {
            let on = lab.clone();
            lab.spawn(async move { on.propose(leader, command(100 + client)) })
        })
        .collect();
    let mut started = Vec::new();
    for client in clients {
        started.extend(lab.join(client).await);
    }
    let terms = (0..3).filter_map(|server| lab.state(server));
    if terms.map(|(term, _)| term).any(|term| term != first.term) {
        return Ok(false);
    }
    let mut values = Vec::new();
    for one in &started {
        match lab.wait(one.ordinal, 3, Some(first.term)).await? {
            Some(value) => values.push(value),
            None => return Ok(false),
        }
    }
    for client in 0..5 {
        let value = command(100 + client);
        demand!(
            values.contains(&value),
            "command {value:?} is missing in {values:?}"
        );
    }
    Ok(true)
}

async fn rejoin_of_partitioned_leader(lab: Lab) -> Verdict {
    lab.one(command(101), 3, Yes).await?;
    let first = lab.check_one_leader().await?;
    lab.disconnect(first);
    for number in 102..=104 {
        lab.propose(first, command(number));
    }
    lab.one(command(103), 2, Yes).await?;
    let second = lab.check_one_leader().await?;
    lab.disconnect(second);
    lab.connect(first);
    lab.one(command(104), 2, Yes).await?;
    lab.connect(second);
    lab.one(command(105), 3, Yes).await?;
    Ok(())
}

async fn leader_backs_up_quickly(lab: Lab) -> Verdict {
    const MANY: usize = 50;
    let start_many = |leader: usize| {
        for _ in 0..MANY {
            lab.propose(leader, lab.random_command());
        }
    };
    let servers = |these: &[usize], act: &dyn Fn(usize)| these.iter().for_each(|one| act(*one));
    lab.one(lab.random_command(), 5, Yes).await?;
    // A leader and one follower alone, with much that will not be committed.
    let first = lab.check_one_leader().await?;
    let [second, third, fourth, fifth] = [1, 2, 3, 4].map(|after| (first + after) % 5);
    servers(&[third, fourth, fifth], &|server| lab.disconnect(server));
    start_many(first);
    lab.sleep(T / 2).await;
    servers(&[first, second], &|server| lab.disconnect(server));
    // The others agree on much.
    servers(&[third, fourth, fifth], &|server| lab.connect(server));
    for _ in 0..MANY {
        lab.one(lab.random_command(), 3, Yes).await?;
    }
    // And among them, too, a leader and one follower have much that will not be committed.
    let leader = lab.check_one_leader().await?;
    let other = if leader == third { fourth } else { third };
    lab.disconnect(other);
    start_many(leader);
    lab.sleep(T / 2).await;
    servers(&[0, 1, 2, 3, 4], &|server| lab.disconnect(server));
    // Now those who know least, with one who knows what was committed.
    servers(&[first, second, other], &|server| lab.connect(server));
    for _ in 0..MANY {
        lab.one(lab.random_command(), 3, Yes).await?;
    }
    servers(&[0, 1, 2, 3, 4], &|server| lab.connect(server));
    lab.one(lab.random_command(), 5, Yes).await?;
    Ok(())
}

async fn rpc_counts_are_not_too_high(lab: Lab) -> Verdict {
    lab.check_one_leader().await?;
    let election = lab.received_rpcs();
    demand!(
        (1..=30).contains(&election),
        "too many or few RPCs ({election}) to elect a leader"
    );
    let mut passed = false;
    for attempt in 0..5 {
        if attempt > 0 {
            lab.sleep_ms(3_000).await;
        }
        passed = try_count_of_agreement(&lab).await?;
        if passed {
            break;
        }
    }
    demand!(passed, "the term changed too often");
    let before = lab.received_rpcs();
    lab.sleep_ms(1_000).await;
    let idle = lab.received_rpcs() - before;
    demand!(
        idle <= 3 * 20,
        "too many RPCs ({idle}) for 1 second of idleness"
    );
    Ok(())
}

/// False if the term changed, so that it says nothing.
async fn try_count_of_agreement(lab: &Lab) -> Verdict<bool> {
    const COMMANDS: u64 = 10;
    let leader = lab.check_one_leader().await?;
    let before = lab.received_rpcs();
    let Some(first) = lab.propose(leader, command(1)) else {
        return Ok(false);
    };
    let mut commands = Vec::new();
    for number in 1..COMMANDS + 2 {
        let value = lab.random_command();
        let Some(started) = lab.propose(leader, value.clone()) else {
            return Ok(false);
        };
        if started.term != first.term {
            return Ok(false);
        }
        demand!(
            started.ordinal == first.ordinal + number,
            "index {} after {} commands from {}",
            started.ordinal,
            number,
            first.ordinal
        );
        commands.push(value);
    }
    for number in 1..=COMMANDS {
        let value = lab
            .wait(first.ordinal + number, 3, Some(first.term))
            .await?;
        let Some(value) = value else {
            return Ok(false);
        };
        let expected = &commands[number as usize - 1];
        demand!(
            value == *expected,
            "wrong value {value:?} committed for index {}; expected {expected:?}",
            first.ordinal + number
        );
    }
    let terms = (0..3).filter_map(|server| lab.state(server));
    if terms.map(|(term, _)| term).any(|term| term != first.term) {
        return Ok(false);
    }
    let used = lab.received_rpcs() - before;
    let allowed = (COMMANDS + 1 + 3) * 3;
    demand!(
        used <= allowed,
        "too many RPCs ({used}) for {COMMANDS} entries"
    );
    Ok(true)
}
