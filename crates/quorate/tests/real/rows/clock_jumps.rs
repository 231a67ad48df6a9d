//! Wall clocks that jump, ahead and back, each node's on its own. Monotonic time goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::{Plan, real_directory};
use crate::trial::{ALL, Trial};

const ROUNDS: u64 = 4;

const LIBRARY: &str = "libfaketime.so.1";
/// Where Debian and others keep it.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
];

/// Up to a month, ahead and back.
const JUMP_SECONDS: std::ops::Range<u64> = 1..30 * 24 * 3_600;
const TIME_MS: std::ops::Range<u64> = 300..1_500;

/// That the library is not there, if so.
pub(super) fn obstacle() -> Option<String> {
    let missing = || format!("there is no {LIBRARY} (Debian: apt-get install faketime)");
    library().is_none().then(missing)
}

fn library() -> Option<PathBuf> {
    let mut paths = PLACES.iter().map(|place| Path::new(place).join(LIBRARY));
    paths.find(|path| path.is_file())
}

pub(super) fn run(trial: &mut Trial) {
    let directory = real_directory();
    let library = library().expect("it was looked for");
    let clock_of = |node: usize| directory.path().join(format!("clock-{node}"));
    let launchers = ALL.map(|node| {
        jump(&clock_of(node), 0);
        launcher(&library, &clock_of(node))
    });
    let cluster = Plan::of(3).launchers(&launchers).start();
    let workload = trial.work(&cluster);
    let refused_before = refused(&cluster);
    while let Some(round) = trial.next_round(ROUNDS) {
        workload.wait_for_progress(&cluster, &ALL);
        let seconds = i64::try_from(trial.dice.draw(JUMP_SECONDS)).expect("a month");
        let leader = cluster.wait_for_leader();
        match round % 4 {
            0 => {
                jump(&clock_of(leader), seconds);
                trial.count("jump ahead of the leader's clock");
            }
            1 => {
                jump(&clock_of(leader), -seconds);
                trial.count("jump back of the leader's clock");
            }
            2 => {
                for node in ALL {
                    let signs = [seconds, 0, -seconds];
                    jump(&clock_of(node), signs[(node + leader) % 3]);
                }
                trial.count("jump of all clocks, apart");
            }
            _ => {
                for node in ALL {
                    jump(&clock_of(node), 0);
                }
                trial.count("jump of all clocks to the right time");
            }
        }
        std::thread::sleep(Duration::from_millis(trial.dice.draw(TIME_MS)));
    }
    workload.wait_for_progress(&cluster, &ALL);
    // The leader's jump ahead was seen, and refused: the clocks did jump.
    assert!(refused(&cluster) > refused_before, "no jump was seen");
    trial.judge(&cluster, workload);
}

/// Readings of the wall clock that nodes did not believe.
fn refused(cluster: &crate::cluster::Cluster) -> f64 {
    let count = |node| cluster.metric(node, "quorate_clock_readings_refused");
    ALL.map(count).iter().sum()
}

/// Has a clock go on so many seconds away from the right time.
fn jump(clock: &Path, seconds: i64) {
    let new = clock.with_extension("new");
    fs::write(&new, format!("{seconds:+}\n")).expect("written");
    fs::rename(&new, clock).expect("at once");
}

/// Runs a node under a wall clock of its own.
fn launcher(library: &Path, clock: &Path) -> Vec<String> {
    vec![
        "env".to_owned(),
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        "NO_FAKE_STAT=1".to_owned(),
    ]
}
