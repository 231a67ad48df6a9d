//! Leading: sending entries, counting answers, committing (Raft §5.3, §5.4.2).
//!
//! The leader sends entries before they are on its own disk: peers and disk work in parallel,
//! and its own log counts for a commit only through what its disk has confirmed (thesis
//! §10.2.1).
//!
//! What goes to a peer in one `ready` is at most: as many Appends with entries as the limits
//! allow, or one without. An Append without entries is sent when a heartbeat is due, when a read
//! round needs the peer's sign of life, or when the commit index has moved and nothing else will
//! tell the peer now. A peer whose next entry is released gets offers of a snapshot in their place
//! (`snapshot.rs`).

use chaos::chaos;

use crate::config::Config;
use crate::error::MessageError;
use crate::log::Log;
use crate::message::Message;
use crate::progress::{Progress, ProgressState};
use crate::raft::Raft;
use crate::role::{Leader, RoleState};
use crate::snapshot::{offer, wants_offer};
use crate::types::{Entry, Instant, LogIndex, NodeId, Term};

impl Raft {
    /// The leader's part of [`Raft::tick`]: heartbeats, and check-quorum.
    pub(crate) fn tick_leader(&mut self) {
        let now = self.now;
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        if leader.quorum_check_at.is_some_and(|at| at <= now) {
            let me = self.config.id;
            let reached = self
                .configuration
                .reached(|id| leader.last_contact(id, me, now));
            let until = reached + self.config.election_timeout;
            if until <= now {
                // No quorum has answered for an election timeout. There may be another leader;
                // and if there is not, our heartbeats must not keep others from electing one.
                self.become_follower(self.persistent.term(), None);
                return;
            }
            leader.quorum_check_at = Some(until);
        }
        if leader.heartbeat_at.is_some_and(|at| at <= now) {
            if chaos!("leader-steps-down", 1) {
                self.become_follower(self.persistent.term(), None);
                return;
            }
            leader.heartbeat_at = Some(now + self.config.heartbeat_interval);
            leader.begin_round(now, &self.config);
            self.forget_departed();
            self.say_records_if_due();
            let RoleState::Leader(leader) = &mut self.role else {
                return;
            };
            for progress in leader.peers.values_mut() {
                progress.heartbeat_due = true;
                progress.commit_notice = None;
            }
        }
    }

    /// "My log matches yours through `matched`, durably."
    pub(crate) fn on_append_accepted(
        &mut self,
        from: NodeId,
        matched: LogIndex,
        round: u64,
    ) -> Result<(), MessageError> {
        let last = self.log.last_index();
        if matched > last && matches!(self.role, RoleState::Leader(_)) {
            return Err(MessageError::BeyondLog {
                from,
                matched,
                last,
            });
        }
        let Some(progress) = self.peer_answered(from, round) else {
            return Ok(());
        };
        progress.acknowledges();
        let is_news = progress.accepted(matched);
        if chaos!("pipeline-given-up", 5) {
            progress.link_lost();
        }
        if is_news {
            self.advance_commit();
        }
        self.confirm_reads();
        Ok(())
    }

    /// "I do not have your entry at `previous_index`."
    pub(crate) fn on_append_rejected(
        &mut self,
        from: NodeId,
        previous_index: LogIndex,
        hint: (LogIndex, Term),
        round: u64,
    ) {
        let (hint_index, hint_term) = hint;
        let may_match = self.log.terms.last_at_most(hint_index, hint_term);
        if let Some(progress) = self.peer_answered(from, round) {
            progress.rejected(previous_index, may_match.next());
            self.confirm_reads();
        }
    }

    /// A peer answered this leader: notes the contact. `None` if this node does not lead.
    fn peer_answered(&mut self, from: NodeId, round: u64) -> Option<&mut Progress> {
        let now = self.now;
        let RoleState::Leader(leader) = &mut self.role else {
            return None;
        };
        let round = round.min(leader.round);
        let progress = leader.peers.get_mut(&from)?;
        progress.heard(round, now);
        Some(progress)
    }

