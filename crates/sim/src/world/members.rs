//! Members that come and go while a world lasts: what an administrator asks for, who starts, who stops.
//!
//! The shell's part of it, as the server has it: a newcomer starts when somebody tells it that it is
//! a member; members dial those that they know or were told of; who was removed stops, by its own
//! log or because a peer says so.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::peer;
use quorate_proto::peer::member_change::Change;
use quorate_raft::NodeId;
use quorate_replica::{Member, MemberTable};

use super::event::Event;
use super::{Process, World};
use crate::tally::Rare;

/// How long a member that was removed goes on, as in the server.
const REMOVED_GRACE: Duration = Duration::from_secs(1);

/// Where a position of the world stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has never been a member.
    Spare,
    /// Its addition was asked for; it has not started yet.
    Joining,
    /// It has started, and runs unless something has befallen it.
    Present,
    /// It was removed, and has stopped.
    Left,
}

/// The attributes of the member with this id; without a name it has not started yet.
fn attributes(id: u64, name: &str, is_learner: bool) -> Member {
    Member {
        name: name.to_owned(),
        peer_urls: vec![format!("http://n{id}:2380")],
        client_urls: Vec::new(),
        is_learner,
    }
}

/// The members that a world of so many nodes begins with.
pub(super) fn founders(nodes: usize) -> MemberTable {
    let members = (1..=nodes as u64).map(|id| (id, attributes(id, &format!("n{id}"), false)));
    MemberTable::new(members)
}

/// Whom this member names when it is asked who is one (the server's `Members::certain`).
fn certain(me: NodeId, process: &Process) -> &MemberTable {
    let durable = &process.durable_members;
    let in_force = process.consensus.status().raft.membership;
    let ids = durable.iter().map(|(id, _)| NodeId(id));
    // Nothing can undo whom the only voter took in, once it is durable.
    match in_force.voters_outgoing == [me] && ids.eq(in_force.members()) {
        true => durable,
        false => process.applier.members(),
    }
}

impl World {
    /// The positions that have started and were not removed.
    pub fn present(&self) -> Vec<usize> {
        let present = |node: &usize| self.members[*node].presence == Presence::Present;
        (0..self.members.len()).filter(present).collect()
    }

