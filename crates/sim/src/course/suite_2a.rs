//! 2A: election.

use super::baseline::baseline;
use super::lab::{Lab, T, Verdict, demand};
use super::scenario::{Scenario, Script, Suite};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        suite: Suite::Election2A,
        title: "initial election",
        name: "initial_election",
        servers: 3,
        baseline: baseline(3.0, 58, 15_440, 0),
        script: Script::Raft(|lab| Box::pin(initial_election(lab))),
    },
    Scenario {
        suite: Suite::Election2A,
        title: "election after network failure",
        name: "re_election",
        servers: 3,
        baseline: baseline(4.4, 140, 27_904, 0),
        script: Script::Raft(|lab| Box::pin(re_election(lab))),
    },
    Scenario {
        suite: Suite::Election2A,
        title: "multiple elections",
        name: "many_elections",
        servers: 7,
        baseline: baseline(6.2, 686, 129_664, 0),
        script: Script::Raft(|lab| Box::pin(many_elections(lab))),
    },
];

/// The course only warns of a term that changes while nothing fails; here it fails.
async fn initial_election(lab: Lab) -> Verdict {
    lab.check_one_leader().await?;
    lab.sleep_ms(50).await;
    let term = lab.check_terms()?;
    demand!(term >= 1, "term is {term}, but should be at least 1");
    lab.sleep(2 * T).await;
    let later = lab.check_terms()?;
    demand!(
        term == later,
        "term changed from {term} to {later} though nothing failed"
    );
    lab.check_one_leader().await?;
    Ok(())
}

async fn re_election(lab: Lab) -> Verdict {
    let first = lab.check_one_leader().await?;
    lab.disconnect(first);
    lab.check_one_leader().await?;
    // The old leader is back: it must not disturb the new one.
    lab.connect(first);
    let second = lab.check_one_leader().await?;
    lab.disconnect(second);
    lab.disconnect((second + 1) % 3);
    lab.sleep(2 * T).await;
    lab.check_no_leader()?;
    lab.connect((second + 1) % 3);
    lab.check_one_leader().await?;
    lab.connect(second);
    lab.check_one_leader().await?;
    Ok(())
}

async fn many_elections(lab: Lab) -> Verdict {
    lab.check_one_leader().await?;
    for _ in 0..9 {
        let three = [lab.any_server(), lab.any_server(), lab.any_server()];
        for server in three {
            lab.disconnect(server);
        }
        lab.check_one_leader().await?;
        for server in three {
            lab.connect(server);
        }
    }
    lab.check_one_leader().await?;
    Ok(())
}
