//! What goes wrong, and how it is mended.

use std::time::Duration;

use quorate_disk::Crash;

use super::{Event, World};

impl World {
    pub(super) fn on_fault(&mut self) {
        if !self.chaos {
            return;
        }
        let nodes = self.members.len() as u64;
        let node = self.random.below(nodes) as usize;
        let other = self.random.below(nodes) as usize;
        let lasts = self.random.micros(20_000, 1_500_000);
        match self.random.below(12) {
            0 => {
                let seed = self.random.next();
                self.crash(node, Crash::Random(seed));
                self.after(lasts, Event::Restart { node });
            }
            1 => {
                self.kill(node);
                self.after(lasts, Event::Restart { node });
            }
            2 | 3 => {
                // In the midst of what the disk does next.
                let changes = self.random.below(12);
                self.members[node].disk.power_off_after(changes);
                self.after(lasts, Event::Restart { node });
            }
            4 => {
                // Two sides, of any sizes.
                let side = self.random.next();
                let apart = |(from, to): &(usize, usize)| (side >> from ^ side >> to) & 1 == 1;
                let all =
                    (0..nodes as usize).flat_map(|a| (0..nodes as usize).map(move |b| (a, b)));
                self.network.blocked.extend(all.filter(apart));
                for node in 0..nodes as usize {
                    self.after(lasts, Event::FaultEnds { node });
                }
            }
            5 | 6 => {
                self.network.blocked.insert((node, other));
                self.after(lasts, Event::FaultEnds { node });
            }
            7 => {
                for to in 0..nodes as usize {
                    if to != node && self.random.percent(70) {
                        self.lose_link(node, to, Duration::from_millis(20));
                    }
                }
            }
            8 | 9 => {
                let often = self.random.percent(60);
                let leader = self.leader().filter(|_| often);
                let node = leader.unwrap_or(node);
                self.members[node].paused_until = self.now + 2 * lasts;
                if self.random.percent(50) {
                    // What was on its way arrives; what the others do meanwhile it never hears.
                    let soon = self.random.micros(1_000, 100_000);
                    self.after(soon, Event::CutOff { node });
                    self.after(soon + 3 * lasts, Event::FaultEnds { node });
                }
            }
            10 => {
                let skew = self.random.below(7_200_000) as i64 - 3_600_000;
                self.members[node].wall_skew_ms = skew;
            }
            _ => {
                // The whole cluster loses power at once.
                if self.random.percent(30) {
                    for node in 0..nodes as usize {
                        let seed = self.random.next();
                        self.crash(node, Crash::Random(seed));
                        let pause = self.random.micros(0, 300_000);
                        self.after(pause, Event::Restart { node });
                    }
                }
            }
        }
        let pause = self.random.micros(1_000, 2_000 * self.plan.fault_every_ms);
        self.after(pause, Event::Fault);
    }

    /// Nothing passes to or from the node any more; unless the world has been healed meanwhile.
    pub(super) fn on_cut_off(&mut self, node: usize) {
        if self.chaos {
            self.network.isolate(node, self.members.len());
        }
    }

    pub(super) fn on_fault_ends(&mut self, node: usize) {
        let nodes = self.members.len();
        self.network
            .blocked
            .retain(|(from, to)| *from != node && *to != node);
        // A transport that was cut off for long has given up its links.
        if self.random.percent(50) {
            for other in (0..nodes).filter(|other| *other != node) {
                self.lose_link(node, other, Duration::from_millis(50));
                self.lose_link(other, node, Duration::from_millis(50));
            }
        }
    }

    pub(super) fn on_restart(&mut self, node: usize) {
        if self.members[node].process.is_some() {
            if !self.members[node].disk.power_is_off() {
                return;
            }
            // The power went, and nothing has been written since that would have shown it.
            let seed = self.random.next();
            self.crash(node, Crash::Random(seed));
        }
        self.start(node);
    }

    /// Everything works from now on, and whoever is down starts.
    pub(crate) fn heal(&mut self) {
        self.chaos = false;
        self.load = false;
        self.network.blocked.clear();
        for node in 0..self.members.len() {
            self.members[node].wall_skew_ms = 0;
            self.members[node].paused_until = self.now;
            self.members[node].disk.power_off_after(u64::MAX);
            let running = self.members[node].process.is_some();
            if running && self.members[node].disk.power_is_off() {
                let seed = self.random.next();
                self.crash(node, Crash::Random(seed));
            }
            if self.members[node].process.is_none() {
                self.start(node);
            }
        }
    }
}
