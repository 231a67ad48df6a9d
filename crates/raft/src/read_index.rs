//! Linearizable reads without writing to the log (Raft §8; thesis §6.4).
//!
//! A read may be served from any state that holds every entry committed before the read was
//! asked. The leader knows such an index: its commit index, provided that
//!
//! 1. an entry of its own term is committed (before that, its commit index may lag behind what
//!    an earlier leader committed), and
//! 2. it still was the leader after the read was asked: a quorum confirmed a round of contact
//!    that began after it. All reads that wait at that moment share the round.
//!
//! A follower asks the leader for the index, one request for all its waiting reads.
//!
//! **A follower's request is its own confirmation.** Let follower F send a request in term T
//! after read r was asked, and leader L of term T receive it. Claim: with F, any set of voters
//! that were in term T at some time after r was asked, and that is a quorum, suffices. Suppose
//! an entry that r must see was committed by a leader of a term above T before r was asked. Then
//! a quorum had voted in that term, and so left T for good, before r was asked; it shares a
//! member with our quorum, which was in T later: a contradiction. So what r must see was
//! committed in T, by L itself, or in an earlier term, and then L has it in its log, at or
//! before its commit index, by condition 1. In a cluster of three, L and F already are a quorum,
//! and no round is needed.
//!
//! **Changing memberships.** A round is confirmed by a quorum of the membership C in force on the
//! leader, and the claim holds all the same. Let U be the first term above T in which someone was
//! elected before r was asked, by membership D; its entry is of T or earlier. Let P be the newest
//! membership that both logs have. Each step from P, in either log, is joint with P's voters or
//! leaves them alone, and a second step is taken only when the first is committed. If C and D are
//! within a step of P, a quorum of each holds a majority of P's voters, so they meet. If C is
//! further, the first step was committed by a quorum that meets D's, and those voters gave no
//! vote in U to a log without it. And D is not further: its first step would have been committed
//! in T or earlier, and be in L's log too.
//!
//! Nothing here depends on clocks, unless reads on a lease are wanted (`lease.rs`); time only
//! decides when to give a read up.

use std::collections::VecDeque;

use crate::error::ReadError;
use crate::limits::{
    MAX_READ_REQUESTS_IN_FLIGHT, MAX_READ_ROUNDS_IN_FLIGHT, MAX_REMOTE_READS_PER_PEER,
};
use crate::message::Message;
use crate::raft::Raft;
use crate::ready::{DropReason, Dropped, ReadGrant};
use crate::role::{Leader, RoleState};
use crate::types::{Instant, LogIndex, NodeId, ReadId};

/// A read that this node's embedder asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingRead {
    id: ReadId,
    asked: Instant,
}

/// A request of a follower's.
#[derive(Clone, Copy, Debug)]
struct RemoteRead {
    peer: NodeId,
    sequence: u64,
    received: Instant,
}

/// This node's own reads, whatever its role.
#[derive(Debug)]
pub(crate) struct Reads {
    /// Not yet part of a round or request, oldest first.
    waiting: VecDeque<PendingRead>,
    /// All that were asked and not answered: these and those in rounds and requests.
    pub(crate) pending: usize,
    /// The number of the next request to a leader. Begins at a random place, so that an answer
    /// to an earlier life of this node is not taken for one to this.
    next_sequence: u64,
    /// What the next `ready` says.
    pub(crate) granted: Vec<ReadGrant>,
    /// What the next `ready` says; proposals too.
    pub(crate) dropped: Vec<Dropped>,
}

/// The reads that a leader is finding an index for.
#[derive(Debug, Default)]
pub(crate) struct LeaderReads {
    /// Requests of followers that are not yet part of a round, oldest first.
    remote_waiting: VecDeque<RemoteRead>,
    /// Rounds under way, oldest first. Their numbers and indexes rise.
    rounds: VecDeque<ReadRound>,
}

#[derive(Debug)]
struct ReadRound {
    number: u64,
    /// The commit index when it began.
    index: LogIndex,
    local: Vec<PendingRead>,
    remote: Vec<RemoteRead>,
}

