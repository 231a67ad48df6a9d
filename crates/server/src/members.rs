//! Who the members are, as this node's threads, links and handlers see it.
//!
//! Three sources, because each comes too late for someone. The *applied* table is the state of the
//! cluster. A table that was only *appended* names members whom a leader must reach before their
//! addition can be committed. What other members *told* helps a node that was away while others
//! came, one of which may lead now. The membership in force says which of the appended count.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use quorate_raft::{Membership, NodeId};
use quorate_replica::{Member, MemberTable};
use tokio::sync::watch;

/// The members of the cluster.
pub(crate) struct Members {
    me: NodeId,
    founders: MemberTable,
    state: RwLock<State>,
    changes: watch::Sender<()>,
}

struct State {
    applied: Arc<MemberTable>,
    applied_membership: Membership,
    appended: MemberTable,
    durable: MemberTable,
    told: MemberTable,
    in_force: Membership,
}

impl State {
    fn decides_alone(&self, me: NodeId) -> bool {
        let ids = self.durable.iter().map(|(id, _)| NodeId(id));
        self.in_force.voters_outgoing == [me] && ids.eq(self.in_force.members())
    }
}

/// Whether somebody is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Member,
    Removed,
    Stranger,
}

impl Members {
    /// `founders` are those that the cluster began with, `contacts` those known beside them.
    pub(crate) fn new(me: u64, founders: MemberTable, contacts: MemberTable) -> Members {
        Members {
            me: NodeId(me),
            state: RwLock::new(State {
                applied: Arc::new(founders.clone()),
                applied_membership: founders.membership(),
                appended: MemberTable::default(),
                durable: MemberTable::default(),
                told: contacts,
                in_force: Membership::default(),
            }),
            founders,
            changes: watch::Sender::new(()),
        }
    }

    /// The members that the cluster began with.
    pub(crate) fn founders(&self) -> &MemberTable {
        &self.founders
    }

    /// The table as applied here.
    pub(crate) fn applied(&self) -> Arc<MemberTable> {
        Arc::clone(&self.read().applied)
    }

    /// The newest table that nothing can undo: the applied one, unless this node was the only voter
    /// and takes others in. That stays once it is durable here, and whoever comes must hear of it
    /// before it can be applied.
    pub(crate) fn certain(&self) -> MemberTable {
        let state = self.read();
        match state.decides_alone(self.me) {
            true => state.durable.clone(),
            false => (*state.applied).clone(),
        }
    }

    /// Whether this node was the only voter and takes others in, durably. Nothing is committed
    /// before they have come, and nobody but this node can know better who they are.
    pub(crate) fn decides_alone(&self) -> bool {
        self.read().decides_alone(self.me)
    }

    /// The applier has this table and this membership.
    pub(crate) fn set_applied(&self, table: &Arc<MemberTable>, membership: &Membership) {
        let state = self.read();
        if Arc::ptr_eq(&state.applied, table) && state.applied_membership == *membership {
            return;
        }
        drop(state);
        let mut state = self.write();
        state.applied = Arc::clone(table);
        state.applied_membership = membership.clone();
        drop(state);
        self.changes.send_replace(());
    }

    /// An entry with this table was appended.
    pub(crate) fn set_appended(&self, table: MemberTable) {
        self.write().appended = table;
        self.changes.send_replace(());
    }

    /// The entry with this table is durable here.
    pub(crate) fn set_durable(&self, table: MemberTable) {
        self.write().durable = table;
    }

    /// This membership is in force.
    pub(crate) fn set_in_force(&self, membership: Membership) {
        self.write().in_force = membership;
        self.changes.send_replace(());
    }

    /// Another member has applied this table.
    pub(crate) fn set_told(&self, table: MemberTable) {
        self.write().told = table;
        self.changes.send_replace(());
    }

    /// Told whenever something changes.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether `id` is a member, in force or applied or by others' word. It is removed only when the
    /// end of that change is applied here: before, it may be needed to finish it, and who is told to
    /// be removed stops for good.
    pub(crate) fn standing(&self, id: NodeId) -> Standing {
        let state = self.read();
        let is_in_a_membership =
            state.in_force.contains(id) || state.applied_membership.contains(id);
        if is_in_a_membership || state.applied.get(id.0).is_some() {
            Standing::Member
        } else if state.applied.is_removed(id.0) {
            Standing::Removed
        } else if state.told.get(id.0).is_some() {
            Standing::Member
        } else {
            Standing::Stranger
        }
    }

