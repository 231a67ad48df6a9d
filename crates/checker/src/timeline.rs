//! What a store's history says about each revision: who made it, and what each key held since.
//!
//! Every change names its revision, so most of the order that a search would look for is written down already.
//! What remains open are the changes whose answer never came. One that was seen (by a read or a watch, with a revision
//! that no known change has) must be matched with an operation that could have made it, each with one; the rest may hide
//! in the revisions of which nothing is known.
//!
//! # What must hold
//!
//! - What the timeline calls sure holds in every explanation of the history. Where an open operation could have changed
//!   a key unseen, the key is uncertain, and no check fails on it: lenient there, never wrong.
//! - An operation's `floor` is the greatest revision that anyone had seen before it was invoked: whatever it does lies
//!   after that.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::blob::Blob;
use crate::history::{Call, History, Moment, OpId, Operation, Outcome};
use crate::matching::match_all;
use crate::store::{OpAnswer, Span, StoreAnswer, StoreBody, StoreCall, StoreOp};
use crate::verdict::{Rule, Violation, Window};
use crate::watch_log::WatchBatch;

/// What is known of a key at one revision.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    /// What it holds from there on; `None`: it is not there.
    pub(crate) value: Option<Blob>,
    /// With which lease it was put, 0 for none.
    lease: i64,
    /// Whether it changed there, rather than maybe.
    pub(crate) changed: bool,
}

/// What a key holds at a revision, as far as it is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum View<'a> {
    /// Exactly this: nothing, or a value and the revision at which it was written.
    Sure(Option<(i64, &'a Blob)>),
    /// Something unseen may have happened.
    Unsure,
}

/// An answered request to the store.
#[derive(Clone, Copy)]
pub(crate) struct Answered<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) call: &'a StoreCall,
    pub(crate) answer: &'a StoreAnswer,
    pub(crate) completed: Moment,
}

/// What was seen of one revision: keys and what they held.
type Seen = BTreeMap<Blob, Option<Blob>>;

pub(crate) struct Timeline<'a> {
    pub(crate) history: &'a History,
    pub(crate) answered: Vec<Answered<'a>>,
    /// For each operation the greatest revision seen before it was invoked, and by which operation.
    pub(crate) floors: Vec<(i64, Option<OpId>)>,
    /// The known changes, by revision.
    pub(crate) changes: BTreeMap<i64, Answered<'a>>,
    pub(crate) keys: BTreeMap<Blob, BTreeMap<i64, Fact>>,
    /// Changes whose outcome is unknown.
    open: Vec<&'a Operation>,
    /// Revisions of which not everything is known.
    loose: BTreeSet<i64>,
    /// For each key the least floor of the open operations that may change it.
    open_floors: BTreeMap<Blob, Option<i64>>,
}

impl<'a> Timeline<'a> {
    /// Puts the history in order.
    pub(crate) fn new(history: &'a History) -> Result<Self, Box<Violation>> {
        let answered: Vec<Answered<'a>> =
            history.operations().iter().filter_map(answered).collect();
        let mut timeline = Timeline {
            history,
            floors: Vec::new(),
            changes: BTreeMap::new(),
            keys: BTreeMap::new(),
            open: open_changes(history),
            loose: BTreeSet::new(),
            open_floors: BTreeMap::new(),
            answered,
        };
        let head = timeline.find_floors();
        timeline.find_changes()?;
        let seen = timeline.find_seen()?;
        timeline.match_seen(&seen)?;
        timeline.find_loose(&seen, head)?;
        timeline.find_open_floors(&seen);
        timeline.replay(&seen);
        Ok(timeline)
    }

    /// A violation shown by these operations.
    pub(crate) fn broken(
        &self,
        rule: Rule,
        key: Option<&Blob>,
        operations: &[OpId],
        explanation: String,
    ) -> Box<Violation> {
        let mut operations = operations.to_vec();
        operations.sort_unstable();
        operations.dedup();
        let shown = operations.iter().map(|op| &self.history.operations()[op.0]);
        let until = shown.clone().map(|operation| {
            let completed = operation.completed.as_ref();
            completed.map_or(operation.invoked.time, |(moment, _)| moment.time)
        });
        Box::new(Violation {
            rule,
            key: key.cloned(),
            explanation,
            window: Window {
                from: shown
                    .clone()
                    .map(|operation| operation.invoked.time)
                    .min()
                    .unwrap_or(0),
                until: until.max().unwrap_or(0),
                essential: operations.clone(),
                operations,
                ..Window::default()
            },
        })
    }

