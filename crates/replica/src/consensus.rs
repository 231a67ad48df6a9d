//! The first machine of a node: Raft, the requests that wait for it, and what its peers say.
//!
//! Inputs come in by methods that take the time; what is to be done comes out of
//! [`Consensus::take_effects`]. Its shell carries the effects out in any order, with Raft's two
//! rules: `write.then_send` leaves only when the write is durable, and writes become durable in
//! the order of their ids. The shell feeds in all that is queued before it takes the effects,
//! so that everything waiting becomes one batch at every hop.

mod effects;
mod lease_proposals;
mod leases;
mod members;
mod routing;

pub use effects::{Effects, WriteRequest};
pub(crate) use members::table_of;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chaos::chaos;
use quorate_proto::envelope::{RequestId, peek_request_id};
use quorate_raft::limits::ENTRY_OVERHEAD_BYTES;
use quorate_raft::{
    Dropped, Entry, Envelope, InstallError, InstallWanted, Instant, LeadershipState, LogIndex,
    NodeId, Payload, Raft, ReadId, Ready, Role, SnapshotMeta, Status, TransferError, Write,
    WriteId,
};

use crate::cluster_version::{Admission, ClusterVersions};
use crate::damage::Repaired;
use crate::error::RequestError;
use crate::lease_clock::LeaseClock;
use crate::limits::{MAX_COMMAND_BYTES, MAX_UNAPPLIED_ENTRIES, MAX_UNWRITTEN_BYTES};
use crate::log_clock::LogClock;
use crate::members::MemberTable;
use crate::proposals::{Proposal, Proposals, Route};
use crate::reads::Reads;
use crate::wire::PeerMessage;

/// What the machine has to know of its node.
#[derive(Clone, Debug)]
pub struct ConsensusSettings {
    /// This member.
    pub member: NodeId,
    /// Drawn at this start of the process.
    pub boot_nonce: u32,
    /// How long a leader may be silent, and a member before it is taken to be down.
    pub election_timeout: Duration,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long to wait before a dropped read is asked for again, and before a write is sent
    /// again to a leader that said it is none.
    pub retry_after: Duration,
    /// Whether the log is told now and then how much of leases is left, so that a new leader need not
    /// give them all their time again.
    pub lease_checkpoints: bool,
    /// The highest protocol version that this member speaks.
    pub highest_version: u32,
}

/// What a person or a metric may want to know.
#[derive(Clone, Debug)]
pub struct ConsensusStatus {
    /// Raft's own.
    pub raft: Status,
    /// Requests taken and not answered.
    pub pending_proposals: usize,
    /// The cluster version in force; 0 until agreed.
    pub cluster_version: u32,
    /// Messages from peers that were refused as illegal.
    pub refused_messages: u64,
    /// Wall clock readings that were refused as a jump.
    pub refused_clock_readings: u64,
    /// Renewals of leases that this node granted as leader.
    pub renewed_leases: u64,
    /// Leases that this node had the log end because their time was over.
    pub expired_leases: u64,
}

/// Raft and the requests that wait for it.
pub struct Consensus {
    settings: ConsensusSettings,
    raft: Raft,
    proposals: Proposals,
    reads: Reads,
    read_retry_at: Option<Instant>,
    versions: ClusterVersions,
    members: members::Members,
    leases: leases::Leases,
    log_clock: LogClock,
    /// Leadership is being handed over, so writes wait; as last looked at.
    is_transferring: bool,
    state: LeadershipState,
    /// The peers that what is sent now may reach.
    links: BTreeSet<NodeId>,
    /// A leader that says it is none, and until when nothing is forwarded to it. Not for ever:
    /// it may have been elected again while it said so.
    refused_by: Option<(NodeId, Instant)>,
    committed: LogIndex,
    applied: LogIndex,
    /// Writes that are not known durable, and the bytes of their entries.
    unwritten: VecDeque<(WriteId, usize)>,
    unwritten_bytes: usize,
    refused_messages: u64,
    /// Snapshots that were pulled and may have to be loaded.
    installed: Vec<SnapshotMeta>,
    /// The snapshot asked for last.
    install_told: Option<InstallWanted>,
    effects: Effects,
}

