//! The machine: its state and its inputs. What it gives out is made in `output.rs`.

use bytes::Bytes;

use crate::asking::Asking;
use crate::config::Config;
use crate::disk_stall::WriteTimes;
use crate::doubt::Doubt;
use crate::error::{ConfigError, MessageError, ProposeError};
use crate::limits::{ACCEPTED_TERM_JUMP, ENTRY_OVERHEAD_BYTES};
use crate::log::Log;
use crate::membership::{Membership, Memberships};
use crate::message::Message;
use crate::outbox::{Outbox, Persistent};
use crate::output::Unapplied;
use crate::quorum::Configuration;
use crate::random::Random;
use crate::read_index::Reads;
use crate::ready::{DropReason, LeadershipState, Role};
use crate::reconfiguration::Heard;
use crate::records::Records;
use crate::refilling::{Rewound, Standing};
use crate::restored::Restored;
use crate::role::{Follower, RoleState};
use crate::snapshot::Snapshots;
use crate::status::RefusedMessages;
use crate::transfer::Transfers;
use crate::types::{Entry, Instant, LogIndex, NodeId, Payload, Term, WriteId};

/// One node of a Raft cluster, as a state machine without I/O.
///
/// Feed it what happens ([`receive`](Raft::receive), [`propose`](Raft::propose),
/// [`change_membership`](Raft::change_membership), [`read`](Raft::read),
/// [`transfer`](Raft::transfer), [`wrote`](Raft::wrote), [`fetched`](Raft::fetched),
/// [`applied`](Raft::applied), [`snapshot_taken`](Raft::snapshot_taken),
/// [`installed`](Raft::installed), [`link_lost`](Raft::link_lost), [`tick`](Raft::tick)), then carry
/// out what [`ready`](Raft::ready) returns. Times that are handed in must not go back; one that
/// does is taken for the latest before it.
#[derive(Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) memberships: Memberships,
    /// The membership in force, as what decisions ask.
    pub(crate) configuration: Configuration,
    /// What `Ready::membership` said last.
    pub(crate) membership_told: Membership,
    pub(crate) random: Random,
    pub(crate) now: Instant,
    /// Until when this node has promised to give no vote; always past unless leaders hold leases.
    pub(crate) no_vote_before: Instant,
    pub(crate) persistent: Persistent,
    pub(crate) role: RoleState,
    pub(crate) log: Log,
    pub(crate) write_times: WriteTimes,
    /// Entries through here are committed, for all this node knows. Never beyond its log.
    pub(crate) commit: LogIndex,
    /// Entries through here were handed out.
    pub(crate) handed_out: LogIndex,
    pub(crate) unapplied: Unapplied,
    pub(crate) reads: Reads,
    pub(crate) snapshots: Snapshots,
    pub(crate) doubt: Doubt,
    pub(crate) transfers: Transfers,
    pub(crate) outbox: Outbox,
    pub(crate) records: Records,
    /// While it asks, after a start, what its disk is worth.
    pub(crate) asking: Option<Asking>,
    /// This life's number, which no earlier life of this node had; zero where none is needed.
    pub(crate) life: u64,
    /// How it came to know that it is to be refilled, if that was in this life.
    pub(crate) rewound: Option<Rewound>,
    /// What `Ready::standing` said last.
    pub(crate) standing_told: Standing,
    /// What `Ready::state` said last.
    pub(crate) state_told: LeadershipState,
    pub(crate) refused: RefusedMessages,
}

/// Where a proposal's commands stand in the log, if this leader gets to commit them: each is
/// committed exactly when an entry of this term is handed out at its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Index of the first command.
    pub first: LogIndex,
    /// Index of the last.
    pub last: LogIndex,
    /// The leader's term.
    pub term: Term,
}

