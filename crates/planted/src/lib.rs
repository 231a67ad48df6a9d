//! Small wrong changes to the core, chosen by name: they measure how good the simulator is.
//!
//! A place in the core asks `planted::bug("name")` and does the wrong thing if that bug was chosen.
//! Without the cargo feature `planted-bugs` the answer is a constant `false` and the compiler drops the
//! wrong branch; with it, no bug is chosen unless somebody chooses one, and everything is as it should
//! be. A bug is chosen per thread ([`choose`]), so that worlds with different bugs run side by side, or
//! for a whole process by the environment variable [`VARIABLE`], which is how a crate's own tests are run
//! against a bug: they start threads of their own.
//!
//! What makes a bug worth planting: its crate's ordinary tests pass with it, and worlds drawn at random
//! find it. [`BUGS`] says of each what is wrong and which rule it breaks. The numbers of the pitfalls are
//! those of the list of defects of other implementations in `docs/pitfalls.md`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod table;

pub use table::BUGS;

/// One wrong change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bug {
    /// What it is chosen by.
    pub name: &'static str,
    /// The crate that it is in, without the project's name before it.
    pub crate_name: &'static str,
    /// What is wrong.
    pub what: &'static str,
    /// The rule that it breaks, and where that rule comes from.
    pub rule: &'static str,
}

/// Whether the bugs are compiled in.
pub const ARE_HERE: bool = cfg!(feature = "planted-bugs");

/// Names the bug of a whole process, in a build that has the bugs.
pub const VARIABLE: &str = "QUORATE_PLANTED_BUG";

/// The bug of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Bug> {
    BUGS.iter().find(|bug| bug.name == name)
}

#[cfg(not(feature = "planted-bugs"))]
mod choice {
    /// Whether this bug was chosen: it was not, there are none in this build.
    #[inline(always)]
    #[must_use]
    pub const fn bug(_name: &str) -> bool {
        false
    }

    /// Chooses the bug of this thread: has no effect, there are none in this build.
    pub fn choose(_bug: Option<&'static str>) {}
}

#[cfg(feature = "planted-bugs")]
mod choice {
    use std::cell::Cell;
    use std::sync::LazyLock;

    static OF_PROCESS: LazyLock<Option<&'static str>> = LazyLock::new(|| {
        let name = std::env::var(crate::VARIABLE).ok()?;
        let bug = crate::find(&name);
        let bug = bug.unwrap_or_else(|| panic!("{}: no bug {name:?}", crate::VARIABLE));
        Some(bug.name)
    });

    thread_local! {
        static CHOSEN: Cell<Option<&'static str>> = Cell::new(*OF_PROCESS);
    }

    /// Whether this bug was chosen.
    #[must_use]
    pub fn bug(name: &str) -> bool {
        CHOSEN.get() == Some(name)
    }

    /// Chooses the bug of this thread, or none.
    pub fn choose(bug: Option<&'static str>) {
        CHOSEN.set(bug);
    }
}

pub use choice::{bug, choose};

#[cfg(test)]
mod tests;
