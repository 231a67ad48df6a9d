use std::time::Duration;

use super::*;

#[test]
fn a_process_has_the_ticks_of_fields_14_and_15() {
    let stat = "4711 (etcd) S 1 4711 4711 0 -1 4194304 901 0 2 0 218 37 5 6 20 0 12 0 998 1 2 3";
    assert_eq!(process_ticks(stat).expect("a whole line"), 218 + 37);
}

#[test]
fn a_program_may_have_spaces_and_parentheses_in_its_name() {
    let stat = "4711 (a) b (c) 9) R 1 2 3 0 -1 0 0 0 0 0 30 12 0 0 20 0 1 0 0 0 0";
    assert_eq!(process_ticks(stat).expect("a whole line"), 42);
}

#[test]
fn a_torn_line_is_an_error() {
    for torn in [
        "",
        "4711 (etcd",
        "4711 (etcd) S 1 2 3",
        "1 (x) S 1 2 3 0 -1 0 0 0 0 0 x 1",
    ] {
        assert!(process_ticks(torn).is_err(), "{torn:?}");
    }
}

#[test]
fn the_machine_is_busy_with_all_but_idle_and_iowait_and_guests_count_once() {
    let stat = "cpu  100 20 30 400 50 6 7 8 90 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
    let busy = 100 + 20 + 30 + 6 + 7 + 8;
    let ticks = machine_ticks(stat).expect("a whole line");
    assert_eq!(ticks.busy, busy);
    assert_eq!(ticks.total, busy + 400 + 50);
}

#[test]
fn a_machine_without_the_common_line_is_an_error() {
    for wrong in [
        "",
        "cpu0 1 1 1 1 1 1 1 1",
        "cpu  1 2 3",
        "cpu  1 2 3 4 5 6 7 x",
    ] {
        assert!(machine_ticks(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_is_not_ours_is_the_others() {
    let at = Instant::now();
    let machine = |busy, total| MachineTicks { busy, total };
    let early = Reading {
        at,
        machine: machine(1_000, 5_000),
        servers: vec![10, 20, 30],
        generator: 5,
        own: 1,
    };
    let late = Reading {
        at: at + Duration::from_secs(5),
        machine: machine(1_800, 6_000),
        servers: vec![110, 120, 230],
        generator: 205,
        own: 2,
    };
    let usage = late.since(&early, 100.0);
    assert_eq!(usage.seconds, 5.0);
    assert_eq!(usage.server_cpu_seconds, [1.0, 1.0, 2.0]);
    assert_eq!(usage.generator_cpu_seconds, 2.0);
    // 800 busy, of which 400 + 200 + 1 are ours, of 1,000 in all.
    assert_eq!(usage.others_share, 0.199);
}

#[test]
fn a_machine_that_counts_less_than_we_used_has_no_others() {
    let at = Instant::now();
    let reading = |busy, server| Reading {
        at,
        machine: MachineTicks { busy, total: 1_000 },
        servers: vec![server],
        generator: 0,
        own: 0,
    };
    let usage = reading(10, 20).since(&reading(0, 0), 100.0);
    assert_eq!(usage.others_share, 0.0);
}

#[test]
fn this_process_can_be_read() {
    let own = std::process::id();
    let reading = Reading::take(&[own], own).expect("/proc of this process");
    assert!(reading.machine.total > reading.machine.busy);
    assert!(Reading::take(&[], u32::MAX).is_err(), "no such process");
}