    /// Goes through all events in their order; the result is the greatest revision of all.
    fn find_floors(&mut self) -> i64 {
        // (when, revision seen then, by whom), or who is invoked.
        let mut events: Vec<(Moment, Option<i64>, Option<OpId>)> = Vec::new();
        for operation in self.history.operations() {
            events.push((operation.invoked, None, Some(operation.id)));
        }
        for answered in &self.answered {
            let revision = answered.greatest_revision();
            events.push((
                answered.completed,
                Some(revision),
                Some(answered.operation.id),
            ));
        }
        for (moment, batch) in self
            .history
            .watches()
            .iter()
            .flat_map(|watch| &watch.batches)
        {
            let revision = match batch {
                WatchBatch::Progress { revision } => Some(*revision),
                WatchBatch::Events(events) => events.iter().map(|event| event.mod_revision).max(),
            };
            events.push((*moment, revision.or(Some(0)), None));
        }
        events.sort_unstable();
        let mut floor = (self.history.initial_revision(), None);
        self.floors = vec![floor; self.history.operations().len()];
        for (_, seen, op) in events {
            match (seen, op) {
                (Some(revision), op) if revision > floor.0 => floor = (revision, op),
                (Some(_), _) => {}
                (None, Some(op)) => self.floors[op.0] = floor,
                (None, None) => unreachable!("only operations are invoked"),
            }
        }
        floor.0
    }