impl Consensus {
    pub(crate) fn new(
        settings: ConsensusSettings,
        raft: Raft,
        table: &Arc<MemberTable>,
        now: Instant,
        wall_ms: u64,
    ) -> Consensus {
        let status = raft.status();
        let mut versions = ClusterVersions::new(settings.highest_version);
        let mut others = status.membership.members();
        others.retain(|id| *id != settings.member);
        versions.members(others);
        versions.lose_leader(status.last_index);
        let snapshot = status.snapshot_index;
        let state = LeadershipState {
            role: status.role,
            term: status.term,
            leader: status.leader,
        };
        Consensus {
            versions,
            members: members::Members::new(table),
            leases: leases::Leases::new(LeaseClock::new(
                settings.election_timeout,
                settings.lease_checkpoints,
            )),
            settings,
            raft,
            proposals: Proposals::default(),
            reads: Reads::default(),
            read_retry_at: None,
            log_clock: LogClock::new(now, wall_ms),
            is_transferring: false,
            state,
            links: BTreeSet::new(),
            refused_by: None,
            committed: snapshot,
            applied: snapshot,
            unwritten: VecDeque::new(),
            unwritten_bytes: 0,
            refused_messages: 0,
            installed: Vec::new(),
            install_told: None,
            effects: Effects::default(),
        }
    }

    /// Clients' writes, in the order in which they are to be proposed.
    pub fn propose(&mut self, now: Instant, proposals: Vec<Proposal>) {
        let deadline = now + self.settings.request_timeout;
        let overloaded = self.is_overloaded();
        for proposal in proposals {
            let sequence = proposal.sequence;
            let admission = self.versions.admits(proposal.kind, self.applied);
            if admission != Admission::Granted {
                self.fail(sequence, RequestError::NotCapable);
            } else if proposal.body.len() > MAX_COMMAND_BYTES {
                self.fail(sequence, RequestError::TooLarge);
            } else if overloaded || !self.proposals.admit(proposal, deadline) {
                self.fail(sequence, RequestError::TooManyRequests);
            }
        }
    }

    /// A linearizable read, or a batch of them that share its fate.
    pub fn read(&mut self, now: Instant, id: ReadId) {
        if self.reads.admit(id, now + self.settings.request_timeout) {
            self.ask_reads(now);
        } else {
            self.effects
                .failed_reads
                .push((id, RequestError::TooManyRequests));
        }
    }

    /// A peer said something.
    pub fn receive(&mut self, now: Instant, wall_ms: u64, from: NodeId, message: PeerMessage) {
        match message {
            PeerMessage::Raft(message) => {
                if self.raft.receive(now, from, message).is_err() {
                    self.refused_messages += 1;
                }
            }
            PeerMessage::Forward(proposals) => self.take_forwarded(now, wall_ms, from, proposals),
            PeerMessage::ForwardRefused {
                reason,
                boot_nonce,
                sequences,
            } => {
                if boot_nonce == self.settings.boot_nonce {
                    self.forward_refused(now, from, reason, &sequences);
                }
            }
            PeerMessage::LeaseQuestions {
                boot_nonce,
                questions,
            } => self.take_lease_questions(now, from, boot_nonce, questions),
            PeerMessage::LeaseAnswers {
                boot_nonce,
                answers,
            } => {
                if boot_nonce == self.settings.boot_nonce {
                    self.take_lease_answers(now, from, answers);
                }
            }
        }
    }

    /// What is sent to `peer` from now on may reach it. The handshake told the highest protocol
    /// version that it speaks. Before this, and after a loss, writes wait: they are forwarded
    /// once, so not into nothing.
    pub fn link_up(&mut self, peer: NodeId, highest_protocol_version: u32) {
        self.links.insert(peer);
        self.versions.heard(peer, highest_protocol_version);
    }

    /// The link to `peer` was lost: what was sent may or may not have arrived.
    pub fn link_lost(&mut self, now: Instant, peer: NodeId) {
        self.links.remove(&peer);
        self.versions.lost(peer, self.applied);
        self.raft.link_lost(now, peer);
        self.leases.questions.wait_all(Some(peer));
        for sequence in self.proposals.take_forwarded_to(peer) {
            self.fail(sequence, RequestError::LeaderLost);
        }
    }

