//! The machine: its state and its inputs. What it gives out is made in `output.rs`.

use bytes::Bytes;

use crate::config::Config;
use crate::disk_stall::WriteTimes;
use crate::election::VoteRequest;
use crate::error::{ConfigError, MessageError, ProposeError};
use crate::limits::ENTRY_OVERHEAD_BYTES;
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
use crate::restored::Restored;
use crate::role::{Follower, RoleState};
use crate::snapshot::Snapshots;
use crate::status::RefusedMessages;
use crate::transfer::Transfers;
use crate::types::{Entry, Instant, LogIndex, NodeId, Payload, Term, WriteId};
use crate::validate::term_of;

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
    pub(crate) transfers: Transfers,
    pub(crate) outbox: Outbox,
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
    /// out an election timeout first.
    pub fn new(config: Config, restored: Restored, now: Instant) -> Result<Raft, ConfigError> {
        config.check()?;
        let (hard_state, applied) = (restored.hard_state, restored.applied);
        let snapshot = restored.snapshot.clone();
        let initial = Membership::new(config.voters.clone(), Vec::new());
        let (memberships, terms) = restored.into_parts(initial.clone())?;
        let configuration = Configuration::new(memberships.in_force());
        let mut random = Random::new(config.seed, config.id);
        let deadline = now + random.jittered(config.election_timeout);
        let first_sequence = random.next();
        let alone = configuration.is_quorum(|id| id == config.id);
        let mut raft = Raft {
            log: Log::restore(terms, config.max_memory_log_bytes),
            write_times: WriteTimes::default(),
            persistent: Persistent::new(hard_state),
            role: RoleState::Follower(Follower::new(None, deadline)),
            commit: applied,
            handed_out: applied,
            unapplied: Unapplied::new(applied),
            reads: Reads::new(first_sequence),
            snapshots: Snapshots::new(snapshot),
            transfers: Transfers::default(),
            outbox: Outbox::default(),
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
        // Alone by a change, it may have been one of others a moment ago, and have promised.
        let may_have_promised = raft.config.lease_reads
            && (!alone || raft.memberships.in_force_index() > LogIndex::ZERO);
        if may_have_promised {
            raft.promise_no_vote();
        } else if alone {
            raft.campaign();
        }
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
        ];
        others.into_iter().chain([of_role]).flatten().min()
    }

    /// Time passed. Does whatever is due.
    pub fn tick(&mut self, now: Instant) {
        self.advance_clock(now);
        self.expire_reads();
        self.expire_transfer();
        self.give_way_if_stalled();
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

    fn dispatch(&mut self, from: NodeId, message: Message) -> Result<(), MessageError> {
        if let Message::RequestVote {
            term,
            last_index,
            last_term,
            pre: true,
            ..
        } = message
        {
            // Says what would be, not what is: no term is adopted from it.
            self.on_pre_vote_request(
                from,
                VoteRequest {
                    term,
                    last_index,
                    last_term,
                    transfer: false,
                },
            );
            return Ok(());
        }
        let promised = matches!(
            message,
            Message::Vote {
                granted: true,
                pre: true,
                ..
            }
        );
        if term_of(&message) > self.persistent.term() && !promised {
            let disturbs = matches!(
                message,
                Message::RequestVote {
                    transfer: false,
                    ..
                }
            );
            if disturbs && self.config.check_quorum && self.leader_is_well() {
                return Ok(()); // Raft thesis §4.2.3. If it cannot follow, it will say so.
            }
            let leads = matches!(
                message,
                Message::Append { .. } | Message::SnapshotOffer { .. } | Message::TimeoutNow { .. }
            );
            let leader = leads.then_some(from);
            self.become_follower(term_of(&message), leader);
        }
        if term_of(&message) < self.persistent.term() {
            self.on_older_term(from, &message);
            return Ok(());
        }
        self.dispatch_current(from, message)
    }

    /// Handles a message of this node's term.
    fn dispatch_current(&mut self, from: NodeId, message: Message) -> Result<(), MessageError> {
        match message {
            Message::RequestVote {
                term,
                last_index,
                last_term,
                transfer,
                ..
            } => {
                self.on_vote_request(
                    from,
                    VoteRequest {
                        term,
                        last_index,
                        last_term,
                        transfer,
                    },
                );
            }
            Message::Vote { term, granted, pre } => self.on_vote(from, term, granted, pre),
            Message::Append {
                term,
                previous_index,
                previous_term,
                commit,
                entries,
                round,
            } => {
                let previous = (previous_index, previous_term);
                return self.on_append(from, term, previous, commit, entries, round);
            }
            Message::AppendAccepted { matched, round, .. } => {
                return self.on_append_accepted(from, matched, round);
            }
            Message::AppendRejected {
                previous_index,
                hint_index,
                hint_term,
                round,
                ..
            } => {
                self.on_append_rejected(from, previous_index, (hint_index, hint_term), round);
            }
            Message::SnapshotOffer {
                term,
                index,
                snapshot_term,
                round,
            } => return self.on_snapshot_offer(from, term, (index, snapshot_term), round),
            Message::TimeoutNow { term } => return self.on_timeout_now(from, term),
            Message::ReadIndexRequest { sequence, .. } => self.on_read_request(from, sequence),
            Message::ReadIndexResponse {
                sequence, index, ..
            } => {
                self.on_read_response(from, sequence, index);
            }
        }
        Ok(())
    }

    /// Handles a message of an earlier term: whoever still acts on that term is told of ours, and
    /// what was sent to an earlier self is dropped.
    fn on_older_term(&mut self, from: NodeId, message: &Message) {
        let term = self.persistent.term();
        match message {
            Message::RequestVote { .. } => {
                self.say(
                    from,
                    Message::Vote {
                        term,
                        granted: false,
                        pre: false,
                    },
                );
            }
            Message::Append {
                previous_index,
                previous_term,
                ..
            }
            | Message::SnapshotOffer {
                index: previous_index,
                snapshot_term: previous_term,
                ..
            } => {
                // The nudge that frees a node whose term is ahead of a working leader's: the
                // leader steps down, and a term that suits both is elected.
                let rejection = self.rejection((*previous_index, *previous_term), 0);
                self.say(from, rejection);
            }
            Message::ReadIndexRequest { sequence, .. } => {
                let sequence = *sequence;
                self.say(
                    from,
                    Message::ReadIndexResponse {
                        term,
                        sequence,
                        index: None,
                    },
                );
            }
            Message::Vote {
                granted,
                pre: true,
                term: voter,
            } if !granted => {
                self.on_vote(from, *voter, false, true);
            }
            Message::Vote { .. }
            | Message::AppendAccepted { .. }
            | Message::AppendRejected { .. }
            | Message::TimeoutNow { .. }
            | Message::ReadIndexResponse { .. } => {}
        }
    }
}
