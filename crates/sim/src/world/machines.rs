//! Runs the machines of a node: each event is one turn of one of the server's threads.

use std::sync::Arc;
use std::time::Duration;

use quorate_disk::Crash;
use quorate_raft::{LeadershipState, LogIndex, Role};
use quorate_replica::{Effects, LeaseNews, PeerMessage, RequestError};
use quorate_wal::SnapshotMark;

use super::disks::is_full;
use super::event::Event;
use super::node::{ApplyInput, Group};
use super::{Input, Outcome, World};
use crate::tally::{Fault, Rare, sometimes};

/// As in the server: applied bytes after which consensus is told.
const APPLIED_NOTICE_BYTES: usize = 1 << 20;
const COVER_AFTER: Duration = Duration::from_millis(100);

impl World {
    /// Tells consensus something, which wakes its thread.
    pub fn tell(&mut self, node: usize, input: Input) {
        if let Some(process) = &mut self.members[node].process {
            process.inbox.push(input);
            self.wake(node);
        }
    }

    /// The consensus thread runs soon.
    pub(crate) fn wake(&mut self, node: usize) {
        let delay = self.random.micros(0, 200);
        self.wake_at(node, self.now + delay);
    }

    fn wake_at(&mut self, node: usize, time: quorate_raft::Instant) {
        let life = self.members[node].life;
        let Some(process) = &mut self.members[node].process else {
            return;
        };
        if process.wakes_at.is_some_and(|at| at <= time) {
            return;
        }
        process.wakes_at = Some(time);
        process.wake_token += 1;
        let token = process.wake_token;
        self.at(time, Event::Consensus { node, life, token });
    }

    pub(super) fn on_consensus(&mut self, node: usize, life: u64, token: u64) {
        let clock = self.members[node].clock;
        let now = clock.reads_at(self.now);
        let (wall_ms, chaos) = (self.wall_ms(node), self.chaos);
        let leases = self.plan.lease_reads;
        let Some(process) = self.alive(node, life) else {
            return;
        };
        if process.wake_token != token {
            return;
        }
        process.wakes_at = None;
        if chaos {
            process.check_bounds();
        }
        let applied = process.applied;
        let consensus = &mut process.consensus;
        for news in std::mem::take(&mut process.lease_news) {
            consensus.leases_applied(now, news);
        }
        consensus.applied(
            LogIndex(applied.index),
            applied.log_time_ms,
            applied.cluster_version,
        );
        consensus.members_applied(Arc::clone(process.applier.members()));
        let mut proposals = Vec::new();
        let mut questions = Vec::new();
        let (mut reads_wait, mut on_lease) = (false, false);
        for input in std::mem::take(&mut process.inbox) {
            match input {
                Input::Propose(proposal) => proposals.push(proposal),
                Input::ReadsWait => reads_wait = true,
                Input::AskLease(question) => questions.push(question),
                Input::Received(from, messages) => {
                    for message in messages {
                        if let PeerMessage::ForwardRefused { sequences, .. } = &message {
                            for sequence in sequences {
                                process.forwarded.insert(*sequence, false);
                            }
                        }
                        consensus.receive(now, wall_ms, from, message);
                    }
                }
                Input::LinkUp(peer, version) => consensus.link_up(peer, version),
                Input::LinkLost(peer) => consensus.link_lost(now, peer),
                Input::Wrote(id) => consensus.wrote(now, id),
                Input::Fetched(first, entries) => consensus.fetched(now, first, entries),
                Input::SnapshotTaken(meta) => consensus.snapshot_taken(now, meta),
                Input::Installed(meta) => {
                    let installed = consensus.installed(now, meta);
                    installed.expect("what members take is what the log made");
                }
                Input::Repaired(repaired) => consensus.repaired(now, &repaired),
                Input::InstallFailed(wanted) => consensus.install_failed(now, wanted),
            }
        }
        if !proposals.is_empty() {
            consensus.propose(now, proposals);
        }
        if !questions.is_empty() {
            consensus.ask_leases(now, questions);
        }
        if reads_wait && let Some(id) = process.take_reads() {
            process.consensus.read(now, id);
            on_lease = leases && process.consensus.status().raft.holds_lease;
        }
        let consensus = &mut process.consensus;
        consensus.tick(now);
        let effects = consensus.take_effects(now, wall_ms);
        let again = consensus.has_effects();
        let deadline = consensus.deadline();
        sometimes!(self.tally, Rare::ReadOnLease, on_lease);
        self.carry_out(node, life, effects);
        if again {
            self.wake(node);
        } else if let Some(deadline) = deadline {
            self.wake_at(node, clock.is_at(deadline).max(self.now));
        }
    }