    /// This write and all before it are durable.
    pub fn wrote(&mut self, now: Instant, id: WriteId) {
        let mut done = id;
        if planted::bug("completion-counts-for-the-next-write")
            && let Some((next, _)) = self.unwritten.iter().find(|(next, _)| *next > id)
        {
            done = *next;
        }
        self.raft.wrote(now, done);
        while let Some((_, bytes)) = self.unwritten.pop_front_if(|(first, _)| *first <= id) {
            self.unwritten_bytes -= bytes;
        }
        self.note_durable_tables();
    }

    /// Entries read back from the log.
    pub fn fetched(&mut self, now: Instant, first: LogIndex, entries: Vec<Entry>) {
        self.raft.fetched(now, first, entries);
    }

    /// The applier has applied through `index`; the greatest log time and the cluster version
    /// it has seen.
    pub fn applied(&mut self, index: LogIndex, log_time_ms: u64, cluster_version: u32) {
        self.applied = self.applied.max(index);
        self.reads.applied(self.applied);
        self.raft.applied(index);
        self.leases.clock.applied(self.applied);
        self.log_clock.observe(log_time_ms);
        self.versions.applied(cluster_version);
    }

    /// A snapshot that the applier handed over is durable under its name. The log since the one
    /// before it is kept, so that the loss of this one is no loss. Which that is Raft says: one that
    /// it had no use for is not to be fallen back on, and one that was pulled meanwhile is newer.
    pub fn snapshot_taken(&mut self, now: Instant, meta: SnapshotMeta) {
        let before = self.raft.status().snapshot_index;
        self.raft.snapshot_taken(now, meta, before.next());
    }

    /// The snapshot that [`Effects::install`] asked for is durable here under its name.
    ///
    /// # Errors
    /// When it cannot be what the log of this cluster made: it has had no effect.
    pub fn installed(&mut self, now: Instant, meta: SnapshotMeta) -> Result<(), InstallError> {
        self.raft.installed(now, meta.clone())?;
        // Those that only told Raft what is committed are never restored.
        let committed = self.committed;
        self.installed.retain(|earlier| earlier.index > committed);
        self.installed.push(meta);
        Ok(())
    }

    /// The snapshot that [`Effects::install`] asked for could not be had. If another has been asked
    /// for since, that one stands.
    pub fn install_failed(&mut self, now: Instant, failed: InstallWanted) {
        if self.install_told.is_none_or(|told| told == failed) {
            self.raft.install_failed(now);
        }
    }

    /// Hands leadership to another voter; [`Effects::transfer`] tells how it ended. Writes wait
    /// meanwhile.
    ///
    /// # Errors
    /// When this node does not lead, or the other cannot.
    pub fn transfer(&mut self, now: Instant, to: NodeId) -> Result<(), TransferError> {
        self.raft.transfer(now, to)?;
        self.is_transferring = true;
        Ok(())
    }