    /// Who the members are, as each running node has applied it.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<MemberTable>> {
        let running = self
            .members
            .iter()
            .filter_map(|member| member.process.as_ref());
        running.map(|process| process.applier.members())
    }

    /// Who the members are, as this one has applied it.
    pub fn table(&self, node: usize) -> &Arc<MemberTable> {
        self.process(node).applier.members()
    }

    /// Asks `by` to take in a spare position, which starts as soon as it hears that it is a member.
    pub fn add_member(&mut self, by: usize, node: usize, is_learner: bool) -> usize {
        assert_eq!(self.members[node].presence, Presence::Spare);
        self.members[node].presence = Presence::Joining;
        self.after(Duration::from_millis(100), Event::Join { node });
        let id = self.members[node].id.0;
        let member = attributes(id, "", is_learner);
        let table = MemberTable::new([(id, member)]).to_wire();
        let added = table.members.into_iter().next().expect("there is one");
        self.change_members(by, Change::Add(added))
    }

    /// Asks `by` for a change of the members.
    pub fn change_members(&mut self, by: usize, change: Change) -> usize {
        let change = peer::MemberChange {
            change: Some(change),
        };
        self.ask_raw(by, CommandKind::MemberChange, change.encode_to_vec())
    }

    /// Asks `by` to hand leadership over, if it leads.
    pub fn transfer(&mut self, by: usize, to: NodeId) {
        let now = self.members[by].clock.reads_at(self.now);
        // A refusal is as good: nobody waits for it.
        let _ = self.process_mut(by).consensus.transfer(now, to);
        self.wake(by);
    }

    /// One request of somebody who administrates the cluster; and when the next one comes.
    pub(super) fn on_administrator(&mut self) {
        if !self.load {
            return;
        }
        let pause = self.random.micros(1_000, 2_000 * self.plan.change_every_ms);
        self.after(pause, Event::Administrator);
        let by = self.random.below(self.members.len() as u64) as usize;
        // Nobody changes the members while one of them waits for the others to give it back what it lost.
        let is_calm = self.rotten_is_well() && self.swapped.is_none();
        if self.members[by].process.is_none() || !is_calm {
            return;
        }
        let table = Arc::clone(self.table(by));
        let ids: Vec<u64> = table.iter().map(|(id, _)| id).collect();
        let any = ids[self.random.below(ids.len() as u64) as usize];
        let transfers = self.plan.transfer_percent;
        if self.plan.newcomers == 0 || (transfers > 0 && self.random.percent(transfers)) {
            return self.transfer(self.leader().unwrap_or(by), NodeId(any));
        }
        match self.random.below(10) {
            0..4 => {
                let spare = |node: &usize| self.members[*node].presence == Presence::Spare;
                let spare = (0..self.members.len()).find(spare);
                let is_learner = self.random.percent(50);
                if let Some(node) = spare {
                    self.add_member(by, node, is_learner);
                }
            }
            4..6 => {
                let mut learners = table.iter().filter(|(_, member)| member.is_learner);
                let id = learners.next().map_or(any, |(id, _)| id);
                self.change_members(by, Change::Promote(id));
            }
            6..8 => {
                let aimed = self.random.percent(40);
                let leader = self.leader().filter(|_| aimed);
                let id = leader.map_or(any, |leader| self.members[leader].id.0);
                if ids.len() > 2 {
                    self.change_members(by, Change::Remove(id));
                }
            }
            _ => self.transfer(self.leader().unwrap_or(by), NodeId(any)),
        }
    }

    /// A newcomer asks whether it is a member by now, and starts if so.
    pub(super) fn on_join(&mut self, node: usize) {
        if self.members[node].presence != Presence::Joining {
            return;
        }
        let id = self.members[node].id.0;
        let tells = |member: &super::Member| {
            let table = certain(member.id, member.process.as_ref()?);
            table.get(id).map(|_| table.clone())
        };
        let Some(table) = self.members.iter().find_map(tells) else {
            return self.after(Duration::from_millis(200), Event::Join { node });
        };
        self.members[node].contacts = table;
        self.members[node].presence = Presence::Present;
        self.tally.reached(Rare::MemberJoined);
        self.start(node);
        self.after(Duration::from_millis(50), Event::Publish { node });
    }

    /// A member tells its name, unless the others know it.
    pub(super) fn on_publish(&mut self, node: usize) {
        if self.members[node].presence != Presence::Present {
            return;
        }
        self.after(Duration::from_secs(1), Event::Publish { node });
        let id = self.members[node].id.0;
        let Some(process) = &self.members[node].process else {
            return;
        };
        let table = process.applier.members();
        if !table.get(id).is_some_and(|member| member.name.is_empty()) {
            return;
        }
        let publication = peer::MemberPublication {
            name: format!("n{id}"),
            client_urls: Vec::new(),
        };
        let update = peer::MemberUpdate {
            id,
            peer_urls: Vec::new(),
            publication: Some(publication),
        };
        self.ask_raw(node, CommandKind::MemberUpdate, update.encode_to_vec());
    }

    /// Whether `node` takes `other` for a member: by its log, or because somebody that it knows
    /// says so.
    pub(super) fn knows(&self, node: usize, other: usize) -> bool {
        if self.knows_itself(node, other) {
            return true;
        }
        let says_so = |by: usize| {
            let member = &self.members[by];
            let id = self.members[other].id.0;
            let process = member.process.as_ref();
            process.is_some_and(|process| certain(member.id, process).get(id).is_some())
        };
        (0..self.members.len()).any(|by| says_so(by) && self.knows_itself(node, by))
    }

    fn knows_itself(&self, node: usize, other: usize) -> bool {
        let (member, id) = (&self.members[node], self.members[other].id);
        member.process.as_ref().is_some_and(|process| {
            let applier = &process.applier;
            applier.members().get(id.0).is_some()
                || applier.membership().contains(id)
                || member.contacts.get(id.0).is_some()
                || process.consensus.status().raft.membership.contains(id)
        })
    }

    /// Whether `node` has applied the end of the change that removed `other`. Before, that one may be
    /// needed to finish it.
    fn has_removed(&self, node: usize, other: usize) -> bool {
        let id = self.members[other].id;
        let process = self.members[node].process.as_ref();
        process.is_some_and(|process| {
            let applier = &process.applier;
            applier.members().is_removed(id.0) && !applier.membership().contains(id)
        })
    }

    /// Whether `node` says that `other` was removed; whoever hears that stops.
    pub(super) fn turns_away(&mut self, node: usize, other: usize) -> bool {
        let is_removed = self.has_removed(node, other);
        if is_removed {
            self.leave(other);
        }
        is_removed
    }

    /// After each step of an applier: the member stops soon if it has applied its own removal.
    pub(super) fn leave_if_removed(&mut self, node: usize) {
        if self.has_removed(node, node) {
            self.leave(node);
        }
        self.close_links_of_the_removed(node);
    }

    /// Who was removed may have nothing to say; it dials again, and hears why.
    fn close_links_of_the_removed(&mut self, node: usize) {
        for other in self.present() {
            let stays = self.members[other].leaves || !self.has_removed(node, other);
            if !stays && other != node && self.network.link(other, node).up {
                self.lose_link(other, node, Duration::from_millis(20));
            }
        }
    }

    fn leave(&mut self, node: usize) {
        let member = &mut self.members[node];
        if member.presence == Presence::Present && !member.leaves {
            member.leaves = true;
            self.after(REMOVED_GRACE, Event::Leave { node });
        }
    }

    pub(super) fn on_leave(&mut self, node: usize) {
        self.note(|_| format!("n{} was removed, and stops", node + 1));
        self.tally.reached(Rare::MemberRemoved);
        self.members[node].presence = Presence::Left;
        self.kill(node);
    }
}
