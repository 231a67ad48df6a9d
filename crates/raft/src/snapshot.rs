//! Snapshots: what lets the log forget its beginning, and a peer skip it (Raft §7; thesis §5).
//!
//! This machine never holds a snapshot. It knows what the newest one stands for (index, term,
//! membership); the bytes lie in files of the embedder's, and a peer that needs them **pulls**
//! them over a connection of its own, so that no heartbeat waits behind them.
//!
//! ```text
//!  leader                                     follower
//!  snapshot_taken: the log's start is released
//!  the peer needs what is gone:
//!  SnapshotOffer, with each heartbeat ──────► needs it? Ready::install, once
//!  ◄──────────── AppendAccepted, as to a heartbeat │ the embedder pulls, verifies, syncs
//!                                             installed: the log is void, goes on after it
//!                                             write: the mark ── durable ─► Ready::restore
//!  ◄──────── AppendAccepted matched=index ────────┘
//!  Append from there on
//! ```
//!
//! What must hold:
//! - A snapshot covers only committed entries; so whoever leads now or later has them all (Leader
//!   Completeness), and a log that holds the snapshot's last entry holds everything before it.
//! - The log begins at most one past the newest snapshot: what is missing before it can be had.
//! - The file is durable first, then the mark in the log, then the log is released and the state
//!   machine is loaded (pitfall 9). A crash in between finds the earlier state whole.
//! - Nothing goes back: a snapshot at or before the commit index is of no use and has no effect.

use crate::error::{InstallError, MessageError};
use crate::limits::MAX_NUMBER;
use crate::membership::{Membership, Memberships};
use crate::message::Message;
use crate::progress::{Progress, ProgressState};
use crate::raft::Raft;
use crate::role::RoleState;
use crate::types::{Entry, Instant, LogIndex, NodeId, Term, WriteId};

/// What a snapshot stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The last index that it contains the effect of.
    pub index: LogIndex,
    /// The term of the entry there.
    pub term: Term,
    /// The membership in force there.
    pub membership: Membership,
}

/// For the write-ahead log: a snapshot is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotMark {
    /// The last index that it contains.
    pub index: LogIndex,
    /// The term of the entry there. A log that does not hold that entry is void as a whole, and
    /// goes on after it.
    pub term: Term,
    /// Entries before this index may be released, once the mark is durable.
    pub release_before: LogIndex,
}

/// A snapshot that this node needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstallWanted {
    /// Who has it: the leader.
    pub from: NodeId,
    /// The last index that it contains.
    pub index: LogIndex,
    /// The term of the entry there.
    pub term: Term,
}

/// What a node knows of snapshots, whatever its role.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// The newest that is durable here and that the log goes with.
    pub(crate) newest: Option<SnapshotMeta>,
    /// What the next write has to say of it.
    pub(crate) mark: Option<SnapshotMark>,
    /// The newest offer that is needed.
    wanted: Option<InstallWanted>,
    /// What of it `Ready::install` has told.
    told: Option<InstallWanted>,
    /// The newest takes the place of damaged entries of a log that goes on: the write that says so
    /// on the disk; zero until that is begun.
    replaces_damaged: Option<WriteId>,
}

impl Snapshots {
    pub(crate) fn new(newest: Option<SnapshotMeta>) -> Snapshots {
        Snapshots {
            newest,
            ..Snapshots::default()
        }
    }

    /// Index and term of the newest; zeros without one.
    pub(crate) fn position(&self) -> (LogIndex, Term) {
        let newest = self.newest.as_ref();
        newest.map_or_else(Default::default, |meta| (meta.index, meta.term))
    }

    /// What the write `id`, which is being made, has to say.
    pub(crate) fn take_mark(&mut self, id: WriteId) -> Option<SnapshotMark> {
        let mark = self.mark.take()?;
        if self.replaces_damaged == Some(WriteId::ZERO) {
            self.replaces_damaged = Some(id);
        }
        Some(mark)
    }
}

impl Raft {
    /// The state machine's snapshot at `meta.index` is durable; the log before `keep_from` (at
    /// most one past it) may be forgotten. A leader that keeps some of it serves peers that are
    /// only a little behind without a snapshot. One that is older than the newest has no effect.
    ///
    /// Nor has one with an empty membership on a node that [joined](crate::Config::joining) and was
    /// not told of the members by `meta.index`: after a restart from it nobody would be known,
    /// while the entry that tells of them may be released. The log stays, and the next snapshot
    /// after that entry does what this one would have done.
    pub fn snapshot_taken(&mut self, now: Instant, meta: SnapshotMeta, keep_from: LogIndex) {
        self.advance_clock(now);
        if meta.index <= self.snapshots.position().0 {
            return;
        }
        if self.config.voters.is_empty() && meta.membership == Membership::default() {
            return;
        }
        assert!(
            meta.index <= self.handed_out && keep_from <= meta.index.next(),
            "snapshot at {} that keeps the log from {keep_from}: {:?}",
            meta.index,
            self.status()
        );
        assert!(
            self.log.terms.term(meta.index) == Some(meta.term) && meta.membership.check().is_ok(),
            "{meta:?} of a log with term {:?} there",
            self.log.terms.term(meta.index)
        );
        self.log.release_before(keep_from);
        self.snapshots.mark = Some(SnapshotMark {
            index: meta.index,
            term: meta.term,
            release_before: self.log.first_index(),
        });
        self.snapshots.newest = Some(meta);
    }