    /// What [`Effects::repair`] gave was written back, or not.
    pub fn repaired(&mut self, now: Instant, repaired: &Repaired) {
        self.raft.repaired(now, &repaired.still);
        if repaired.failed.is_some() {
            self.raft.repair_failed(now);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        self.raft.tick(now);
        for sequence in self.proposals.take_expired(now) {
            self.fail(sequence, RequestError::TimedOut);
        }
        for id in self.reads.take_expired(now) {
            self.effects.failed_reads.push((id, RequestError::TimedOut));
        }
        if self.read_retry_at.is_some_and(|at| at <= now) {
            self.read_retry_at = None;
            self.ask_reads(now);
        }
        self.refused_by = self.refused_by.filter(|(_, until)| *until > now);
        self.tick_leases(now);
    }

    /// When [`Consensus::tick`] is next due.
    pub fn deadline(&self) -> Option<Instant> {
        let may_propose = matches!(self.route(), Route::Lead(_));
        [
            self.raft.deadline(),
            self.proposals.deadline(),
            self.reads.deadline(),
            self.read_retry_at,
            self.refused_by.map(|(_, until)| until),
            self.members.deadline(),
            self.leases.deadline(may_propose),
            self.versions.deadline().filter(|_| may_propose),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Everything to be done since the last call. `wall_ms` is the wall clock, milliseconds
    /// since 1970.
    pub fn take_effects(&mut self, now: Instant, wall_ms: u64) -> Effects {
        self.see_leadership(now);
        self.dispatch(now, wall_ms);
        self.begin_waiting_changes(now, wall_ms);
        self.propose_cluster_version(now, wall_ms);
        self.drive_leases(now, wall_ms);
        let ready = self.raft.ready();
        self.carry_out(now, ready);
        std::mem::take(&mut self.effects)
    }

    /// Whether a call of [`Consensus::take_effects`] would give anything.
    pub fn has_effects(&self) -> bool {
        self.raft.has_ready()
            || !self.effects.is_empty()
            || (self.proposals.has_waiting() && self.route() != Route::Wait)
            || self.has_lease_work()
    }

    /// For people and metrics.
    pub fn status(&self) -> ConsensusStatus {
        ConsensusStatus {
            raft: self.raft.status(),
            pending_proposals: self.proposals.len(),
            cluster_version: self.versions.in_force(),
            refused_messages: self.refused_messages,
            refused_clock_readings: self.log_clock.refused(),
            renewed_leases: self.leases.renewed,
            expired_leases: self.leases.expired,
        }
    }

    /// Who leads, as far as this node knows.
    pub fn leadership(&self) -> LeadershipState {
        self.state
    }

    fn carry_out(&mut self, now: Instant, ready: Ready) {
        if let Some(state) = ready.state.filter(|state| *state != self.state) {
            self.leadership_changed(now, state);
        }
        if ready.transfer.is_some() {
            self.is_transferring = false;
            self.effects.transfer = ready.transfer;
        }
        if let Some(membership) = ready.membership {
            self.membership_changed(membership);
        }
        for dropped in ready.dropped {
            self.dropped(now, dropped);
        }
        if let Some(index) = ready.restore {
            self.restore(index);
        }
        if let Some(wanted) = ready.install {
            self.install_told = Some(wanted);
            self.effects.install = Some(wanted);
        }
        self.effects.records = ready.records.or(self.effects.records.take());
        self.effects.standing = ready.standing.or(self.effects.standing);
        self.note_committed(&ready.committed);
        for grant in ready.reads {
            if Consensus::is_round_of_leases(grant.id) {
                self.lease_round_granted(grant);
            } else if self.reads.granted(grant.id, grant.index) {
                self.effects.grant.push(grant);
            }
        }
        self.effects
            .send
            .extend(ready.send_now.into_iter().map(addressed));
        let mut then_send: Vec<_> = ready.send_after.into_iter().map(addressed).collect();
        if ready.write.as_ref().is_some_and(leaves_early) {
            self.effects.send.append(&mut then_send);
        }
        assert!(
            ready.write.is_some() || then_send.is_empty(),
            "messages wait for a write that is not there: {then_send:?}"
        );
        assert!(self.effects.write.is_none(), "one write is taken at a time");
        if let Some(write) = &ready.write {
            self.note_tables(&write.entries);
        }
        self.effects.write = ready.write.map(|write| WriteRequest { write, then_send });
        self.note_unwritten();
        self.effects.apply.extend(ready.committed);
        self.effects.fetch.extend(ready.fetch);
        self.effects.repair.extend(ready.repair);
    }

    fn restore(&mut self, index: LogIndex) {
        let mut installed = std::mem::take(&mut self.installed).into_iter();
        let meta = installed.find(|meta| meta.index == index);
        let meta = meta.expect("Raft restores only what was installed");
        self.committed = index;
        // Whatever was to be applied before it is part of it.
        self.effects.apply.clear();
        self.effects.restore = Some(meta);
    }

    /// What is committed will be answered by the applier: it waits here no more.
    fn note_committed(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.committed = entry.index;
            if self.state.role == Role::Leader && entry.term == self.state.term {
                self.leases.committed_in_own_term(entry.index);
            }
            let bytes = match &entry.payload {
                Payload::Command(bytes) => bytes,
                Payload::Membership { context, .. } => context,
                Payload::Empty => continue,
            };
            if let Ok(request) = peek_request_id(bytes)
                && self.is_ours(request)
            {
                self.proposals.take(request.sequence);
            }
        }
    }

    fn note_unwritten(&mut self) {
        let Some(WriteRequest { write, .. }) = &self.effects.write else {
            return;
        };
        let entries = write.entries.iter();
        let bytes = entries.map(|entry| entry.payload.len() + ENTRY_OVERHEAD_BYTES);
        let bytes = bytes.sum();
        self.unwritten.push_back((write.id, bytes));
        self.unwritten_bytes += bytes;
    }

    fn is_overloaded(&self) -> bool {
        self.committed.0.saturating_sub(self.applied.0) > MAX_UNAPPLIED_ENTRIES
            || self.unwritten_bytes > MAX_UNWRITTEN_BYTES
    }

    fn is_ours(&self, request: RequestId) -> bool {
        let same_boot = request.boot_nonce == self.settings.boot_nonce
            || planted::bug("entry-of-an-earlier-boot-ends-a-wait");
        let ours = request.member == self.settings.member.0 && same_boot;
        ours || planted::bug("entry-of-another-member-ends-a-wait")
    }

    /// What was heard since the last call may have changed who leads. Writes that still wait are
    /// better not sent to a leader that is known to be gone.
    fn see_leadership(&mut self, now: Instant) {
        if !self.proposals.has_waiting() {
            return; // The next `Ready` tells.
        }
        let status = self.raft.status();
        self.is_transferring = status.transferring_to.is_some();
        let state = LeadershipState {
            role: status.role,
            term: status.term,
            leader: status.leader,
        };
        if state != self.state {
            self.leadership_changed(now, state);
        }
    }

    /// A leader of another term does not know what its former self was sent.
    fn leadership_changed(&mut self, now: Instant, state: LeadershipState) {
        let before = std::mem::replace(&mut self.state, state);
        self.effects.state = Some(state);
        if (before.term, before.leader) != (state.term, state.leader) {
            self.refused_by = None;
            self.leadership_moved();
            self.leases_lose_leader();
            self.versions.lose_leader(self.raft.status().last_index);
            for sequence in self.proposals.take_forwarded() {
                self.fail(sequence, RequestError::LeaderLost);
            }
        }
        self.ask_reads(now);
    }

    fn dropped(&mut self, now: Instant, dropped: Dropped) {
        match dropped {
            Dropped::Proposals { from, .. } => {
                for sequence in self.proposals.take_appended_from(from) {
                    match planted::bug("write-of-a-deposed-leader-told-refused") {
                        true => self.fail(sequence, RequestError::TooManyRequests),
                        false => self.fail(sequence, RequestError::LeaderLost),
                    }
                }
            }
            Dropped::Read { id, .. } if Consensus::is_round_of_leases(id) => {
                self.lease_round_dropped(now, id);
            }
            Dropped::Read { id, .. } => {
                self.reads.dropped(id);
                self.read_retry_at
                    .get_or_insert(now + self.settings.retry_after);
            }
        }
    }

    fn ask_reads(&mut self, now: Instant) {
        let later = chaos!("reads-asked-late", 20);
        let asks = if later {
            Vec::new()
        } else {
            self.reads.to_ask()
        };
        for id in asks {
            if self.raft.read(now, id).is_ok() {
                self.reads.asked(id);
            }
        }
        if self.reads.has_unasked() {
            self.read_retry_at
                .get_or_insert(now + self.settings.retry_after);
        }
    }

    fn fail(&mut self, sequence: u64, error: RequestError) {
        self.effects.failed_proposals.push((sequence, error));
    }
}

/// What a planted bug does: messages leave before the write that they wait for.
fn leaves_early(write: &Write) -> bool {
    write.entries.is_empty() && planted::bug("vote-leaves-before-its-write")
}

fn addressed(envelope: Envelope) -> (NodeId, PeerMessage) {
    (envelope.to, PeerMessage::Raft(envelope.message))
}
