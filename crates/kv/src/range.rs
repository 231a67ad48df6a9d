//! Reading a range, in steps.
//!
//! First the keys are counted, since etcd's answer tells how many there are whatever the limit; over
//! leaves that have not changed since the revision asked for, that costs one look a leaf. Then as many
//! pairs are collected as are needed: with a limit and the keys' own order, in either direction, that
//! is one more than the limit. Other orders collect everything and sort.

use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_proto::etcdserverpb::{RangeRequest, RangeResponse};
use quorate_proto::mvccpb::KeyValue;

use crate::check::check_range;
use crate::command::header;
use crate::error::KvError;
use crate::key::Key;
use crate::keyspace::Keyspace;
use crate::pin::Pin;
use crate::rules::Rules;
use crate::sort::{Sort, Sorting};
use crate::span::Span;
use crate::store::Store;
use crate::versions::Version;

/// A range being read in steps, with the pin that keeps its view. Dropping it lets go of the pin.
#[derive(Debug)]
pub struct RangeCursor {
    scan: RangeScan,
    _pin: Pin,
}

/// What one step of a range gave.
#[derive(Debug)]
pub enum RangeStep {
    /// Not done: call again.
    More,
    /// All of it.
    Done(RangeResponse),
}

impl Store {
    /// Reads a range in one go. Servers use it where it is known to be short: [`Store::begin_range`]
    /// reads any range without keeping others from the store.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, KvError> {
        let mut scan = self.scan(request)?;
        loop {
            let mut budget = usize::MAX;
            if let Some(response) = scan.step(&self.keyspace, &mut budget) {
                return Ok(response);
            }
        }
    }

    /// Starts to read a range, at the revision asked for or the current one.
    pub fn begin_range(&self, request: &RangeRequest) -> Result<RangeCursor, KvError> {
        let scan = self.scan(request)?;
        let pin = self.pin(scan.revision)?;
        Ok(RangeCursor { scan, _pin: pin })
    }

    /// Goes on, touching at most `keys_max` keys (at least one). Not to be called after `Done`.
    pub fn advance_range(&self, cursor: &mut RangeCursor, keys_max: usize) -> RangeStep {
        match cursor.scan.step(&self.keyspace, &mut keys_max.max(1)) {
            None => RangeStep::More,
            Some(response) => RangeStep::Done(response),
        }
    }

    fn scan(&self, request: &RangeRequest) -> Result<RangeScan, KvError> {
        check_range(request)?;
        self.check_readable()?;
        check_revision(request, self.revision, self.compacted_revision)?;
        Ok(RangeScan::new(request, self.revision))
    }
}

/// Whether a reader whose newest revision is `newest` may read at the revision that `request` names.
pub(crate) fn check_revision(
    request: &RangeRequest,
    newest: i64,
    compacted: i64,
) -> Result<(), KvError> {
    if request.revision > newest {
        Err(KvError::FutureRevision)
    } else if request.revision > 0 && request.revision < compacted {
        Err(KvError::Compacted)
    } else {
        Ok(())
    }
}

/// The same for a range in a transaction, where a revision below zero is not the newest but one that has been
/// compacted, by the newest rules: etcd looks there (`checkRequestRange`) before it would take it for the newest.
pub(crate) fn check_revision_in_txn(
    request: &RangeRequest,
    rules: Rules,
    newest: i64,
    compacted: i64,
) -> Result<(), KvError> {
    let is_below_zero = request.revision < 0 && request.revision < compacted;
    if is_below_zero && rules.below_zero_is_compacted {
        return Err(KvError::Compacted);
    }
    check_revision(request, newest, compacted)
}

/// A range being read. Whoever steps it makes sure that the versions it needs stay.
#[derive(Debug)]
pub(crate) struct RangeScan {
    request: RangeRequest,
    span: Span,
    /// The revision that is read.
    revision: i64,
    /// The revision that the header tells: the newest, whichever is read.
    newest: i64,
    sorting: Option<Sorting>,
    /// How many matching pairs to collect.
    collect_max: usize,
    phase: Phase,
    count: usize,
    pairs: Vec<KeyValue>,
}

#[derive(Debug)]
enum Phase {
    Count { from: Key },
    Collect { from: Key },
    CollectBack { before: Option<Key> },
    Sort(Box<Sort>),
}

impl RangeScan {
    /// `newest` is the newest revision the reader sees. The request has been checked.
    pub(crate) fn new(request: &RangeRequest, newest: i64) -> RangeScan {
        let span = Span::new(&request.key, &request.range_end);
        let from = Key::new(&request.key);
        RangeScan {
            span,
            revision: if request.revision <= 0 {
                newest
            } else {
                request.revision
            },
            newest,
            sorting: sorting(request),
            collect_max: collect_max(request),
            phase: Phase::Count { from },
            count: 0,
            pairs: Vec::new(),
            request: request.clone(),
        }
    }

    /// Goes on as far as `budget` allows; the answer when all is done.
    pub(crate) fn step(
        &mut self,
        keyspace: &Keyspace,
        budget: &mut usize,
    ) -> Option<RangeResponse> {
        if self.span.is_single() {
            *budget = budget.saturating_sub(1);
            self.read_single(keyspace);
            return Some(self.finish());
        }
        while *budget > 0 {
            let is_over = match &self.phase {
                Phase::Count { .. } => self.count(keyspace, budget),
                Phase::Collect { .. } => self.collect(keyspace, budget),
                Phase::CollectBack { .. } => self.collect_back(keyspace, budget),
                Phase::Sort(_) => self.sort(budget)?,
            };
            if is_over {
                return Some(self.finish());
            }
        }
        None
    }

