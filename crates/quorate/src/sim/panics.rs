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
        if is_broken_pipe(panic) {
            // Whoever reads has seen enough (`| head`): as a program ends that heeds SIGPIPE.
            std::process::exit(EXIT_BROKEN_PIPE);
        }
        if IN_WORLD.get() {
            LAST_PLACE.set(panic.location().map(ToString::to_string));
        } else {
            usual(panic);
        }
    }));
}

/// What a shell calls the end by SIGPIPE.
const EXIT_BROKEN_PIPE: i32 = 141;

/// `println!` can only panic when nobody reads any more.
fn is_broken_pipe(panic: &std::panic::PanicHookInfo<'_>) -> bool {
    let words = panic.payload().downcast_ref::<String>();
    words.is_some_and(|words| words.starts_with("failed printing to stdout: Broken pipe"))
}

/// Runs a world; where it panicked, if it did.
pub(super) fn in_world<R>(run: impl FnOnce() -> R) -> (R, Option<String>) {
    LAST_PLACE.take();
    IN_WORLD.set(true);
    let result = run();
    IN_WORLD.set(false);
    (result, LAST_PLACE.take())
}
