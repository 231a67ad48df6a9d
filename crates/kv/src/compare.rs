//! The conditions of a transaction.

use std::cmp::Ordering;

use quorate_proto::etcdserverpb::Compare;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};

use crate::key::Key;
use crate::keyspace::Keyspace;
use crate::span::Span;
use crate::versions::Version;

/// A compare over a range of keys, under way.
#[derive(Debug, Default)]
pub(crate) struct CompareScan {
    from: Option<Key>,
    found_any: bool,
}

impl CompareScan {
    /// Goes on as far as `budget` allows; whether the compare holds, once that is known. With a
    /// `range_end` it must hold for all keys there are; without any key, for a key of all zeros.
    pub(crate) fn step(
        &mut self,
        compare: &Compare,
        keyspace: &Keyspace,
        revision: i64,
        budget: &mut usize,
    ) -> Option<bool> {
        let span = Span::new(&compare.key, &compare.range_end);
        if span.is_single() {
            *budget = budget.saturating_sub(1);
            let version = keyspace
                .get(&compare.key)
                .and_then(|versions| versions.live_at(revision));
            return Some(version.map_or_else(|| holds_without(compare), |v| holds_for(compare, v)));
        }
        let mut holds = true;
        let from = self.from.take().unwrap_or_else(|| Key::new(&span.start));
        self.from = keyspace.scan_step(from.as_slice(), &span, revision, budget, |_, version| {
            self.found_any = true;
            holds = holds_for(compare, version);
            holds
        });
        match (holds, &self.from) {
            (false, _) => Some(false),
            (true, Some(_)) => None,
            (true, None) => Some(self.found_any || holds_without(compare)),
        }
    }
}

/// A missing key compares as one with all numbers 0. No value equals a missing one, not even the
/// empty one, and none differs from it: such a compare is false.
fn holds_without(compare: &Compare) -> bool {
    compare.target() != CompareTarget::Value && holds_in(compare, number(compare).cmp_to(0))
}

fn holds_for(compare: &Compare, version: &Version) -> bool {
    let Ok(target) = CompareTarget::try_from(compare.target) else {
        // etcd knows no other target and takes it for equal.
        return holds_in(compare, Ordering::Equal);
    };
    let ordering = match target {
        CompareTarget::Version => number(compare).cmp_to(version.version),
        CompareTarget::Create => number(compare).cmp_to(version.create_revision),
        CompareTarget::Mod => number(compare).cmp_to(version.revision()),
        CompareTarget::Lease => number(compare).cmp_to(version.lease),
        CompareTarget::Value => {
            let operand = match &compare.target_union {
                Some(TargetUnion::Value(value)) => value.as_ref(),
                _ => &[],
            };
            version.value.as_deref().unwrap_or_default().cmp(operand)
        }
    };
    holds_in(compare, ordering)
}

/// A result that etcd does not know holds always.
fn holds_in(compare: &Compare, ordering: Ordering) -> bool {
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}

/// The number a compare asks for: 0 when the operand is of another kind than the target.
#[derive(Clone, Copy)]
struct Operand(i64);

impl Operand {
    /// How what the store has stands to what the compare names.
    fn cmp_to(self, stored: i64) -> Ordering {
        stored.cmp(&self.0)
    }
}

fn number(compare: &Compare) -> Operand {
    let number = match (
        CompareTarget::try_from(compare.target),
        &compare.target_union,
    ) {
        (Ok(CompareTarget::Version), Some(TargetUnion::Version(number)))
        | (Ok(CompareTarget::Create), Some(TargetUnion::CreateRevision(number)))
        | (Ok(CompareTarget::Mod), Some(TargetUnion::ModRevision(number)))
        | (Ok(CompareTarget::Lease), Some(TargetUnion::Lease(number))) => *number,
        _ => 0,
    };
    Operand(number)
}