impl Reads {
    pub(crate) fn new(first_sequence: u64) -> Reads {
        Reads {
            waiting: VecDeque::new(),
            pending: 0,
            next_sequence: first_sequence,
            granted: Vec::new(),
            dropped: Vec::new(),
        }
    }

    fn grant_all(&mut self, reads: impl IntoIterator<Item = PendingRead>, index: LogIndex) {
        for read in reads {
            self.pending -= 1;
            self.granted.push(ReadGrant { id: read.id, index });
        }
    }

    /// Grants every read that is not part of a round or request.
    fn grant_waiting(&mut self, index: LogIndex) {
        let waiting = std::mem::take(&mut self.waiting);
        self.grant_all(waiting, index);
    }

    pub(crate) fn drop_all(
        &mut self,
        reads: impl IntoIterator<Item = PendingRead>,
        reason: DropReason,
    ) {
        for read in reads {
            self.pending -= 1;
            self.dropped.push(Dropped::Read {
                id: read.id,
                reason,
            });
        }
    }
}

impl LeaderReads {
    /// The newest round that reads wait for; zero when none do.
    pub(crate) fn newest_round(&self) -> u64 {
        self.rounds.back().map_or(0, |round| round.number)
    }

    /// Gives up: this node's reads, and the requests (peer and number) of others.
    pub(crate) fn into_unserved(self) -> (Vec<PendingRead>, Vec<(NodeId, u64)>) {
        let mut local = Vec::new();
        let mut remote: Vec<RemoteRead> = Vec::new();
        for round in self.rounds {
            local.extend(round.local);
            remote.extend(round.remote);
        }
        remote.extend(self.remote_waiting);
        (
            local,
            remote
                .iter()
                .map(|read| (read.peer, read.sequence))
                .collect(),
        )
    }

    /// When the oldest of them was asked or received.
    fn oldest(&self) -> Option<Instant> {
        let waiting = self.remote_waiting.front().map(|read| read.received);
        let local = self
            .rounds
            .iter()
            .filter_map(|round| Some(round.local.first()?.asked));
        let remote = self
            .rounds
            .iter()
            .flat_map(|round| &round.remote)
            .map(|read| read.received);
        local.chain(remote).chain(waiting).min()
    }

    /// How many requests of one peer are kept.
    fn count_from(&self, peer: NodeId) -> usize {
        let in_rounds = self.rounds.iter().flat_map(|round| &round.remote);
        self.remote_waiting
            .iter()
            .chain(in_rounds)
            .filter(|read| read.peer == peer)
            .count()
    }
}

impl Leader {
    /// Whether a voter echoed the round with this number, or a later one.
    fn has_echoed(&self, voter: NodeId, round: u64) -> bool {
        self.peers
            .get(&voter)
            .is_some_and(|progress| progress.round_echoed >= round)
    }
}

impl Raft {
    /// Asks for an index at which a read is linearizable; the answer comes in `Ready::reads` or
    /// `Ready::dropped`. On a follower the leader is asked; without a leader the read waits for
    /// one, at most an election timeout.
    pub fn read(&mut self, now: Instant, id: ReadId) -> Result<(), ReadError> {
        self.now = self.now.max(now);
        let (pending, limit) = (self.reads.pending, self.config.max_pending_reads);
        if pending >= limit {
            return Err(ReadError::TooManyPending { pending, limit });
        }
        self.reads.pending += 1;
        self.reads.waiting.push_back(PendingRead {
            id,
            asked: self.now,
        });
        Ok(())
    }

    /// A follower asks for an index.
    pub(crate) fn on_read_request(&mut self, peer: NodeId, sequence: u64) {
        let received = self.now;
        let kept = match &mut self.role {
            RoleState::Leader(leader)
                if leader.reads.count_from(peer) < MAX_REMOTE_READS_PER_PEER =>
            {
                let read = RemoteRead {
                    peer,
                    sequence,
                    received,
                };
                leader.reads.remote_waiting.push_back(read);
                true
            }
            _ => false,
        };
        if !kept {
            let term = self.persistent.term();
            self.say(
                peer,
                Message::ReadIndexResponse {
                    term,
                    sequence,
                    index: None,
                },
            );
        }
    }

