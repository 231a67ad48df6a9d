//! The cluster version: the greatest protocol version that every member speaks.
//!
//! It is agreed through the log, so that every member changes the meaning of commands at the
//! same entry. The leader learns each member's range of versions from the handshakes and
//! proposes the least of the greatest once it has heard from all; it never goes back.
//!
//! A cluster that was never complete is the exception. Clients expect all of it to work as soon as
//! most members run (etcd founds a cluster at its minimum version, which has leases), so when no
//! version is in force and a majority was heard for [`FOUNDING_PATIENCE`], the least of those heard
//! is proposed. Whoever is missing was never seen, so it has nothing to lose: if it turns out to be
//! older it stops before the first command that it does not know, says so, and is upgraded. Once a
//! version is in force, a member that is away may be one that goes by it, and a greater one waits
//! for all of them at once: one whose link was lost since may come back as an older program, so what
//! it said is forgotten with the link.
//!
//! # What the version in force decides
//!
//! No command gets into the log before every member knows its kind
//! ([`CommandKind::since_version`]); members ask each other nothing that the version does not know.
//! A member that speaks less than the version in force does not take part: others refuse its links, and
//! it refuses to start on a log or a snapshot that is beyond it ([`TooNew`]), before it changes anything.
//! So there is a way back as long as the version in force is the old one, and none afterwards.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_proto::envelope::{CommandEnvelope, CommandKind, peek_kind};
use quorate_raft::{Instant, LogIndex, NodeId, Term};

use crate::limits::{FOUNDING_PATIENCE, SEEN_POLL};

/// The lowest protocol version that this binary speaks.
pub const LOWEST_PROTOCOL_VERSION: u32 = 1;

/// The highest protocol version that this binary speaks.
pub const HIGHEST_PROTOCOL_VERSION: u32 = 2;

/// The cluster version from which on the log may hold commands on leases and alarms, and members ask
/// each other about leases. A member of an older version would stop before the first such command.
pub const LEASES_FROM_VERSION: u32 = CommandKind::LeaseGrant.since_version();

/// What this member would have to speak to go on, and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "protocol version {needed}, and this quorate speaks at most {highest}: start a newer quorate, or \
     one that is not told to speak less. From a version that a cluster has agreed on there is no way \
     back (docs/upgrading.md)"
)]
pub struct TooNew {
    /// The version that is needed.
    pub needed: u32,
    /// The highest that this member speaks.
    pub highest: u32,
}

/// Whether a member that speaks at most `highest` can go by `needed`.
pub(crate) fn check_speaks(highest: u32, needed: u32) -> Result<(), TooNew> {
    match needed > highest {
        true => Err(TooNew { needed, highest }),
        false => Ok(()),
    }
}

/// The version that a member must speak to apply this command of a log; of one that is not sound the
/// lowest, since it is not for this to judge.
pub(crate) fn version_needed(command: &Bytes) -> u32 {
    match peek_kind(command) {
        Some(CommandKind::ClusterVersion) => {
            let command = CommandEnvelope::decode(command).ok();
            let version = command.and_then(|it| <[u8; 4]>::try_from(&it.body[..]).ok());
            version.map_or(LOWEST_PROTOCOL_VERSION, u32::from_le_bytes)
        }
        Some(kind) => kind.since_version(),
        None => LOWEST_PROTOCOL_VERSION,
    }
}

/// Whether the log may hold a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// All members know it.
    Granted,
    /// Not known here: what the log says by now has not all been applied.
    NotSeenYet,
    /// Some member may not know it.
    NotCapable,
}

/// What one member knows of the others' versions.
#[derive(Debug)]
pub(crate) struct ClusterVersions {
    /// The highest that this one speaks.
    own: u32,
    others: Vec<NodeId>,
    highest: BTreeMap<NodeId, u32>,
    applied: u32,
    /// The log through here stood before we led: a version may be in it that was not applied yet.
    unseen_through: LogIndex,
    /// When to look again whether the log was seen to its end.
    look_at: Option<Instant>,
    proposed: Option<(Term, u32)>,
    incomplete: Option<Incomplete>,
}

/// A leader of a cluster without a version misses members.
#[derive(Debug)]
struct Incomplete {
    term: Term,
    until: Instant,
    is_over: bool,
}

impl ClusterVersions {
    pub(crate) fn new(own: u32) -> ClusterVersions {
        ClusterVersions {
            own,
            others: Vec::new(),
            highest: BTreeMap::new(),
            applied: 0,
            unseen_through: LogIndex::ZERO,
            look_at: None,
            proposed: None,
            incomplete: None,
        }
    }

