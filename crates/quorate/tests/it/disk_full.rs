//! A disk that fills up: one clear line, and nothing that was acknowledged is lost.

use std::fs::{self, File};

use crate::cluster::Plan;
use crate::real_faults::{
    Acknowledged, FILE_SYSTEM_PROGRAMS, LoopFileSystem, Writer, directory_for_mounts, find_lost,
    only_line_of_its_own, requirements,
};

/// Room for two segments of the log and not for a third, beside the ballast.
const FILE_SYSTEM_BYTES: u64 = 320 << 20;
const BALLAST_BYTES: u64 = 140 << 20;

const VALUE_BYTES: usize = 1 << 20;

/// More than fit.
const MOST_PUTS: usize = 320;

#[test]
fn a_node_whose_disk_is_full_stops_with_one_line_and_goes_on_with_everything_once_there_is_room() {
    if !requirements::are_met(&FILE_SYSTEM_PROGRAMS) {
        return;
    }
    let directory = directory_for_mounts();
    let file_system = LoopFileSystem::make(directory.path(), "disk", FILE_SYSTEM_BYTES);
    let ballast = file_system.path().join("ballast");
    let file = File::create(&ballast).expect("a ballast");
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BALLAST_BYTES)
        .expect("room for the ballast");
    drop(file);
    let data = file_system.path().join("data");
    let mut cluster = Plan::of(1).directories(std::slice::from_ref(&data)).start();

    let mut writer = Writer::new(&cluster.endpoint(0), "put");
    let acknowledged: Vec<Acknowledged> = (0..MOST_PUTS)
        .map_while(|_| writer.put(VALUE_BYTES).ok())
        .collect();
    assert!(acknowledged.len() < MOST_PUTS, "the disk does not fill up");
    let how = cluster.nodes[0].wait_until_ended();
    assert_eq!(how.code(), Some(1), "{how}");
    let said = cluster.nodes[0].log_text();
    let warning = "the log's next segment cannot be prepared";
    assert!(said.contains(warning), "it was told before:\n{said}");
    says_what_to_do(only_line_of_its_own(&said));

    // Started again on the full disk, it says the same, and changes nothing.
    let said_before = said.len();
    cluster.nodes[0].spawn();
    assert_eq!(cluster.nodes[0].wait_until_ended().code(), Some(1));
    let said = cluster.nodes[0].log_text().split_off(said_before);
    says_what_to_do(only_line_of_its_own(&said));

    fs::remove_file(&ballast).expect("room is made");
    cluster.restart(0);
    cluster.wait_for_leader();
    let lost = find_lost(&cluster.endpoint(0), &acknowledged);
    assert!(lost.is_empty(), "{} lost", lost.len());
    writer.put(VALUE_BYTES).expect("it takes writes again");
    eprintln!(
        "{} writes of {VALUE_BYTES} bytes acknowledged before the disk was full, none lost",
        acknowledged.len()
    );
}

fn says_what_to_do(line: &str) {
    for part in [
        "disk/data/wal/",
        "No space left on device",
        "free some space",
    ] {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
}
