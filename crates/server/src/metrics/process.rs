//! Numbers of this process, from Linux's `/proc`, under the names of Prometheus' client libraries.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::number;

/// The unit of times in `/proc/PID/stat`, on every Linux that Quorate runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the system says of this process. What it does not say stays 0.
#[derive(Default)]
pub(super) struct ProcessMetrics {
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    open_files: Gauge,
    open_files_max: Gauge,
    cpu_seconds: Counter<f64, AtomicU64>,
    start_seconds: Gauge<f64, AtomicU64>,
}

impl ProcessMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "process_resident_memory_bytes",
            "Resident memory of the process",
            self.resident_bytes.clone(),
        );
        r.register(
            "process_virtual_memory_bytes",
            "Address space of the process",
            self.virtual_bytes.clone(),
        );
        for name in ["process_open_fds", "os_fd_used"] {
            r.register(name, "Open file descriptors", self.open_files.clone());
        }
        for name in ["process_max_fds", "os_fd_limit"] {
            let help = "Most file descriptors that may be open";
            r.register(name, help, self.open_files_max.clone());
        }
        r.register(
            "process_cpu_seconds",
            "Processor time, user and system",
            self.cpu_seconds.clone(),
        );
        r.register(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970",
            self.start_seconds.clone(),
        );
    }

    pub(super) fn read(&self) {
        let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        let status = read("self/status");
        let bytes = |field| field_of(&status, field).map_or(0, |kib| kib << 10);
        self.resident_bytes.set(number(bytes("VmRSS:")));
        self.virtual_bytes.set(number(bytes("VmSize:")));
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.open_files.set(number(open as u64));
        let most = field_of(&read("self/limits"), "Max open files");
        self.open_files_max.set(number(most.unwrap_or_default()));
        let stat = read("self/stat");
        let ticks = |field| ticks_of(&stat, field).unwrap_or_default() / TICKS_PER_SECOND;
        let cpu = ticks(14) + ticks(15);
        self.cpu_seconds
            .inner()
            .store(cpu.to_bits(), Ordering::Relaxed);
        let boot = field_of(&read("stat"), "btime").unwrap_or_default();
        self.start_seconds.set(boot as f64 + ticks(22));
    }
}

/// The first number after `name`, which begins a line.
fn field_of(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// A field of `/proc/PID/stat`, counted from 1 (proc(5)); field 2 is a name that may hold anything.
fn ticks_of(stat: &str, field: usize) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(field - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_a_past() {
        let metrics = ProcessMetrics::default();
        metrics.read();
        assert!(metrics.resident_bytes.get() > 1 << 20);
        assert!(metrics.virtual_bytes.get() >= metrics.resident_bytes.get());
        let open = metrics.open_files.get();
        assert!(open > 2 && open <= metrics.open_files_max.get(), "{open}");
        let (start, now) = (metrics.start_seconds.get(), std::time::UNIX_EPOCH.elapsed());
        let now = now.expect("after 1970").as_secs_f64();
        assert!((now - 86_400.0..=now + 2.0).contains(&start), "{start}");
    }

    #[test]
    fn a_name_with_a_parenthesis_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0";
        assert_eq!(
            (ticks_of(stat, 14), ticks_of(stat, 15)),
            (Some(250.0), Some(50.0))
        );
    }
}
