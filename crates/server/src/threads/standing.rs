//! What this node takes its disk for, as lines that a person can act on.

use std::time::Duration;

use quorate_raft::{Instant, NodeId, Standing, Status};

use crate::core::Core;

/// A node that has asked for so long what its disk is worth says whom it waits for.
const ASKS_FOR_LONG: Duration = Duration::from_secs(10);

/// What was said of it.
pub(super) struct StandingNotes {
    asks_since: Instant,
    has_complained: bool,
    was_refilling: bool,
}

impl StandingNotes {
    /// At a start.
    pub(super) fn new(status: &Status, now: Instant) -> StandingNotes {
        let was_refilling = status.standing == Standing::Refilling;
        if was_refilling {
            tracing::warn!(
                "this disk was found to be older than it should be, and is still being made good: \
                 until then this member neither votes nor acknowledges"
            );
        }
        StandingNotes {
            asks_since: now,
            has_complained: false,
            was_refilling,
        }
    }

    /// It changed.
    pub(super) fn changed(&mut self, core: &Core, status: &Status) {
        match status.standing {
            Standing::Asking => {}
            Standing::Refilling => {
                self.was_refilling = true;
                let Some(rewound) = status.rewound else {
                    return;
                };
                tracing::error!(
                    told_by = core.member_name(rewound.by),
                    acknowledged_term = rewound.record.term.0,
                    acknowledged_index = rewound.record.index.0,
                    term = status.term.0,
                    last_index = status.last_index.0,
                    "this disk has gone back in time: it was restored from an older copy, emptied, \
                     or has lost what it said was written. This member is refilled from the \
                     others; until then it neither votes nor acknowledges"
                );
            }
            Standing::Sound => {
                if std::mem::take(&mut self.was_refilling) {
                    tracing::info!("this disk has got back all that it had lost");
                } else if self.has_complained {
                    tracing::info!("the others have said what this disk is worth");
                }
            }
        }
    }

    /// Now and then.
    pub(super) fn look(&mut self, core: &Core, status: &Status, now: Instant) {
        if self.has_complained || now < self.asks_since + ASKS_FOR_LONG {
            return;
        }
        if status.standing == Standing::Refilling && status.leader.is_none() {
            self.has_complained = true;
            tracing::warn!(
                "this member cannot be made good while nobody leads, and helps to elect nobody: \
                 start members that still have all their data. If every member was restored from a \
                 copy, there is none: start each of them once with --accept-old-disk"
            );
        }
        if status.standing != Standing::Asking || status.unanswered.is_empty() {
            return;
        }
        self.has_complained = true;
        let name = |id: &NodeId| core.member_name(*id);
        let missing: Vec<String> = status.unanswered.iter().map(name).collect();
        tracing::warn!(
            waits_for = missing.join(", "),
            "this member has started and takes no part before enough others say whether its disk \
             is as new as it should be"
        );
    }
}
