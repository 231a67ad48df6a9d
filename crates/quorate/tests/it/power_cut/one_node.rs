//! Syncs that fail or lie, then a power cut: one node is enough.

use super::{FILE_SYSTEM_PROGRAMS, Machines, STRACE, Strace, Writer, find_lost, requirements};

const PUTS: usize = 50;
const VALUE_BYTES: usize = 100;

/// Failed syncs, each with a power cut afterwards.
const ROUNDS: usize = 3;

fn can_run() -> bool {
    let mut programs = FILE_SYSTEM_PROGRAMS.to_vec();
    programs.push(STRACE);
    requirements::are_met(&programs)
}

#[test]
fn a_node_whose_fdatasync_lies_loses_acknowledged_writes_and_these_tests_would_see_it() {
    if !can_run() {
        return;
    }
    let mut machines = Machines::start(1);
    let mut writer = Writer::new(&machines.cluster.endpoint(0), "lie");
    let acknowledged: Vec<_> = {
        let _strace = attach(&machines, "fdatasync:retval=0");
        let puts = (0..PUTS).map(|_| writer.put(VALUE_BYTES).expect("it is believed"));
        let puts = puts.collect();
        lose_power(&mut machines);
        puts
    };
    machines.cluster.restart(0);
    machines.cluster.wait_for_leader();
    let lost = find_lost(&machines.cluster.endpoint(0), &acknowledged);
    assert_eq!(lost.len(), PUTS, "nothing was synced");
}

/// A sync that failed may leave bytes in the page cache that are nowhere on the disk. A node that
/// starts on them and shows them must have made them durable first.
#[test]
fn what_a_node_shows_after_a_failed_sync_survives_a_power_cut() {
    if !can_run() {
        return;
    }
    let mut machines = Machines::start(1);
    let mut acknowledged = Vec::new();
    let mut came_to_light = 0;
    for round in 0..ROUNDS {
        let mut writer = Writer::new(&machines.cluster.endpoint(0), &format!("round-{round}"));
        let unacknowledged = {
            let _strace = attach(&machines, "fdatasync:error=EIO:when=20");
            let unacknowledged = loop {
                let key = writer.next_key();
                match writer.put(VALUE_BYTES) {
                    Ok(put) => acknowledged.push(put),
                    Err(_) => break key,
                }
            };
            machines.cluster.nodes[0].wait_until_ended();
            unacknowledged
        };
        machines.cluster.restart(0);
        machines.cluster.wait_for_leader();
        machines.check(&acknowledged);
        let shown = machines.cluster.read_all(0);
        came_to_light += usize::from(shown.contains_key(&unacknowledged[..]));
        lose_power(&mut machines);
        machines.cluster.restart(0);
        machines.cluster.wait_for_leader();
        machines.check(&acknowledged);
        assert_eq!(machines.cluster.read_all(0), shown, "what was shown stays");
    }
    // The sync that fails may also be one that only covers the writes before it.
    assert!(
        came_to_light > 0,
        "no write was ever found in the page cache"
    );
}

fn attach(machines: &Machines, inject: &str) -> Strace {
    Strace::attach(
        machines.cluster.nodes[0].pid(),
        machines.directory.path(),
        &["-e", "trace=fdatasync", "-e", &format!("inject={inject}")],
    )
}

/// Cuts the power and gives it back; the node is not started.
fn lose_power(machines: &mut Machines) {
    let witnesses = machines.cut_all();
    machines.restore_all(witnesses);
}
