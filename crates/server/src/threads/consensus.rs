//! Drives the consensus machine: feeds it all that is queued, then carries out its effects.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quorate_disk::Disk;
use quorate_raft::{Instant, LeadershipState, LogIndex, Role, SnapshotMeta};
use quorate_replica::{Consensus, Effects};
use quorate_wal::snapshot::SnapshotFiles;
use quorate_wal::{SnapshotMark, WalError};

use super::standing::StandingNotes;
use super::{Fatal, FetchInput, LogInput, Queues, SnapshotInput};
use crate::answers::Outcome;
use crate::core::{ApplyInput, ConsensusInput, Core, TransferEnd};
use crate::error::ServerError;

/// The status for people and metrics is published at most this often while inputs come in.
const STATUS_INTERVAL: Duration = Duration::from_millis(20);

pub(super) fn run<D: Disk>(
    core: &Core,
    queues: &Queues,
    snapshots: &SnapshotFiles<D>,
    mut consensus: Consensus,
    fatal: &Fatal,
) {
    let mut inputs = Vec::new();
    let mut transfer: Option<TransferEnd> = None;
    let mut status_due = core.clock.now();
    let mut status_stale = true;
    core.set_leadership(consensus.leadership());
    let mut standing = StandingNotes::new(&consensus.status().raft, status_due);
    loop {
        let now = core.clock.now();
        let wake_at = [consensus.deadline(), status_stale.then_some(status_due)];
        let timeout = wake_at
            .into_iter()
            .flatten()
            .min()
            .map(|deadline| deadline.since(now));
        let due = consensus.deadline();
        if !consensus.has_effects() {
            core.consensus.take(timeout, &mut inputs);
        }
        let now = core.clock.now();
        note_lateness(core, due, now);
        let wall_ms = core.clock.wall_ms();
        note_applied(core, &mut consensus, now);
        status_stale |= !inputs.is_empty();
        let mut proposals = Vec::new();
        let mut questions = Vec::new();
        let mut reads_wait = false;
        for input in inputs.drain(..) {
            match input {
                ConsensusInput::Propose(proposal) => proposals.push(proposal),
                ConsensusInput::ReadsWait => reads_wait = true,
                ConsensusInput::AskLease(question) => questions.push(question),
                ConsensusInput::Stop => return stop(core, queues),
                ConsensusInput::Installed(meta) => {
                    if let Err(error) = install(snapshots, &mut consensus, now, meta) {
                        fatal.report(ServerError::Log(error));
                    }
                }
                ConsensusInput::Transfer { to, ended } => match consensus.transfer(now, to) {
                    Ok(()) => transfer = Some(ended),
                    // An error means that the client has gone; there is no one to tell.
                    Err(error) => drop(ended.send(Err(error))),
                },
                other => feed(core, &mut consensus, other),
            }
        }
        if !proposals.is_empty() {
            consensus.propose(now, proposals);
        }
        if !questions.is_empty() {
            consensus.ask_leases(now, questions);
        }
        let mut now = now;
        if reads_wait && let Some(id) = core.reads.take_batch() {
            // Some of them came after the time was last looked at, and this thread, or the whole
            // process, may have stood still in between: a lease that held then says nothing.
            now = core.clock.now();
            consensus.read(now, id);
        }
        consensus.tick(now);
        let effects = consensus.take_effects(now, wall_ms);
        if let Some(outcome) = effects.transfer
            && let Some(ended) = transfer.take()
        {
            let _ = ended.send(Ok(outcome));
        }
        if effects.standing.is_some() {
            standing.changed(core, &consensus.status().raft);
        }
        carry_out(core, queues, effects);
        if status_stale && now >= status_due {
            status_stale = false;
            let status = consensus.status();
            core.metrics
                .committed_index
                .set(status.raft.commit.0 as i64);
            standing.look(core, &status.raft, now);
            core.publish_status(status);
            status_due = now + STATUS_INTERVAL;
        }
    }
}

/// A leader that comes a heartbeat too late to what it has to do sends its heartbeats late: the disk, the processor or
/// the load is too much, and followers may take it for gone.
fn note_lateness(core: &Core, due: Option<Instant>, now: Instant) {
    let late = due.is_some_and(|due| now.since(due) > core.settings.heartbeat_interval);
    if late && core.leadership().role == Role::Leader {
        core.metrics.heartbeat_send_failures.inc();
    }
}

fn note_applied(core: &Core, consensus: &mut Consensus, now: Instant) {
    let applied = &core.applied;
    let index = LogIndex(applied.index.load(Ordering::Acquire));
    // After the index was looked at, so that none of what led there is missing.
    for news in core.take_lease_news() {
        consensus.leases_applied(now, news);
    }
    consensus.applied(
        index,
        applied.log_time_ms.load(Ordering::Acquire),
        u32::try_from(applied.cluster_version.load(Ordering::Acquire)).unwrap_or(u32::MAX),
    );
    // After the index, so that it is not older.
    consensus.members_applied(core.members.applied());
}

