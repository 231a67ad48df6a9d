//! Messages that come late, behind later ones or twice, and connections that break.

use std::net::SocketAddrV4;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::cluster::Plan;
use crate::network::Network;
use crate::proxy::{Mood, Proxy};
use crate::trial::{ALL, Trial};

const ROUNDS: u64 = 3;

/// From harmless to several heartbeat intervals (100 ms), and beyond an election timeout.
const DELAY_MS: std::ops::Range<u64> = 1..150;
const OVERTAKEN_MS: std::ops::Range<u64> = 50..1_500;
const PERCENT: std::ops::Range<u64> = 1..30;
const TIME_MS: std::ops::Range<u64> = 800..2_500;

pub(super) fn run(trial: &mut Trial) {
    let network = Network::make(3);
    let targets: Vec<SocketAddrV4> = network
        .places()
        .iter()
        .map(|place| place.dialled_at)
        .collect();
    let (proxy, addresses) = Proxy::start(network.gateway(), &targets, trial.dice.split());
    let cluster = Plan::of(3)
        .places(&network.places_dialled_at(&addresses))
        .launchers(&network.launchers())
        .start();
    let workload = trial.work(&cluster);
    while trial.next_round(ROUNDS).is_some() {
        workload.wait_for_progress(&cluster, &ALL);
        let dice = &mut trial.dice;
        proxy.set(Mood {
            delay_ms: dice.draw(DELAY_MS),
            overtaken_percent: dice.draw(PERCENT),
            overtaken_ms: dice.draw(OVERTAKEN_MS),
            repeated_percent: dice.draw(PERCENT),
        });
        std::thread::sleep(Duration::from_millis(dice.draw(TIME_MS)));
        proxy.break_connections();
        std::thread::sleep(Duration::from_millis(dice.draw(TIME_MS)));
        proxy.set(Mood::default());
    }
    workload.wait_for_progress(&cluster, &ALL);
    let done = proxy.done();
    for (what, count) in [
        ("messages delayed", &done.delayed),
        ("messages overtaken by later ones", &done.overtaken),
        ("messages repeated", &done.repeated),
        ("connections of peers reset", &done.broken),
    ] {
        trial.count_many(what, count.load(Ordering::Relaxed));
    }
    trial.judge(&cluster, workload);
}