    /// A snapshot that [`Ready::install`](crate::Ready::install) asked for is durable here. It may be
    /// another than the one asked for last, if it was the leader's. One that is late has no effect.
    pub fn installed(&mut self, now: Instant, meta: SnapshotMeta) -> Result<(), InstallError> {
        self.advance_clock(now);
        self.forget_offer();
        self.check_snapshot(&meta)?;
        let position = (meta.index, meta.term);
        if !self.needs_snapshot_at(position) {
            if meta.index > self.commit && self.log.known_term(meta.index) == Some(meta.term) {
                self.learn_committed(meta.index);
            }
            return Ok(());
        }
        if meta.index <= self.log.last_index() && self.log.is_damaged_through(meta.index) {
            let held = self.log.known_term(meta.index) == Some(meta.term);
            // What goes on after the snapshot on the disk has to be asked for first. The file is
            // here already when it is offered again.
            if !(held && self.log.disk.written() < meta.index) {
                self.replace_damaged(meta);
            }
            return Ok(());
        }
        match &self.role {
            RoleState::Leader(_) => return Err(InstallError::ConflictsWithLeader { position }),
            // The campaign spoke of a log that is void now.
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                self.become_follower(self.persistent.term(), None);
            }
            RoleState::Follower(_) => {}
        }
        self.replace_log(meta);
        Ok(())
    }

    /// The snapshot that was asked for could not be had: the next offer is told again.
    pub fn install_failed(&mut self, now: Instant) {
        self.advance_clock(now);
        self.forget_offer();
    }

    fn forget_offer(&mut self) {
        self.snapshots.wanted = None;
        self.snapshots.told = None;
    }

    /// It came from a peer: it may be anything.
    fn check_snapshot(&self, meta: &SnapshotMeta) -> Result<(), InstallError> {
        let wrong = |what| Err(InstallError::Malformed { what });
        if meta.index == LogIndex::ZERO || meta.index.0 > MAX_NUMBER {
            return wrong("its index is zero or beyond the limit");
        }
        if meta.term == Term::ZERO || meta.term > self.persistent.term() {
            return wrong("its term is zero or later than this node's");
        }
        meta.membership
            .check()
            .map_err(|what| InstallError::Malformed { what })
    }

    /// The log, which does not hold the snapshot's last entry, is void and goes on after it. What
    /// is lost of it was never committed: whatever was is in the snapshot, or after an entry that
    /// this log does not have.
    fn replace_log(&mut self, meta: SnapshotMeta) {
        let position = (meta.index, meta.term);
        self.log.restart(self.commit, position);
        self.commit = meta.index;
        if let RoleState::Follower(follower) = &mut self.role {
            follower.verified = meta.index;
            follower.rejected = None;
        }
        self.memberships = Memberships::of_snapshot(meta.index, meta.membership.clone());
        self.membership_changed();
        self.snapshots.mark = Some(SnapshotMark {
            index: meta.index,
            term: meta.term,
            release_before: meta.index.next(),
        });
        self.snapshots.newest = Some(meta);
    }

    /// Whether the snapshot at this index and term has anything for this node: what it lacks, or
    /// what is damaged. The latter only if the log is known to go on from there; else what was
    /// acknowledged after it would be lost, or kept although it is of another log.
    fn needs_snapshot_at(&self, (index, term): (LogIndex, Term)) -> bool {
        let held = self.log.known_term(index) == Some(term);
        if index <= self.log.last_index() && self.log.is_damaged_through(index) {
            return index > self.handed_out
                && (held || (index > self.commit && self.log.known_term(index).is_some()));
        }
        index > self.commit && !held
    }

    /// Some of what the snapshot stands for is damaged here. If the log holds its last entry, what
    /// comes after stays, damaged or not: it may have been acknowledged. What comes before goes.
    fn replace_damaged(&mut self, meta: SnapshotMeta) {
        if self.log.known_term(meta.index) != Some(meta.term) {
            // The disk may know less of the terms of what it lost, and would keep what comes after.
            self.truncate_after(self.commit);
            return self.replace_log(meta);
        }
        self.learn_committed(meta.index);
        self.log.release_before(meta.index.next());
        self.snapshots.replaces_damaged = Some(WriteId::ZERO);
        if self.memberships.adopt(meta.index, meta.membership.clone()) {
            self.membership_changed();
        }
        self.snapshots.mark = Some(SnapshotMark {
            index: meta.index,
            term: meta.term,
            release_before: meta.index.next(),
        });
        self.snapshots.newest = Some(meta);
    }

    /// Entries through `index`, which the log holds, are committed.
    fn learn_committed(&mut self, index: LogIndex) {
        self.commit = self.commit.max(index);
        self.memberships.committed(self.commit);
        if let RoleState::Follower(follower) = &mut self.role {
            follower.verified = follower.verified.max(self.commit);
        }
    }

    /// The leader has released what this node lacks, and offers a snapshot instead. It is answered
    /// like a heartbeat, whatever becomes of it.
    pub(crate) fn on_snapshot_offer(
        &mut self,
        from: NodeId,
        term: Term,
        (index, snapshot_term): (LogIndex, Term),
        round: u64,
    ) -> Result<(), MessageError> {
        if let Some(leader) = self.leader().filter(|leader| *leader != from) {
            return Err(MessageError::TwoLeaders { from, term, leader });
        }
        self.follow(from);
        let position = (index, snapshot_term);
        let known = self.log.known_term(index);
        let held = known == Some(snapshot_term);
        if index <= self.commit && index >= self.log.base().0 && known.is_some() && !held {
            let commit = self.commit;
            return Err(MessageError::ConflictsWithCommitted {
                from,
                index,
                commit,
            });
        }
        if index <= self.commit || held {
            self.learn_committed(index);
        }
        if self.needs_snapshot_at(position) {
            self.snapshots.wanted = Some(InstallWanted {
                from,
                index,
                term: snapshot_term,
            });
        }
        if let RoleState::Follower(follower) = &mut self.role {
            follower.round = follower.round.max(round);
            follower.answer_due = true;
        }
        Ok(())
    }

    /// Whether [`Raft::take_install`] would tell something.
    pub(crate) fn has_install(&self) -> bool {
        self.snapshots.wanted.is_some_and(|wanted| {
            self.snapshots.wanted != self.snapshots.told
                && self.needs_snapshot_at((wanted.index, wanted.term))
        })
    }

    /// The snapshot to pull, told once for each offer that is another.
    pub(crate) fn take_install(&mut self) -> Option<InstallWanted> {
        if !self.has_install() {
            return None;
        }
        self.snapshots.told = self.snapshots.wanted;
        self.snapshots.told
    }

    /// Whether [`Raft::take_restore`] would tell something.
    pub(crate) fn has_restore(&self) -> bool {
        let (base, _) = self.log.base();
        // The log on disk holds it already where the snapshot only replaces what is damaged.
        let is_marked = match self.snapshots.replaces_damaged {
            Some(id) => id > WriteId::ZERO && self.log.disk.is_done(id),
            None => true,
        };
        self.handed_out < base && base <= self.log.durable() && is_marked
    }

    /// The snapshot that takes the place of entries which are not handed out, once the log on disk
    /// goes on after it.
    pub(crate) fn take_restore(&mut self) -> Option<LogIndex> {
        if !self.has_restore() {
            return None;
        }
        self.handed_out = self.log.base().0;
        self.snapshots.replaces_damaged = None;
        Some(self.handed_out)
    }

    /// An Append that stands before our log's base, as if it stood on the base: through there our
    /// log equals any leader's.
    pub(crate) fn after_base(
        &self,
        from: NodeId,
        previous: (LogIndex, Term),
        mut entries: Vec<Entry>,
    ) -> Result<((LogIndex, Term), Vec<Entry>), MessageError> {
        let base = self.log.base();
        let beyond = entries.partition_point(|entry| entry.index <= base.0);
        let last_before = entries[..beyond].last();
        let at_base = last_before.map_or(previous, |entry| (entry.index, entry.term));
        if at_base.0 == base.0 && at_base.1 != base.1 {
            return Err(MessageError::ConflictsWithCommitted {
                from,
                index: base.0,
                commit: self.commit,
            });
        }
        if previous.0 >= base.0 {
            return Ok((previous, entries));
        }
        entries.drain(..beyond);
        Ok((base, entries))
    }
}

/// Whether an offer, in the place of an Append, is due to a peer whose next entry is released.
pub(crate) fn wants_offer(progress: &Progress, read_round: u64) -> bool {
    progress.state != ProgressState::Snapshot { offered: true }
        || progress.heartbeat_due
        || progress.round_sent < read_round
}

/// The offer, in `round` of a leader of `term`.
pub(crate) fn offer(
    progress: &mut Progress,
    term: Term,
    (index, snapshot_term): (LogIndex, Term),
    round: u64,
) -> Message {
    assert!(
        progress.next <= index,
        "a snapshot at {index} is offered to a peer that needs {}",
        progress.next
    );
    progress.snapshot_offered();
    progress.heartbeat_due = false;
    progress.round_sent = round;
    Message::SnapshotOffer {
        term,
        index,
        snapshot_term,
        round,
    }
}
