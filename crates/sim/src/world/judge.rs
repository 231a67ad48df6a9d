//! What must be true of the nodes, whatever goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_kv::KvError;
use quorate_proto::envelope::RequestId;
use quorate_proto::etcdserverpb::{RangeRequest, RangeResponse};
use quorate_raft::{LogIndex, Standing, Term};
use quorate_replica::{HIGHEST_PROTOCOL_VERSION, MemberTable};

use super::World;
use super::clients::{Asked, unique_key};

/// From healing to all being well: an election, a catch-up, and the longest pause of a dialler,
/// with room for requests of the bad time to time out.
const RECOVERY: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(crate) struct Judge {
    /// State hash, revision and (where known) log time at each applied index, from whoever was
    /// there first.
    states: BTreeMap<u64, (u64, i64, Option<u64>)>,
    /// Who the members were at each applied index, likewise.
    tables: BTreeMap<u64, Arc<MemberTable>>,
    /// The last index that each node was seen at.
    seen: BTreeMap<usize, u64>,
    /// Who led in each term.
    leaders: BTreeMap<Term, usize>,
    /// The greatest revision that any client was told of.
    pub(crate) greatest_revision: i64,
    /// Acknowledged writes of unique keys.
    pub(crate) acknowledged: Vec<usize>,
    /// Where each request took effect.
    requests: BTreeMap<RequestId, LogIndex>,
}

impl Judge {
    pub(super) fn leads(&mut self, node: usize, term: Term) {
        let first = *self.leaders.entry(term).or_insert(node);
        assert_eq!(first, node, "two leaders in {term:?}");
    }

    /// The greatest term that anyone led in.
    pub(super) fn newest_term(&self) -> Option<Term> {
        self.leaders.last_key_value().map(|(term, _)| *term)
    }

    /// Entries through here were applied somewhere.
    pub(super) fn committed(&self) -> u64 {
        self.states.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// What a node proposes on its own has no number, and is harmless twice.
    fn took_effect(&mut self, node: usize, request: RequestId, index: LogIndex) {
        if request.sequence == 0 {
            return;
        }
        let first = *self.requests.entry(request).or_insert(index);
        assert_eq!(
            first, index,
            "member {node} applies {request:?} again, which took effect at {first}"
        );
    }

    pub(super) fn started(&mut self, node: usize) {
        self.seen.insert(node, 0);
    }
}

impl World {
    /// After each step of an applier: equal index, equal state; log time never goes back.
    pub(super) fn judge_applied(&mut self, node: usize) {
        self.judge_members(node);
        let process = self.members[node].process.as_ref().expect("it applied");
        let (store, index) = (&process.store, process.applied.index);
        assert_eq!(store.applied_index(), index);
        let seen = self.judge.seen.insert(node, index).unwrap_or_default();
        assert!(
            seen <= index,
            "member {node} went back from {seen} to {index}"
        );
        if index == 0 {
            return;
        }
        // In the midst of a command its log time is known, and its effect is not yet visible.
        let between_commands = process.applier.is_between_commands();
        let log_time = between_commands.then_some(process.applied.log_time_ms);
        let state = (store.state_hash(), store.revision(), log_time);
        self.hash ^= state.0;
        let states = &mut self.judge.states;
        let first = states.entry(index).or_insert(state);
        assert_eq!(
            (first.0, first.1),
            (state.0, state.1),
            "two members differ at index {index}"
        );
        let Some(time) = log_time else { return };
        assert_eq!(*first.2.get_or_insert(time), time, "log time at {index}");
        let timed = |(_, state): (&u64, &(u64, i64, Option<u64>))| state.2;
        let before = states.range(..index).rev().find_map(timed);
        let after = states.range(index + 1..).find_map(timed);
        assert!(
            before.is_none_or(|before| before <= time) && after.is_none_or(|after| time <= after),
            "log time at index {index} is {time}, between {before:?} and {after:?}"
        );
    }

    /// No request takes effect at two places of the log.
    pub(super) fn judge_requests(&mut self, node: usize) {
        let process = self.members[node].process.as_mut().expect("it applied");
        for (index, request) in process.applier.take_witnessed() {
            self.judge.took_effect(node, request, index);
        }
    }

    /// Equal index, equal members; and Raft's membership is that of the table, on its way there too.
    fn judge_members(&mut self, node: usize) {
        let process = self.members[node].process.as_ref().expect("it applied");
        if self.plan.newcomers == 0 || !process.applier.is_between_commands() {
            return;
        }
        let (table, membership) = (process.applier.members(), process.applier.membership());
        let tables = &mut self.judge.tables;
        let first = tables.entry(process.applied.index);
        let first = first.or_insert_with(|| Arc::clone(table));
        assert_eq!(first, table, "at index {}", process.applied.index);
        assert_eq!(membership.settled(), table.membership());
    }