impl Raft {
    /// Starts a node. A node that is its cluster's only voter leads at once; any other voter waits
    /// out an election timeout first, and before that asks the others what its disk is worth, where
    /// records are kept.
    pub fn new(config: Config, restored: Restored, now: Instant) -> Result<Raft, ConfigError> {
        config.check()?;
        let (hard_state, applied) = (restored.hard_state, restored.applied);
        let snapshot = restored.snapshot.clone();
        let records = Records::restore(restored.records.clone());
        let initial = Membership::new(config.voters.clone(), Vec::new());
        let (memberships, terms, gaps) = restored.into_parts(initial.clone())?;
        let configuration = Configuration::new(memberships.in_force());
        let mut random = Random::new(config.seed, config.id);
        let deadline = now + random.jittered(config.election_timeout);
        let first_sequence = random.next();
        let alone = configuration.is_quorum(|id| id == config.id);
        let keeps_records = !config.record_interval.is_zero();
        let refilling = hard_state.refilling && !config.accepts_old_disk;
        let asks = keeps_records && !alone && !refilling && !config.accepts_old_disk;
        let late = snapshot.is_some();
        let asks = asks && !(late && planted::bug("no-question-after-a-start-from-a-snapshot"));
        let needs_life = keeps_records || refilling;
        let life = if needs_life { random.next().max(1) } else { 0 };
        let mut raft = Raft {
            log: Log::restore(terms, gaps, config.max_memory_log_bytes),
            write_times: WriteTimes::default(),
            persistent: Persistent::new(hard_state),
            role: RoleState::Follower(Follower::new(None, deadline)),
            commit: applied,
            handed_out: applied,
            unapplied: Unapplied::new(applied),
            reads: Reads::new(first_sequence),
            snapshots: Snapshots::new(snapshot),
            doubt: Doubt::default(),
            transfers: Transfers::default(),
            outbox: Outbox::default(),
            records,
            asking: asks
                .then(|| Asking::new(now, (memberships.in_force_index(), configuration.clone()))),
            life,
            rewound: None,
            standing_told: Standing::Sound,
            state_told: LeadershipState {
                role: Role::Follower,
                term: hard_state.term,
                leader: None,
            },
            refused: RefusedMessages::default(),
            config,
            memberships,
            configuration,
            membership_told: initial,
            random,
            now,
            no_vote_before: Instant::ZERO,
        };
        if raft.config.accepts_old_disk {
            // In the terms that this disk forgot there were leaders; one of now must not be taken for
            // one of those.
            let term = Term(hard_state.term.0 + ACCEPTED_TERM_JUMP);
            raft.persistent.enter_term(term);
            raft.persistent.end_refilling();
        }
        // Alone by a change, it may have been one of others a moment ago, and have promised.
        let may_have_promised = raft.config.lease_reads
            && (!alone || raft.memberships.in_force_index() > LogIndex::ZERO);
        if may_have_promised {
            raft.promise_no_vote();
        } else if alone && raft.may_campaign() {
            raft.campaign();
        }
        raft.standing_told = raft.standing();
        raft.ask_records_if_due();
        Ok(raft)
    }

    /// When [`Raft::tick`] is to be called next; later inputs may bring it forward. `None` when
    /// nothing will happen by time alone.
    pub fn deadline(&self) -> Option<Instant> {
        let of_role = match &self.role {
            RoleState::Leader(leader) => [leader.heartbeat_at, leader.quorum_check_at]
                .into_iter()
                .flatten()
                .min(),
            role => role.election_deadline().filter(|_| self.may_campaign()),
        };
        let others = [
            self.read_deadline(),
            self.gives_way_at(),
            self.transfer_deadline(),
            self.ask_missing_at(),
            self.asking_deadline(),
        ];
        others.into_iter().chain([of_role]).flatten().min()
    }

    /// Time passed. Does whatever is due.
    pub fn tick(&mut self, now: Instant) {
        self.advance_clock(now);
        self.expire_reads();
        self.expire_transfer();
        self.give_way_if_stalled();
        self.ask_missing_if_due();
        self.ask_records_if_due();
        if let RoleState::Leader(_) = self.role {
            self.tick_leader();
        } else if self.may_campaign()
            && self
                .role
                .election_deadline()
                .is_some_and(|deadline| deadline <= self.now)
        {
            self.campaign();
        }
    }

    /// A message arrived. An `Err` says that no correct peer sends it; it had no effect.
    /// Messages that are merely late, repeated or out of order are no errors.
    pub fn receive(
        &mut self,
        now: Instant,
        from: NodeId,
        message: Message,
    ) -> Result<(), MessageError> {
        self.advance_clock(now);
        let result = self
            .check_sender(from, &message)
            .and_then(|heard| match heard {
                Heard::Yes => self.dispatch(from, message),
                Heard::TooLate => Ok(()),
            });
        if let Err(error) = &result {
            self.refused.count(error);
        }
        result
    }