    /// The leader answers. Only what this node still waits for counts, and only the leader's
    /// word does.
    pub(crate) fn on_read_response(
        &mut self,
        from: NodeId,
        answered: u64,
        index: Option<LogIndex>,
    ) {
        let RoleState::Follower(follower) = &mut self.role else {
            return;
        };
        if follower.leader.is_none_or(|(leader, _)| leader != from) {
            return;
        }
        let position = follower
            .asked
            .iter()
            .position(|(sequence, _)| *sequence == answered);
        let Some((_, reads)) = position.and_then(|place| follower.asked.remove(place)) else {
            return;
        };
        match index {
            Some(index) => self.reads.grant_all(reads, index),
            None => self.reads.drop_all(reads, DropReason::Refused),
        }
    }

    /// Whether the follower would ask its leader now.
    pub(crate) fn may_ask_leader(&self) -> bool {
        let RoleState::Follower(follower) = &self.role else {
            return false;
        };
        let asked_in_vain = |(_, reads): &(u64, Vec<PendingRead>)| {
            let asked = reads.iter().map(|read| read.asked).max();
            asked.is_none_or(|asked| asked + self.config.heartbeat_interval <= self.now)
        };
        // The request confirms the leader (above), which only one can that forgot nothing.
        !self.is_refilling()
            && follower.leader.is_some()
            && follower.asked.len() < MAX_READ_REQUESTS_IN_FLIGHT
            && follower.asked.iter().all(asked_in_vain)
            && !self.reads.waiting.is_empty()
    }

    /// Sends the waiting reads to the leader, as one request.
    pub(crate) fn ask_leader(&mut self) {
        if !self.may_ask_leader() {
            return;
        }
        let RoleState::Follower(follower) = &mut self.role else {
            return;
        };
        let Some((leader, _)) = follower.leader else {
            return;
        };
        let sequence = self.reads.next_sequence;
        self.reads.next_sequence = sequence.wrapping_add(1);
        follower
            .asked
            .push_back((sequence, self.reads.waiting.drain(..).collect()));
        let term = self.persistent.term();
        self.say(leader, Message::ReadIndexRequest { term, sequence });
    }

    /// Whether this leader knows that its commit index has all that was ever committed.
    pub(crate) fn commit_is_complete(&self) -> bool {
        matches!(&self.role, RoleState::Leader(leader) if self.commit >= leader.term_start)
    }

    /// Whether [`Raft::start_read_round`] would do anything.
    pub(crate) fn may_start_read_round(&self) -> bool {
        let RoleState::Leader(leader) = &self.role else {
            return false;
        };
        let room = leader.reads.rounds.len() < MAX_READ_ROUNDS_IN_FLIGHT;
        let own_request_suffices = leader
            .reads
            .remote_waiting
            .front()
            .is_some_and(|read| self.is_confirmed_by(read.peer));
        let waiting = !self.reads.waiting.is_empty() || !leader.reads.remote_waiting.is_empty();
        let late = self.log.begins_late();
        let complete =
            self.commit_is_complete() || (late && planted::bug("read-at-once-after-a-snapshot"));
        complete && waiting && (room || own_request_suffices || self.holds_lease())
    }

    /// Whether this leader and `peer` alone are a quorum.
    fn is_confirmed_by(&self, peer: NodeId) -> bool {
        self.configuration
            .is_quorum(|id| id == peer || id == self.config.id)
    }

    /// Serves what can be served at once, and begins a round for the other reads that wait.
    pub(crate) fn start_read_round(&mut self) {
        if !self.may_start_read_round() {
            return;
        }
        self.answer_confirmed_requests();
        let me = self.config.id;
        let alone = self.configuration.is_quorum(|id| id == me);
        let needs_no_round = alone || self.holds_lease();
        let index = self.commit;
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        if needs_no_round {
            self.reads.grant_waiting(index);
            for read in std::mem::take(&mut leader.reads.remote_waiting) {
                self.answer_request(read, index);
            }
            return;
        }
        let none_wait = self.reads.waiting.is_empty() && leader.reads.remote_waiting.is_empty();
        if none_wait || leader.reads.rounds.len() >= MAX_READ_ROUNDS_IN_FLIGHT {
            return;
        }
        leader.begin_round(self.now, &self.config);
        leader.reads.rounds.push_back(ReadRound {
            number: leader.round,
            index,
            local: self.reads.waiting.drain(..).collect(),
            remote: leader.reads.remote_waiting.drain(..).collect(),
        });
    }

