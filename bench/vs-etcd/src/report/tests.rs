use std::collections::BTreeMap;

use super::tables::thousands;
use super::*;
use crate::arguments::Kind;
use crate::generator::{Latency, Outcome};

const CELL: Cell = Cell {
    kind: Kind::Put,
    clients: 100,
};

fn run(system: System, ops_per_second: f64, cpu: f64) -> Run {
    let at = |value| value * 1e6 / ops_per_second;
    Run {
        system,
        load: Outcome {
            operations: 1_000,
            errors: 0,
            not_found: 0,
            seconds: 1.0,
            ops_per_second,
            latency_us: Latency {
                p50: at(100.0),
                p90: at(150.0),
                p99: at(200.0),
                p999: at(300.0),
                max: at(400.0),
                mean: at(110.0),
            },
            first_errors: BTreeMap::new(),
            client_cpu_seconds: 0.2,
            clients: 100,
            connections: 15,
            threads: 1,
        },
        server_cpu_seconds_per_10000: cpu,
        generator_cpu_seconds_per_10000: 0.5,
        server_cpu_seconds: vec![cpu / 3.0; 3],
        interval_seconds: 1.0,
        others_share: 0.01,
    }
}

fn pair(round: u32, quorate: (f64, f64), etcd: (f64, f64)) -> Pair {
    Pair {
        cell: CELL,
        round,
        first: System::Quorate,
        quorate: run(System::Quorate, quorate.0, quorate.1),
        etcd: run(System::Etcd, etcd.0, etcd.1),
    }
}

fn report(pairs: &[Pair]) -> Report {
    Report {
        date: "2026-01-31".to_owned(),
        command: "vs-etcd --markdown".to_owned(),
        machine: Machine {
            processor: "Some CPU".to_owned(),
            cores: 2,
            memory_gib: 8,
            kernel: "6.1".to_owned(),
        },
        storage: Description {
            filesystem: "ext4 (/dev/vda)".to_owned(),
            fdatasync_us_median: 400,
        },
        versions: Versions {
            quorate: "0.1.0".to_owned(),
            etcd: "3.4.23".to_owned(),
        },
        rounds: 3,
        seconds: 5.0,
        warmup_seconds: 2.0,
        keys: 10_000,
        cells: Summary::new(CELL, pairs).into_iter().collect(),
        runs: pairs.to_vec(),
    }
}

fn three_rounds() -> [Pair; 3] {
    [
        pair(1, (20_000.0, 1.0), (8_000.0, 2.0)),
        pair(2, (12_000.0, 1.1), (6_000.0, 2.2)),
        pair(3, (15_000.0, 0.9), (5_000.0, 2.25)),
    ]
}

#[test]
fn ratios_are_taken_round_by_round() {
    let report = report(&three_rounds());
    let ratios = &report.cells[0].ratios;
    let throughput = ratios.ops_per_second.spread.expect("three rounds");
    assert_eq!(
        (throughput.least, throughput.median, throughput.greatest),
        (2.0, 2.5, 3.0)
    );
    let cpu = ratios.server_cpu_seconds.spread.expect("three rounds");
    assert_eq!((cpu.least, cpu.median, cpu.greatest), (0.4, 0.5, 0.5));
}

#[test]
fn the_page_says_what_was_measured_on_what() {
    let expected = "\
Measured on 2026-01-31 with `vs-etcd --markdown`:
Quorate 0.1.0, etcd 3.4.23; Some CPU, 2 cores, 8 GiB,
Linux 6.1; data on ext4 (/dev/vda), fdatasync of 4 KiB 400 µs in the median. Windows of 5 s
after 2 s of warm-up.

Medians over 3 rounds; \"others\" is the greatest share of the machine that others used:

| operation | clients | server  | a second | p50 ms | p99 ms | server CPU-s per 10,000 | generator CPU-s per 10,000 | others |
| --------- | ------- | ------- | -------: | -----: | -----: | ----------------------: | -------------------------: | -----: |
| put       | 100     | Quorate |   15,000 |   6.67 |  13.33 |                    1.00 |                       0.50 |    1 % |
| put       | 100     | etcd    |    6,000 |  16.67 |  33.33 |                    2.20 |                       0.50 |    1 % |

Quorate divided by etcd, round by round: median (least to greatest):

| operation | clients |          throughput | server CPU per operation |                 p50 |                 p99 | throughput, by round |
| --------- | ------- | ------------------: | -----------------------: | ------------------: | ------------------: | -------------------: |
| put       | 100     | 2.50 (2.00 to 3.00) |      0.50 (0.40 to 0.50) | 0.40 (0.33 to 0.50) | 0.40 (0.33 to 0.50) |       2.50 2.00 3.00 |
";
    assert_eq!(report(&three_rounds()).markdown(), expected);
}

#[test]
fn failed_operations_are_counted_and_shown() {
    let mut pairs = three_rounds();
    pairs[1].etcd.load.errors = 7;
    let report = report(&pairs);
    assert_eq!(report.failed_operations(), 7);
    assert!(
        report.text().contains("6,000 (7 failed)"),
        "{}",
        report.text()
    );
}

#[test]
fn the_run_with_the_most_work_of_others_counts() {
    let mut pairs = three_rounds();
    pairs[2].quorate.others_share = 0.3;
    assert_eq!(report(&pairs).others_share(), 0.3);
}

#[test]
fn a_cell_without_a_round_has_no_summary() {
    assert!(Summary::new(CELL, &[]).is_none());
}

#[test]
fn the_json_object_has_every_run() {
    let value = serde_json::to_value(report(&three_rounds())).expect("text and numbers");
    assert_eq!(value["cells"][0]["kind"], "put");
    assert_eq!(
        value["cells"][0]["ratios"]["ops_per_second"]["rounds"][1],
        2.0
    );
    assert_eq!(value["runs"][2]["round"], 3);
    assert_eq!(value["runs"][2]["etcd"]["load"]["ops_per_second"], 5_000.0);
}

#[test]
fn a_rate_has_commas() {
    let of = |value| thousands(value);
    assert_eq!((of(7.4), of(999.5)), ("7".to_owned(), "1,000".to_owned()));
    assert_eq!(of(1_234_567.0), "1,234,567");
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let rows = vec![vec!["get".to_owned(), "1,000 (µs)".to_owned()]];
    let expected = "\
| operation |       rate |
| --------- | ---------: |
| get       | 1,000 (µs) |
";
    assert_eq!(table(&["operation", "rate"], 1, rows), expected);
}
