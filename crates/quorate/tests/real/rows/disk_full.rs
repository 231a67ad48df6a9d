//! A disk that fills up under one of the nodes.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::cluster::{Cluster, Plan};
use crate::real_faults::{LoopFileSystem, Writer, directory_for_mounts, only_line_of_its_own};
use crate::trial::{ALL, Trial, others};

const ROUNDS: u64 = 1;

/// Room for several segments of the log (64 MiB each); the image is sparse.
const FILE_SYSTEM_BYTES: u64 = 2 << 30;

/// What is written so that the log needs another segment.
const VALUE_BYTES: usize = 1 << 20;

/// More than the segments that are prepared ahead can take.
const MOST_VALUES: usize = 400;

pub(super) fn run(trial: &mut Trial) {
    let directory = directory_for_mounts();
    let file_system = LoopFileSystem::make(directory.path(), "disk", FILE_SYSTEM_BYTES);
    let mut places: Vec<_> = ALL
        .map(|node| directory.path().join(format!("n{}", node + 1)))
        .to_vec();
    places[0] = file_system.path().join("data");
    let mut cluster = Plan::of(3).directories(&places).start();
    let workload = trial.work(&cluster);
    while let Some(round) = trial.next_round(ROUNDS) {
        workload.wait_for_progress(&cluster, &ALL);
        let ballast = file_system.path().join("ballast");
        fill(&ballast).expect("the disk can be filled");
        let said_before = cluster.nodes[0].log_text().len();
        write_until_it_ends(&mut cluster, round);
        let said = cluster.nodes[0].log_text().split_off(said_before);
        let line = only_line_of_its_own(&said);
        for part in ["No space left on device", "free some space"] {
            assert!(line.contains(part), "{part:?} is not in: {line}");
        }
        trial.count("disk full");
        workload.wait_for_progress(&cluster, &others(0));
        fs::remove_file(&ballast).expect("room is made");
        cluster.restart(0);
    }
    workload.wait_for_progress(&cluster, &ALL);
    trial.judge(&cluster, workload);
}

/// Makes a file that takes all the room there is.
fn fill(path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    let mut at = 0;
    loop {
        let free = statvfs(path)?;
        let room = free.f_bavail * free.f_frsize;
        if room < 64 << 10 {
            return Ok(());
        }
        // The file system needs some of it for itself.
        let part = (room / 2).max(32 << 10);
        if fallocate(&file, FallocateFlags::empty(), at, part).is_err() {
            return Ok(());
        }
        at += part;
    }
}

/// Writes large values through another node until the first has ended for lack of room.
fn write_until_it_ends(cluster: &mut Cluster, round: u64) {
    let mut writer = Writer::new(&cluster.endpoint(1), &format!("filling-{round}"));
    for _ in 0..MOST_VALUES {
        if cluster.nodes[0].ended_unasked().is_some() {
            break;
        }
        // Some fail when the first node led.
        let _ = writer.put(VALUE_BYTES);
    }
    let how = cluster.nodes[0].wait_until_ended();
    assert_eq!(how.code(), Some(1), "{how}");
}
