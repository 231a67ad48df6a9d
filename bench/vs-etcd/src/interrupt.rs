//! Ctrl-C, SIGTERM and SIGHUP: noticed by whoever waits, who then returns an error.
//!
//! On the way out everything that must go away (processes, data) does so as its owner is dropped.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// What a shell reports of a program that SIGINT ended.
pub(crate) const EXIT_CODE: u8 = 130;
/// The longest that an interruption goes unnoticed.
const NOTICE: Duration = Duration::from_millis(20);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Somebody wants this process to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("interrupted; all servers are stopped and their data removed")
    }
}

impl std::error::Error for Interrupted {}

/// From now on signals do not end this process but are noticed by [`pause`].
pub(crate) fn watch() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("cannot listen to signals")?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    drop(entered);
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                INTERRUPTED.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(())
}

/// Sleeps, unless interrupted.
pub(crate) fn pause(duration: Duration) -> anyhow::Result<()> {
    pause_until(Instant::now() + duration)
}

/// Sleeps until then, unless interrupted.
pub(crate) fn pause_until(end: Instant) -> anyhow::Result<()> {
    loop {
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(NOTICE));
    }
}