    /// Commits what a quorum has on disk, if it is of this term. An entry of an earlier term is
    /// never committed by counting: it may still be replaced by a leader that has it not
    /// (Figure 8 of the paper). It is committed along with the first entry of this term.
    pub(crate) fn advance_commit(&mut self) {
        let mut durable = self.log.durable();
        if self.log.begins_late() && planted::bug("own-write-under-way-counts-after-a-snapshot") {
            durable = durable.max(self.log.disk.written());
        }
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        let me = self.config.id;
        let reached = self
            .configuration
            .reached(|id| leader.matched(id, me, durable));
        if reached <= self.commit || reached < leader.term_start {
            return;
        }
        assert!(
            self.log.term(reached) == self.persistent.term(),
            "index {reached} is of term {}, but leads from {} on in term {}",
            self.log.term(reached),
            leader.term_start,
            self.persistent.term()
        );
        self.commit = reached;
        while let Some((_, bytes)) = leader
            .uncommitted
            .pop_front_if(|(last, _)| *last <= reached)
        {
            leader.uncommitted_bytes -= bytes;
        }
        self.memberships.committed(reached);
        self.settle_membership();
    }

    /// Sends to each peer what it should get now.
    pub(crate) fn send_to_peers(&mut self) {
        self.start_read_round();
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        let last = self.log.last_index();
        let tells_commit_only = |progress: &Progress| {
            commit_is_news(progress, self.commit)
                && !progress.heartbeat_due
                && !may_send_entries(progress, last, &self.config)
        };
        if leader.peers.values().any(tells_commit_only) {
            // A round of its own, so that the answer to this notice can be told from others.
            leader.begin_round(self.now, &self.config);
        }
        let frame = Frame {
            term: self.persistent.term(),
            commit: self.commit,
            round: leader.round,
            read_round: leader.reads.newest_round(),
        };
        let snapshot = self.snapshots.position();
        for (peer, progress) in &mut leader.peers {
            if needs_snapshot(progress, &self.log) {
                if let ProgressState::Probe { .. } | ProgressState::Replicate = progress.state {
                    progress.needs_snapshot();
                }
                if wants_offer(progress, frame.read_round) {
                    let message = offer(progress, frame.term, snapshot, frame.round);
                    self.outbox
                        .say(*peer, message, &self.persistent, &self.log.disk);
                }
                continue;
            }
            let mut sent = false;
            while let Some(message) = next_entries(progress, &mut self.log, &self.config, &frame) {
                sent = true;
                self.outbox
                    .say(*peer, message, &self.persistent, &self.log.disk);
            }
            if !sent && wants_empty(progress, &frame) {
                let message = empty_append(progress, &self.log, &frame);
                self.outbox
                    .say(*peer, message, &self.persistent, &self.log.disk);
            }
        }
    }

    /// Whether [`Raft::send_to_peers`] would do anything.
    pub(crate) fn has_something_for_peers(&self) -> bool {
        let RoleState::Leader(leader) = &self.role else {
            return false;
        };
        if self.may_start_read_round() {
            return true;
        }
        let last = self.log.last_index();
        let frame = Frame {
            term: self.persistent.term(),
            commit: self.commit,
            round: leader.round,
            read_round: leader.reads.newest_round(),
        };
        leader.peers.values().any(|progress| {
            if needs_snapshot(progress, &self.log) {
                return wants_offer(progress, frame.read_round);
            }
            let sends_entries = may_send_entries(progress, last, &self.config)
                && self.log.can_serve_or_ask(progress.next);
            sends_entries || wants_empty(progress, &frame)
        })
    }
}

impl Leader {
    fn last_contact(&self, id: NodeId, me: NodeId, now: Instant) -> Instant {
        match self.peers.get(&id) {
            Some(progress) => progress.last_contact,
            None if id == me => now,
            None => Instant::ZERO,
        }
    }

