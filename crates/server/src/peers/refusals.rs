//! Refused links in few words: a flood of strangers, or one with much to say, must not flood the log.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::limits::{PEER_TEXT_BYTES, REFUSALS_LOGGED_EVERY};

/// Refused links that have not been logged.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Unlogged>);

#[derive(Default)]
struct Unlogged {
    links: u64,
    last_logged: Option<Instant>,
}

impl Refusals {
    /// Counts one; gives how many there were since the last line when it is time for another.
    pub(super) fn note(&self, now: Instant) -> Option<u64> {
        let mut unlogged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unlogged.links += 1;
        let last = unlogged.last_logged;
        if last.is_some_and(|last| now.duration_since(last) < REFUSALS_LOGGED_EVERY) {
            return None;
        }
        unlogged.last_logged = Some(now);
        Some(std::mem::take(&mut unlogged.links))
    }
}

/// The beginning of what the other side said.
pub(super) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(PEER_TEXT_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_in_a_row_are_one_line_with_their_number() {
        let refusals = Refusals::default();
        let start = Instant::now();
        assert_eq!(refusals.note(start), Some(1));
        assert_eq!(refusals.note(start), None);
        assert_eq!(refusals.note(start), None);
        assert_eq!(refusals.note(start + REFUSALS_LOGGED_EVERY), Some(3));
    }

    #[test]
    fn the_words_of_a_peer_are_cut_between_letters() {
        assert_eq!(shortened("no"), "no");
        let long = "\u{20ac}".repeat(1_000);
        assert_eq!(shortened(&long).len(), PEER_TEXT_BYTES / 3 * 3);
    }
}
