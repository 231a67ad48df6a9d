//! Leases: clients that grant, renew, use and revoke them, and what must be true of their lives.
//!
//! A client that was told that its lease was granted or renewed counts on it for all its time from the
//! moment when it asked. So the judge notes that moment, and looks when a lease ends: not before that
//! time is over, by the true time and as fast as a clock of the world may run, unless a client has
//! asked for it. The keys of a lease go with it, all at one revision.
//!
//! The clients of leases have chance of their own: a world without them is the same as before there
//! were any.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;
use quorate_kv::{LeaseEvent, Store};
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
};
use quorate_raft::Instant;
use quorate_replica::{LeaseNews, LeaseQuestion, LeaseTime, RequestError};

use super::event::Event;
use super::{Asked, Input, Outcome, World};
use crate::tally::{Rare, sometimes};
use crate::{Random, Recipe};

/// What the chance of the clients of leases is drawn for.
const LEASES: u64 = 5;

/// Most seconds of a lease: it ends within the time that a world has to recover.
const MOST_SECONDS: u64 = 4;

/// Revisions looked back from the end of a lease, for the one before.
const REVISIONS_LOOKED_BACK: i64 = 50;

/// What is known of all leases.
pub(crate) struct LeaseBook {
    random: Random,
    leases: BTreeMap<i64, Lease>,
    /// The lease that each client holds.
    held: BTreeMap<usize, i64>,
}

#[derive(Debug, Default)]
struct Lease {
    seconds: i64,
    /// Until then somebody counts on it.
    counted_on_until: Instant,
    /// A client has asked for its end.
    is_given_up: bool,
    ended: Option<Instant>,
}