    /// Through where a member's log counts.
    pub(crate) fn matched(&self, id: NodeId, me: NodeId, durable: LogIndex) -> LogIndex {
        match self.peers.get(&id) {
            Some(progress) if progress.refill.is_some() => LogIndex::ZERO,
            Some(progress) => progress.matched,
            None if id == me => durable,
            None => LogIndex::ZERO,
        }
    }
}

/// What all Appends of one `ready` have in common.
struct Frame {
    term: Term,
    commit: LogIndex,
    round: u64,
    /// The newest round that reads wait for; zero when none do.
    read_round: u64,
}

/// Whether the commit index is to be told to this peer, which knows only an older one. A peer
/// that is being probed gets it with its entries, and one that has not answered the last such
/// notice with the next heartbeat.
fn commit_is_news(progress: &Progress, commit: LogIndex) -> bool {
    progress.state == ProgressState::Replicate
        && progress.commit_sent < commit
        && progress.commit_notice.is_none()
}

/// Whether what this peer needs next is released.
fn needs_snapshot(progress: &Progress, log: &Log) -> bool {
    progress.next < log.first_index()
}

/// Whether there are entries for this peer and the limits allow sending some.
fn may_send_entries(progress: &Progress, last: LogIndex, config: &Config) -> bool {
    progress.next <= last
        && progress.may_send_entries(config.max_inflight_bytes, config.max_inflight_appends)
}

/// Whether an Append without entries is due.
fn wants_empty(progress: &Progress, frame: &Frame) -> bool {
    progress.heartbeat_due
        || progress.round_sent < frame.read_round
        || commit_is_news(progress, frame.commit)
}

/// The next Append with entries for a peer, if there are any and they may be sent now. Asks for
/// entries that are not in memory.
fn next_entries(
    progress: &mut Progress,
    log: &mut Log,
    config: &Config,
    frame: &Frame,
) -> Option<Message> {
    let (first, last) = (progress.next, log.last_index());
    if !may_send_entries(progress, last, config) {
        return None;
    }
    let max_bytes = match chaos!("append-of-one-entry", 50) {
        true => 1,
        false => config.max_append_bytes,
    };
    let Some((entries, bytes)) = log.slice(first, last, max_bytes) else {
        log.fetch(first, last, config.max_append_bytes);
        return None;
    };
    progress.sent(entries[entries.len() - 1].index, bytes);
    // Only a round that someone waits for is passed on with entries: the peer answers a new one
    // at once, and answers the entries again when they are durable.
    let round_due = progress.heartbeat_due || progress.round_sent < frame.read_round;
    let round = if round_due {
        frame.round
    } else {
        progress.round_sent
    };
    Some(append(
        progress,
        log,
        frame,
        round,
        first.previous(),
        entries,
    ))
}

/// An Append without entries. A heartbeat stands on the last entry sent, so that the answer
/// shows whether entries were lost on the way. What is sent between heartbeats stands on what
/// the peer is known to have: it may overtake entries without being mistaken for their loss.
fn empty_append(progress: &mut Progress, log: &Log, frame: &Frame) -> Message {
    let probes = progress.heartbeat_due || progress.state != ProgressState::Replicate;
    let previous = if probes {
        progress.next.previous()
    } else {
        progress.matched.max(log.base().0)
    };
    if !probes && progress.commit_sent < frame.commit {
        progress.commit_notice = Some(frame.round);
    }
    append(progress, log, frame, frame.round, previous, Vec::new())
}

fn append(
    progress: &mut Progress,
    log: &Log,
    frame: &Frame,
    round: u64,
    previous_index: LogIndex,
    entries: Vec<Entry>,
) -> Message {
    progress.heartbeat_due = false;
    progress.round_sent = round;
    progress.commit_sent = frame.commit;
    Message::Append {
        term: frame.term,
        previous_index,
        previous_term: log.term(previous_index),
        commit: frame.commit,
        entries,
        round,
    }
}
