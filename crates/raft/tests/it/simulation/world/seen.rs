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

/// Those of worlds in which disks rot.
const RARE_WITH_ROT: [&str; 3] = [
    "damaged an entry",
    "repaired an entry",
    "installed in the place of damaged entries",
];

/// Those of worlds in which disks are put back.
const RARE_WITH_SWAPS: [&str; 6] = [
    "put an earlier disk back",
    "put an empty disk in",
    "noticed a disk that went back in time",
    "was whole again",
    "was whole again after a snapshot",
    "crashed while being refilled",
];

/// How often each of them happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub(super) fn note(&mut self, what: &'static str) {
        let listed = RARE.contains(&what) || RARE_WITH_ROT.contains(&what);
        let listed = listed || RARE_WITH_SWAPS.contains(&what);
        assert!(listed, "{what} is not on the list");
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

    pub(in super::super) fn missing_with_rot(&self) -> Vec<&'static str> {
        let mut rare = RARE_WITH_ROT.to_vec();
        rare.retain(|what| self.count(what) == 0);
        rare
    }

    pub(in super::super) fn missing_with_swaps(&self) -> Vec<&'static str> {
        let mut rare = RARE_WITH_SWAPS.to_vec();
        rare.retain(|what| self.count(what) == 0);
        rare
    }

    pub(in super::super) fn missing(&self) -> Vec<&'static str> {
        let mut rare = RARE.to_vec();
        rare.retain(|what| self.count(what) == 0);
        rare
    }
}
