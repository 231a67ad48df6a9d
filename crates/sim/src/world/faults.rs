//! What goes wrong, and how it is mended.

use std::time::Duration;

use quorate_disk::Crash;
use quorate_trace::FaultKind;

use super::event::Event;
use super::{Asked, Presence, World};
use crate::Random;
use crate::tally::{Counter as _, Fault};

/// What the chance of faults is drawn for.
const FAULTS: u64 = 2;

impl World {
    /// The next fault, unless the recipe leaves it out; and when the one after it comes. Its chance is
    /// its own.
    pub(super) fn on_fault(&mut self) {
        if !self.chaos {
            return;
        }
        let number = self.faults;
        self.faults += 1;
        let chance = Random::of(self.recipe.seed, FAULTS, number);
        let course = std::mem::replace(&mut self.random, chance);
        let longest = match self.random.percent(self.plan.burst_percent) {
            true => 40_000,
            false => 2_000 * self.plan.fault_every_ms,
        };
        let pause = self.random.micros(1_000, longest);
        if self.recipe.has_fault(number) {
            self.draw_fault();
        }
        self.random = course;
        self.after(pause, Event::Fault);
    }

    fn draw_fault(&mut self) {
        let nodes = self.members.len() as u64;
        let node = self.whom();
        let other = self.random.below(nodes) as usize;
        let longest = self.random.pick(&[30_000, 1_500_000, 1_500_000]);
        let lasts = self.random.micros(1_000, longest);
        if self.random.percent(40) {
            self.copy_disk(other);
        }
        let kind = match self.random.below(19) {
            12..16 if !self.plan.disk_faults => self.random.below(12),
            kind => kind,
        };
        match kind {
            0 => self.cut_power(node, lasts),
            1 => {
                self.inject(Fault::ProcessKilled, Some(node));
                self.kill(node);
                self.after(lasts, Event::Restart { node });
            }
            2 | 3 => {
                self.inject(Fault::PowerCutInWrite, Some(node));
                let changes = self.random.below(12);
                self.members[node].disk.power_off_after(changes);
                self.after(lasts, Event::Restart { node });
            }
            4 => self.split_network(lasts),
            5 | 6 => {
                if node != other {
                    self.cut_between(node, other);
                    self.after(lasts, Event::FaultEnds { node });
                }
            }
            7 => self.lose_links(node),
            8 | 9 => self.pause(node, lasts),
            10 => {
                self.inject(Fault::ClockJumped, Some(node));
                let skew = self.random.below(7_200_000) as i64 - 3_600_000;
                self.members[node].wall_skew_ms = skew;
                let label = format!("its wall clock jumps to {skew:+} ms");
                self.draw_struck(FaultKind::Clock, node, &label);
            }
            11 => self.rot(node, lasts),
            12..15 => self.strike_disk(node, lasts),
            15 => self.forge(node, other),
            16 => self.run_ahead(lasts),
            17 => self.swap_disk(node, lasts),
            _ => {
                if self.random.percent(30) {
                    self.cut_power_of_all();
                }
            }
        }
        self.struck = node;
    }

    /// Whom a fault strikes: anyone, who leads, or whom the last one struck.
    fn whom(&mut self) -> usize {
        let anyone = self.random.below(self.members.len() as u64) as usize;
        if self.random.percent(self.plan.leader_percent) {
            return self.leader().unwrap_or(anyone);
        }
        let again = self.random.percent(self.plan.burst_percent / 2);
        if again { self.struck } else { anyone }
    }

    pub(super) fn inject(&mut self, fault: Fault, node: Option<usize>) {
        self.tally.injected(fault);
        let whom = node.map_or("all".to_owned(), |node| format!("n{}", node + 1));
        self.note(|_| format!("fault, {whom}: {}", fault.label()));
    }

    fn cut_power(&mut self, node: usize, lasts: Duration) {
        self.inject(Fault::PowerCut, Some(node));
        let seed = self.random.next();
        self.crash(node, Crash::Random(seed));
        self.after(lasts, Event::Restart { node });
    }

    fn cut_power_of_all(&mut self) {
        self.inject(Fault::PowerCutOfAll, None);
        for node in 0..self.members.len() {
            let seed = self.random.next();
            self.crash(node, Crash::Random(seed));
            let pause = self.random.micros(0, 300_000);
            self.after(pause, Event::Restart { node });
        }
    }

    /// A leader is cut off with many entries that it can never commit, and comes back when whoever leads
    /// after it dies: then the longest log is not the newest.
    fn run_ahead(&mut self, lasts: Duration) {
        let Some(node) = self.leader() else {
            return;
        };
        self.inject(Fault::LeaderRanAhead, Some(node));
        for _ in 0..1 + self.random.below(12) {
            self.ask(node, None, Asked::PutUnique);
        }
        let soon = self.random.micros(0, 1_000);
        self.after(soon, Event::CutOff { node });
        let back = soon + Duration::from_millis(2 * self.plan.election_timeout_ms) + lasts;
        self.after(back, Event::FaultEnds { node });
        let dies = self.random.micros(0, 30_000);
        self.after(back + dies, Event::LeaderDies { lasts });
    }

    pub(super) fn on_leader_dies(&mut self, lasts: Duration) {
        if self.chaos
            && let Some(node) = self.leader()
        {
            self.cut_power(node, lasts);
        }
    }

