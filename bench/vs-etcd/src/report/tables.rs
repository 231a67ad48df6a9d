//! The tables, padded so that they are read as easily in a terminal as on a page.

use super::{Ratio, Report, Summary, Values};

const VALUES_HEAD: [&str; 9] = [
    "operation",
    "clients",
    "server",
    "a second",
    "p50 ms",
    "p99 ms",
    "server CPU-s per 10,000",
    "generator CPU-s per 10,000",
    "others",
];
const RATIOS_HEAD: [&str; 7] = [
    "operation",
    "clients",
    "throughput",
    "server CPU per operation",
    "p50",
    "p99",
    "throughput, by round",
];
/// The columns before these are words, to the left; numbers are to the right.
const VALUES_NUMBERS_FROM: usize = 3;
const RATIOS_NUMBERS_FROM: usize = 2;

impl Report {
    /// For a terminal.
    pub(super) fn text(&self) -> String {
        format!(
            "{}\n\nMedians over {}; others: the greatest share of the machine.\n{}\nQuorate divided by etcd: median (least to greatest).\n{}",
            self.circumstances(),
            self.rounds_told(),
            self.values(),
            self.ratios()
        )
    }

    /// The section for `bench/README.md`.
    pub(super) fn markdown(&self) -> String {
        let (machine, storage) = (&self.machine, &self.storage);
        format!(
            "Measured on {date} with `{command}`:\n\
             Quorate {quorate}, etcd {etcd}; {processor}, {cores} cores, {memory} GiB,\n\
             Linux {kernel}; data on {filesystem}, fdatasync of 4 KiB {fdatasync} µs in the median. Windows of {seconds} s\n\
             after {warmup} s of warm-up.\n\n\
             Medians over {rounds}; \"others\" is the greatest share of the machine that others used:\n\n{values}\n\
             Quorate divided by etcd, round by round: median (least to greatest):\n\n{ratios}",
            date = self.date,
            command = self.command,
            quorate = self.versions.quorate,
            etcd = self.versions.etcd,
            processor = machine.processor,
            cores = machine.cores,
            memory = machine.memory_gib,
            kernel = machine.kernel,
            filesystem = storage.filesystem,
            fdatasync = storage.fdatasync_us_median,
            seconds = self.seconds,
            warmup = self.warmup_seconds,
            rounds = self.rounds_told(),
            values = self.values(),
            ratios = self.ratios(),
        )
    }

    fn rounds_told(&self) -> String {
        match self.rounds {
            1 => "1 round".to_owned(),
            rounds => format!("{rounds} rounds"),
        }
    }

    fn circumstances(&self) -> String {
        format!(
            "{}: Quorate {}, etcd {}; {}, {} cores; {}, fdatasync {} µs",
            self.date,
            self.versions.quorate,
            self.versions.etcd,
            self.machine.processor,
            self.machine.cores,
            self.storage.filesystem,
            self.storage.fdatasync_us_median
        )
    }

    fn values(&self) -> String {
        let rows = self
            .cells
            .iter()
            .flat_map(|summary| [&summary.quorate, &summary.etcd].map(|of| value_row(summary, of)));
        table(&VALUES_HEAD, VALUES_NUMBERS_FROM, rows.collect())
    }

    fn ratios(&self) -> String {
        let rows = self.cells.iter().map(|summary| {
            let ratios = &summary.ratios;
            vec![
                summary.cell.kind.to_string(),
                summary.cell.clients.to_string(),
                spread(&ratios.ops_per_second),
                spread(&ratios.server_cpu_seconds),
                spread(&ratios.p50),
                spread(&ratios.p99),
                by_round(&ratios.ops_per_second),
            ]
        });
        table(&RATIOS_HEAD, RATIOS_NUMBERS_FROM, rows.collect())
    }
}

fn value_row(summary: &Summary, of: &Values) -> Vec<String> {
    let failed = match of.errors {
        0 => String::new(),
        errors => format!(" ({errors} failed)"),
    };
    vec![
        summary.cell.kind.to_string(),
        summary.cell.clients.to_string(),
        of.system.to_string(),
        thousands(of.ops_per_second.median) + &failed,
        format!("{:.2}", of.p50_us.median / 1e3),
        format!("{:.2}", of.p99_us.median / 1e3),
        format!("{:.2}", of.server_cpu_seconds_per_10000.median),
        format!("{:.2}", of.generator_cpu_seconds_per_10000.median),
        format!("{:.0} %", of.others_share.greatest * 100.0),
    ]
}

fn spread(ratio: &Ratio) -> String {
    ratio.spread.map_or_else(
        || "-".to_owned(),
        |spread| {
            format!(
                "{:.2} ({:.2} to {:.2})",
                spread.median, spread.least, spread.greatest
            )
        },
    )
}

fn by_round(ratio: &Ratio) -> String {
    let one = |ratio: &Option<f64>| ratio.map_or_else(|| "-".to_owned(), |of| format!("{of:.2}"));
    let rounds: Vec<String> = ratio.rounds.iter().map(one).collect();
    rounds.join(" ")
}

/// 12345.6 as 12,346.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table in Markdown, its columns padded; those from `numbers_from` on are set to the right.
pub(crate) fn table(head: &[&str], numbers_from: usize, rows: Vec<Vec<String>>) -> String {
    let mut lines = vec![head.iter().map(ToString::to_string).collect::<Vec<_>>()];
    lines.extend(rows);
    let width = |column: usize| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule = widths.iter().enumerate().map(|(column, width)| {
        let dashes = "-".repeat(width - 1);
        if column < numbers_from {
            format!("{dashes}-")
        } else {
            format!("{dashes}:")
        }
    });
    lines.insert(1, rule.collect());
    let mut text = String::new();
    for line in lines {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            text.push_str(&if column < numbers_from {
                format!("| {cell:<width$} ")
            } else {
                format!("| {cell:>width$} ")
            });
        }
        text.push_str("|\n");
    }
    text
}
