//! What members acknowledged, as others remember it: by this a disk that went back in time is seen.
//!
//! A member whose disk was put back to an earlier state (a copy restored, a directory emptied, a
//! disk that lied about a sync) has forgotten promises: votes that it gave, and entries that it
//! acknowledged, on which something may have been committed. It cannot see that itself. But whom
//! it made the promises to can: the leader counts what each member acknowledges, and once in
//! [`Config::record_interval`](crate::Config::record_interval) tells everyone. Each keeps the
//! table durably, and is asked about it after a start (`asking.rs`).
//!
//! What must hold:
//! - A record is true: the member did have the log of that term durably through that index. A
//!   leader makes it from what it counts for commits, and of itself from its own disk.
//! - Records only rise, by term and then index: a promise is not taken back.
//! - The table goes to the disk without any order to the log, and soon. One that is lost is a
//!   promise less that others know of, never one too many.
//!
//! What was acknowledged in the last interval may stand in no table but in the leader's head; while
//! it leads, it answers from there. An idle cluster says nothing: a table that did not change is
//! said [`RECORD_SAYINGS`] times in all, since messages get lost, and then no more.

use std::collections::BTreeMap;

use crate::limits::RECORD_SAYINGS;
use crate::message::Message;
use crate::raft::Raft;
use crate::role::RoleState;
use crate::types::{Instant, LogIndex, NodeId, Term};

/// What a member once acknowledged: that its log was durable, and that of this term's leader,
/// through an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The member.
    pub member: NodeId,
    /// The term of the leader that counted it.
    pub term: Term,
    /// The log was durable through here.
    pub index: LogIndex,
    /// The term of the entry there; zero where the leader could not say.
    pub entry_term: Term,
}

impl Record {
    fn position(&self) -> (Term, LogIndex) {
        (self.term, self.index)
    }

    /// Of two about one member, the one that says more.
    pub(crate) fn later(one: Option<Record>, other: Option<Record>) -> Option<Record> {
        let records = one.into_iter().chain(other);
        records.max_by_key(Record::position)
    }
}

/// What this node knows of all members, itself included.
#[derive(Debug, Default)]
pub(crate) struct Records {
    table: BTreeMap<NodeId, Record>,
    /// Whether the next `ready` gives the table out.
    is_untold: bool,
    /// As leader: when to look next whether there is something to say.
    due: Instant,
    /// As leader: how many more times it is to be said.
    sayings: u32,
}

impl Records {
    pub(crate) fn restore(records: Vec<Record>) -> Records {
        let table = records.into_iter().map(|record| (record.member, record));
        Records {
            table: table.collect(),
            ..Records::default()
        }
    }

    /// Takes a record in if it says more than what is known. Returns whether it does.
    fn merge(&mut self, record: Record) -> bool {
        let known = self.table.get(&record.member);
        let is_news = known.is_none_or(|known| record.position() > known.position());
        if is_news {
            self.table.insert(record.member, record);
            self.is_untold = true;
        }
        is_news
    }

    pub(crate) fn is_untold(&self) -> bool {
        self.is_untold
    }

    fn all(&self) -> Vec<Record> {
        self.table.values().copied().collect()
    }
}

impl Raft {
    /// The leader's part, with a heartbeat: says the table, if it is time and it changed.
    pub(crate) fn say_records_if_due(&mut self) {
        let interval = self.config.record_interval;
        if interval.is_zero() || self.now < self.records.due {
            return;
        }
        self.records.due = self.now + interval;
        let mut changed = false;
        for record in self.own_counts() {
            changed |= self.records.merge(record);
        }
        self.forget_records_of_strangers();
        if changed {
            self.records.sayings = RECORD_SAYINGS;
        }
        let RoleState::Leader(leader) = &self.role else {
            return;
        };
        if self.records.sayings == 0 {
            return;
        }
        self.records.sayings -= 1;
        let message = Message::Records {
            term: self.persistent.term(),
            records: self.records.all(),
        };
        let peers: Vec<NodeId> = leader.peers.keys().copied().collect();
        for peer in peers {
            self.say(peer, message.clone());
        }
    }

    /// What this leader counts of its members in its own term.
    fn own_counts(&self) -> Vec<Record> {
        let members = self.memberships.in_force().members();
        let counts = members.into_iter().filter_map(|id| self.own_count(id));
        counts.collect()
    }

    /// What this leader counts of one member in its own term, if it leads, and counts anything.
    fn own_count(&self, member: NodeId) -> Option<Record> {
        let RoleState::Leader(leader) = &self.role else {
            return None;
        };
        let index = leader.matched(member, self.config.id, self.log.durable());
        (index > LogIndex::ZERO).then(|| Record {
            member,
            term: self.persistent.term(),
            index,
            entry_term: self.log.known_term(index).unwrap_or_default(),
        })
    }

    /// The most that this node can say of `member` at this moment.
    pub(crate) fn record_of(&self, member: NodeId) -> Option<Record> {
        let kept = self.records.table.get(&member).copied();
        Record::later(kept, self.own_count(member))
    }

    /// The leader's table. What is of anyone else's making is let fall.
    pub(crate) fn on_records(&mut self, from: NodeId, records: Vec<Record>) {
        if self.leader() != Some(from) {
            return;
        }
        for record in records {
            if self.configuration.contains(record.member) {
                self.records.merge(record);
            }
        }
        self.forget_records_of_strangers();
    }

    /// Who is no member any more, by a committed membership, will not be asked about. (Damage may
    /// hide who the members are.)
    fn forget_records_of_strangers(&mut self) {
        let is_undone_or_lost =
            self.memberships.in_force_index() > self.commit || self.log.is_in_doubt();
        if is_undone_or_lost {
            return;
        }
        let before = self.records.table.len();
        let configuration = &self.configuration;
        self.records
            .table
            .retain(|member, _| configuration.contains(*member));
        self.records.is_untold |= self.records.table.len() < before;
    }

    /// The table, if it is to be written.
    pub(crate) fn take_records(&mut self) -> Option<Vec<Record>> {
        std::mem::take(&mut self.records.is_untold).then(|| self.records.all())
    }
}