fn feed(core: &Core, consensus: &mut Consensus, input: ConsensusInput) {
    let now = core.clock.now();
    match input {
        ConsensusInput::Received { from, messages } => {
            let wall_ms = core.clock.wall_ms();
            for message in messages {
                consensus.receive(now, wall_ms, from, message);
            }
        }
        ConsensusInput::LinkUp {
            peer,
            highest_protocol_version,
        } => {
            consensus.link_up(peer, highest_protocol_version);
        }
        ConsensusInput::LinkLost { peer } => consensus.link_lost(now, peer),
        ConsensusInput::Wrote(id) => consensus.wrote(now, id),
        ConsensusInput::Fetched { first, entries } => consensus.fetched(now, first, entries),
        ConsensusInput::SnapshotTaken(meta) => consensus.snapshot_taken(now, meta),
        ConsensusInput::Repaired(repaired) => consensus.repaired(now, &repaired),
        ConsensusInput::InstallFailed(wanted) => consensus.install_failed(now, wanted),
        ConsensusInput::Propose(_)
        | ConsensusInput::ReadsWait
        | ConsensusInput::AskLease(_)
        | ConsensusInput::Installed(_)
        | ConsensusInput::Transfer { .. }
        | ConsensusInput::Stop => {
            unreachable!("taken by the loop")
        }
    }
}

/// A snapshot is here. One that is refused goes, or it would be here already when it is offered
/// again, for ever. It goes on this thread, so that it is gone before it can be asked for again; this
/// happens when a peer is broken, and not otherwise.
fn install<D: Disk>(
    snapshots: &SnapshotFiles<D>,
    consensus: &mut Consensus,
    now: Instant,
    meta: SnapshotMeta,
) -> Result<(), WalError> {
    let (index, term) = (meta.index.0, meta.term.0);
    if let Err(error) = consensus.installed(now, meta) {
        tracing::error!(index, %error, "the snapshot of a peer is refused");
        snapshots.remove(SnapshotMark { index, term })?;
    }
    Ok(())
}

fn carry_out(core: &Core, queues: &Queues, effects: Effects) {
    // Before messages leave for those that came.
    if let Some(table) = effects.members {
        core.members.set_appended(table);
    }
    if let Some(table) = effects.durable_members {
        core.members.set_durable(table);
    }
    if let Some(membership) = effects.membership {
        core.members.set_in_force(membership);
    }
    for (peer, message) in effects.send {
        core.peers.send(peer, message);
    }
    if let Some(request) = effects.write {
        queues.log.push(LogInput::Write(request));
    }
    if !effects.repair.is_empty() {
        queues.log.push(LogInput::Repair(effects.repair));
    }
    if let Some(records) = effects.records {
        queues.prepare.keep(records);
    }
    if let Some(meta) = effects.restore {
        core.applier.push(ApplyInput::Restore(meta));
    }
    if let Some(wanted) = effects.install {
        queues.install.send_replace(Some(wanted));
    }
    if !effects.apply.is_empty() {
        core.applier.push(ApplyInput::Entries(effects.apply));
    }
    for grant in effects.grant {
        if core.applied_index() >= grant.index.0 {
            core.release_read(grant.id, &Ok(()));
        } else {
            core.applier.push(ApplyInput::Granted(grant));
        }
    }
    for fetch in effects.fetch {
        queues.fetch.push(FetchInput::Fetch(fetch));
    }
    for (sequence, table) in effects.changes {
        core.answers.answer(sequence, Ok(Outcome::Members(table)));
    }
    for (sequence, error) in effects.failed_proposals {
        core.answers.answer(sequence, Err(error));
    }
    for (id, error) in effects.failed_reads {
        core.reads.release(id, &Err(error));
    }
    for (sequence, answer) in effects.lease_answers {
        core.lease_questions.answer(sequence, answer);
    }
    if let Some(state) = effects.state {
        leadership_changed(core, state);
    }
}

fn leadership_changed(core: &Core, state: LeadershipState) {
    let before = core.leadership();
    let term = state.term.0;
    if before.leader != state.leader {
        match state.leader {
            Some(leader) => {
                core.metrics.leader_changes.inc();
                tracing::info!(term, leader = core.member_name(leader), "a leader is known");
            }
            None => tracing::warn!(term, "no leader is known"),
        }
    } else if before.role != state.role && state.role != Role::Follower {
        tracing::info!(term, role = ?state.role, "asks for votes");
    }
    core.set_leadership(state);
}

fn stop(core: &Core, queues: &Queues) {
    queues.log.push(LogInput::Stop);
    queues.fetch.push(FetchInput::Stop);
    queues.prepare.stop();
    queues.snapshot.push(SnapshotInput::Stop);
    core.applier.push(ApplyInput::Stop);
    core.fail_waiting();
}
