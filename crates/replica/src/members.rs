//! Who the members are, beyond their ids: names, addresses, and who only learns.
//!
//! Raft's membership knows ids alone. The table beside it is part of the replicated state: a
//! membership entry that begins a change carries the whole new table in its context, so that
//! whoever has that entry can reach everyone, a member that joins included; addresses and names
//! change by commands in between. The rules are those of etcd's `membership` package, and so are
//! the texts of the refusals, byte for byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::peer;
use quorate_proto::peer::member_change::Change;
use quorate_raft::{Membership, MembershipChange, NodeId};

use crate::limits::{
    MAX_LEARNING_MEMBERS, MAX_MEMBER_NAME_BYTES, MAX_MEMBER_URL_BYTES, MAX_MEMBER_URLS,
    MAX_REMEMBERED_REMOVALS, MAX_TABLE_MEMBERS,
};

/// A member's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its name; empty until it has started once.
    pub name: String,
    /// Where peers reach it, sorted.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it only learns.
    pub is_learner: bool,
}

/// All members of a cluster, and those that were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberTable {
    members: BTreeMap<u64, Member>,
    /// In the order of their removal.
    removed: Vec<u64>,
}

/// Why the members are not changed. Nothing has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// There is no such member.
    #[error("etcdserver: member not found")]
    NotFound,
    /// There is one with this id, or there was.
    #[error("etcdserver: member ID already exist")]
    Exists,
    /// Another member has one of the addresses.
    #[error("etcdserver: Peer URLs already exists")]
    PeerUrlsExist,
    /// The learner lacks too much of the log to vote.
    #[error("etcdserver: can only promote a learner member which is in sync with leader")]
    LearnerNotReady,
    /// It votes already.
    #[error("etcdserver: can only promote a learner member")]
    NotLearner,
    /// One more would be too many that only learn.
    #[error("etcdserver: too many learner members in cluster")]
    TooManyLearners,
    /// One more would be too many.
    #[error("etcdserver: the cluster has as many members as it may")]
    TooManyMembers,
    /// Of the members that would decide too few have ever started.
    #[error("etcdserver: re-configuration failed due to not enough started members")]
    NotEnoughStarted,
    /// Too few of those that decide can be reached.
    #[error("etcdserver: unhealthy cluster")]
    Unhealthy,
    /// Another change is not done yet.
    #[error("etcdserver: another change of the members is under way; try again when it is done")]
    UnderWay,
}

impl MemberTable {
    /// The table of a cluster that begins with these voters, of whom nothing more is known.
    pub fn of_voters(ids: impl IntoIterator<Item = u64>) -> MemberTable {
        let members = ids.into_iter().map(|id| (id, Member::default())).collect();
        MemberTable {
            members,
            removed: Vec::new(),
        }
    }

    /// A table of these members.
    pub fn new(members: impl IntoIterator<Item = (u64, Member)>) -> MemberTable {
        let members = members.into_iter().map(|(id, mut member)| {
            member.peer_urls.sort();
            (id, member)
        });
        MemberTable {
            members: members.collect(),
            removed: Vec::new(),
        }
    }

    /// The member with this id.
    pub fn get(&self, id: u64) -> Option<&Member> {
        self.members.get(&id)
    }

    /// Each member's id and attributes, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether this was a member and is none for ever.
    pub fn is_removed(&self, id: u64) -> bool {
        self.removed.contains(&id)
    }

    /// Those who vote and those who learn, as Raft knows them.
    pub fn membership(&self) -> Membership {
        let of_kind = |learners: bool| {
            let members = self.iter().filter(move |(_, m)| m.is_learner == learners);
            members.map(|(id, _)| NodeId(id)).collect()
        };
        Membership::new(of_kind(false), of_kind(true))
    }

    /// The table that a change leads to, and the change as Raft knows it.
    ///
    /// # Errors
    /// When the change makes no sense with these members.
    pub(crate) fn changed(
        &self,
        change: &peer::MemberChange,
    ) -> Result<(MemberTable, MembershipChange), MemberError> {
        let mut next = self.clone();
        let change = match change.change.as_ref().ok_or(MemberError::NotFound)? {
            Change::Add(member) => next.add(member)?,
            Change::Remove(id) => {
                next.members.remove(id).ok_or(MemberError::NotFound)?;
                if next.removed.len() == MAX_REMEMBERED_REMOVALS {
                    next.removed.remove(0);
                }
                next.removed.push(*id);
                MembershipChange::Remove(NodeId(*id))
            }
            Change::Promote(id) => {
                let member = next.members.get_mut(id).ok_or(MemberError::NotFound)?;
                if !std::mem::replace(&mut member.is_learner, false) {
                    return Err(MemberError::NotLearner);
                }
                // It has not published its name, so nobody would know it again if it lost its
                // data: its acknowledgements must not begin to count.
                if member.name.is_empty() {
                    return Err(MemberError::LearnerNotReady);
                }
                MembershipChange::Promote(NodeId(*id))
            }
        };
        next.check_started(&change)?;
        Ok((next, change))
    }

