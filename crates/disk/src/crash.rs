//! What a crash leaves behind: drawn from a seed, or every possibility in turn.
//!
//! A crash is a row of decisions, each among a number of options: is this rename kept, which
//! version of that sector is on the medium. Whoever answers them decides the state; option 0 is
//! always "as at the last sync" and the last option "everything written".

use crate::SimDisk;

/// How a crash decides.
pub enum Crash<'a> {
    /// Nothing that was not synced survives.
    LoseUnsynced,
    /// Everything survives, as when the page cache was written back just in time.
    KeepAll,
    /// Drawn from this seed.
    Random(u64),
    /// Asked one by one: given the number of options, answer with one below it.
    Chosen(&'a mut dyn FnMut(usize) -> usize),
}

impl Crash<'_> {
    /// Runs `body` with a function that answers each decision.
    pub(crate) fn decide<T>(self, body: impl FnOnce(&mut dyn FnMut(usize) -> usize) -> T) -> T {
        match self {
            Crash::LoseUnsynced => body(&mut |_| 0),
            Crash::KeepAll => body(&mut |options| options - 1),
            Crash::Random(seed) => {
                let mut random = SplitMix(seed);
                // Some crashes keep nearly all, some nearly nothing; a fair coin for each sector
                // alone would never show either.
                let keep_percent = [10, 50, 90][random.below(3)];
                body(&mut |options| {
                    if options > 1 && random.below(100) < keep_percent {
                        1 + random.below(options - 1)
                    } else {
                        0
                    }
                })
            }
            Crash::Chosen(choose) => body(choose),
        }
    }
}

/// The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA '14: one word of state, good enough to pick sectors.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let pick = self.next() % (bound.max(1) as u64);
        usize::try_from(pick).expect("smaller than a usize bound")
    }
}

/// Every state that a crash at this moment can leave, each as a disk of its own, restarted.
/// Made by [`SimDisk::crash_states`].
pub struct CrashStates {
    base: SimDisk,
    /// The decisions of the state to come: (picked, options). Read as a number whose digits have
    /// different bases; counting it up visits every row of decisions, even where an early one
    /// changes which later ones are asked.
    digits: Vec<(usize, usize)>,
    done: bool,
}

impl CrashStates {
    pub(crate) fn new(base: SimDisk) -> CrashStates {
        CrashStates {
            base,
            digits: Vec::new(),
            done: false,
        }
    }
}

impl Iterator for CrashStates {
    type Item = SimDisk;

    fn next(&mut self) -> Option<SimDisk> {
        if self.done {
            return None;
        }
        let state = self.base.fork();
        let digits = &mut self.digits;
        let mut asked = 0;
        state.crash(Crash::Chosen(&mut |options| {
            if asked == digits.len() {
                digits.push((0, options));
            }
            asked += 1;
            digits[asked - 1].0
        }));
        while let Some((picked, options)) = self.digits.pop() {
            if picked + 1 < options {
                self.digits.push((picked + 1, options));
                break;
            }
        }
        self.done = self.digits.is_empty();
        Some(state)
    }
}
