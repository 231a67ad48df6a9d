//! Doing what a machine asks for, and judging it.

use quorate_raft::{Dropped, Entry, Envelope, Fetch, Message, NodeId, Ready, Role, WriteId};

use super::super::judge::{is_empty, state_after};
use super::{Event, MILLISECOND, World};
use crate::image::membership_of;

impl World {
    pub(super) fn write_done(&mut self, id: NodeId, through: WriteId) {
        let now = self.local(id);
        let node = self.nodes.get_mut(&id).unwrap();
        let mut leaving = Vec::new();
        while let Some((write, messages)) = node.writes.pop_front_if(|(w, _)| w.id <= through) {
            node.disk.apply(&write);
            node.write_times.pop_front();
            leaving.extend(messages);
        }
        for envelope in leaving {
            self.send(id, envelope);
        }
        self.machine(id).wrote(now, through);
        self.carry_out(id);
    }

    /// Damaged entries are written back, now and then not all of them.
    pub(super) fn repair(&mut self, id: NodeId, entries: Vec<Entry>) {
        let now = self.local(id);
        if self.happens(10) {
            self.machine(id).repair_failed(now);
        } else {
            let node = self.nodes.get_mut(&id).unwrap();
            let still = node.disk.repair(entries);
            self.seen.note("repaired an entry");
            self.machine(id).repaired(now, &still);
        }
        self.carry_out(id);
    }

    pub(super) fn read_back(&mut self, id: NodeId, fetch: Fetch) -> Vec<Entry> {
        let mut entries = self.nodes[&id].disk.read(fetch);
        if self.happens(20) {
            entries.truncate(1);
        }
        entries
    }

    /// Does what the machine wants, and judges it.
    pub(super) fn carry_out(&mut self, id: NodeId) {
        self.judge_commit(id);
        for round in 0.. {
            assert!(
                round < 10_000,
                "node {id} is never done: {:?}",
                self.machine(id).status()
            );
            let promised = self.machine(id).has_ready();
            let ready = self.machine(id).ready();
            assert!(
                promised || is_empty(&ready),
                "has_ready of {id} hid {ready:?}"
            );
            if !promised {
                break;
            }
            self.carry_out_one(id, ready);
        }
        let status = self.machine(id).status();
        assert!(status.commit <= status.last_index && status.handed_out <= status.durable_index);
        let memory = &self.nodes[&id].memory;
        assert_eq!(status.last_index, memory.last_index());
        let in_force = memory.membership_at(memory.last_index()).cloned();
        let first = || self.first_membership(id);
        assert_eq!(status.membership, in_force.unwrap_or_else(first));
        assert!(status.first_index <= status.snapshot_index.next());
        if status.role == Role::Leader {
            let decides = |voters: &[NodeId]| voters.is_empty() || *voters == [id];
            let members = &status.membership;
            let alone = decides(&members.voters) && decides(&members.voters_outgoing);
            assert!(
                alone || !self.disk_is_stalled(id),
                "{id} leads with a stalled disk"
            );
            self.judge.leads(id, status.term, &self.nodes[&id].memory);
        }
    }

