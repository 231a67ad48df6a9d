//! 2D: snapshots.

use super::baseline::{Baseline, baseline};
use super::lab::Retry::Yes;
use super::lab::{Lab, Verdict, demand};
use super::scenario::{Scenario, Steps, Suite};

/// A snapshot is due after the 9th, 19th, 29th … command.
pub(crate) const SNAPSHOT_EVERY: u64 = 10;

/// What a server may persist besides its snapshot: see `log_book`.
const MAX_RAFT_STATE_BYTES: u64 = 2_000;

const ROUNDS: u64 = 30;

const fn scenario(
    title: &'static str,
    name: &'static str,
    baseline: Option<Baseline>,
    steps: fn(Lab) -> Steps,
) -> Scenario {
    Scenario {
        suite: Suite::Snapshots2D,
        title,
        name,
        servers: 3,
        baseline,
        steps,
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario(
        "snapshots basic",
        "snapshots_basic",
        baseline(1.8, 506, 164_008, 235),
        |lab| Box::pin(common(lab, Absence::None, false)),
    ),
    scenario(
        "install snapshots (disconnect)",
        "install_snapshots_disconnect",
        baseline(32.9, 2_444, 1_245_742, 316),
        |lab| Box::pin(common(lab, Absence::Disconnect, false)),
    ),
    scenario(
        "install snapshots (disconnect+unreliable)",
        "install_snapshots_disconnect_unreliable",
        baseline(38.7, 3_604, 1_300_893, 327),
        |lab| Box::pin(common(lab, Absence::Disconnect, true)),
    ),
    scenario(
        "install snapshots (crash)",
        "install_snapshots_crash",
        baseline(24.5, 1_148, 879_888, 334),
        |lab| Box::pin(common(lab, Absence::Crash, false)),
    ),
    scenario(
        "install snapshots (unreliable+crash)",
        "install_snapshots_unreliable_crash",
        baseline(33.0, 1_432, 692_990, 322),
        |lab| Box::pin(common(lab, Absence::Crash, true)),
    ),
    scenario(
        "crash and restart all servers",
        "crash_and_restart_all_servers",
        baseline(6.7, 244, 64_312, 54),
        |lab| Box::pin(crash_and_restart_all_servers(lab)),
    ),
    scenario(
        "snapshot initialization after crash",
        "snapshot_initialization_after_crash",
        None,
        |lab| Box::pin(snapshot_initialization_after_crash(lab)),
    ),
];

/// How one server misses what the others agree upon.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    None,
    Disconnect,
    Crash,
}

async fn agree(lab: &Lab, servers: usize) -> Verdict<u64> {
    lab.one(lab.random_command(), servers, Yes).await
}

/// One server after the other misses so much that it needs a snapshot.
async fn common(lab: Lab, absence: Absence, is_unreliable: bool) -> Verdict {
    lab.set_unreliable(is_unreliable);
    agree(&lab, 3).await?;
    let mut leader = lab.check_one_leader().await?;
    for round in 0..ROUNDS {
        let (mut sender, mut victim) = (leader, (leader + 1) % 3);
        if round % 3 == 1 {
            std::mem::swap(&mut sender, &mut victim);
        }
        match absence {
            Absence::None => {}
            Absence::Disconnect => lab.disconnect(victim),
            Absence::Crash => lab.crash(victim),
        }
        let present = if absence == Absence::None { 3 } else { 2 };
        if absence != Absence::None {
            agree(&lab, present).await?;
        }
        for _ in 0..5 + lab.below(10) {
            lab.propose(sender, lab.random_command());
        }
        agree(&lab, present).await?;
        let bytes = lab.max_raft_state_bytes();
        demand!(
            bytes < MAX_RAFT_STATE_BYTES,
            "the log takes {bytes} bytes after the last snapshot"
        );
        match absence {
            Absence::None => {}
            Absence::Disconnect => lab.connect(victim),
            Absence::Crash => lab.restart_and_connect(victim),
        }
        if absence != Absence::None {
            agree(&lab, 3).await?;
            leader = lab.check_one_leader().await?;
        }
    }
    demand!(
        absence == Absence::None || lab.installed_snapshots() > 0,
        "no server ever needed a snapshot"
    );
    Ok(())
}

fn crash_and_restart_all(lab: &Lab) {
    for server in 0..3 {
        lab.crash(server);
    }
    for server in 0..3 {
        lab.restart_and_connect(server);
    }
}

async fn crash_and_restart_all_servers(lab: Lab) -> Verdict {
    agree(&lab, 3).await?;
    for _ in 0..5 {
        for _ in 0..5 + lab.below(10) {
            agree(&lab, 3).await?;
        }
        let before = agree(&lab, 3).await?;
        crash_and_restart_all(&lab);
        let after = agree(&lab, 3).await?;
        demand!(
            after > before,
            "command {after} comes after command {before}"
        );
    }
    Ok(())
}

/// The first thing that a server writes after it began with a snapshot must not lose the snapshot.
async fn snapshot_initialization_after_crash(lab: Lab) -> Verdict {
    agree(&lab, 3).await?;
    for _ in 0..SNAPSHOT_EVERY + 1 {
        agree(&lab, 3).await?;
    }
    crash_and_restart_all(&lab);
    agree(&lab, 3).await?;
    crash_and_restart_all(&lab);
    agree(&lab, 3).await?;
    Ok(())
}
