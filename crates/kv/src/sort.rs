//! Sorting the answer of a range in bounded steps: a merge sort whose runs and merging are cut into
//! pieces, so that a million pairs do not hold up whoever waits for the store.
//!
//! Pairs that are equal in what they are sorted by stay in the order of their keys, in both
//! directions. (etcd's sort promises no order there; up to twelve pairs it gives this one too.)

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use bytes::Bytes;
use quorate_proto::etcdserverpb::range_request::SortTarget;
use quorate_proto::mvccpb::KeyValue;

use crate::limits::SORT_RUN_MAX;

/// By what, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sorting {
    pub(crate) target: SortTarget,
    pub(crate) descending: bool,
}

/// What a pair is sorted by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(i64),
    Bytes(Bytes),
}

impl Sorting {
    fn rank(self, pair: &KeyValue) -> Rank {
        match self.target {
            SortTarget::Key => Rank::Bytes(pair.key.clone()),
            SortTarget::Version => Rank::Number(pair.version),
            SortTarget::Create => Rank::Number(pair.create_revision),
            SortTarget::Mod => Rank::Number(pair.mod_revision),
            SortTarget::Value => Rank::Bytes(pair.value.clone()),
        }
    }

    fn order(self, left: &KeyValue, right: &KeyValue) -> Ordering {
        let ordering = match self.target {
            SortTarget::Key => left.key.cmp(&right.key),
            SortTarget::Version => left.version.cmp(&right.version),
            SortTarget::Create => left.create_revision.cmp(&right.create_revision),
            SortTarget::Mod => left.mod_revision.cmp(&right.mod_revision),
            SortTarget::Value => left.value.cmp(&right.value),
        };
        if self.descending {
            ordering.reverse()
        } else {
            ordering
        }
    }
}

/// The first pair of a run that has not been merged yet. The greatest comes out of the heap first, so
/// the order is turned around once more.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    rank: Rank,
    descending: bool,
    index: usize,
    end: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        let ranks = self.rank.cmp(&other.rank);
        let ranks = if self.descending {
            ranks
        } else {
            ranks.reverse()
        };
        ranks.then(Reverse(self.index).cmp(&Reverse(other.index)))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A sort under way.
#[derive(Debug)]
pub(crate) struct Sort {
    sorting: Sorting,
    pairs: Vec<KeyValue>,
    /// How many of the sorted pairs are wanted.
    wanted: usize,
    sorted_to: usize,
    heads: BinaryHeap<Head>,
    merged: Vec<KeyValue>,
}

impl Sort {
    /// `pairs` are in the order of their keys.
    pub(crate) fn new(sorting: Sorting, pairs: Vec<KeyValue>, wanted: usize) -> Sort {
        let wanted = wanted.min(pairs.len());
        Sort {
            sorting,
            pairs,
            wanted,
            sorted_to: 0,
            heads: BinaryHeap::new(),
            merged: Vec::with_capacity(wanted),
        }
    }

    /// Goes on as far as `budget` allows; the sorted pairs when all is done.
    pub(crate) fn step(&mut self, budget: &mut usize) -> Option<Vec<KeyValue>> {
        while self.sorted_to < self.pairs.len() {
            if *budget == 0 {
                return None;
            }
            let run = (self.pairs.len() - self.sorted_to)
                .min(*budget)
                .min(SORT_RUN_MAX);
            *budget -= run;
            let end = self.sorted_to + run;
            let sorting = self.sorting;
            self.pairs[self.sorted_to..end].sort_by(|left, right| sorting.order(left, right));
            self.push_head(self.sorted_to, end);
            self.sorted_to = end;
        }
        while self.merged.len() < self.wanted {
            if *budget == 0 {
                return None;
            }
            *budget -= 1;
            let head = self
                .heads
                .pop()
                .expect("pairs that are not merged have a head");
            self.merged
                .push(std::mem::take(&mut self.pairs[head.index]));
            self.push_head(head.index + 1, head.end);
        }
        Some(std::mem::take(&mut self.merged))
    }

    fn push_head(&mut self, index: usize, end: usize) {
        if index < end {
            let rank = self.sorting.rank(&self.pairs[index]);
            let descending = self.sorting.descending;
            self.heads.push(Head {
                rank,
                descending,
                index,
                end,
            });
        }
    }
}