    fn find_changes(&mut self) -> Result<(), Box<Violation>> {
        for answered in &self.answered {
            if !answered.changed() {
                continue;
            }
            let revision = answered.answer.revision;
            if let Some(other) = self.changes.insert(revision, *answered) {
                return Err(self.broken(
                    Rule::UniqueRevision,
                    None,
                    &[other.operation.id, answered.operation.id],
                    format!(
                        "two changes were both told that they were made at revision {revision}"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// What reads and watches saw, by revision.
    fn find_seen(&self) -> Result<BTreeMap<i64, Seen>, Box<Violation>> {
        let mut seen: BTreeMap<i64, Seen> = BTreeMap::new();
        let reads = self.answered.iter().flat_map(|answered| {
            let kvs = answered.kvs();
            kvs.map(|kv| {
                (
                    Some(answered.operation.id),
                    kv.mod_revision,
                    &kv.key,
                    Some(&kv.value),
                )
            })
        });
        let batches = self
            .history
            .watches()
            .iter()
            .flat_map(|watch| &watch.batches);
        let events = batches.flat_map(|(_, batch)| match batch {
            WatchBatch::Events(events) => events.as_slice(),
            WatchBatch::Progress { .. } => &[],
        });
        let watched =
            events.map(|event| (None, event.mod_revision, &event.key, event.value.as_ref()));
        for (op, revision, key, value) in reads.chain(watched) {
            let ops: Vec<OpId> = op.into_iter().collect();
            let before = seen.entry(revision).or_default().get(key);
            if before.is_some_and(|before| before.as_ref() != value) {
                let text =
                    format!("key {key} was seen with two values of one revision, {revision}");
                return Err(self.broken(Rule::Content, Some(key), &ops, text));
            }
            if let Some(change) = self.changes.get(&revision)
                && !change.explains(key, value)
            {
                let text = format!(
                    "key {key} was seen {} at revision {revision}, but the change of that revision did not do that",
                    value.map_or("deleted".to_owned(), |value| format!("with {value}"))
                );
                let ops = [ops, vec![change.operation.id]].concat();
                return Err(self.broken(Rule::Origin, Some(key), &ops, text));
            }
            seen.entry(revision)
                .or_default()
                .insert(key.clone(), value.cloned());
        }
        Ok(seen)
    }

    /// Every revision that was seen and is nobody's known change is some open operation's, each another's.
    fn match_seen(&self, seen: &BTreeMap<i64, Seen>) -> Result<(), Box<Violation>> {
        let wanted: Vec<(&i64, &Seen)> = seen
            .iter()
            .filter(|(revision, keys)| self.is_unclaimed(**revision) && !self.may_be_expiry(keys))
            .collect();
        let candidates: Vec<Vec<usize>> = wanted
            .iter()
            .map(|(revision, keys)| {
                let could = |at: &usize| {
                    let operation = self.open[*at];
                    self.floors[operation.id.0].0 < **revision && may_do_all(operation, keys)
                };
                (0..self.open.len()).filter(could).collect()
            })
            .collect();
        match match_all(&candidates, self.open.len()) {
            Ok(()) => Ok(()),
            Err(at) => {
                let (revision, keys) = wanted[at];
                let key = keys.keys().next();
                let readers: Vec<OpId> = self
                    .answered
                    .iter()
                    .filter(|answered| answered.kvs().any(|kv| kv.mod_revision == *revision))
                    .map(|answered| answered.operation.id)
                    .take(1)
                    .collect();
                let text = format!(
                    "revision {revision} was seen, on {} key(s), but no operation can have made it",
                    keys.len()
                );
                Err(self.broken(Rule::Origin, key, &readers, text))
            }
        }
    }

    fn is_unclaimed(&self, revision: i64) -> bool {
        revision > self.history.initial_revision() && !self.changes.contains_key(&revision)
    }

    /// Whether these deletions may be the end of a lease, which nobody asks for.
    fn may_be_expiry(&self, keys: &Seen) -> bool {
        self.leases() > 0 && keys.values().all(Option::is_none)
    }

    fn leases(&self) -> usize {
        let stores = self
            .history
            .operations()
            .iter()
            .filter_map(|op| match &op.call {
                Call::Store(call) => Some(call),
                Call::Register(..) => None,
            });
        let leases: BTreeSet<i64> = stores
            .flat_map(StoreCall::may_do)
            .filter_map(|op| match op {
                StoreOp::Put { lease, .. } if *lease != 0 => Some(*lease),
                _ => None,
            })
            .collect();
        leases.len()
    }

    /// The revisions that somebody made of whom nothing is known: not more than there are who may have.
    fn find_loose(&mut self, seen: &BTreeMap<i64, Seen>, head: i64) -> Result<(), Box<Violation>> {
        let begin = self.history.initial_revision();
        let makers = self.open.len() + self.leases();
        let claimed = self.changes.range(begin.saturating_add(1)..=head).count();
        let unclaimed = usize::try_from(head.saturating_sub(begin)).unwrap_or(0) - claimed;
        if unclaimed > makers {
            let text = format!(
                "the store came to revision {head}, but {claimed} changes are known since revision {begin}, and only \
                 {makers} may have happened beside them"
            );
            let last = self
                .answered
                .iter()
                .max_by_key(|answered| answered.answer.revision);
            let ops: Vec<OpId> = last.iter().map(|answered| answered.operation.id).collect();
            return Err(self.broken(Rule::Origin, None, &ops, text));
        }
        let all = begin.saturating_add(1)..=head;
        self.loose = all
            .filter(|revision| !self.changes.contains_key(revision))
            .collect();
        debug_assert!(seen.keys().all(|revision| *revision <= head));
        Ok(())
    }

    /// Every key that is spoken of, with the first moment at which an open operation may have changed it.
    fn find_open_floors(&mut self, seen: &BTreeMap<i64, Seen>) {
        let mut keys: BTreeSet<Blob> = seen
            .values()
            .flat_map(|seen| seen.keys().cloned())
            .collect();
        for change in self.changes.values() {
            let puts = change.done().filter_map(|op| match op {
                StoreOp::Put { key, .. } => Some(key.clone()),
                _ => None,
            });
            keys.extend(puts);
        }
        for key in keys {
            let floor = self.open_floor(&key);
            self.open_floors.insert(key.clone(), floor);
            self.keys.insert(key, BTreeMap::new());
        }
    }

    fn open_floor(&self, key: &Blob) -> Option<i64> {
        let touching = self
            .open
            .iter()
            .filter(|operation| changes_of(operation).any(|op| op.span().contains(key)));
        touching
            .map(|operation| self.floors[operation.id.0].0)
            .min()
    }

    /// Writes down what each key held, revision by revision.
    fn replay(&mut self, seen: &BTreeMap<i64, Seen>) {
        // What was seen of an open put does not say whether it had a lease.
        let lease = i64::from(self.leases() > 0);
        let revisions: BTreeSet<i64> = seen.keys().chain(self.changes.keys()).copied().collect();
        for revision in revisions {
            if let Some(change) = self.changes.get(&revision).copied() {
                for op in change.done() {
                    self.replay_op(op, revision);
                }
            }
            for (key, value) in seen.get(&revision).into_iter().flatten() {
                let facts = self
                    .keys
                    .get_mut(key)
                    .expect("every key seen has its place");
                facts.entry(revision).or_insert_with(|| Fact {
                    value: value.clone(),
                    lease,
                    changed: true,
                });
                facts.entry(revision).and_modify(|fact| fact.changed = true);
            }
        }
    }

    fn replay_op(&mut self, op: &StoreOp, revision: i64) {
        match op {
            StoreOp::Get { .. } => {}
            StoreOp::Put { key, value, lease } => {
                let fact = Fact {
                    value: Some(value.clone()),
                    lease: *lease,
                    changed: true,
                };
                let facts = self.keys.get_mut(key).expect("every key put has its place");
                facts.insert(revision, fact);
            }
            StoreOp::Delete { .. } => {
                let span = op.span();
                let deleted: Vec<(Blob, bool)> = self
                    .keys_in(&span)
                    .filter_map(|key| match self.view(key, revision.saturating_sub(1)) {
                        View::Sure(None) => None,
                        View::Sure(Some(_)) => Some((key.clone(), true)),
                        View::Unsure => Some((key.clone(), false)),
                    })
                    .collect();
                for (key, changed) in deleted {
                    let fact = Fact {
                        value: None,
                        lease: 0,
                        changed,
                    };
                    self.keys.entry(key).or_default().insert(revision, fact);
                }
            }
        }
    }

    /// The keys spoken of that lie in `span`.
    pub(crate) fn keys_in(&self, span: &Span) -> impl Iterator<Item = &Blob> {
        let end = match &span.range_end {
            None => Bound::Included(&span.key),
            Some(end) if end.as_bytes() == [0] => Bound::Unbounded,
            // An end before the beginning is an empty span, which a range of a map must not be.
            Some(end) if *end <= span.key => Bound::Included(&span.key),
            Some(end) => Bound::Excluded(end),
        };
        let range = self
            .keys
            .range::<Blob, _>((Bound::Included(&span.key), end));
        range.map(|(key, _)| key).filter(|key| span.contains(key))
    }

    /// Whether there may be keys in `span` that nobody in the history speaks of with a revision.
    pub(crate) fn may_hold_unknown_keys(&self, span: &Span) -> bool {
        let mut puts = self.open.iter().copied().flat_map(changes_of);
        self.history.initial_revision() > 1
            || puts.any(|op| matches!(op, StoreOp::Put { key, .. } if span.contains(key)))
    }

    /// What `key` held at `revision`.
    pub(crate) fn view(&self, key: &Blob, revision: i64) -> View<'_> {
        let facts = self.keys.get(key);
        let last = facts.and_then(|facts| facts.range(..=revision).next_back());
        let begin = self.history.initial_revision();
        let Some((at, fact)) = last else {
            // A store that began empty holds nothing; of another nobody knows.
            let hidden = begin > 1 || self.may_have_changed(key, begin, revision, 0);
            return if hidden {
                View::Unsure
            } else {
                View::Sure(None)
            };
        };
        if self.may_have_changed(key, *at, revision, fact.lease) {
            return View::Unsure;
        }
        // What was deleted although it may not have been there is gone in any case.
        View::Sure(fact.value.as_ref().map(|value| (*at, value)))
    }

    /// Whether something unseen may have changed `key` after `from`, at `until` at the latest.
    fn may_have_changed(&self, key: &Blob, from: i64, until: i64, lease: i64) -> bool {
        let loose_after = |after: i64| {
            after < until
                && self
                    .loose
                    .range((Bound::Excluded(after), Bound::Included(until)))
                    .next()
                    .is_some()
        };
        let floor = match self.open_floors.get(key) {
            Some(floor) => *floor,
            None => self.open_floor(key),
        };
        (lease != 0 && loose_after(from)) || floor.is_some_and(|floor| loose_after(from.max(floor)))
    }
}

impl<'a> Answered<'a> {
    /// The operations that were done, with their answers.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (&'a StoreOp, &'a OpAnswer)> {
        let (ops, answers): (&[StoreOp], &[OpAnswer]) = match (self.call, &self.answer.body) {
            (StoreCall::One(op), StoreBody::One(answer)) => {
                (std::slice::from_ref(op), std::slice::from_ref(answer))
            }
            (
                StoreCall::Txn {
                    success, failure, ..
                },
                StoreBody::Txn { succeeded, answers },
            ) => (if *succeeded { success } else { failure }, answers),
            _ => (&[], &[]),
        };
        ops.iter().zip(answers)
    }

    fn done(self) -> impl Iterator<Item = &'a StoreOp> {
        self.pairs().map(|(op, _)| op)
    }

    /// Whether it made its revision.
    pub(crate) fn changed(self) -> bool {
        self.pairs().any(|(_, answer)| match answer {
            OpAnswer::Put {} => true,
            OpAnswer::Delete { deleted } => *deleted > 0,
            OpAnswer::Get { .. } => false,
        })
    }

    fn kvs(self) -> impl Iterator<Item = &'a crate::store::KeyValue> {
        self.pairs().flat_map(|(_, answer)| match answer {
            OpAnswer::Get { kvs, .. } => kvs.as_slice(),
            _ => &[],
        })
    }

    fn greatest_revision(self) -> i64 {
        let seen = self.kvs().map(|kv| kv.mod_revision).max();
        seen.unwrap_or(0).max(self.answer.revision)
    }

    /// Whether this change leaves `key` so.
    fn explains(self, key: &Blob, value: Option<&Blob>) -> bool {
        self.done().any(|op| does(op, key, value))
    }
}

fn answered(operation: &Operation) -> Option<Answered<'_>> {
    match (&operation.call, &operation.completed) {
        (Call::Store(call), Some((completed, Outcome::Store(answer)))) => Some(Answered {
            operation,
            call,
            answer,
            completed: *completed,
        }),
        _ => None,
    }
}

fn open_changes(history: &History) -> Vec<&Operation> {
    let open = history.operations().iter().filter(|op| op.is_open());
    open.filter(|operation| changes_of(operation).next().is_some())
        .collect()
}

/// The puts and deletes that it may do.
fn changes_of(operation: &Operation) -> impl Iterator<Item = &StoreOp> {
    let call = match &operation.call {
        Call::Store(call) => Some(call),
        Call::Register(..) => None,
    };
    let ops = call.into_iter().flat_map(StoreCall::may_do);
    ops.filter(|op| !matches!(op, StoreOp::Get { .. }))
}

fn does(op: &StoreOp, key: &Blob, value: Option<&Blob>) -> bool {
    match (op, value) {
        (
            StoreOp::Put {
                key: put, value, ..
            },
            Some(seen),
        ) => put == key && value == seen,
        (StoreOp::Delete { .. }, None) => op.span().contains(key),
        _ => false,
    }
}

/// Whether one of the ways in which an operation may go does all that was seen.
fn may_do_all(operation: &Operation, seen: &Seen) -> bool {
    let all = |ops: &[StoreOp]| {
        let mut keys = seen.iter();
        keys.all(|(key, value)| ops.iter().any(|op| does(op, key, value.as_ref())))
    };
    match &operation.call {
        Call::Store(StoreCall::One(op)) => all(std::slice::from_ref(op)),
        Call::Store(StoreCall::Txn {
            success, failure, ..
        }) => all(success) || all(failure),
        _ => false,
    }
}
