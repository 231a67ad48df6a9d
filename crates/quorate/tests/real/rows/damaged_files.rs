//! A stopped node's log is damaged on disk.
//!
//! Today such a node does not start: it names the file and the place, and changes nothing. Its
//! operator removes its data; it comes back empty and is filled by the others. In general that may
//! lose writes. Here it is safe, because both others have acknowledged writes of the same term
//! without it before: they have everything that it ever acknowledged, and have cast their votes.

use std::fs;
use std::path::Path;

use crate::cluster::{Cluster, Plan, contents};
use crate::real_faults::only_line_of_its_own;
use crate::trial::{ALL, Trial, others};

const ROUNDS: u64 = 2;

/// Bytes in a row that are changed.
const DAMAGED_BYTES: std::ops::Range<u64> = 1..2_000;

/// What only a value has in it: enough of what long values are filled up with.
const PART_OF_A_VALUE: [u8; 32] = [b'.'; 32];

pub(super) fn run(trial: &mut Trial) {
    let mut cluster = Plan::of(3).start();
    let workload = trial.work(&cluster);
    while trial.next_round(ROUNDS).is_some() {
        workload.wait_for_progress(&cluster, &ALL);
        let victim = trial.dice.draw(0..3) as usize;
        cluster.terminate(victim);
        let file = damage(trial, &cluster.nodes[victim].directory);
        refuses_to_start(&mut cluster, victim, &file);
        trial.count("log damaged in the midst of acknowledged data");
        workload.wait_for_progress(&cluster, &others(victim));
        fs::remove_dir_all(&cluster.nodes[victim].directory).expect("removed");
        cluster.restart(victim);
        trial.count("node back with an empty disk");
    }
    workload.wait_for_progress(&cluster, &ALL);
    trial.judge(&cluster, workload);
}

/// Changes bytes in the first half of what the log's first segment holds. Gives its name.
fn damage(trial: &mut Trial, directory: &Path) -> String {
    let files = fs::read_dir(directory.join("wal")).expect("a log");
    let paths = files.map(|file| file.expect("a file").path());
    let segment = paths
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "wal"))
        .min()
        .expect("a segment");
    let mut bytes = fs::read(&segment).expect("readable");
    let values: Vec<usize> = bytes
        .chunks(PART_OF_A_VALUE.len())
        .enumerate()
        .filter(|(_, chunk)| *chunk == PART_OF_A_VALUE)
        .map(|(number, _)| number * PART_OF_A_VALUE.len())
        .collect();
    let drawn = trial.dice.draw(0..values.len() as u64 / 2 + 1) as usize;
    let begin = values[drawn];
    let count = trial.dice.draw(DAMAGED_BYTES) as usize;
    for byte in &mut bytes[begin..][..count] {
        *byte ^= trial.dice.draw(1..256) as u8;
    }
    fs::write(&segment, &bytes).expect("written");
    segment
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

fn refuses_to_start(cluster: &mut Cluster, victim: usize, file: &str) {
    let node = &mut cluster.nodes[victim];
    let before = contents(&node.directory);
    let said_before = node.log_text().len();
    node.spawn();
    let how = node.wait_until_ended();
    assert_eq!(how.code(), Some(1), "{how}");
    let said = node.log_text().split_off(said_before);
    let line = only_line_of_its_own(&said);
    for part in [file, "is damaged at byte "] {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
    assert_eq!(contents(&node.directory), before, "something was changed");
}
