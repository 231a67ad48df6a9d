//! The smallest part of a history in which it shows that no order exists.
//!
//! A window ends after the first completion by which it is clear that there is no order (found by halving: the
//! beginning of a right history is right). It begins as late as possible such that **whatever the register held at its
//! beginning** no order exists; operations that reach into the window from before may have happened before it, so
//! they are free to happen in it or not. Such a window is a proof by itself. Where the proof needs what the register
//! held at first, or where values grow by appending, the window begins with the history.
//!
//! Last, operations that only look are left out one by one; those without which an order would exist are *essential*.

use crate::blob::Blob;
use crate::history::{History, OpId};
use crate::registers::KeyHistory;
use crate::search::{Found, Item, search};
use crate::values::{NOTHING, UNSPOKEN, ValueId};
use crate::verdict::{Rule, Violation, Window};

/// Windows with more operations that only look than this are shown as they are: trying each costs a search.
const LOOKS_TRIED_MAX: usize = 500;

/// A part of a key's items, each with its place among all.
type Part = Vec<(usize, Item)>;

/// `of_key` has no order: says so in the smallest window that `budget` finds.
pub(crate) fn explain(
    history: &History,
    key: &Blob,
    of_key: &mut KeyHistory,
    longest: &[usize],
    budget: &mut u64,
) -> Violation {
    let (end, mut longest) = first_end(of_key, longest, budget);
    let mut part = until(&of_key.items, end);
    let mut initials = vec![of_key.initial];
    let mut start = 0;
    if !of_key.appends
        && let Some((from, later, any)) = last_start(of_key, &part, budget)
    {
        (start, part, initials) = (from, later, any);
    }
    let shown: Vec<OpId> = part.iter().map(|(at, _)| of_key.ids[*at]).collect();
    longest.retain(|at| part.iter().any(|(shown, _)| shown == at));
    let essential = essential(of_key, part, &initials, budget);
    let essential: Vec<OpId> = essential.iter().map(|at| of_key.ids[*at]).collect();
    let times = |operation: &OpId| {
        let operation = &history.operations()[operation.0];
        let completed = operation.completed.as_ref();
        (
            operation.invoked.time,
            completed.map(|(moment, _)| moment.time),
        )
    };
    let until_time = of_key
        .items
        .iter()
        .position(|item| item.completed == end)
        .and_then(|at| times(&of_key.ids[at]).1);
    let window = Window {
        from: shown.iter().map(|op| times(op).0).min().unwrap_or(0),
        until: until_time.unwrap_or(0),
        longest_order: longest.iter().map(|at| of_key.ids[*at]).collect(),
        operations: shown,
        watch: None,
        essential,
    };
    let explanation = words(key, &window, start > 0);
    Violation {
        rule: Rule::Linearizable,
        key: Some(key.clone()),
        explanation,
        window,
    }
}

fn words(key: &Blob, window: &Window, any_start: bool) -> String {
    let whatever = if any_start {
        ", whatever it held before"
    } else {
        ""
    };
    format!(
        "key {key}: no order of the {} operations between {} and {} agrees with what clients were told{whatever}; \
         {} of them suffice to show it",
        window.operations.len(),
        window.from,
        window.until,
        window.essential.len()
    )
}

/// The items that were invoked up to `end`; what is completed later is open.
fn until(items: &[Item], end: u64) -> Part {
    let invoked = items.iter().copied().enumerate();
    invoked
        .filter(|(_, item)| item.invoked <= end)
        .map(|(at, item)| {
            (
                at,
                if item.completed > end {
                    free(item)
                } else {
                    item
                },
            )
        })
        .filter(|(_, item)| item.must || !item.effect.only_looks())
        .collect()
}

/// May happen, or not, at any time from its invocation on.
fn free(item: Item) -> Item {
    Item {
        completed: u64::MAX,
        must: false,
        ..item
    }
}

/// The first completion up to which there is no order, and the longest order until there.
fn first_end(of_key: &mut KeyHistory, longest: &[usize], budget: &mut u64) -> (u64, Vec<usize>) {
    let mut ends: Vec<u64> = of_key.items.iter().map(|item| item.completed).collect();
    ends.retain(|end| *end != u64::MAX);
    ends.sort_unstable();
    let (mut good, mut bad) = (0, ends.len() - 1);
    let mut longest = longest.to_vec();
    while good < bad {
        let middle = good.midpoint(bad);
        let part = until(&of_key.items, ends[middle]);
        match orders(of_key, &part, &[of_key.initial], budget) {
            Found::None(order) => {
                bad = middle;
                longest = order;
            }
            Found::Order => good = middle + 1,
            Found::OutOfBudget => break,
        }
    }
    (ends[bad], longest)
}

/// The latest beginning from which there is no order whatever stood there, what is left then, and what may have stood
/// there. `None` if it matters what stood there at first.
fn last_start(
    of_key: &mut KeyHistory,
    part: &Part,
    budget: &mut u64,
) -> Option<(u64, Part, Vec<ValueId>)> {
    let mut starts: Vec<u64> = part
        .iter()
        .filter(|(_, item)| item.must)
        .map(|(_, item)| item.completed)
        .collect();
    starts.sort_unstable();
    let mut best = None;
    let (mut low, mut high) = (0, starts.len());
    while low < high {
        let middle = low.midpoint(high);
        let later = since(part, starts[middle]);
        let items: Vec<Item> = later.iter().map(|(_, item)| *item).collect();
        let mut initials = KeyHistory::spoken(&items);
        initials.extend([NOTHING, UNSPOKEN]);
        let initials: Vec<ValueId> = initials.into_iter().collect();
        if matches!(orders(of_key, &later, &initials, budget), Found::None(_)) {
            best = Some((starts[middle], later, initials));
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    best
}

/// What was completed after `start`; what had been invoked before may have happened before.
fn since(part: &Part, start: u64) -> Part {
    part.iter()
        .filter(|(_, item)| item.completed > start)
        .map(|(at, item)| {
            let straddles = item.invoked < start;
            (*at, if straddles { free(*item) } else { *item })
        })
        .filter(|(_, item)| item.must || !item.effect.only_looks())
        .collect()
}

/// An order from any of these initial values, or none from each.
fn orders(of_key: &mut KeyHistory, part: &Part, initials: &[ValueId], budget: &mut u64) -> Found {
    let items: Vec<Item> = part.iter().map(|(_, item)| *item).collect();
    let mut longest = Vec::new();
    for initial in initials {
        match search(&items, *initial, &mut of_key.values, budget) {
            Found::None(order) if order.len() >= longest.len() => {
                longest = order.into_iter().map(|at| part[at].0).collect();
            }
            Found::None(_) => {}
            other => return other,
        }
    }
    Found::None(longest)
}

/// Those without which an order would exist, and everything that changes something.
fn essential(
    of_key: &mut KeyHistory,
    mut part: Part,
    initials: &[ValueId],
    budget: &mut u64,
) -> Vec<usize> {
    let looks = |part: &Part| {
        part.iter()
            .filter(|(_, item)| item.effect.only_looks())
            .count()
    };
    if looks(&part) <= LOOKS_TRIED_MAX {
        let mut at = 0;
        while at < part.len() {
            if part[at].1.effect.only_looks() {
                let taken = part.remove(at);
                if matches!(orders(of_key, &part, initials, budget), Found::None(_)) {
                    continue;
                }
                part.insert(at, taken);
            }
            at += 1;
        }
    }
    part.into_iter().map(|(at, _)| at).collect()
}