impl LeaseBook {
    pub(super) fn new(recipe: &Recipe) -> LeaseBook {
        LeaseBook {
            random: Random::of(recipe.seed, LEASES, recipe.salt),
            leases: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// How many clients of leases the world of a seed has, in two of five.
    pub(super) fn draw_clients(seed: u64) -> usize {
        let mut random = Random::of(seed, LEASES, u64::MAX);
        match random.percent(40) {
            true => 1 + random.below(3) as usize,
            false => 0,
        }
    }
}

impl World {
    /// A client of leases asks for something.
    pub(super) fn on_lease_client(&mut self, client: usize) {
        if !self.load {
            return;
        }
        let node = self.leases.random.below(self.members.len() as u64) as usize;
        if self.members[node].process.is_none() {
            return self.lease_client_goes_on(client);
        }
        let asked = match self.leases.held.get(&client).copied() {
            None => self.whatever_lease(),
            Some(lease) => match self.leases.random.below(100) {
                0..50 => Asked::RenewLease(lease),
                50..80 => Asked::PutOnLease(lease),
                80..88 => Asked::RevokeLease(lease),
                // It is left to its end.
                _ => self.whatever_lease(),
            },
        };
        self.ask(node, Some(client), asked);
    }

    fn whatever_lease(&mut self) -> Asked {
        Asked::GrantLease(1 + self.leases.random.below(MOST_SECONDS) as i64)
    }

    fn lease_client_goes_on(&mut self, client: usize) {
        let pause = 1_000 + self.leases.random.below(600_000);
        self.after(Duration::from_micros(pause), Event::LeaseClient { client });
    }

    /// Asks for what has to do with leases; false if it is something else. A lease that is granted has the number of
    /// its operation and one for its id.
    pub(super) fn ask_of_leases(&mut self, op: usize) -> bool {
        let (kind, body) = match self.ops[op].asked {
            Asked::GrantLease(seconds) => {
                let id = granted_id(op);
                let lease = Lease {
                    seconds,
                    ..Lease::default()
                };
                self.leases.leases.insert(id, lease);
                let request = LeaseGrantRequest { ttl: seconds, id };
                (CommandKind::LeaseGrant, request.encode_to_vec())
            }
            Asked::PutOnLease(lease) => {
                let request = PutRequest {
                    key: key_on_lease(lease, op).into(),
                    value: self.value_of(op).into(),
                    lease,
                    ..PutRequest::default()
                };
                (CommandKind::Put, request.encode_to_vec())
            }
            Asked::RevokeLease(id) => {
                if let Some(lease) = self.leases.leases.get_mut(&id) {
                    lease.is_given_up = true;
                }
                let request = LeaseRevokeRequest { id };
                (CommandKind::LeaseRevoke, request.encode_to_vec())
            }
            Asked::RenewLease(lease) => {
                self.ask_leader(op, lease, true);
                return true;
            }
            Asked::TimeOfLease(lease) => {
                self.ask_leader(op, lease, false);
                return true;
            }
            _ => return false,
        };
        self.propose(op, kind, body);
        true
    }

    /// The server's `Core::ask_lease`.
    fn ask_leader(&mut self, op: usize, lease: i64, renews: bool) {
        let node = self.ops[op].node;
        let process = self.process_mut(node);
        let sequence = process.next_sequence;
        process.next_sequence += 1;
        process.lease_questions.insert(sequence, op);
        let question = LeaseQuestion {
            sequence,
            lease,
            renews,
        };
        self.tell(node, Input::AskLease(question));
    }

    pub(super) fn answer_of_lease(
        &mut self,
        node: usize,
        sequence: u64,
        result: Result<Option<LeaseTime>, RequestError>,
    ) {
        if let Some(op) = self.process_mut(node).lease_questions.remove(&sequence) {
            match result {
                Ok(time) => self.ended(op, Outcome::Lives(time)),
                Err(error) => self.ended(op, Outcome::Failed(error)),
            }
        }
    }

    /// A client was told something; it may now count on a lease, or hold another one.
    pub(super) fn lease_op_ended(&mut self, op: usize) {
        let ended = &self.ops[op];
        let (begun, client) = (ended.begun, ended.client);
        let promised = match (&ended.asked, &ended.outcome) {
            (Asked::GrantLease(_), Some(Outcome::Acknowledged(_))) => Some(granted_id(op)),
            (Asked::RenewLease(lease), Some(Outcome::Lives(Some(_)))) => Some(*lease),
            _ => None,
        };
        let is_lost = match (&ended.asked, &ended.outcome) {
            (Asked::RenewLease(_), Some(Outcome::Lives(None))) => true,
            (asked, _) => matches!(asked, Asked::RevokeLease(_) | Asked::GrantLease(_)),
        };
        let is_renewed = promised.is_some() && matches!(ended.asked, Asked::RenewLease(_));
        sometimes!(self.tally, Rare::LeaseRenewed, is_renewed);
        if let Some(lease) = promised {
            self.count_on(lease, begun);
        }
        let Some(client) = client.filter(|client| *client >= self.plan.clients) else {
            return;
        };
        if let Some(lease) = promised {
            self.leases.held.insert(client, lease);
        } else if is_lost {
            self.leases.held.remove(&client);
        }
        self.lease_client_goes_on(client);
    }

    fn count_on(&mut self, id: i64, from: Instant) {
        let fastest = 1_000_000 + self.plan.clock_drift_ppm;
        let Some(lease) = self.leases.leases.get_mut(&id) else {
            return;
        };
        let nanos = u128::from(lease.seconds.unsigned_abs()) * 1_000_000_000;
        let nanos = nanos * 1_000_000 / u128::from(fastest);
        let until = from + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        lease.counted_on_until = lease.counted_on_until.max(until);
        lease.judge(id);
    }

    /// The applier of a node tells what became of leases.
    pub(super) fn judge_leases(&mut self, node: usize, news: Option<&LeaseNews>) {
        let Some(LeaseNews::Changes(events)) = news else {
            return;
        };
        for event in events {
            if let LeaseEvent::Revoked { id } = event {
                let store = &self.process(node).store;
                let were_keys = judge_keys(store, *id);
                sometimes!(self.tally, Rare::LeaseEndedWithKeys, were_keys);
                let now = self.now;
                if let Some(lease) = self.leases.leases.get_mut(id) {
                    let is_first = lease.ended.is_none();
                    lease.ended.get_or_insert(now);
                    lease.judge(*id);
                    let ran_out = is_first && !lease.is_given_up;
                    sometimes!(self.tally, Rare::LeaseRanOut, ran_out);
                }
            }
        }
    }

    /// Whether all leases have ended that nobody renews any more.
    pub(super) fn leases_are_over(&self) -> bool {
        let count = |node| self.process(node).store.lease_count();
        // A leader that appends nothing of its own commits nothing until somebody writes, and counts no time.
        let may_wait = self.plan.lease_clients == 0 || !self.plan.empty_entry_on_election;
        may_wait || self.present().into_iter().all(|node| count(node) == 0)
    }
}

impl Lease {
    fn judge(&self, id: i64) {
        let Some(ended) = self.ended.filter(|_| !self.is_given_up) else {
            return;
        };
        assert!(
            ended >= self.counted_on_until,
            "lease {id} of {} s ended at {ended:?}, and a client counts on it until {:?}",
            self.seconds,
            self.counted_on_until
        );
    }
}

/// The lease that this operation grants.
pub fn granted_id(op: usize) -> i64 {
    op as i64 + 1
}

/// A key that nobody else writes.
pub(super) fn key_on_lease(lease: i64, op: usize) -> String {
    format!("l/{lease}/{op}")
}

/// How many keys a lease had at a revision (0: now), if the store still knows.
fn keys_at(store: &Store, lease: i64, revision: i64) -> Option<usize> {
    let found = store.range(&RangeRequest {
        key: format!("l/{lease}/").into(),
        range_end: format!("l/{lease}0").into(),
        revision,
        count_only: true,
        ..RangeRequest::default()
    });
    usize::try_from(found.ok()?.count).ok()
}

/// A lease has ended: its keys are gone, and went at one revision. Gives whether there were any.
fn judge_keys(store: &Store, lease: i64) -> bool {
    assert_eq!(keys_at(store, lease, 0), Some(0), "keys of lease {lease}");
    let newest = store.revision();
    let mut keys = 0;
    for revision in (1..=newest).rev().take(REVISIONS_LOOKED_BACK as usize) {
        let Some(before) = keys_at(store, lease, revision) else {
            break;
        };
        // Nobody deletes one of them, so going back in time there are never more than at the end.
        assert!(
            keys == 0 || before <= keys,
            "lease {lease} lost {before} keys one after the other, {keys} at last"
        );
        keys = keys.max(before);
    }
    keys > 0
}
