//! Is there an order? The search of Wing and Gong (1993) with Lowe's memory (2017).
//!
//! An operation may come next when it was invoked before any operation that is still to come was completed. The search
//! takes one that may come next and whose answer is right for the present value, and goes on from there; when nothing
//! fits it takes back its last choice. What has been tried is remembered as (set of operations done, value), since
//! what can still follow depends on nothing else.
//!
//! Three things keep it small, none of which changes the verdict:
//! - an operation that only looks, may come next and fits is taken at once, and its choice is never taken back: wherever
//!   else it could stand, it can stand here;
//! - of open operations that do the same the one invoked first goes first;
//! - values that no answer speaks of are one value ([`UNSPOKEN`](crate::values::UNSPOKEN)).

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::values::{ValueId, Values};

/// What an operation does to the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    Read(ValueId),
    Write(ValueId),
    Swap { expected: ValueId, new: ValueId },
    NoSwap { expected: ValueId },
    Append(ValueId),
}

impl Effect {
    /// Whether it changes nothing wherever it can stand.
    pub(crate) fn only_looks(self) -> bool {
        match self {
            Effect::Read(_) | Effect::NoSwap { .. } => true,
            Effect::Swap { expected, new } => expected == new,
            Effect::Write(_) | Effect::Append(_) => false,
        }
    }

    /// The value afterwards, or `None` if the operation cannot stand here.
    fn on(self, value: ValueId, values: &mut Values) -> Option<ValueId> {
        match self {
            Effect::Read(read) => (read == value).then_some(value),
            Effect::Write(new) => Some(new),
            Effect::Swap { expected, new } => (expected == value).then_some(new),
            Effect::NoSwap { expected } => (expected != value).then_some(value),
            Effect::Append(tail) => Some(values.joined(value, tail)),
        }
    }
}

/// An operation as the search sees it. Moments are places in one order of all moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) effect: Effect,
    pub(crate) invoked: u64,
    /// `u64::MAX`: open.
    pub(crate) completed: u64,
    /// Must happen; otherwise it may.
    pub(crate) must: bool,
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Order,
    /// None; this is the longest that there was, as places in the given items.
    None(Vec<usize>),
    OutOfBudget,
}

type Seen = HashSet<(ValueId, u32, Box<[u64]>), BuildHasherDefault<DefaultHasher>>;

/// A choice that can be taken back.
struct Choice {
    item: usize,
    value_before: ValueId,
    earliest_completion: u64,
    forced: bool,
}

struct Search<'a> {
    items: &'a [Item],
    /// The operations still to come as a list, by invocation; the last place is head and end.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// The open operation that does the same and goes first.
    twin: Vec<Option<usize>>,
    done: Vec<u64>,
    /// All words before this one are full.
    full_words: usize,
    must_remain: usize,
    choices: Vec<Choice>,
    seen: Seen,
}

/// Looks for an order of `items`, which are sorted by invocation; every step is taken from `budget`.
pub(crate) fn search(
    items: &[Item],
    initial: ValueId,
    values: &mut Values,
    budget: &mut u64,
) -> Found {
    debug_assert!(items.is_sorted_by_key(|item| item.invoked));
    let mut search = Search::new(items);
    if search.must_remain == 0 {
        return Found::Order;
    }
    let end = items.len();
    let mut value = initial;
    let mut longest = Vec::new();
    let mut fewest_remain = usize::MAX;
    let mut at = search.next[end];
    let mut earliest_completion = u64::MAX;
    loop {
        if at == end || items[at].invoked > earliest_completion {
            if search.must_remain < fewest_remain {
                fewest_remain = search.must_remain;
                longest = search.choices.iter().map(|choice| choice.item).collect();
            }
            let Some(choice) = search.take_back() else {
                return Found::None(longest);
            };
            value = choice.value_before;
            at = search.next[choice.item];
            earliest_completion = choice.earliest_completion.min(items[choice.item].completed);
            continue;
        }
        if *budget == 0 {
            return Found::OutOfBudget;
        }
        *budget -= 1;
        if let Some(after) = search.try_next(at, value, values) {
            search.take(at, value, earliest_completion);
            if search.must_remain == 0 {
                return Found::Order;
            }
            value = after;
            at = search.next[end];
            earliest_completion = u64::MAX;
        } else {
            earliest_completion = earliest_completion.min(items[at].completed);
            at = search.next[at];
        }
    }
}

impl<'a> Search<'a> {
    fn new(items: &'a [Item]) -> Self {
        let end = items.len();
        let mut last_like = std::collections::BTreeMap::new();
        let twin = (0..end)
            .map(|at| {
                let open = !items[at].must;
                open.then(|| last_like.insert(items[at].effect, at))
                    .flatten()
            })
            .collect();
        Search {
            items,
            next: (0..=end)
                .map(|at| if at == end { 0 } else { at + 1 })
                .collect(),
            previous: (0..=end)
                .map(|at| if at == 0 { end } else { at - 1 })
                .collect(),
            twin,
            done: vec![0; end.div_ceil(64)],
            full_words: 0,
            must_remain: items.iter().filter(|item| item.must).count(),
            choices: Vec::new(),
            seen: Seen::default(),
        }
    }

    fn is_done(&self, at: usize) -> bool {
        self.done[at / 64] >> (at % 64) & 1 == 1
    }

    /// The value after `at`, if it fits here and that has not been tried before.
    fn try_next(&mut self, at: usize, value: ValueId, values: &mut Values) -> Option<ValueId> {
        let item = self.items[at];
        if self.twin[at].is_some_and(|twin| !self.is_done(twin)) {
            return None;
        }
        let after = item.effect.on(value, values)?;
        if item.effect.only_looks() || (after == value && !item.must) {
            // Whoever need not happen and changes nothing need not be tried.
            return item.must.then_some(after);
        }
        self.done[at / 64] |= 1 << (at % 64);
        let new = self.remember(after);
        self.undo(at);
        new.then_some(after)
    }

    /// Whether this (set, value) is seen for the first time. Full words before and empty ones behind are left out.
    fn remember(&mut self, value: ValueId) -> bool {
        while self.done.get(self.full_words) == Some(&u64::MAX) {
            self.full_words += 1;
        }
        let mut until = self.done.len();
        while until > self.full_words && self.done[until - 1] == 0 {
            until -= 1;
        }
        let from = u32::try_from(self.full_words).expect("fewer operations than 2^32");
        self.seen
            .insert((value, from, self.done[self.full_words..until].into()))
    }

    /// Takes an operation out of the set of those done.
    fn undo(&mut self, at: usize) {
        self.done[at / 64] &= !(1 << (at % 64));
        // Its word is not full any more, whatever later ones are.
        self.full_words = self.full_words.min(at / 64);
    }

    fn take(&mut self, item: usize, value_before: ValueId, earliest_completion: u64) {
        self.choices.push(Choice {
            item,
            value_before,
            earliest_completion,
            forced: self.items[item].effect.only_looks(),
        });
        self.done[item / 64] |= 1 << (item % 64);
        self.must_remain -= usize::from(self.items[item].must);
        let (before, after) = (self.previous[item], self.next[item]);
        self.next[before] = after;
        self.previous[after] = before;
    }

    /// Undoes choices back to, and with, the last that was free.
    fn take_back(&mut self) -> Option<Choice> {
        loop {
            let choice = self.choices.pop()?;
            let item = choice.item;
            self.undo(item);
            self.must_remain += usize::from(self.items[item].must);
            let (before, after) = (self.previous[item], self.next[item]);
            self.next[before] = item;
            self.previous[after] = item;
            if !choice.forced {
                return Some(choice);
            }
        }
    }
}
