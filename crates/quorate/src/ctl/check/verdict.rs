//! What the numbers of a run mean: etcdctl's limits and words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What one run has measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// How long each write took that was done.
    pub(super) latencies: Vec<Duration>,
    /// How often each error came.
    pub(super) errors: BTreeMap<String, u64>,
    /// From the first to the last.
    pub(super) took: Duration,
}

const THROUGHPUT_MIN: f64 = 0.9;
const SLOWEST_SECONDS_MAX: f64 = 0.5;
const DEVIATION_SECONDS_MAX: f64 = 0.1;

impl Measured {
    /// The lines to print, and whether it passes, at so many writes a second asked for.
    pub(super) fn verdict(&self, writes_per_second: u32) -> (String, bool) {
        let mut lines = String::new();
        let mut passes = self.errors.is_empty();
        if !passes {
            lines.push_str("FAIL: too many errors\n");
        }
        for (error, count) in &self.errors {
            // A string takes everything.
            let _ = writeln!(lines, "FAIL: ERROR({error}) -> {count}");
        }
        let rate = self.latencies.len() as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE);
        let whole_rate = rate as u64 + 1;
        let mut line = |is_good: bool, good: String, bad: String| {
            passes &= is_good;
            lines.push_str(if is_good { &good } else { &bad });
            lines.push('\n');
        };
        line(
            rate / f64::from(writes_per_second) > THROUGHPUT_MIN,
            format!("PASS: Throughput is {whole_rate} writes/s"),
            format!("FAIL: Throughput too low: {whole_rate} writes/s"),
        );
        let slowest = self
            .latencies
            .iter()
            .max()
            .map_or(0.0, Duration::as_secs_f64);
        line(
            slowest <= SLOWEST_SECONDS_MAX,
            format!("PASS: Slowest request took {slowest:.6}s"),
            format!("Slowest request took too long: {slowest:.6}s"),
        );
        let deviation = self.deviation_seconds();
        line(
            deviation <= DEVIATION_SECONDS_MAX,
            format!("PASS: Stddev is {deviation:.6}s"),
            format!("Stddev too high: {deviation:.6}s"),
        );
        lines.push_str(if passes { "PASS\n" } else { "FAIL\n" });
        (lines, passes)
    }

    /// The standard deviation of the latencies; 0 if there are none.
    fn deviation_seconds(&self) -> f64 {
        let count = self.latencies.len().max(1) as f64;
        let seconds = || self.latencies.iter().map(Duration::as_secs_f64);
        let mean = seconds().sum::<f64>() / count;
        let squares: f64 = seconds().map(|taken| (taken - mean).powi(2)).sum();
        (squares / count).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many writes in a minute, of these latencies in turn.
    fn measured(writes: usize, latencies_ms: &[u64]) -> Measured {
        let latencies = latencies_ms.iter().cycle().take(writes);
        Measured {
            latencies: latencies.map(|ms| Duration::from_millis(*ms)).collect(),
            errors: BTreeMap::new(),
            took: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_run_at_the_load_passes() {
        let (lines, passes) = measured(9_000, &[10, 30]).verdict(150);
        assert_eq!(
            lines,
            "PASS: Throughput is 151 writes/s\nPASS: Slowest request took 0.030000s\n\
             PASS: Stddev is 0.010000s\nPASS\n"
        );
        assert!(passes);
    }

    #[test]
    fn nine_tenths_of_the_load_are_too_little_and_one_write_more_is_enough() {
        let (lines, passes) = measured(8_100, &[10]).verdict(150);
        assert!(
            lines.starts_with("FAIL: Throughput too low: 136 writes/s\n"),
            "{lines}"
        );
        assert!(!passes && lines.ends_with("FAIL\n"));
        assert!(measured(8_101, &[10]).verdict(150).1);
    }

    #[test]
    fn one_write_of_more_than_half_a_second_fails_it() {
        let mut run = measured(9_000, &[10]);
        run.latencies[77] = Duration::from_millis(500);
        assert!(run.verdict(150).1);
        run.latencies[77] = Duration::from_millis(501);
        let (lines, passes) = run.verdict(150);
        assert!(
            lines.contains("\nSlowest request took too long: 0.501000s\n"),
            "{lines}"
        );
        assert!(!passes);
    }

    #[test]
    fn latencies_far_apart_fail_it() {
        assert!(measured(9_000, &[100, 300]).verdict(150).1);
        let (lines, passes) = measured(9_000, &[100, 302]).verdict(150);
        assert!(lines.contains("\nStddev too high: 0.101000s\n"), "{lines}");
        assert!(!passes);
    }

    #[test]
    fn one_error_fails_it_and_is_named() {
        let mut run = measured(9_000, &[10]);
        run.errors
            .insert("etcdserver: request timed out".to_owned(), 2);
        let (lines, passes) = run.verdict(150);
        assert!(
            lines.starts_with(
                "FAIL: too many errors\nFAIL: ERROR(etcdserver: request timed out) -> 2\nPASS: "
            ),
            "{lines}"
        );
        assert!(!passes && lines.ends_with("\nFAIL\n"));
    }

    #[test]
    fn a_run_without_a_write_fails() {
        let (lines, passes) = measured(0, &[]).verdict(150);
        assert!(
            lines.starts_with("FAIL: Throughput too low: 1 writes/s\n"),
            "{lines}"
        );
        assert!(!passes);
    }
}
