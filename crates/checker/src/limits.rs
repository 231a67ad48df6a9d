//! How much a check may do before it gives up.

/// Steps of search for one check over all keys. An ordinary history needs a few steps per operation; one that needs
/// more than this has too many writers at once on one key. Some seconds and a few hundred MiB at most.
pub const BUDGET_STEPS_DEFAULT: u64 = 5_000_000;

/// Steps that making the shown window small may cost beyond the verdict, in the budget's unit: a large window is a
/// nuisance, a long wait for a smaller one is too.
pub(crate) const WINDOW_STEPS_MAX: u64 = 2_000_000;

/// Operations that a text may hold: what is beyond is better cut into several runs.
pub const OPERATIONS_MAX: usize = 10_000_000;