    fn carry_out(&mut self, node: usize, life: u64, effects: Effects) {
        self.draw_consensus(node, &effects);
        if let Some(state) = effects.state {
            self.note_leadership(node, &state, &effects);
        }
        for (peer, message) in effects.send {
            self.send(node, peer, message);
        }
        let has_work = effects.write.is_some() || !effects.repair.is_empty();
        if let Some(request) = effects.write {
            let cuts = request.write.truncate_after.is_some();
            sometimes!(self.tally, Rare::SuffixTruncated, cuts);
            self.process_mut(node).log_queue.push(request);
        }
        let process = self.process_mut(node);
        process.repair_queue.extend(effects.repair);
        if has_work && !process.log_busy {
            process.log_busy = true;
            let delay = self.random.micros(0, 100);
            self.after(delay, Event::LogBegin { node, life });
        }
        if let Some(standing) = effects.standing {
            self.judge_standing(node, standing);
            self.note(|_| format!("n{} {}", node + 1, World::words_of_standing(standing)));
        }
        if let Some(records) = effects.records {
            let process = self.process_mut(node);
            if process.records.replace(records).is_none() {
                let delay = self.disk_delay();
                self.after(delay, Event::KeepRecords { node, life });
            }
        }
        if let Some(meta) = effects.restore {
            self.tell_applier(node, ApplyInput::Restore(meta));
        }
        if let Some(wanted) = effects.install {
            self.want_snapshot(node, life, wanted);
        }
        if !effects.apply.is_empty() {
            self.watch_committed(&effects.apply);
            self.tell_applier(node, ApplyInput::Entries(effects.apply));
        }
        for grant in effects.grant {
            if self.process(node).applied.index >= grant.index.0 {
                self.release(node, grant.id, None);
            } else {
                self.tell_applier(node, ApplyInput::Granted(grant));
            }
        }
        for fetch in effects.fetch {
            self.process_mut(node).fetch_queue.push_back(fetch);
            let delay = self.disk_delay();
            self.after(delay, Event::Fetch { node, life });
        }
        if let Some(table) = effects.durable_members {
            self.process_mut(node).durable_members = table;
        }
        for (sequence, table) in effects.changes {
            self.answer_change(node, sequence, table);
        }
        for (sequence, error) in effects.failed_proposals {
            let in_doubt = error == RequestError::LeaderLost
                && self.process(node).forwarded.get(&sequence) == Some(&true);
            sometimes!(self.tally, Rare::ForwardInDoubt, in_doubt);
            self.answer(node, sequence, Err(error));
        }
        for (sequence, answer) in effects.lease_answers {
            self.answer_of_lease(node, sequence, answer);
        }
        for (id, error) in effects.failed_reads {
            let timed_out = error == RequestError::TimedOut;
            sometimes!(self.tally, Rare::ReadTimedOut, timed_out);
            self.release(node, id, Some(&error));
        }
    }

    fn note_leadership(&mut self, node: usize, state: &LeadershipState, effects: &Effects) {
        let leads = state.role == Role::Leader;
        let led = std::mem::replace(&mut self.process_mut(node).led, leads);
        if leads {
            self.judge.leads(node, state.term);
            sometimes!(self.tally, Rare::LeaderChanged, state.term.0 > 1);
            let others = (0..self.members.len()).filter(|other| *other != node);
            let two = others
                .filter_map(|other| self.members[other].process.as_ref())
                .any(|process| process.led);
            sometimes!(self.tally, Rare::TwoThoughtTheyLed, two);
        }
        if led && !leads {
            let with_reads = !self.process(node).read_batches.is_empty();
            sometimes!(self.tally, Rare::LeaderLostWithReads, with_reads);
            let with_writes = !effects.failed_proposals.is_empty();
            sometimes!(self.tally, Rare::LeaderLostWithWrites, with_writes);
            let status = self.process(node).consensus.status().raft;
            let was_removed = !status.membership.contains(status.id);
            sometimes!(self.tally, Rare::RemovedMemberLed, was_removed);
            let alone = state.leader.is_none() && self.judge.newest_term() == Some(state.term);
            sometimes!(self.tally, Rare::LeaderSteppedDownAlone, alone);
            let paused_until = self.members[node].paused_until;
            let was_paused = self.chaos && paused_until > quorate_raft::Instant::ZERO;
            let woke = was_paused && self.now.since(paused_until) < Duration::from_millis(100);
            sometimes!(self.tally, Rare::PausedLeaderWoke, woke);
        }
        let words = World::words_of_role(state.role, state.leader);
        let term = state.term;
        self.note(|_| format!("n{} {words} in term {term}", node + 1));
    }

