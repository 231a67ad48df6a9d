//! Panics of the core are findings, not accidents: they are caught where a world is run, and told
//! in one place with the seed. Only where they came from has to be noted when they happen. A panic
//! anywhere else is told as always.

use std::cell::{Cell, RefCell};

thread_local! {
    static IN_WORLD: Cell<bool> = const { Cell::new(false) };
    static LAST_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic in a world prints nothing by itself.
pub(super) fn be_quiet_in_worlds() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if IN_WORLD.get() {
            LAST_PLACE.set(panic.location().map(ToString::to_string));
        } else {
            usual(panic);
        }
    }));
}

/// Runs a world; where it panicked, if it did.
pub(super) fn in_world<R>(run: impl FnOnce() -> R) -> (R, Option<String>) {
    LAST_PLACE.take();
    IN_WORLD.set(true);
    let result = run();
    IN_WORLD.set(false);
    (result, LAST_PLACE.take())
}
