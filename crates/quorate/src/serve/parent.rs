//! Ends this process with the one that started it: `quorate up` leaves no node behind, not even when
//! it is killed with SIGKILL.

use anyhow::bail;

#[cfg(test)]
mod tests;

/// From now on this process is killed when process `parent`, which must have started it, ends.
#[cfg(target_os = "linux")]
pub(super) fn exit_with(parent: u32) -> anyhow::Result<()> {
    use anyhow::Context as _;
    use rustix::process::{Signal, set_parent_process_death_signal};

    check(parent)?;
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("cannot follow the parent process")?;
    // The parent may have ended before the kernel knew our wish.
    check(parent)
}

/// From now on this process ends within a second after process `parent`, which must have started it.
#[cfg(not(target_os = "linux"))]
pub(super) fn exit_with(parent: u32) -> anyhow::Result<()> {
    check(parent)?;
    std::thread::spawn(move || {
        while is_parent(parent) {
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        std::process::exit(1);
    });
    Ok(())
}

fn check(parent: u32) -> anyhow::Result<()> {
    if !is_parent(parent) {
        bail!("process {parent}, which was to be our parent (--exit-with-parent), is gone");
    }
    Ok(())
}

fn is_parent(process: u32) -> bool {
    rustix::process::getppid()
        .is_some_and(|parent| u32::try_from(parent.as_raw_nonzero().get()) == Ok(process))
}
