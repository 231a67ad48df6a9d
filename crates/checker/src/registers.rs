//! Registers: is what clients were told about each key explained by one order of its operations?
//!
//! Linearizability is local (Herlihy and Wing, 1990): a history is linearizable when, for each key alone, its
//! operations are. So keys are judged one by one, in their order, and the first that is wrong is the answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::Blob;
use crate::history::{Call, History, Moment, OpId, Operation, Outcome, RegisterCall};
use crate::limits::WINDOW_STEPS_MAX;
use crate::search::{Effect, Found, Item, search};
use crate::values::{NOTHING, UNSPOKEN, ValueId, Values};
use crate::verdict::{Effort, Undecided, Verdict};
use crate::window;

/// The operations on one key, ready for the search: `items[i]` is what `ids[i]` did.
pub(crate) struct KeyHistory {
    pub(crate) ids: Vec<OpId>,
    pub(crate) items: Vec<Item>,
    pub(crate) values: Values,
    pub(crate) initial: ValueId,
    /// Values grow by appending, so they are not known beforehand.
    pub(crate) appends: bool,
}

/// Judges all register operations of `history`, in at most `budget_steps` steps of search.
///
/// What it costs depends on how many writers are at work on a key at the same time: keep them at six at most.
pub fn check_registers(history: &History, budget_steps: u64) -> Verdict {
    let mut keys: BTreeMap<&Blob, Vec<&Operation>> = BTreeMap::new();
    for operation in history.operations() {
        if let Some(key) = operation.register_key() {
            keys.entry(key).or_default().push(operation);
        }
    }
    let mut budget = budget_steps;
    let mut effort = Effort {
        keys: keys.len(),
        ..Effort::default()
    };
    for (key, operations) in keys {
        effort.operations += operations.len();
        let mut of_key = KeyHistory::new(&operations, history.initial_value());
        match of_key.search(&mut budget) {
            Found::Order => {}
            Found::None(longest) => {
                let mut window_budget = WINDOW_STEPS_MAX;
                let violation =
                    window::explain(history, key, &mut of_key, &longest, &mut window_budget);
                return Verdict::Violation(Box::new(violation));
            }
            Found::OutOfBudget => {
                return Verdict::Undecided(Undecided {
                    key: key.clone(),
                    steps: budget_steps - budget,
                });
            }
        }
    }
    effort.steps = budget_steps - budget;
    Verdict::Linearizable(effort)
}

impl KeyHistory {
    fn new(operations: &[&Operation], initial: Option<&Blob>) -> Self {
        let mut values = Values::new();
        let initial = values.id(initial);
        let places = places(operations);
        let mut both: Vec<(OpId, Item)> = operations
            .iter()
            .filter_map(|operation| Some((operation.id, item(operation, &places, &mut values)?)))
            .collect();
        both.sort_by_key(|(_, item)| item.invoked);
        let (ids, mut items): (Vec<_>, Vec<_>) = both.into_iter().unzip();
        let appends = items
            .iter()
            .any(|item| matches!(item.effect, Effect::Append(_)));
        if !appends {
            merge_unspoken(&mut items, initial);
        }
        KeyHistory {
            ids,
            items,
            values,
            initial,
            appends,
        }
    }

    fn search(&mut self, budget: &mut u64) -> Found {
        search(&self.items, self.initial, &mut self.values, budget)
    }

    /// The values that answers of these items speak of.
    pub(crate) fn spoken(items: &[Item]) -> BTreeSet<ValueId> {
        items
            .iter()
            .filter_map(|item| match item.effect {
                Effect::Read(value) => Some(value),
                Effect::Swap { expected, .. } | Effect::NoSwap { expected } => Some(expected),
                Effect::Write(_) | Effect::Append(_) => None,
            })
            .collect()
    }
}

/// All moments in their order; a moment's place in it is what the search compares.
fn places(operations: &[&Operation]) -> Vec<Moment> {
    let mut moments: Vec<Moment> = operations
        .iter()
        .flat_map(|operation| {
            let completed = operation.completed.as_ref().map(|(moment, _)| *moment);
            [Some(operation.invoked), completed]
        })
        .flatten()
        .collect();
    moments.sort_unstable();
    moments
}

/// `None` for what cannot have had any effect or meaning: a failure, an open read.
fn item(operation: &Operation, places: &[Moment], values: &mut Values) -> Option<Item> {
    let Call::Register(_, call) = &operation.call else {
        return None;
    };
    let effect = match (call, operation.outcome()) {
        (_, Some(Outcome::Failed)) | (RegisterCall::Read, None) => return None,
        (RegisterCall::Read, Some(Outcome::Read(value))) => Effect::Read(values.id(value.as_ref())),
        (RegisterCall::Write(value), _) => Effect::Write(values.id(value.as_ref())),
        (RegisterCall::Append(tail), _) => Effect::Append(values.id(Some(tail))),
        (RegisterCall::CompareAndSwap { expected, .. }, Some(Outcome::Swapped(false))) => {
            Effect::NoSwap {
                expected: values.id(expected.as_ref()),
            }
        }
        (RegisterCall::CompareAndSwap { expected, new }, _) => Effect::Swap {
            expected: values.id(expected.as_ref()),
            new: values.id(new.as_ref()),
        },
        (RegisterCall::Read, Some(outcome)) => {
            unreachable!("a read was completed with {outcome:?}; History::complete refuses that")
        }
    };
    let place = |moment: Moment| {
        let at = places.binary_search(&moment);
        at.expect("every moment has its place") as u64
    };
    Some(Item {
        effect,
        invoked: place(operation.invoked),
        completed: operation
            .completed
            .as_ref()
            .map_or(u64::MAX, |(moment, _)| place(*moment)),
        must: operation.completed.is_some(),
    })
}

/// Makes all values that no answer speaks of one.
fn merge_unspoken(items: &mut [Item], initial: ValueId) {
    let mut spoken = KeyHistory::spoken(items);
    spoken.extend([NOTHING, initial]);
    for item in items {
        if let Effect::Write(value) | Effect::Swap { new: value, .. } = &mut item.effect
            && !spoken.contains(value)
        {
            *value = UNSPOKEN;
        }
    }
}
