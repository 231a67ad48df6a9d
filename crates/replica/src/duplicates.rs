//! Which requests have been applied, so that none is applied twice.
//!
//! A follower forwards a write once, but a network may deliver it twice, and a leader that lost
//! its place may have appended what another leader has too. Each member numbers the requests of
//! one boot upwards and holds a bounded number of them unanswered, so a window of
//! [`DUPLICATE_WINDOW`] sequences below the greatest one applied says for each whether it was
//! applied; what lies below the window was answered long ago. Every member keeps the same
//! windows because they change only by applying entries.

use std::collections::BTreeMap;

use quorate_proto::envelope::RequestId;

use crate::limits::{DUPLICATE_BOOTS_PER_MEMBER, DUPLICATE_WINDOW};

const WORD_BITS: u64 = 64;

#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    /// By member; the newest boot last.
    boots: BTreeMap<u64, Vec<Window>>,
}

#[derive(Debug)]
struct Window {
    boot_nonce: u32,
    greatest: u64,
    /// One bit per sequence modulo the window.
    seen: Vec<u64>,
}

impl Duplicates {
    /// Notes that `request` is about to be applied; false when it was applied before.
    ///
    /// Sequence 0 is for commands that a node proposes on its own and that are harmless twice.
    pub(crate) fn admit(&mut self, request: RequestId) -> bool {
        if request.sequence == 0 {
            return true;
        }
        let boots = self.boots.entry(request.member).or_default();
        let position = boots
            .iter()
            .position(|window| window.boot_nonce == request.boot_nonce);
        let position = position.unwrap_or_else(|| {
            if boots.len() == DUPLICATE_BOOTS_PER_MEMBER {
                boots.remove(0);
            }
            boots.push(Window::new(request.boot_nonce));
            boots.len() - 1
        });
        boots[position].admit(request.sequence)
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

    fn place(sequence: u64) -> (usize, u64) {
        let slot = sequence % DUPLICATE_WINDOW;
        ((slot / WORD_BITS) as usize, 1 << (slot % WORD_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(boot_nonce: u32, sequence: u64) -> RequestId {
        RequestId {
            member: 1,
            boot_nonce,
            sequence,
        }
    }

    #[test]
    fn a_request_is_admitted_once_in_any_order() {
        let mut duplicates = Duplicates::default();
        for sequence in [5, 1, 3, 70_000, 69_999, 2 * DUPLICATE_WINDOW + 7] {
            assert!(duplicates.admit(request(9, sequence)), "{sequence}");
            assert!(!duplicates.admit(request(9, sequence)), "{sequence} again");
        }
    }

    #[test]
    fn what_fell_below_the_window_counts_as_applied() {
        let mut duplicates = Duplicates::default();
        assert!(duplicates.admit(request(9, DUPLICATE_WINDOW + 10)));
        assert!(!duplicates.admit(request(9, 10)));
        assert!(duplicates.admit(request(9, 11)));
    }

    #[test]
    fn the_greatest_number_there_is_does_not_overflow_the_window() {
        let mut duplicates = Duplicates::default();
        assert!(duplicates.admit(request(9, u64::MAX)));
        assert!(!duplicates.admit(request(9, u64::MAX)));
        assert!(duplicates.admit(request(9, u64::MAX - 1)));
        assert!(!duplicates.admit(request(9, 1)), "far below the window");
    }

    #[test]
    fn a_new_boot_starts_a_window_of_its_own_and_the_oldest_is_forgotten() {
        let mut duplicates = Duplicates::default();
        for boot in 0..=DUPLICATE_BOOTS_PER_MEMBER as u32 {
            assert!(duplicates.admit(request(boot, 1)));
        }
        assert!(!duplicates.admit(request(DUPLICATE_BOOTS_PER_MEMBER as u32, 1)));
        assert_eq!(duplicates.boots[&1].len(), DUPLICATE_BOOTS_PER_MEMBER);
    }

    #[test]
    fn a_long_random_run_agrees_with_a_plain_set() {
        let mut duplicates = Duplicates::default();
        let mut plain = std::collections::BTreeSet::new();
        let mut state = 12_345_u64;
        let mut base = 1;
        for _ in 0..200_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            base += (state >> 60) & 1;
            let sequence = base + (state >> 33) % 2_000;
            assert_eq!(
                duplicates.admit(request(9, sequence)),
                plain.insert(sequence)
            );
        }
    }
}
