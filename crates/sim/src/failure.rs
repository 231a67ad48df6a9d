//! What is told when a run fails.

use std::any::Any;
use std::fmt;
use std::time::Duration;

/// A run that ended badly: the core or the judge found something that must never be.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed of the world.
    pub seed: u64,
    /// The virtual time at which it failed.
    pub at: Duration,
    /// What was found.
    pub what: String,
    /// The state of the world.
    pub state: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            seed,
            at,
            what,
            state,
        } = self;
        write!(f, "seed {seed} failed at {at:?}: {what}\n{state}")
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