    pub(super) fn carry_out_one(&mut self, id: NodeId, ready: Ready) {
        let life = self.nodes[&id].life;
        self.judge_candidacy(id, &ready);
        if let Some(membership) = &ready.membership {
            self.note_membership(id, membership);
        }
        self.judge_standing(id, ready.standing);
        if let Some(records) = ready.records {
            let node = self.nodes.get_mut(&id).unwrap();
            (node.disk.records, node.memory.records) = (records.clone(), records);
        }
        for envelope in ready.send_now {
            self.send(id, envelope);
        }
        for fetch in ready.fetch {
            let delay = 1 + self.below(5 * MILLISECOND);
            self.schedule(
                delay,
                Event::Fetched {
                    node: id,
                    life,
                    fetch,
                },
            );
        }
        if let Some(write) = ready.write {
            let delay = self.disk_delay();
            let node = self.nodes.get_mut(&id).unwrap();
            node.memory.apply(&write);
            self.judge.appended(&node.memory, &write);
            let done = Event::WriteDone {
                node: id,
                life,
                id: write.id,
            };
            node.writes.push_back((write, ready.send_after));
            node.write_times.push_back(self.now);
            self.schedule(delay, done);
        }
        if !ready.repair.is_empty() {
            let delay = self.disk_delay();
            let node = self.nodes.get_mut(&id).unwrap();
            node.memory.repair(ready.repair.clone());
            let entries = ready.repair;
            self.schedule(
                delay,
                Event::Repair {
                    node: id,
                    life,
                    entries,
                },
            );
        }
        if let Some(outcome) = ready.transfer {
            self.transferred(id, outcome);
        }
        if let Some(index) = ready.restore {
            self.restore(id, index);
        }
        if let Some(wanted) = ready.install {
            self.pull(id, wanted);
        }
        for entry in &ready.committed {
            let own = &self.nodes[&id];
            assert_eq!(
                entry.index,
                own.handed_out.next(),
                "{id} is handed entries out of order"
            );
            self.judge.handed_out(id, entry, &own.disk);
            let node = self.nodes.get_mut(&id).unwrap();
            node.handed_out = entry.index;
            node.state = state_after(node.state, entry);
            if let Some(membership) = membership_of(entry) {
                node.membership = membership.clone();
            }
            let state = node.state;
            self.judge.state_is(entry.index, state);
            self.consider_snapshot(id, entry.index, entry.term);
        }
        let last = ready.committed.last().map(|entry| entry.index);
        if let Some(index) = last.or(ready.restore) {
            let delay = 1 + self.below(3 * MILLISECOND);
            self.schedule(
                delay,
                Event::Applied {
                    node: id,
                    life,
                    index,
                },
            );
        }
        for grant in ready.reads {
            let floor = self
                .reads
                .remove(&(id, life, grant.id))
                .expect("a read that was asked");
            assert!(
                grant.index.0 >= floor,
                "stale read: {} granted, {floor} before",
                grant.index
            );
            self.granted += 1;
            if self.machine(id).status().holds_lease {
                self.seen.note("granted a read on a lease");
            }
        }
        for dropped in ready.dropped {
            if let Dropped::Read { id: read, .. } = dropped {
                assert!(
                    self.reads.remove(&(id, life, read)).is_some(),
                    "a read that was asked"
                );
            }
        }
    }

    pub(super) fn disk_delay(&mut self) -> u64 {
        if self.happens(self.nature.stall_percent) {
            self.below(400 * MILLISECOND)
        } else {
            1 + self.below(5 * MILLISECOND)
        }
    }

    /// Whether a write has been under way for longer than an election timeout.
    pub(super) fn disk_is_stalled(&self, id: NodeId) -> bool {
        let oldest = self.nodes[&id].write_times.front();
        let limit = self.election_timeout_at_most();
        !self.is_waking(id) && oldest.is_some_and(|began| self.now > began + limit)
    }

    pub(super) fn send(&mut self, from: NodeId, envelope: Envelope) {
        let Envelope { to, message } = envelope;
        let campaigns = matches!(message, Message::RequestVote { pre: true, .. });
        assert!(
            !(campaigns && self.disk_is_stalled(from)),
            "{from} campaigns with a stalled disk"
        );
        self.judge
            .leaves(from, to, &message, &self.nodes[&from].disk);
        let copies = 1 + u64::from(self.happens(self.nature.repeat_percent));
        for _ in 0..copies {
            if self.happens(self.nature.loss_percent) {
                continue;
            }
            let slow = self.happens(self.nature.slow_percent);
            let most = if slow { 300 } else { 4 };
            let delay = 1 + self.below(most * MILLISECOND);
            self.schedule(
                delay,
                Event::Deliver {
                    from,
                    to,
                    message: message.clone(),
                },
            );
        }
    }
}
