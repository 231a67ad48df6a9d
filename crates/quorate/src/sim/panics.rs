//! Panics of the core are findings, not accidents: they are caught where a world is run, and told
//! in one place with the seed. Only where they came from has to be noted when they happen.

use std::cell::RefCell;

thread_local! {
    static LAST_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic prints nothing by itself.
pub(super) fn be_quiet() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        LAST_PLACE.set(place);
    }));
}

/// Where the last panic of this thread came from, if there was one since this was asked.
pub(super) fn last_place() -> Option<String> {
    LAST_PLACE.take()
}