    /// Heals the world, and then all must be well within bounded time: every node takes a write
    /// and a read, the cluster version is agreed, all are equal and nothing acknowledged is lost.
    pub fn heal_and_judge(&mut self) {
        self.heal();
        let mut tried: Vec<Vec<usize>> = vec![Vec::new(); self.members.len()];
        let until = self.now + RECOVERY;
        while !self.is_well(&tried) {
            if self.is_stopped() {
                return;
            }
            assert!(
                self.now < until,
                "not well {RECOVERY:?} after healing\n{}",
                self.describe()
            );
            for node in self.present() {
                let tried = &mut tried[node];
                let waits = tried
                    .last()
                    .is_some_and(|op| self.ops[*op].outcome.is_none());
                let done = tried.iter().any(|op| self.ops[*op].is_acknowledged());
                if !waits && !done {
                    tried.push(self.ask(node, None, Asked::PutUnique));
                    self.ask(node, None, Asked::Read);
                }
            }
            self.run_for(Duration::from_millis(100));
        }
        self.judge_stores();
        self.judge_watchers();
    }

    fn is_well(&self, tried: &[Vec<usize>]) -> bool {
        let written = |node: &usize| {
            tried[*node]
                .iter()
                .any(|op| self.ops[*op].is_acknowledged())
        };
        let answered = self.ops.iter().all(|op| op.outcome.is_some());
        let present = self.present();
        let first = self.process(present[0]).applied.index;
        let equal = present.iter().all(|node| {
            let process = self.process(*node);
            let status = process.consensus.status();
            let whole = status.raft.damaged_entries == 0;
            let whole = whole && status.raft.standing == Standing::Sound;
            whole
                && process.applied.index == first
                && status.cluster_version == HIGHEST_PROTOCOL_VERSION
        });
        let ids = present.iter().map(|node| self.members[*node].id.0);
        let members = self.table(present[0]).iter().map(|(id, _)| id);
        let settled = !self.process(present[0]).applier.membership().is_joint();
        // All members run, and whoever was removed has stopped.
        let complete = settled && ids.eq(members);
        present.iter().all(written) && self.leases_are_over() && answered && equal && complete
    }

    fn judge_stores(&self) {
        let present = self.present();
        let first = &self.process(present[0]).store;
        let table = self.table(present[0]);
        for node in present.iter().copied() {
            let store = &self.process(node).store;
            assert_eq!(store.state_hash(), first.state_hash());
            assert_eq!(self.table(node), table);
            let raft = self.process(node).consensus.status().raft;
            assert_eq!(raft.membership, table.membership());
            // The hash is of what was applied; what is kept of it must be the same as well.
            for revision in [0, first.compacted_revision().max(1)] {
                let all = RangeRequest {
                    key: vec![0].into(),
                    range_end: vec![0].into(),
                    revision,
                    ..RangeRequest::default()
                };
                let (ours, theirs) = (first.range(&all), store.range(&all));
                let kvs = |read: Result<RangeResponse, KvError>| read.map(|read| read.kvs);
                assert!(
                    kvs(ours) == kvs(theirs),
                    "members 0 and {node} hold different keys at revision {revision}"
                );
            }
            for op in 0..self.ops.len() {
                self.judge_write(node, op);
            }
        }
    }

    /// Acknowledged: there, once. Refused: not there. Unknown: there at most once.
    fn judge_write(&self, node: usize, op: usize) {
        let asked = &self.ops[op];
        if !matches!(asked.asked, Asked::PutUnique) {
            return;
        }
        let found = self.process(node).store.range(&RangeRequest {
            key: unique_key(op).into(),
            ..RangeRequest::default()
        });
        let found = found.expect("a read of now is always allowed").kvs;
        if asked.is_acknowledged() {
            assert_eq!(
                found.len(),
                1,
                "operation {op} is lost on {node}: {asked:?}"
            );
        }
        if asked.had_no_effect() && self.network.duplicated == 0 {
            assert!(found.is_empty(), "operation {op} was refused: {asked:?}");
        }
        for kv in found {
            assert_eq!(kv.version, 1, "operation {op} was applied twice: {asked:?}");
            assert_eq!(kv.value, self.value_of(op));
        }
    }
}

#[cfg(test)]
mod tests;
