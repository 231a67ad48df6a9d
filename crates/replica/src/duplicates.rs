//! Which requests have been applied, so that none is applied twice.
//!
//! A follower forwards a write once, but a network may deliver it twice, and a leader that lost
//! its place may have appended what another leader has too. Each member numbers the requests of
//! one boot upwards and holds a bounded number of them unanswered, so a window of
//! [`DUPLICATE_WINDOW`] sequences below the greatest one applied says for each whether it was
//! applied; what lies below the window was answered long ago. Every member keeps the same
//! windows because they change only by applying entries; they are part of every snapshot
//! (`snapshot_head.rs`), or a request would be applied again after one was loaded.

use std::collections::BTreeMap;

use quorate_proto::envelope::RequestId;
use quorate_raft::LogIndex;

use crate::limits::{DUPLICATE_BOOTS_PER_MEMBER, DUPLICATE_MEMBERS, DUPLICATE_WINDOW};

const WORD_BITS: u64 = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Duplicates {
    pub(crate) members: BTreeMap<u64, Boots>,
}

/// What is remembered of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Boots {
    /// Where its last request is in the log.
    pub(crate) last_index: u64,
    /// The newest boot last.
    pub(crate) windows: Vec<Window>,
}

/// Which requests of one boot have been applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) boot_nonce: u32,
    pub(crate) greatest: u64,
    /// One bit per sequence modulo the window.
    seen: Vec<u64>,
}

impl Duplicates {
    /// Notes that `request`, which is in the log at `index`, is about to be applied; false when
    /// it was applied before.
    ///
    /// Sequence 0 is for commands that a node proposes on its own and that are harmless twice.
    pub(crate) fn admit(&mut self, request: RequestId, index: LogIndex) -> bool {
        if request.sequence == 0 {
            return true;
        }
        if !self.members.contains_key(&request.member) {
            self.make_room();
        }
        let boots = self.members.entry(request.member).or_default();
        boots.last_index = index.0;
        let windows = &mut boots.windows;
        let position = windows
            .iter()
            .position(|window| window.boot_nonce == request.boot_nonce);
        let position = position.unwrap_or_else(|| {
            if windows.len() == DUPLICATE_BOOTS_PER_MEMBER {
                windows.remove(0);
            }
            windows.push(Window::new(request.boot_nonce));
            windows.len() - 1
        });
        windows[position].admit(request.sequence)
    }

    /// Forgets the member that was heard of least lately, when there are as many as may be.
    fn make_room(&mut self) {
        if self.members.len() < DUPLICATE_MEMBERS {
            return;
        }
        let lasts = self
            .members
            .iter()
            .map(|(id, boots)| (boots.last_index, *id));
        if let Some((_, id)) = lasts.min() {
            self.members.remove(&id);
        }
    }
}

impl Window {
    fn new(boot_nonce: u32) -> Window {
        let words = (DUPLICATE_WINDOW / WORD_BITS) as usize;
        Window {
            boot_nonce,
            greatest: 0,
            seen: vec![0; words],
        }
    }

    fn admit(&mut self, sequence: u64) -> bool {
        if self.greatest.saturating_sub(sequence) >= DUPLICATE_WINDOW {
            return false;
        }
        if sequence > self.greatest {
            self.advance_to(sequence);
        }
        let (word, bit) = Window::place(sequence);
        let fresh = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        fresh
    }

    /// Forgets the sequences that fall out of the window when `sequence` becomes the greatest.
    fn advance_to(&mut self, sequence: u64) {
        if sequence - self.greatest >= DUPLICATE_WINDOW {
            self.seen.fill(0);
        } else {
            for entering in self.greatest + 1..=sequence {
                let (word, bit) = Window::place(entering);
                self.seen[word] &= !bit;
            }
        }
        self.greatest = sequence;
    }

    /// A boot whose window holds exactly what `runs` say: how many sequences from `greatest` down
    /// were applied, then how many were not, and so on, down to the window's end or to 1. `None`
    /// when they say anything else.
    pub(crate) fn from_runs(boot_nonce: u32, greatest: u64, runs: &[u64]) -> Option<Window> {
        let mut window = Window::new(boot_nonce);
        window.greatest = greatest;
        let mut left = window.span();
        for (number, run) in runs.iter().enumerate() {
            if *run == 0 || *run > left {
                return None;
            }
            let newest = greatest - (window.span() - left);
            if number % 2 == 0 {
                for sequence in (newest - run + 1)..=newest {
                    let (word, bit) = Window::place(sequence);
                    window.seen[word] |= bit;
                }
            }
            left -= run;
        }
        (left == 0 && greatest > 0).then_some(window)
    }

    /// The same from the other side. The runs add up to the sequences that the window speaks of,
    /// and the first is never none, since the greatest was applied.
    pub(crate) fn runs(&self) -> Vec<u64> {
        let mut runs = Vec::new();
        let mut left = self.span();
        let mut newest = self.greatest;
        while left > 0 {
            let run = self.run_from(newest, left, runs.len() % 2 == 0);
            runs.push(run);
            left -= run;
            newest -= run;
        }
        runs
    }

    /// How many sequences from `newest` down, at most `most`, were all applied or all not.
    fn run_from(&self, newest: u64, most: u64, applied: bool) -> u64 {
        let mut run = 0;
        while run < most {
            let slot = (newest - run) % DUPLICATE_WINDOW;
            let word = self.seen[(slot / WORD_BITS) as usize];
            let equal = if applied { word } else { !word };
            let here = slot % WORD_BITS + 1;
            let count = u64::from((equal << (WORD_BITS - here)).leading_ones()).min(here);
            run += count;
            if count < here {
                break;
            }
        }
        run.min(most)
    }

    /// How many sequences the window speaks of.
    fn span(&self) -> u64 {
        self.greatest.min(DUPLICATE_WINDOW)
    }

    fn place(sequence: u64) -> (usize, u64) {
        let slot = sequence % DUPLICATE_WINDOW;
        ((slot / WORD_BITS) as usize, 1 << (slot % WORD_BITS))
    }
}

#[cfg(test)]
mod tests;
