//! Chaos sites: places in the core where the simulator may take a path that is legal but rare.
//!
//! A cluster that is well takes the same few paths again and again: messages are full, windows open,
//! segments large. Bugs live where a queue holds one thing and a read comes back short. So the core asks
//! `chaos!("name", percent)` at such places and, when the answer is yes, does what it may always do and
//! hardly ever does. The idea is FoundationDB's ("buggify", Zhou et al., SIGMOD '21).
//!
//! What holds:
//!
//! - Whatever a site does, the protocol allows: no answer, promise or bound depends on its not being done.
//!   [`SITES`] says of each why.
//! - The core stays pure. A site answers no unless a world is set on this thread ([`within`]), and then by
//!   that world's own seeded generator: one seed, one run. No clock, no environment, nothing shared between
//!   threads. The threads of a server never set one.
//! - Without the feature `sites` every answer is a constant no and the compiler drops the path: so who
//!   embeds `raft` or `wal` has none of it. A binary that has the simulator in it has the sites too; there
//!   each costs one read of a thread's own variable.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod table;

pub use table::SITES;

/// A place in the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// What it is called.
    pub name: &'static str,
    /// The crate that it is in, without the project's name before it.
    pub crate_name: &'static str,
    /// What is done there, and why that is allowed.
    pub what: &'static str,
}

/// How many there are.
pub const SITE_COUNT: usize = SITES.len();

const _: () = assert!(SITE_COUNT <= u32::BITS as usize, "one bit each");

/// Whether to take the rare path here, in so many of a hundred cases: `chaos!("name", percent)`. The name must be
/// one of [`SITES`], or it does not compile.
#[macro_export]
macro_rules! chaos {
    ($name:literal, $percent:expr) => {{
        const SITE: usize = $crate::position($name);
        $crate::takes(SITE, $percent)
    }};
}

/// The place of a site in [`SITES`].
#[must_use]
pub const fn position(name: &str) -> usize {
    let mut place = 0;
    while place < SITE_COUNT {
        if is_same(SITES[place].name.as_bytes(), name.as_bytes()) {
            return place;
        }
        place += 1;
    }
    panic!("no chaos site has this name")
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut place = 0;
    while place < one.len() {
        if one[place] != other[place] {
            return false;
        }
        place += 1;
    }
    true
}

/// The sites of one world: which are open, their chance, and how often each path was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chaos {
    /// One bit a site.
    open: u32,
    random: u64,
    taken: [u64; SITE_COUNT],
}

impl Chaos {
    /// Opens the sites whose bits are set, by their place in [`SITES`].
    #[must_use]
    pub fn new(seed: u64, open: u32) -> Chaos {
        Chaos {
            open,
            random: seed,
            taken: [0; SITE_COUNT],
        }
    }

    /// Closes all of them.
    pub fn close(&mut self) {
        self.open = 0;
    }

    /// How often the path of the site at this place was taken.
    #[must_use]
    pub fn taken(&self, place: usize) -> u64 {
        self.taken.get(place).copied().unwrap_or_default()
    }
}

#[cfg(not(feature = "sites"))]
mod answers {
    use crate::Chaos;

    /// Whether to take the path: no, it is not compiled.
    #[inline(always)]
    #[must_use]
    pub const fn takes(_site: usize, _percent: u64) -> bool {
        false
    }

    /// Runs, and asks nothing: there are no sites in this build.
    pub fn within<R>(_chaos: &mut Chaos, run: impl FnOnce() -> R) -> R {
        run()
    }

    /// Runs: there are no sites in this build.
    pub fn without<R>(run: impl FnOnce() -> R) -> R {
        run()
    }
}

#[cfg(feature = "sites")]
mod answers {
    use std::cell::Cell;

    use crate::Chaos;

    thread_local! {
        /// Apart from the rest, so that a thread without a world looks at four bytes.
        static OPEN: Cell<u32> = const { Cell::new(0) };
        static CHAOS: Cell<Chaos> = const { Cell::new(Chaos { open: 0, random: 0, taken: [0; crate::SITE_COUNT] }) };
    }

    /// Whether to take the path of this site, in so many of a hundred cases; never when no world is set.
    #[inline]
    #[must_use]
    pub fn takes(site: usize, percent: u64) -> bool {
        OPEN.get() & (1 << site) != 0 && draw(site, percent)
    }

    #[cold]
    fn draw(site: usize, percent: u64) -> bool {
        let mut chaos = CHAOS.get();
        // SplitMix64 (Steele, Lea and Flood, OOPSLA '14).
        chaos.random = chaos.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = chaos.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let takes = mixed % 100 < percent;
        chaos.taken[site] += u64::from(takes);
        CHAOS.set(chaos);
        takes
    }

    /// Takes the sites back, also when what ran panicked: what runs next on this thread has none of it.
    struct Within<'a>(&'a mut Chaos);

    impl Drop for Within<'_> {
        fn drop(&mut self) {
            OPEN.set(0);
            *self.0 = CHAOS.get();
        }
    }

    /// Runs with these sites open on this thread.
    pub fn within<R>(chaos: &mut Chaos, run: impl FnOnce() -> R) -> R {
        if chaos.open == 0 {
            return run();
        }
        CHAOS.set(*chaos);
        OPEN.set(chaos.open);
        let _within = Within(chaos);
        run()
    }

    /// Opens the sites again that were open before, also after a panic.
    struct Without(u32);

    impl Drop for Without {
        fn drop(&mut self) {
            OPEN.set(self.0);
        }
    }

    /// Runs with all sites closed, inside of a world: for whoever looks at the core and must not change
    /// what it does next.
    pub fn without<R>(run: impl FnOnce() -> R) -> R {
        let _without = Without(OPEN.replace(0));
        run()
    }
}

pub use answers::{takes, within, without};

#[cfg(test)]
mod tests;
