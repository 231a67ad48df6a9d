//! What has happened in a world, so that worlds which are too tame are found out.

use std::collections::BTreeMap;

/// Rare things, all of which must come about now and then.
const RARE: [&str; 16] = [
    "began a change",
    "undid a change that was cut off",
    "left office when removed",
    "promoted a learner",
    "refused a learner that was not caught up",
    "completed a change of another leader",
    "refused a stranger",
    "granted a read on a lease",
    "took a snapshot",
    "took a snapshot of a joint membership",
    "installed a snapshot",
    "installed a snapshot of a joint membership",
    "joined by a snapshot",
    "restored from a snapshot",
    "handed leadership over",
    "gave way because the disk stalled",
];

/// How often each of them happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub(super) fn note(&mut self, what: &'static str) {
        assert!(RARE.contains(&what), "{what} is not on the list");
        *self.0.entry(what).or_default() += 1;
    }

    pub(in super::super) fn add(&mut self, other: &Seen) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(in super::super) fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    pub(in super::super) fn missing(&self) -> Vec<&'static str> {
        let mut rare = RARE.to_vec();
        rare.retain(|what| self.count(what) == 0);
        rare
    }
}
