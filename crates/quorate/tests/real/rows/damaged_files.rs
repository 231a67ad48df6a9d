//! A stopped node's log is damaged on disk.
//!
//! Such a node does not start: it names the file and the place, and changes nothing. Here its
//! operator does the first of the two things that it advises: a good copy of the file is put back,
//! and the node goes on with that.

use std::fs;
use std::path::{Path, PathBuf};

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
        let segment = first_segment(&cluster.nodes[victim].directory);
        let sound = fs::read(&segment).expect("readable");
        fs::write(&segment, damaged(trial, &sound)).expect("written");
        refuses_to_start(&mut cluster, victim, &segment);
        trial.count("log damaged in the midst of acknowledged data");
        workload.wait_for_progress(&cluster, &others(victim));
        fs::write(&segment, sound).expect("written");
        cluster.restart(victim);
    }
    workload.wait_for_progress(&cluster, &ALL);
    trial.judge(&cluster, workload);
}

fn first_segment(directory: &Path) -> PathBuf {
    let files = fs::read_dir(directory.join("wal")).expect("a log");
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "wal"))
        .min()
        .expect("a segment")
}

/// The bytes of a segment, some of them changed, in the first half of what it holds.
fn damaged(trial: &mut Trial, sound: &[u8]) -> Vec<u8> {
    let chunks = sound.chunks(PART_OF_A_VALUE.len()).enumerate();
    let values: Vec<usize> = chunks
        .filter(|(_, chunk)| *chunk == PART_OF_A_VALUE)
        .map(|(number, _)| number * PART_OF_A_VALUE.len())
        .collect();
    let drawn = trial.dice.draw(0..values.len() as u64 / 2) as usize;
    let count = trial.dice.draw(DAMAGED_BYTES) as usize;
    let mut bytes = sound.to_vec();
    for byte in &mut bytes[values[drawn]..][..count] {
        *byte ^= trial.dice.draw(1..256) as u8;
    }
    bytes
}

fn refuses_to_start(cluster: &mut Cluster, victim: usize, segment: &Path) {
    let node = &mut cluster.nodes[victim];
    let before = contents(&node.directory);
    let said_before = node.log_text().len();
    node.spawn();
    let how = node.wait_until_ended();
    assert_eq!(how.code(), Some(1), "{how}");
    let said = node.log_text().split_off(said_before);
    let line = only_line_of_its_own(&said);
    let name = segment.file_name().expect("a name").to_string_lossy();
    for part in [&name, "is damaged at byte "] {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
    assert_eq!(contents(&node.directory), before, "something was changed");
}
