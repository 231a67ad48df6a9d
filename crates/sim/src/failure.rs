//! What is told when a run fails.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use crate::Recipe;

/// A run that ended badly: the core or the judge found something that must never be.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What the world was made from.
    pub recipe: Recipe,
    /// The virtual time at which it failed.
    pub at: Duration,
    /// What was found.
    pub what: String,
    /// Faults that were due by then, whether they happened or the recipe left them out.
    pub faults: u64,
    /// The state of the world.
    pub state: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            recipe,
            at,
            what,
            state,
            faults: _,
        } = self;
        write!(f, "seed {recipe} failed at {at:?}: {what}\n{state}")
    }
}

/// The words of a panic.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&words| words.to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned())
}