    fn read_single(&mut self, keyspace: &Keyspace) {
        let version = keyspace
            .get(&self.span.start)
            .and_then(|versions| versions.live_at(self.revision));
        let Some(version) = version else { return };
        self.count = 1;
        if !self.request.count_only && passes(&self.request, version) {
            self.pairs
                .push(version.to_key_value(&self.span.start, !self.request.keys_only));
        }
    }

    /// Whether that was all.
    fn count(&mut self, keyspace: &Keyspace, budget: &mut usize) -> bool {
        let Phase::Count { from } = &mut self.phase else {
            return false;
        };
        let (span, revision) = (&self.span, self.revision);
        if let Some(next) =
            keyspace.count_step(from.as_slice(), span, revision, budget, &mut self.count)
        {
            *from = next;
            return false;
        }
        self.collect_max = self.collect_max.min(self.count);
        if self.request.count_only || self.collect_max == 0 {
            return true;
        }
        // Asked for at once, so that a long answer is not moved again and again as it grows.
        self.pairs.reserve_exact(self.collect_max);
        let key_descending = Sorting {
            target: SortTarget::Key,
            descending: true,
        };
        self.phase = if self.sorting == Some(key_descending) {
            self.sorting = None;
            Phase::CollectBack { before: None }
        } else {
            Phase::Collect {
                from: Key::new(&self.span.start),
            }
        };
        false
    }

    fn collect(&mut self, keyspace: &Keyspace, budget: &mut usize) -> bool {
        let Phase::Collect { from } = &mut self.phase else {
            return false;
        };
        let with_value = wants_values(&self.request, self.sorting);
        let (request, pairs, most) = (&self.request, &mut self.pairs, self.collect_max);
        let next = keyspace.scan_step(
            from.as_slice(),
            &self.span,
            self.revision,
            budget,
            |key, version| {
                if passes(request, version) {
                    pairs.push(version.to_key_value(key.as_slice(), with_value));
                }
                pairs.len() < most
            },
        );
        if let Some(next) = next {
            *from = next;
            return false;
        }
        let Some(sorting) = self.sorting else {
            return true;
        };
        let wanted = match self.request.limit {
            limit if limit > 0 => (limit as usize).saturating_add(1),
            _ => usize::MAX,
        };
        let pairs = std::mem::take(&mut self.pairs);
        self.phase = Phase::Sort(Box::new(Sort::new(sorting, pairs, wanted)));
        // Sorting starts with a whole step: what is left of this one would make a short first run.
        *budget = 0;
        false
    }

    fn collect_back(&mut self, keyspace: &Keyspace, budget: &mut usize) -> bool {
        let Phase::CollectBack { before } = &mut self.phase else {
            return false;
        };
        let with_value = wants_values(&self.request, self.sorting);
        let (request, pairs, most) = (&self.request, &mut self.pairs, self.collect_max);
        let visit = |key: &Key, version: &Version| {
            if passes(request, version) {
                pairs.push(version.to_key_value(key.as_slice(), with_value));
            }
            pairs.len() < most
        };
        let next =
            keyspace.scan_back_step(before.as_ref(), &self.span, self.revision, budget, visit);
        *before = next;
        before.is_none()
    }

    fn sort(&mut self, budget: &mut usize) -> Option<bool> {
        let Phase::Sort(sort) = &mut self.phase else {
            return Some(false);
        };
        self.pairs = sort.step(budget)?;
        Some(true)
    }

    fn finish(&mut self) -> RangeResponse {
        let mut kvs = std::mem::take(&mut self.pairs);
        let limit = usize::try_from(self.request.limit).unwrap_or(0);
        let more = limit > 0 && kvs.len() > limit;
        if more {
            kvs.truncate(limit);
        }
        if self.request.keys_only && self.request.sort_target() == SortTarget::Value {
            kvs.iter_mut().for_each(|pair| pair.value.clear());
        }
        RangeResponse {
            header: header(self.newest),
            kvs,
            more,
            count: self.count as i64,
        }
    }
}

/// How the collected pairs must be sorted; `None` when the keys' own order will do.
fn sorting(request: &RangeRequest) -> Option<Sorting> {
    let (order, target) = (request.sort_order(), request.sort_target());
    let is_natural = target == SortTarget::Key && order != SortOrder::Descend;
    let descending = order == SortOrder::Descend;
    (!is_natural).then_some(Sorting { target, descending })
}

/// How many matching pairs are needed before sorting: one more than the limit tells whether there is
/// more. An order other than the keys' needs them all; with no order named, though, etcd takes the
/// first keys up to the limit and only then sorts those, and so do we.
fn collect_max(request: &RangeRequest) -> usize {
    let order_needs_all =
        request.sort_target() != SortTarget::Key && request.sort_order() != SortOrder::None;
    let filters_before_sorting = has_filters(request) && request.sort_target() != SortTarget::Key;
    if request.limit <= 0 || order_needs_all || filters_before_sorting {
        return usize::MAX;
    }
    usize::try_from(request.limit)
        .unwrap_or(usize::MAX)
        .saturating_add(1)
}

fn has_filters(request: &RangeRequest) -> bool {
    request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
}

/// Whether the revision filters let a version pass; 0 is no filter.
fn passes(request: &RangeRequest, version: &Version) -> bool {
    let within = |number: i64, min: i64, max: i64| {
        (min == 0 || number >= min) && (max == 0 || number <= max)
    };
    within(
        version.revision(),
        request.min_mod_revision,
        request.max_mod_revision,
    ) && within(
        version.create_revision,
        request.min_create_revision,
        request.max_create_revision,
    )
}

fn wants_values(request: &RangeRequest, sorting: Option<Sorting>) -> bool {
    let sorts_by_value = sorting.is_some_and(|sorting| sorting.target == SortTarget::Value);
    !request.keys_only || sorts_by_value
}
