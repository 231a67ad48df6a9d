//! What comes from outside: clients that ask, and things that break.

use bytes::Bytes;
use quorate_raft::{NodeId, ReadId, Role, Term};

use super::{Event, MILLISECOND, World};
use crate::image::Image;

impl World {
    /// A client asks some node for something.
    pub(super) fn client(&mut self) {
        let pause = self.below(8 * MILLISECOND);
        self.schedule(1 + pause, Event::Client);
        let id = self.draw_node_to_ask();
        if self.is_paused(id) {
            // What it is asked meanwhile, it reads when it wakes.
            let wakes = self.nodes[&id].paused_until - self.now;
            self.schedule(wakes, Event::ReadBy(id));
            return;
        }
        if !self.is_up(id, None) {
            return;
        }
        let now = self.local(id);
        if self.below(3) == 0 {
            self.read_by(id);
        } else {
            let count = 1 + self.below(4);
            let commands: Vec<Bytes> = (0..count).map(|_| self.command()).collect();
            let before = self.machine(id).status().last_index;
            if let Ok(accepted) = self.machine(id).propose(now, commands) {
                assert_eq!(accepted.first, before.next());
                assert_eq!(accepted.last.0, before.0 + count);
            }
            self.carry_out(id);
        }
        if self.nature.leases {
            let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
            for id in ids {
                let raft = self.nodes[&id].raft.as_ref();
                let leads = raft.is_some_and(|raft| raft.status().role == Role::Leader);
                if leads && !self.is_paused(id) {
                    self.read_by(id);
                }
            }
        }
    }

    pub(super) fn read_by(&mut self, id: NodeId) {
        if !self.is_up(id, None) {
            return;
        }
        let now = self.local(id);
        self.next_read += 1;
        let read = ReadId(self.next_read);
        let floor = self.judge.committed.len() as u64;
        let life = self.nodes[&id].life;
        if self.machine(id).read(now, read).is_ok() {
            self.reads.insert((id, life, read), floor);
        }
        self.carry_out(id);
    }

    fn command(&mut self) -> Bytes {
        self.next_command += 1;
        let filler = [0, 8, 100, 700][self.below(4) as usize];
        Bytes::from(format!("{}{}", self.next_command, ".".repeat(filler)))
    }

    /// Something breaks, or is mended.
    pub(super) fn fault(&mut self) {
        if self.healed {
            return;
        }
        let pause = 20 + self.below(300);
        self.schedule(pause * MILLISECOND, Event::Fault);
        let id = NodeId(1 + self.below(self.nodes.len() as u64));
        if self.nature.swaps {
            self.copy_disk(id);
        }
        if self.nature.leases {
            match self.below(5) {
                0 => self.pause(id),
                1 => self.cut.clear(),
                2 => self.transfer(),
                _ => self.lay_ambush(),
            }
            return;
        }
        match self.below(11) {
            0 | 1 if self.is_up(id, None) => self.crash(id),
            0..=2 if !self.is_up(id, None) => self.start(id),
            3 => self.cut.clear(),
            4 => self.cut_in_two(),
            5 => {
                // One way only.
                let other = NodeId(1 + self.below(self.nodes.len() as u64));
                self.cut.insert((id, other));
            }
            6 => {
                let peer = NodeId(1 + self.below(self.nodes.len() as u64));
                self.schedule(1, Event::LinkLost { node: id, peer });
            }
            7 | 8 => self.transfer(),
            9 => self.pause(id),
            _ => {}
        }
    }

    fn cut_in_two(&mut self) {
        let side = self.random();
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for from in &ids {
            for to in &ids {
                if (side >> from.0) & 1 != (side >> to.0) & 1 {
                    self.cut.insert((*from, *to));
                }
            }
        }
    }

    /// Loses everything that is not on disk. Of the writes under way, some reached it.
    pub(super) fn crash(&mut self, id: NodeId) {
        let survivors = self.below(3);
        let node = self.nodes.get_mut(&id).unwrap();
        node.raft = None;
        node.paused_until = 0;
        for (write, _) in node.writes.drain(..).take(survivors as usize) {
            node.disk.apply(&write);
        }
        node.writes.clear();
        node.write_times.clear();
        node.transfer = None;
        self.reads.retain(|(node, _, _), _| *node != id);
        let (durable, reached) = (node.disk.hard_state.term, node.memory.hard_state.term);
        let others = self.nodes.iter().filter(|(other, _)| **other != id);
        let others: Vec<&Image> = others.map(|(_, node)| &node.memory).collect();
        for term in (durable.0 + 1..=reached.0).map(Term) {
            self.judge.forgets(id, term, &others);
        }
        if self.nature.rot_percent > 0 && self.happens(self.nature.rot_percent) {
            self.rot(id);
        }
        if self.nature.swaps && self.happens(60) {
            self.swap_disk(id);
        }
    }

    /// Some entries on the disk of a node that is down can be read no more. Of each, another disk
    /// has a good copy: so it is never an excuse that there was none.
    fn rot(&mut self, id: NodeId) {
        for _ in 0..1 + self.below(3) {
            let count = self.nodes[&id].disk.log.len() as u64;
            if count == 0 {
                return;
            }
            // Near the end of the log, where it matters.
            let back = self.below(count.min(8));
            let entry = self.nodes[&id].disk.log[(count - 1 - back) as usize].clone();
            let has_copy = |(other, node): (&NodeId, &super::Node)| {
                let intact = !node.disk.damaged.contains_key(&entry.index);
                *other != id && intact && node.disk.get(entry.index) == Some(&entry)
            };
            if self.nodes.iter().any(has_copy) {
                let term_too = self.happens(25);
                let node = self.nodes.get_mut(&id).unwrap();
                node.disk.damage(entry.index, term_too);
                self.seen.note("damaged an entry");
            }
        }
    }
}