    /// Who the other members are.
    pub(crate) fn members(&mut self, others: Vec<NodeId>) {
        self.others = others;
    }

    /// A handshake told the highest version that `peer` speaks.
    pub(crate) fn heard(&mut self, peer: NodeId, highest: u32) {
        self.highest.insert(peer, highest);
    }

    /// The link to `peer` was lost, at a node that has applied so far. Before the first version is in force the
    /// cluster is being founded, and who was there once is taken to come back; but that there is none must have been
    /// seen.
    pub(crate) fn lost(&mut self, peer: NodeId, applied: LogIndex) {
        if self.applied > 0 || !self.has_seen_log(applied) {
            self.highest.remove(&peer);
        }
    }

    /// Whether a node that has applied so far knows of every version that is in the log.
    fn has_seen_log(&self, applied: LogIndex) -> bool {
        applied >= self.unseen_through
    }

    /// Whether the log may hold a command of this kind, for a node that has applied so far.
    pub(crate) fn admits(&self, kind: CommandKind, applied: LogIndex) -> Admission {
        // What needs no agreement needs no version in force either.
        if kind.since_version() <= self.applied.max(LOWEST_PROTOCOL_VERSION) {
            Admission::Granted
        } else if !self.has_seen_log(applied) || self.is_under_way(kind.since_version()) {
            Admission::NotSeenYet
        } else {
            Admission::NotCapable
        }
    }

    /// Whether this node, as leader, has a version in its log that it has not applied. A follower may have.
    fn is_under_way(&self, version: u32) -> bool {
        self.proposed
            .is_some_and(|(_, proposed)| proposed >= version)
    }

    /// The log has set this version.
    pub(crate) fn applied(&mut self, version: u32) {
        self.applied = self.applied.max(version);
    }

    /// The version in force; zero until the first has been agreed.
    pub(crate) fn in_force(&self) -> u32 {
        self.applied
    }

    /// The proposal was refused: it is to be made again.
    pub(crate) fn refused(&mut self) {
        self.proposed = None;
    }

    /// What a leader in `term`, which has applied so far, should propose now, at most once a term for each version.
    /// Nothing while a version may be in its log that it has not seen: it would take the cluster for one that is being
    /// founded.
    pub(crate) fn next_proposal(
        &mut self,
        now: Instant,
        term: Term,
        applied: LogIndex,
    ) -> Option<u32> {
        self.look_at = (!self.has_seen_log(applied)).then_some(now + SEEN_POLL);
        if self.look_at.is_some() {
            return None;
        }
        let is_complete = self.heard_count() == self.others.len();
        if is_complete {
            self.incomplete = None;
        }
        let is_enough = is_complete || (self.applied == 0 && self.has_been_patient(now, term));
        if !is_enough {
            return None;
        }
        let heard = self.others.iter().filter_map(|id| self.highest.get(id));
        let least = heard.copied().fold(self.own, u32::min);
        if least <= self.applied || self.proposed == Some((term, least)) {
            return None;
        }
        self.proposed = Some((term, least));
        Some(least)
    }

    /// When [`ClusterVersions::next_proposal`] may have one that it has not now.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let waits = self.incomplete.as_ref().filter(|it| !it.is_over);
        let waits = waits.filter(|_| self.applied == 0).map(|it| it.until);
        [waits, self.look_at].into_iter().flatten().min()
    }

    /// Somebody leads, or nobody does: not this node in the term that it was asked for last. Whoever
    /// does, the log ends here.
    pub(crate) fn lose_leader(&mut self, last_index: LogIndex) {
        self.incomplete = None;
        self.proposed = None;
        self.look_at = None;
        self.unseen_through = last_index;
    }

    /// Whether a majority is there, and the rest was waited for.
    fn has_been_patient(&mut self, now: Instant, term: Term) -> bool {
        let incomplete = self.incomplete.take().filter(|it| it.term == term);
        let incomplete = self.incomplete.insert(incomplete.unwrap_or(Incomplete {
            term,
            until: now + FOUNDING_PATIENCE,
            is_over: false,
        }));
        incomplete.is_over |= now >= incomplete.until;
        let is_over = incomplete.is_over;
        is_over && 2 * (self.heard_count() + 1) > self.others.len() + 1
    }

    fn heard_count(&self) -> usize {
        let heard = |id: &&NodeId| self.highest.contains_key(id);
        self.others.iter().filter(heard).count()
    }
}

#[cfg(test)]
mod tests;
