//! Drives the watch hub: tells it what was applied, and reads history for watchers that are behind.

use std::time::Duration;

use crate::core::Core;
use crate::watches::CaughtUp;

pub(super) fn run(core: &Core) {
    let watches = &core.watches;
    loop {
        let now_ms = core.now_ms();
        watches.tick(now_ms);
        let due_ms = watches.with(|hub| hub.next_tick_ms());
        let limit =
            due_ms.map(|due_ms| Duration::from_millis(due_ms.saturating_sub(now_ms).max(1)));
        let fed = watches.wait(limit);
        if watches.is_stopping() {
            return;
        }
        watches.publish(fed);
        catch_up(core);
    }
}

/// Reads as long as there is something to read and room for it. Other threads get the store between the steps, live
/// watchers what has been fed meanwhile, and all of them the progress that is due.
fn catch_up(core: &Core) {
    let watches = &core.watches;
    while !watches.is_stopping() && watches.with(|hub| hub.behind_count() > 0) {
        watches.publish_fed();
        watches.tick(core.now_ms());
        // While another store is loaded there is nothing to read; its arrival wakes this thread.
        let Ok((store, _)) = core.readable_store() else {
            return;
        };
        let caught_up = watches.catch_up(&store);
        drop(store);
        match caught_up {
            CaughtUp::Done => return,
            CaughtUp::More => {}
            CaughtUp::NotNow => std::thread::yield_now(),
        }
    }
}
