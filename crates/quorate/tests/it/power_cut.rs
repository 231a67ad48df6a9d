//! Power cuts: what was acknowledged is on the disk, not only on its way there.
//!
//! Each node's data lies on an ext4 of its own in an image file. Cutting its power throws away
//! everything that was not synced and makes every later write fail; mounting again replays the
//! journal ([`Machines`]). A witness on each file system proves that the cut was one,
//! and a node whose `fdatasync` is made to lie proves that a lost write would be found.

use crate::real_faults::{
    Acknowledged, Dice, FILE_SYSTEM_PROGRAMS, Load, Machines, STRACE, Strace, Writer, find_lost,
    requirements,
};

mod one_node;

/// Cuts in a test of a cluster.
const CUTS: u64 = 6;

/// A cut comes after so many acknowledged writes under load, at most.
const MAX_WRITES_BEFORE_CUT: u64 = 800;

/// Writes that show that a cluster goes on.
const WRITES_AFTERWARDS: u64 = 100;

impl Machines {
    /// Starts to write to all nodes, and waits until a drawn number of writes is acknowledged.
    fn load(&self, dice: &mut Dice, label: &str) -> Load {
        let load = Load::start(&self.cluster.endpoints(), label);
        let before = dice.draw(1..MAX_WRITES_BEFORE_CUT);
        self.cluster
            .wait_for("writes to be acknowledged", || enough(&load, before));
        load
    }

    /// Every acknowledged write is there, on every node, and all nodes are equal.
    fn check(&self, acknowledged: &[Acknowledged]) {
        for i in 0..self.cluster.len() {
            let lost = find_lost(&self.cluster.endpoint(i), acknowledged);
            assert!(
                lost.is_empty(),
                "n{} lost {} of {} acknowledged writes, the first: {:?}",
                i + 1,
                lost.len(),
                acknowledged.len(),
                lost[0]
            );
        }
        self.cluster.wait_until_equal();
    }
}

fn enough(load: &Load, wanted: u64) -> Option<()> {
    (load.acknowledged() >= wanted).then_some(())
}

#[test]
fn a_node_that_loses_power_under_load_stops_with_one_line_and_comes_back_with_all_it_acknowledged()
{
    if !requirements::are_met(&FILE_SYSTEM_PROGRAMS) {
        return;
    }
    let mut dice = Dice::new();
    let mut machines = Machines::start(3);
    let mut acknowledged = Vec::new();
    for cut in 0..CUTS {
        let leader = machines.cluster.wait_for_leader();
        // Leader and followers in turn.
        let victim = match cut % 2 {
            0 => leader,
            _ => (leader + dice.draw(1..3) as usize) % 3,
        };
        let load = machines.load(&mut dice, &format!("cut-{cut}"));
        lose_power_and_come_back(&mut machines, victim, &load);
        acknowledged.extend(load.stop());
        machines.check(&acknowledged);
    }
    eprintln!(
        "{CUTS} power cuts of one node of three, {} writes acknowledged, none lost",
        acknowledged.len()
    );
}

fn lose_power_and_come_back(machines: &mut Machines, victim: usize, load: &Load) {
    let witness = machines.lose_power(victim);
    // The others go on.
    let wanted = load.acknowledged() + WRITES_AFTERWARDS;
    machines
        .cluster
        .wait_for("the others to go on", || enough(load, wanted));
    machines.restore(victim, witness);
    machines.cluster.restart(victim);
    let wanted = load.acknowledged() + WRITES_AFTERWARDS;
    machines
        .cluster
        .wait_for("all three to go on", || enough(load, wanted));
}

#[test]
fn when_all_three_lose_power_at_once_under_load_every_acknowledged_write_is_there_afterwards() {
    if !requirements::are_met(&FILE_SYSTEM_PROGRAMS) {
        return;
    }
    let mut dice = Dice::new();
    let mut machines = Machines::start(3);
    let mut acknowledged = Vec::new();
    let mut cuts = 0;
    for round in 0..CUTS {
        let load = machines.load(&mut dice, &format!("round-{round}"));
        let witnesses = machines.cut_all();
        cuts += 1;
        acknowledged.extend(load.stop());
        machines.restore_all(witnesses);
        if round % 2 == 1 {
            cut_while_they_start(&mut machines, &mut dice);
            cuts += 1;
        }
        for i in 0..3 {
            machines.cluster.restart(i);
        }
        machines.cluster.wait_for_leader();
        machines.check(&acknowledged);
    }
    eprintln!(
        "{cuts} power cuts of all three nodes, {} writes acknowledged, none lost",
        acknowledged.len()
    );
}

/// The power comes back, and goes again before the nodes have found together.
fn cut_while_they_start(machines: &mut Machines, dice: &mut Dice) {
    for node in &mut machines.cluster.nodes {
        node.spawn();
    }
    let moment = std::time::Duration::from_millis(dice.draw(0..1_500));
    std::thread::sleep(moment);
    let witnesses = machines.cut_all();
    machines.restore_all(witnesses);
}