    fn disk_delay(&mut self) -> Duration {
        let delay = self.random.micros(50, self.plan.disk_us);
        if self.chaos && self.random.percent(self.plan.slow_disk_percent) {
            self.tally.injected(Fault::DiskStalled);
            return delay + self.random.micros(1_000, 900_000);
        }
        delay
    }

    /// The log's thread takes what is queued. It becomes durable now or at the end of its time;
    /// a crash in between must not matter, since nobody was told.
    pub(super) fn on_log_begin(&mut self, node: usize, life: u64) {
        let delay = self.disk_delay();
        let at_once = self.random.percent(50);
        let Some(process) = self.alive(node, life) else {
            return;
        };
        if process.log_queue.is_empty() && process.repair_queue.is_empty() {
            process.log_busy = false;
            return;
        }
        if at_once {
            self.write_group(node);
        }
        self.after(delay, Event::LogEnd { node, life });
    }

    /// Writes what is queued as one group. When the power goes on the way, so does the process.
    fn write_group(&mut self, node: usize) {
        let process = self.process_mut(node);
        let mut writes = Vec::new();
        let mut then_send = Vec::new();
        for request in std::mem::take(&mut process.log_queue) {
            writes.push(request.write);
            then_send.extend(request.then_send);
        }
        let mark = writes.iter().rev().find_map(|write| write.snapshot);
        let mark = mark.map(|mark| SnapshotMark {
            index: mark.index.0,
            term: mark.term.0,
        });
        let repairs = std::mem::take(&mut process.repair_queue);
        let written = process.log_writer.write(writes).and_then(|last| {
            if !repairs.is_empty() {
                process.repaired = Some(process.log_writer.repair(repairs)?);
            }
            Ok(last)
        });
        match written {
            Ok(last) => {
                process.log_group = Some(Group {
                    last,
                    then_send,
                    mark,
                });
            }
            Err(error) => {
                let power_lost = self.members[node].disk.power_is_off();
                sometimes!(self.tally, Rare::PowerLostInBatch, power_lost);
                self.disk_failed(node, &error);
            }
        }
    }

    pub(super) fn on_log_end(&mut self, node: usize, life: u64) {
        let Some(process) = self.alive(node, life) else {
            return;
        };
        if process.log_group.is_none() {
            self.write_group(node);
        }
        let Some(Group {
            last,
            then_send,
            mark,
        }) = self
            .alive(node, life)
            .and_then(|process| process.log_group.take())
        else {
            return;
        };
        if let Some(last) = last {
            self.tell(node, Input::Wrote(last));
        }
        if let Some(repaired) = self.process_mut(node).repaired.take() {
            self.tell(node, Input::Repaired(repaired));
        }
        for (peer, message) in then_send {
            self.send(node, peer, message);
        }
        if let Some(mark) = mark {
            let delay = self.random.micros(5, 5_000);
            self.after(delay, Event::SnapshotMarked { node, life, mark });
        }
        let process = self.process_mut(node);
        process.log_busy = !process.log_queue.is_empty() || !process.repair_queue.is_empty();
        if process.log_busy {
            self.after(Duration::ZERO, Event::LogBegin { node, life });
        } else if process.log_writer.needs_cover() {
            self.after(COVER_AFTER, Event::LogQuiet { node, life });
        }
    }

    pub(super) fn on_log_quiet(&mut self, node: usize, life: u64) {
        let Some(process) = self.alive(node, life) else {
            return;
        };
        if process.log_busy || !process.log_writer.needs_cover() {
            return;
        }
        let covered = process.log_writer.cover();
        let prepared = covered.and_then(|()| match process.preparer.prepare() {
            // The segment goes on, and room may be made before it is full.
            Err(error) if is_full(&error) => Ok(false),
            prepared => prepared,
        });
        if let Err(error) = prepared {
            self.disk_failed(node, &error);
        }
    }

    pub(super) fn on_fetch(&mut self, node: usize, life: u64) {
        let Some(process) = self.alive(node, life) else {
            return;
        };
        let Some(fetch) = process.fetch_queue.pop_front() else {
            return;
        };
        let read = process.log_reader.read(fetch);
        sometimes!(self.tally, Rare::LogReadBack, read.is_ok());
        match read {
            Ok(entries) => self.tell(node, Input::Fetched(fetch.first, entries)),
            Err(error) => {
                self.disk_failed(node, &error);
            }
        }
    }