    /// Answers the waiting requests that need no confirmation but their own.
    fn answer_confirmed_requests(&mut self) {
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        let waiting = std::mem::take(&mut leader.reads.remote_waiting);
        let (confirmed, others): (VecDeque<_>, VecDeque<_>) =
            waiting.into_iter().partition(|read| {
                self.configuration
                    .is_quorum(|id| id == read.peer || id == self.config.id)
            });
        leader.reads.remote_waiting = others;
        for read in confirmed {
            self.answer_request(read, self.commit);
        }
    }

    fn answer_request(&mut self, read: RemoteRead, index: LogIndex) {
        let (term, sequence) = (self.persistent.term(), read.sequence);
        self.say(
            read.peer,
            Message::ReadIndexResponse {
                term,
                sequence,
                index: Some(index),
            },
        );
    }

    /// Serves the reads whose round a quorum has confirmed.
    pub(crate) fn confirm_reads(&mut self) {
        let me = self.config.id;
        let mut answers = Vec::new();
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        let mut rounds = std::mem::take(&mut leader.reads.rounds);
        for round in &mut rounds {
            let echoed = |id| id == me || leader.has_echoed(id, round.number);
            if self.configuration.is_quorum(echoed) {
                self.reads.grant_all(round.local.drain(..), round.index);
            }
            // Followers that asked have thereby confirmed, for what they asked.
            round.remote.retain(|read| {
                let confirmed = self
                    .configuration
                    .is_quorum(|id| id == read.peer || echoed(id));
                if confirmed {
                    answers.push((*read, round.index));
                }
                !confirmed
            });
        }
        rounds.retain(|round| !round.local.is_empty() || !round.remote.is_empty());
        leader.reads.rounds = rounds;
        for (read, index) in answers {
            self.answer_request(read, index);
        }
    }

    /// When the next read is to be given up.
    pub(crate) fn read_deadline(&self) -> Option<Instant> {
        let waiting = self.reads.waiting.front().map(|read| read.asked);
        let under_way = match &self.role {
            RoleState::Follower(follower) => {
                let first = |(_, reads): &(u64, Vec<PendingRead>)| Some(reads.first()?.asked);
                follower.asked.iter().filter_map(first).min()
            }
            RoleState::Leader(leader) => leader.reads.oldest(),
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => None,
        };
        let oldest = [waiting, under_way].into_iter().flatten().min()?;
        Some(oldest + self.config.election_timeout)
    }

    /// Gives up reads that have waited for an election timeout.
    pub(crate) fn expire_reads(&mut self) {
        if self
            .read_deadline()
            .is_none_or(|deadline| deadline > self.now)
        {
            return;
        }
        let (now, timeout) = (self.now, self.config.election_timeout);
        let is_over = |asked: Instant| asked + timeout <= now;
        let mut expired = Vec::new();
        while let Some(read) = self.reads.waiting.pop_front_if(|read| is_over(read.asked)) {
            expired.push(read);
        }
        let mut expire = |reads: &mut Vec<PendingRead>| {
            let kept = reads.partition_point(|read| is_over(read.asked));
            expired.extend(reads.drain(..kept));
        };
        match &mut self.role {
            RoleState::Follower(follower) => {
                follower
                    .asked
                    .iter_mut()
                    .for_each(|(_, reads)| expire(reads));
                follower.asked.retain(|(_, reads)| !reads.is_empty());
            }
            RoleState::Leader(leader) => {
                let reads = &mut leader.reads;
                // Who asked from elsewhere has given up by now, too.
                reads.remote_waiting.retain(|read| !is_over(read.received));
                for round in &mut reads.rounds {
                    expire(&mut round.local);
                    round.remote.retain(|read| !is_over(read.received));
                }
                reads
                    .rounds
                    .retain(|round| !round.local.is_empty() || !round.remote.is_empty());
            }
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {}
        }
        self.reads.drop_all(expired, DropReason::TimedOut);
    }
}