    fn add(&mut self, added: &peer::Member) -> Result<MembershipChange, MemberError> {
        if self.members.contains_key(&added.id) || self.is_removed(added.id) || added.id == 0 {
            return Err(MemberError::Exists);
        }
        self.check_urls_free(added.id, &added.peer_urls)?;
        let learners = self.members.values().filter(|member| member.is_learner);
        if added.is_learner && learners.count() >= MAX_LEARNING_MEMBERS {
            return Err(MemberError::TooManyLearners);
        }
        if self.members.len() >= MAX_TABLE_MEMBERS {
            return Err(MemberError::TooManyMembers);
        }
        let id = NodeId(added.id);
        self.members.insert(added.id, member_from_wire(added));
        Ok(match added.is_learner {
            true => MembershipChange::AddLearner(id),
            false => MembershipChange::AddVoter(id),
        })
    }

    /// That a majority of the voters to be has ever started (etcd: `IsReadyToAddVotingMember` and
    /// its like): one that was added with a wrong address would else be joined by a second that
    /// takes the cluster's majority away.
    fn check_started(&self, change: &MembershipChange) -> Result<(), MemberError> {
        if matches!(change, MembershipChange::AddLearner(_)) {
            return Ok(());
        }
        let voters = || self.members.values().filter(|member| !member.is_learner);
        let count = voters().count();
        let started = voters().filter(|member| !member.name.is_empty()).count();
        // A cluster of one could else never grow.
        let first_to_join = matches!(change, MembershipChange::AddVoter(_)) && count == 2;
        if count == 0 || started < count / 2 + 1 && !(first_to_join && started == 1) {
            return Err(MemberError::NotEnoughStarted);
        }
        Ok(())
    }

    fn check_urls_free(&self, of: u64, urls: &[String]) -> Result<(), MemberError> {
        let mut others = self.iter().filter(|(id, _)| *id != of);
        let taken = others.any(|(_, other)| urls.iter().any(|url| other.peer_urls.contains(url)));
        if taken {
            return Err(MemberError::PeerUrlsExist);
        }
        Ok(())
    }

    /// Carries out the command of a `MemberUpdate`.
    pub(crate) fn update(&mut self, update: peer::MemberUpdate) -> Result<(), MemberError> {
        self.check_urls_free(update.id, &update.peer_urls)?;
        let member = self
            .members
            .get_mut(&update.id)
            .ok_or(MemberError::NotFound)?;
        if !update.peer_urls.is_empty() {
            member.peer_urls = update.peer_urls;
            member.peer_urls.sort();
        }
        if let Some(publication) = update.publication {
            member.name = publication.name;
            member.client_urls = publication.client_urls;
        }
        Ok(())
    }

    /// As it stands in an entry's context, a snapshot and a message.
    pub fn to_wire(&self) -> peer::MemberTable {
        let member = |(id, member): (u64, &Member)| peer::Member {
            id,
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            is_learner: member.is_learner,
        };
        peer::MemberTable {
            members: self.iter().map(member).collect(),
            removed: self.removed.clone(),
        }
    }

    /// The same as bytes.
    pub(crate) fn encode(&self) -> Bytes {
        self.to_wire().encode_to_vec().into()
    }

    /// Reads it back; none if it is no table.
    pub fn from_wire(table: &peer::MemberTable) -> Option<MemberTable> {
        let pairs = || table.members.iter().zip(table.members.iter().skip(1));
        let sound = table.members.len() <= MAX_TABLE_MEMBERS
            && table.removed.len() <= MAX_REMEMBERED_REMOVALS
            && pairs().all(|(one, next)| one.id < next.id);
        sound.then(|| MemberTable {
            members: table
                .members
                .iter()
                .map(|member| (member.id, member_from_wire(member)))
                .collect(),
            removed: table.removed.clone(),
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<MemberTable> {
        MemberTable::from_wire(&peer::MemberTable::decode(bytes).ok()?)
    }
}

fn member_from_wire(member: &peer::Member) -> Member {
    let mut peer_urls = member.peer_urls.clone();
    peer_urls.sort();
    Member {
        name: member.name.clone(),
        peer_urls,
        client_urls: member.client_urls.clone(),
        is_learner: member.is_learner,
    }
}

/// Whether a member's name and addresses are of a size that a table may have.
pub fn are_attributes_within_limits<'a>(
    name: &str,
    urls: impl IntoIterator<Item = &'a String>,
) -> bool {
    let mut count = 0;
    let short = urls.into_iter().all(|url| {
        count += 1;
        url.len() <= MAX_MEMBER_URL_BYTES
    });
    short && count <= MAX_MEMBER_URLS && name.len() <= MAX_MEMBER_NAME_BYTES
}

#[cfg(test)]
mod tests;
