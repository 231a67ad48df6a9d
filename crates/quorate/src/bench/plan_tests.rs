//! What flags make a load, and how those that do not are refused.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    bench: BenchArgs,
}

fn plan(flags: &str) -> Result<Plan, String> {
    let words = ["bench"].into_iter().chain(flags.split_whitespace());
    let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
    Plan::new(&line.bench)
}

#[test]
fn connections_default_to_one_a_client_up_to_16_and_reach_every_endpoint() {
    let three = "--endpoints a:1,b:1,c:1";
    assert_eq!(
        plan(&format!("put --clients 100 {three}"))
            .unwrap()
            .connections,
        16
    );
    assert_eq!(
        plan(&format!("put --clients 5 {three}"))
            .unwrap()
            .connections,
        5
    );
    assert_eq!(
        plan(&format!("put --clients 1 {three}"))
            .unwrap()
            .connections,
        3
    );
}

#[test]
fn every_client_and_every_connection_is_in_one_lane() {
    let lanes = |flags: &str| -> Vec<(Vec<usize>, Vec<usize>)> {
        let plan = plan(flags).unwrap();
        let lane = |lane| {
            (
                plan.clients_of(lane).collect(),
                plan.connections_of(lane).collect(),
            )
        };
        (0..plan.lanes()).map(lane).collect()
    };
    assert_eq!(
        lanes("put --clients 5 --connections 2"),
        [(vec![0, 2, 4], vec![0]), (vec![1, 3], vec![1])]
    );
    assert_eq!(
        lanes("put --clients 2 --connections 5"),
        [(vec![0], vec![0, 2, 4]), (vec![1], vec![1, 3])]
    );
}

#[test]
fn the_length_is_a_total_or_a_time() {
    assert_eq!(
        plan("get").unwrap().length,
        Length::Time(Duration::from_secs(10))
    );
    assert_eq!(plan("get --total 5").unwrap().length, Length::Operations(5));
    assert!(
        plan("get --total 5 --seconds 5")
            .unwrap_err()
            .contains("cannot be used with")
    );
}

#[test]
fn only_mixed_has_a_share_of_reads() {
    assert_eq!(plan("get").unwrap().read_percent, 100);
    assert_eq!(plan("put").unwrap().read_percent, 0);
    assert_eq!(plan("mixed").unwrap().read_percent, 50);
    assert_eq!(plan("mixed --read-percent 90").unwrap().read_percent, 90);
    assert_eq!(
        plan("put --read-percent 90").unwrap_err(),
        "--read-percent is for the kind mixed"
    );
    assert_eq!(
        plan("mixed --read-percent 101").unwrap_err(),
        "--read-percent must be from 0 to 100, not 101"
    );
}

#[test]
fn what_does_not_fit_is_said_in_one_line() {
    let refused = |flags: &str| plan(flags).unwrap_err();
    assert_eq!(
        refused("put --clients 0"),
        "--clients must be from 1 to 100000, not 0"
    );
    assert_eq!(
        refused("put --key-size 3"),
        "--key-space 100000 needs keys of 5 bytes, but --key-size is 3"
    );
    assert_eq!(
        refused("get --preload 11 --key-space 10"),
        "--preload 11 is more than --key-space 10"
    );
    assert!(refused("put --seconds 0").starts_with("--seconds must be from 0.001"));
    assert!(refused("put --seconds NaN").contains("a number of seconds"));
    assert!(refused("put --endpoints nowhere").contains("expected host:port"));
    assert!(refused("put --linearizable --serializable").contains("cannot be used with"));
    assert!(refused("put --key-space 0").starts_with("--key-space must be from 1"));
}