    /// The newest table of what members acknowledged is written, beside the log.
    pub(super) fn on_keep_records(&mut self, node: usize, life: u64) {
        let Some(process) = self.alive(node, life) else {
            return;
        };
        let Some(records) = process.records.take() else {
            return;
        };
        if let Err(error) = process.records_file.write(&records) {
            self.disk_failed(node, &error);
        }
    }

    fn tell_applier(&mut self, node: usize, input: ApplyInput) {
        let life = self.members[node].life;
        let process = self.process_mut(node);
        process.apply_inbox.push(input);
        if !process.apply_busy {
            process.apply_busy = true;
            let delay = self.random.micros(0, 100);
            self.after(delay, Event::Apply { node, life });
        }
    }

    /// One turn of the applier: what arrived if it has finished what came before, and one step.
    pub(super) fn on_apply(&mut self, node: usize, life: u64) {
        let keys = self.plan.keys_per_step;
        if self.alive(node, life).is_none() || !self.feed_applier(node, life) {
            return;
        }
        self.expect_events(node);
        let process = self.process_mut(node);
        let duplicates = process.applier.duplicate_count();
        let progress = process
            .applier
            .step(&mut process.store, keys)
            .expect("every entry of this world is known");
        let seen_twice = process.applier.duplicate_count() > duplicates;
        let in_steps = !process.applier.is_between_commands();
        let version = process.applied.cluster_version;
        process.applied.index = process.applier.applied().0;
        process.applied.log_time_ms = process.applier.log_time_ms();
        process.applied.cluster_version = process.applier.cluster_version();
        if !progress.more {
            process.store.free_step(keys);
        }
        let is_news = matches!(&progress.leases, Some(LeaseNews::Changes(_)));
        let notice = is_news || version != process.applied.cluster_version;
        process.lease_news.extend(progress.leases.clone());
        if notice || process.unnoticed_bytes >= APPLIED_NOTICE_BYTES {
            process.unnoticed_bytes = 0;
            self.wake(node);
        }
        sometimes!(self.tally, Rare::RequestSeenTwice, seen_twice);
        sometimes!(self.tally, Rare::CommandInSteps, in_steps);
        self.draw_applied(node);
        self.judge_applied(node);
        self.judge_requests(node);
        self.feed_watchers(node);
        self.judge_leases(node, progress.leases.as_ref());
        self.take_snapshot_if_due(node, life);
        if self.alive(node, life).is_none() {
            return;
        }
        for answer in progress.answers {
            self.answer(node, answer.sequence, answer.result);
        }
        for (sequence, table) in progress.changes {
            self.answer_change(node, sequence, table);
        }
        for id in progress.released {
            self.release(node, id, None);
        }
        self.leave_if_removed(node);
        let process = self.process_mut(node);
        process.apply_busy = progress.more || !process.apply_inbox.is_empty();
        if process.apply_busy {
            let mut delay = self.random.micros(5, 100);
            if self.chaos && self.random.percent(self.plan.slow_applier_percent) {
                self.tally.injected(Fault::ApplierStalled);
                delay += self.random.micros(1_000, 100_000);
            }
            self.after(delay, Event::Apply { node, life });
        }
    }

    /// The process is gone, and with it what its clients waited for.
    pub fn crash(&mut self, node: usize, how: Crash<'_>) {
        let member = &mut self.members[node];
        member.disk.crash(how);
        self.bury(node, "power cut");
    }

    /// `kill -9`: what was written is still in the page cache.
    pub fn kill(&mut self, node: usize) {
        self.members[node].disk.kill_process();
        self.bury(node, "killed");
    }

    fn bury(&mut self, node: usize, label: &str) {
        let Some(process) = self.members[node].process.take() else {
            return;
        };
        let up = self.members.iter().filter(|one| one.process.is_some());
        let present = self.present().len();
        let majority_down = 2 * up.count() <= present && present > 1;
        sometimes!(self.tally, Rare::MajorityDown, majority_down);
        self.note_refilling_crash(process.consensus.status().raft.standing);
        self.note(|_| format!("n{} is down", node + 1));
        self.draw_crash(node, label);
        let reads = process.read_batches.into_values().flatten();
        let cut_off: Vec<usize> = process
            .answers
            .into_values()
            .chain(process.lease_questions.into_values())
            .chain(process.reads_waiting)
            .chain(reads)
            .collect();
        for op in cut_off {
            self.ended(op, Outcome::Unknown);
        }
        self.lose_watchers(node);
        self.links_of_the_dead(node);
    }
}
