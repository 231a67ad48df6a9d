//! Reading a range of keys in bounded steps.
//!
//! Each step is handed where the last one stopped and a budget of keys, and finds its place again by
//! key, since the map may have changed in between. What a reader at its revision sees has not: writes
//! only add newer versions, and a pin keeps the old ones. A leaf that is passed over by its summary
//! costs as much as one key.

use crate::key::Key;
use crate::keyspace::Keyspace;
use crate::span::{End, Span};
use crate::versions::Version;

impl Keyspace {
    /// Adds to `count` the keys from `from` on, within `span`, that a reader at `revision` sees.
    /// Returns where to go on.
    pub(crate) fn count_step(
        &self,
        from: &[u8],
        span: &Span,
        revision: i64,
        budget: &mut usize,
        count: &mut usize,
    ) -> Option<Key> {
        let mut leaves = self.leaves_from(from).peekable();
        while let Some((bound, leaf)) = leaves.next() {
            if bound.as_slice() > from && !span.ends_after(bound.as_slice()) {
                return None;
            }
            // Whether the whole leaf is in the span is seen without touching its keys.
            let next_bound = leaves.peek().map(|(next, _)| next.as_slice());
            let is_whole = bound.as_slice() >= from && span.covers_below(next_bound);
            if is_whole && let Some(live) = leaf.live_at(revision) {
                if *budget == 0 {
                    return Some(bound.clone());
                }
                *budget -= 1;
                *count += live;
                continue;
            }
            let start = leaf.find(from).unwrap_or_else(|index| index);
            for entry in &leaf.entries()[start..] {
                if !span.ends_after(entry.key.as_slice()) {
                    return None;
                }
                if *budget == 0 {
                    return Some(entry.key.clone());
                }
                *budget -= 1;
                *count += usize::from(entry.versions.live_at(revision).is_some());
            }
        }
        None
    }

    /// Visits the keys from `from` on, within `span`, that a reader at `revision` sees, until `visit`
    /// says that it has enough (`false`). Returns where to go on, if the budget ran out first.
    pub(crate) fn scan_step(
        &self,
        from: &[u8],
        span: &Span,
        revision: i64,
        budget: &mut usize,
        mut visit: impl FnMut(&Key, &Version) -> bool,
    ) -> Option<Key> {
        for (bound, leaf) in self.leaves_from(from) {
            if bound.as_slice() > from && !span.ends_after(bound.as_slice()) {
                return None;
            }
            if leaf.is_blank_at(revision) {
                if *budget == 0 {
                    return Some(Key::new(from.max(bound.as_slice())));
                }
                *budget -= 1;
                continue;
            }
            let start = leaf.find(from).unwrap_or_else(|index| index);
            for entry in &leaf.entries()[start..] {
                if !span.ends_after(entry.key.as_slice()) {
                    return None;
                }
                if *budget == 0 {
                    return Some(entry.key.clone());
                }
                *budget -= 1;
                if let Some(version) = entry.versions.live_at(revision)
                    && !visit(&entry.key, version)
                {
                    return None;
                }
            }
        }
        None
    }

    /// The same from the end of `span`, or from `before` (exclusive), down to its start.
    pub(crate) fn scan_back_step(
        &self,
        before: Option<&Key>,
        span: &Span,
        revision: i64,
        budget: &mut usize,
        mut visit: impl FnMut(&Key, &Version) -> bool,
    ) -> Option<Key> {
        let end = match (before, &span.end) {
            (Some(before), _) => Some(before.as_slice()),
            (None, End::Before(end)) => Some(end.as_ref()),
            (None, End::Never) => None,
            (None, End::AtStart) => unreachable!("a single key is looked up, not scanned"),
        };
        let mut reached = before.cloned();
        for (bound, leaf) in self.leaves_back_from(end) {
            if leaf.is_blank_at(revision) {
                if *budget == 0 {
                    return reached;
                }
                *budget -= 1;
                reached = Some(bound.clone());
            } else {
                let stop = end.map_or(leaf.entries().len(), |end| {
                    leaf.find(end).unwrap_or_else(|i| i)
                });
                for entry in leaf.entries()[..stop].iter().rev() {
                    if entry.key.as_slice() < span.start.as_ref() {
                        return None;
                    }
                    if *budget == 0 {
                        return reached;
                    }
                    *budget -= 1;
                    reached = Some(entry.key.clone());
                    if let Some(version) = entry.versions.live_at(revision)
                        && !visit(&entry.key, version)
                    {
                        return None;
                    }
                }
            }
            if bound.as_slice() <= span.start.as_ref() {
                return None;
            }
        }
        None
    }
}