    /// Two sides, of any sizes.
    fn split_network(&mut self, lasts: Duration) {
        self.inject(Fault::Partition, None);
        let nodes = self.members.len();
        let side = self.random.next();
        let apart = |(from, to): &(usize, usize)| (side >> from ^ side >> to) & 1 == 1;
        let all = (0..nodes).flat_map(|a| (0..nodes).map(move |b| (a, b)));
        let cut: Vec<(usize, usize)> = all.filter(apart).collect();
        self.network.blocked.extend(cut.iter().copied());
        let sides = (0..nodes).partition(|node| side >> node & 1 == 0);
        let (one, other): (Vec<usize>, Vec<usize>) = sides;
        self.draw_cut(cut, vec![one, other], "the network is split");
        if self.random.percent(40) {
            self.reset_links_across();
        }
        for node in 0..nodes {
            self.after(lasts, Event::FaultEnds { node });
        }
    }

    /// One direction, or both: then others still reach the two that do not reach each other.
    fn cut_between(&mut self, node: usize, other: usize) {
        let mut cut = vec![(node, other)];
        let (here, there) = (node + 1, other + 1);
        let label = if self.random.percent(60) {
            self.inject(Fault::OneWayCut, Some(node));
            format!("nothing passes from n{here} to n{there}")
        } else {
            self.inject(Fault::TwoWayCut, Some(node));
            cut.push((other, node));
            format!("nothing passes between n{here} and n{there}")
        };
        self.network.blocked.extend(cut.iter().copied());
        self.draw_cut(cut, vec![vec![node], vec![other]], &label);
    }

    /// What cuts the network says so, as a firewall that resets connections does: those who lose
    /// their leader know it at once, and elect another while it still thinks that it leads.
    fn reset_links_across(&mut self) {
        let across: Vec<(usize, usize)> = self.network.blocked.iter().copied().collect();
        for (from, to) in across {
            self.lose_link(from, to, Duration::from_millis(20));
        }
    }

    /// Nothing passes between nodes of different sides until the sides are others or there are none;
    /// transports notice sooner or later.
    pub(crate) fn take_sides(&mut self, side_of: &[usize]) {
        self.join_sides();
        let nodes = 0..side_of.len();
        let pairs = nodes
            .clone()
            .flat_map(|a| nodes.clone().map(move |b| (a, b)));
        let cut: Vec<(usize, usize)> = pairs.filter(|(a, b)| side_of[*a] != side_of[*b]).collect();
        self.network.blocked.extend(cut.iter().copied());
        for (from, to) in cut.iter().copied() {
            self.lose_link(from, to, Duration::from_millis(500));
        }
        let (one, other): (Vec<usize>, Vec<usize>) = nodes.partition(|node| side_of[*node] == 0);
        self.draw_cut(cut, vec![one, other], "the network is split");
    }

    /// Everything passes again.
    pub(crate) fn join_sides(&mut self) {
        self.network.blocked.clear();
        self.draw_cuts_ended();
    }

    fn lose_links(&mut self, node: usize) {
        self.inject(Fault::LinksLost, Some(node));
        self.draw_struck(FaultKind::Network, node, "links lost");
        for to in 0..self.members.len() {
            if to != node && self.random.percent(70) {
                self.lose_link(node, to, Duration::from_millis(20));
            }
        }
    }

    /// A process stands still, often the leader's, and perhaps the network leaves it too.
    fn pause(&mut self, node: usize, lasts: Duration) {
        let often = self.random.percent(60);
        let leader = self.leader().filter(|_| often);
        let node = leader.unwrap_or(node);
        let member = &mut self.members[node];
        member.paused_until = self.now + 2 * lasts;
        member.stood_until = member.stood_until.max(member.paused_until);
        self.draw_pause(node);
        if !self.random.percent(50) {
            self.inject(Fault::ProcessPaused, Some(node));
            return;
        }
        // What was on its way arrives; what the others do meanwhile it never hears.
        self.inject(Fault::PausedAndCutOff, Some(node));
        let soon = self.random.micros(1_000, 100_000);
        self.after(soon, Event::CutOff { node });
        self.after(soon + 3 * lasts, Event::FaultEnds { node });
    }

    /// Nothing passes to or from the node any more; unless the world has been healed meanwhile.
    pub(super) fn on_cut_off(&mut self, node: usize) {
        if self.chaos {
            let nodes = self.members.len();
            self.network.isolate(node, nodes);
            let others: Vec<usize> = (0..nodes).filter(|other| *other != node).collect();
            let both = others
                .iter()
                .flat_map(|other| [(node, *other), (*other, node)]);
            let (cut, label) = (both.collect(), format!("n{} is cut off", node + 1));
            self.draw_cut(cut, vec![vec![node], others], &label);
        }
    }

    pub(super) fn on_fault_ends(&mut self, node: usize) {
        let nodes = self.members.len();
        self.network
            .blocked
            .retain(|(from, to)| *from != node && *to != node);
        self.draw_cuts_ended();
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
        if self.members[node].presence == Presence::Present {
            self.start(node);
        }
    }

    /// Everything works from now on, and whoever is down starts.
    pub(crate) fn heal(&mut self) {
        self.note(|_| "everything heals".to_owned());
        self.chaos = false;
        self.load = false;
        self.sites.close();
        self.network.blocked.clear();
        self.draw_healed();
        for node in 0..self.members.len() {
            self.members[node].wall_skew_ms = 0;
            self.members[node].paused_until = self.now;
            self.members[node].disk.power_off_after(u64::MAX);
            self.members[node].disk.forget_faults();
            self.members[node].disk.set_capacity(None);
            let running = self.members[node].process.is_some();
            if running && self.members[node].disk.power_is_off() {
                let seed = self.random.next();
                self.crash(node, Crash::Random(seed));
            }
            let is_down = self.members[node].process.is_none();
            if is_down && self.members[node].presence == Presence::Present {
                self.start(node);
            }
        }
    }
}
