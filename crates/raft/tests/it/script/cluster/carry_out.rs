//! What a node asks for, carried out: what it writes, fetches, sends and hands out.

use quorate_raft::{Envelope, NodeId, Ready};

use super::Cluster;
use crate::script::print;

impl Cluster {
    pub(super) fn wrote(&mut self, id: NodeId, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let node = self.node(id)?;
            let (write, after) = node.writes.pop_front().ok_or("nothing is being written")?;
            node.disk.apply(&write);
            let (now, slow) = (node.now, node.slow_disk);
            if slow {
                self.trace.push(format!("n{id} wrote #{}", write.id));
            }
            self.send(id, after);
            self.raft(id)?.wrote(now, write.id);
            self.carry_out(id)?;
        }
        Ok(())
    }

    pub(super) fn fetched(&mut self, id: NodeId) -> Result<(), String> {
        let node = self.node(id)?;
        let fetch = node.fetches.pop_front().ok_or("nothing is being fetched")?;
        let (entries, now) = (node.disk.read(fetch), node.now);
        self.raft(id)?.fetched(now, fetch.first, entries);
        self.carry_out(id)
    }

    pub(super) fn carry_out(&mut self, id: NodeId) -> Result<(), String> {
        while self.raft(id)?.has_ready() {
            let ready = self.raft(id)?.ready();
            self.carry_out_one(id, ready)?;
        }
        Ok(())
    }

    fn carry_out_one(&mut self, id: NodeId, ready: Ready) -> Result<(), String> {
        let mut say = |line: String| self.trace.push(format!("n{id} {line}"));
        if let Some(state) = &ready.state {
            say(print::state(state));
        }
        if let Some(standing) = ready.standing {
            say(print::standing(standing).to_owned());
        }
        if let Some(records) = &ready.records {
            say(format!("keeps records {}", print::records(records)));
        }
        if let Some(membership) = &ready.membership {
            say(format!("has members {}", print::membership(membership)));
        }
        ready
            .dropped
            .iter()
            .for_each(|dropped| say(print::dropped(dropped)));
        for grant in &ready.reads {
            say(format!("may serve read {} at {}", grant.id, grant.index));
        }
        if let Some(outcome) = &ready.transfer {
            say(print::transfer(outcome));
        }
        if let Some(index) = ready.restore {
            say(format!("restores the snapshot at {index}"));
        }
        if let Some(wanted) = ready.install {
            let (index, term, from) = (wanted.index, wanted.term, wanted.from);
            say(format!("wants the snapshot at {index}@{term} of n{from}"));
        }
        if !ready.committed.is_empty() {
            say(format!("applies {}", print::entries(&ready.committed)));
        }
        for fetch in &ready.fetch {
            say(format!(
                "fetches {}..={}, {} bytes",
                fetch.first, fetch.last, fetch.max_bytes
            ));
        }
        if let Some(write) = &ready.write {
            say(format!("writes {}", print::write(write)));
        }
        if !ready.repair.is_empty() {
            say(format!("writes back {}", print::entries(&ready.repair)));
        }
        self.send(id, ready.send_now);
        let node = self.node(id)?;
        node.fetches.extend(ready.fetch);
        if let Some(records) = ready.records {
            node.disk.records = records;
        }
        node.wanted = ready.install.or(node.wanted);
        if let Some(mark) = node
            .disk
            .mark
            .filter(|mark| Some(mark.index) == ready.restore)
        {
            node.applied = (mark.index, mark.term);
        }
        if let Some(entry) = ready.committed.last() {
            node.applied = (entry.index, entry.term);
        }
        node.applying.extend(ready.restore);
        node.applying
            .extend(ready.committed.last().map(|entry| entry.index));
        node.writes
            .extend(ready.write.map(|write| (write, ready.send_after)));
        let (disk, fetch, apply) = (!node.slow_disk, !node.slow_fetch, !node.slow_apply);
        while disk && !self.node(id)?.writes.is_empty() {
            self.wrote(id, 1)?;
        }
        if !ready.repair.is_empty() {
            let node = self.node(id)?;
            let (still, now) = (node.disk.repair(ready.repair), node.now);
            self.raft(id)?.repaired(now, &still);
        }
        while fetch && !self.node(id)?.fetches.is_empty() {
            self.fetched(id)?;
        }
        while apply && let Some(index) = self.node(id)?.applying.pop_front() {
            self.raft(id)?.applied(index);
        }
        Ok(())
    }

    fn send(&mut self, from: NodeId, envelopes: Vec<Envelope>) {
        for Envelope { to, message } in envelopes {
            let line = print::message(&message);
            if self.cut.contains(&(from, to)) {
                self.trace.push(format!("n{from} ⇸ n{to} {line}"));
            } else {
                self.trace.push(format!("n{from} → n{to} {line}"));
                self.queues
                    .entry((from, to))
                    .or_default()
                    .push_back(message);
            }
        }
    }
}