    /// Appends commands to the log, all or none, in order. Only a leader does; that it accepts
    /// them does not mean that they will be committed.
    pub fn propose(
        &mut self,
        now: Instant,
        commands: Vec<Bytes>,
    ) -> Result<Accepted, ProposeError> {
        self.advance_clock(now);
        let known_leader = self.leader();
        let handed_to = self.transferring_to();
        let RoleState::Leader(leader) = &mut self.role else {
            return Err(ProposeError::NotLeader {
                leader: known_leader,
            });
        };
        if commands.is_empty() {
            return Err(ProposeError::Empty);
        }
        if let Some(to) = handed_to {
            return Err(ProposeError::Transferring { to });
        }
        let (pending, limit) = (leader.uncommitted_bytes, self.config.max_uncommitted_bytes);
        let bytes: usize = commands
            .iter()
            .map(|command| command.len() + ENTRY_OVERHEAD_BYTES)
            .sum();
        if pending > 0 && pending + bytes > limit {
            return Err(ProposeError::TooManyUncommitted { pending, limit });
        }
        let term = self.persistent.term();
        let first = self.log.last_index().next();
        let mut index = first;
        for command in commands {
            self.log.append(Entry {
                index,
                term,
                payload: Payload::Command(command),
            });
            index = index.next();
        }
        let last = index.previous();
        leader.uncommitted.push_back((last, bytes));
        leader.uncommitted_bytes += bytes;
        Ok(Accepted { first, last, term })
    }

    /// The write `id` and all before it are durable.
    pub fn wrote(&mut self, now: Instant, id: WriteId) {
        self.advance_clock(now);
        self.log.disk.complete(id);
        self.write_times.done(id);
        self.log.evict();
        self.outbox.release(&self.log.disk);
        let durable = self.log.durable();
        match &mut self.role {
            RoleState::Follower(follower) => {
                if follower.verified.min(durable) > follower.acknowledged {
                    follower.answer_due = true;
                }
            }
            RoleState::Leader(_) => self.advance_commit(),
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {}
        }
    }

    /// The answer to a `Fetch` that began at `first`: entries from there on, at least one.
    pub fn fetched(&mut self, now: Instant, first: LogIndex, entries: Vec<Entry>) {
        self.advance_clock(now);
        self.log.fetcher.arrived(first, entries, &self.log.terms);
    }

    /// The state machine holds the effect of entries through `index`; makes room to hand out more.
    pub fn applied(&mut self, index: LogIndex) {
        assert!(
            index <= self.handed_out,
            "applied through {index}, but only entries through {} were handed out",
            self.handed_out
        );
        self.unapplied.applied(index);
    }

    /// Messages that were under way to or from this peer may be lost. Appends to it start over
    /// from what it acknowledged; reads that were sent to it are dropped.
    pub fn link_lost(&mut self, now: Instant, peer: NodeId) {
        self.advance_clock(now);
        match &mut self.role {
            RoleState::Leader(leader) => {
                if let Some(progress) = leader.peers.get_mut(&peer) {
                    progress.link_lost();
                }
            }
            RoleState::Follower(follower)
                if follower.leader.is_some_and(|(leader, _)| leader == peer) =>
            {
                let asked = std::mem::take(&mut follower.asked);
                let reads = asked.into_iter().flat_map(|(_, reads)| reads);
                self.reads.drop_all(reads, DropReason::LeaderChanged);
                if self.config.doubt_leader_on_lost_link {
                    // A leader that lives is heard again within a heartbeat interval.
                    let patience = self.random.jittered(2 * self.config.heartbeat_interval);
                    follower.doubts_leader = true;
                    follower.election_deadline =
                        follower.election_deadline.min(self.now + patience);
                }
            }
            _ => {}
        }
    }

    /// Sends a message that asserts this node's term.
    pub(crate) fn say(&mut self, to: NodeId, message: Message) {
        self.outbox
            .say(to, message, &self.persistent, &self.log.disk);
    }

    pub(crate) fn advance_clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}
