//! A stopped node's log is damaged on disk.
//!
//! Such a node names the file and the place, starts all the same, fetches what it lost from the
//! others and writes it back; the next start finds nothing damaged.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, Plan};
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
        trial.count("log damaged in the midst of acknowledged data");
        workload.wait_for_progress(&cluster, &others(victim));
        is_repaired(&mut cluster, victim, &segment);
        trial.count("log repaired from the other members");
        is_sound(&mut cluster, victim);
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

/// It says what is damaged, and then that it is repaired.
fn is_repaired(cluster: &mut Cluster, victim: usize, segment: &Path) {
    let said_before = cluster.nodes[victim].log_text().len();
    cluster.restart(victim);
    let name = segment.file_name().expect("a name").to_string_lossy();
    let node = &cluster.nodes[victim];
    let repaired = || {
        let said = node.log_text().split_off(said_before);
        let names_it = said.contains("is damaged at byte ") && said.contains(&*name);
        (names_it && said.contains("repaired from another member")).then_some(())
    };
    cluster.wait_for("the log to be repaired", repaired);
}

/// What was repaired stays so.
fn is_sound(cluster: &mut Cluster, victim: usize) {
    cluster.terminate(victim);
    let said_before = cluster.nodes[victim].log_text().len();
    cluster.restart(victim);
    let said = cluster.nodes[victim].log_text().split_off(said_before);
    assert!(!said.contains("is damaged at byte "), "{said}");
}