    /// The other members that are to be reached, with their peer URLs.
    pub(crate) fn peers(&self) -> BTreeMap<NodeId, Vec<String>> {
        let state = self.read();
        let ids = state.applied.iter().chain(state.told.iter());
        let ids = ids
            .map(|(id, _)| NodeId(id))
            .chain(state.in_force.members());
        let mut ids: Vec<NodeId> = ids.collect();
        drop(state);
        ids.retain(|id| *id != self.me && self.standing(*id) == Standing::Member);
        ids.into_iter()
            .filter_map(|id| Some((id, self.get(id)?.peer_urls)))
            .collect()
    }

    /// What is known of a member.
    pub(crate) fn get(&self, id: NodeId) -> Option<Member> {
        let state = self.read();
        [&*state.applied, &state.appended, &state.told]
            .into_iter()
            .find_map(|table| table.get(id.0).cloned())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ids: &[u64]) -> MemberTable {
        let member = |id: &u64| {
            let peer_urls = vec![format!("http://n{id}:2380")];
            let member = Member {
                peer_urls,
                ..Member::default()
            };
            (*id, member)
        };
        MemberTable::new(ids.iter().map(member))
    }

    fn apply(members: &Members, table: MemberTable) {
        let membership = table.membership();
        members.set_applied(&Arc::new(table), &membership);
    }

    fn reached(members: &Members) -> Vec<u64> {
        members.peers().keys().map(|id| id.0).collect()
    }

    #[test]
    fn a_member_is_reached_from_the_moment_that_its_addition_is_in_the_log() {
        let members = Members::new(1, table(&[1]), MemberTable::default());
        assert_eq!(members.standing(NodeId(2)), Standing::Stranger);
        members.set_appended(table(&[1, 2]));
        assert_eq!(reached(&members), [0; 0], "not before it is in force");
        members.set_in_force(Membership::of_voters(vec![NodeId(1), NodeId(2)]));
        assert_eq!(reached(&members), [2]);
        members.set_in_force(Membership::of_voters(vec![NodeId(1)]));
        assert_eq!(reached(&members), [0; 0], "the addition was cut off");
        apply(&members, table(&[1, 2]));
        assert_eq!(reached(&members), [2]);
    }

    #[test]
    fn what_the_only_voter_appended_is_told_as_soon_as_it_is_durable() {
        let members = Members::new(1, table(&[1]), MemberTable::default());
        members.set_appended(table(&[1, 2]));
        members.set_in_force(Membership {
            voters: vec![NodeId(1), NodeId(2)],
            voters_outgoing: vec![NodeId(1)],
            learners: Vec::new(),
        });
        assert_eq!(members.certain(), table(&[1]), "a power cut would undo it");
        assert!(!members.decides_alone());
        members.set_durable(table(&[1, 2]));
        assert_eq!(members.certain(), table(&[1, 2]));
        assert!(members.decides_alone());
        members.set_in_force(Membership {
            voters: vec![NodeId(1), NodeId(2), NodeId(3)],
            voters_outgoing: vec![NodeId(1), NodeId(2)],
            learners: Vec::new(),
        });
        members.set_durable(table(&[1, 2, 3]));
        assert_eq!(
            members.certain(),
            table(&[1]),
            "another leader may cut it off"
        );
    }

    #[test]
    fn a_member_is_removed_when_the_end_of_that_change_is_applied() {
        let three = table(&[1, 2, 3]);
        let members = Members::new(1, three.clone(), MemberTable::default());
        members.set_in_force(Membership::of_voters(vec![NodeId(1), NodeId(2)]));
        let mut two = three.to_wire();
        two.members.retain(|member| member.id != 3);
        two.removed.push(3);
        let two = Arc::new(MemberTable::from_wire(&two).expect("sound"));
        let joint = Membership {
            voters_outgoing: three.membership().voters,
            ..two.membership()
        };
        members.set_applied(&two, &joint);
        assert_eq!(members.standing(NodeId(3)), Standing::Member);
        members.set_applied(&two, &two.membership());
        assert_eq!(members.standing(NodeId(3)), Standing::Removed);
    }

    #[test]
    fn who_was_away_reaches_those_that_others_told_of() {
        let members = Members::new(1, table(&[1, 2]), MemberTable::default());
        members.set_told(table(&[1, 2, 4]));
        assert_eq!(reached(&members), [2, 4]);
        assert_eq!(members.standing(NodeId(4)), Standing::Member);
    }
}
