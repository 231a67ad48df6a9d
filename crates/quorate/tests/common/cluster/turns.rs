//! Clusters that measure run alone; all others may run side by side.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static TURNS: RwLock<()> = RwLock::new(());

/// The right to run processes, as long as it is held. A test takes one turn, once.
pub(crate) enum Turn {
    /// Others may run too.
    Shared(#[expect(dead_code, reason = "held, never read")] RwLockReadGuard<'static, ()>),
    /// Nobody else runs.
    Alone(#[expect(dead_code, reason = "held, never read")] RwLockWriteGuard<'static, ()>),
}

impl Turn {
    /// Waits for a turn. A test that failed in its turn has left nothing behind.
    pub(crate) fn take(alone: bool) -> Turn {
        if alone {
            Turn::Alone(TURNS.write().unwrap_or_else(PoisonError::into_inner))
        } else {
            Turn::Shared(TURNS.read().unwrap_or_else(PoisonError::into_inner))
        }
    }
}
