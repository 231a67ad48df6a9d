//! Single numbers of both systems, round by round, and how they compare.

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

use crate::arguments::{Arguments, Form};
use crate::machine::{Machine, today};
use crate::measure::System;
use crate::ratio::{Spread, ratio};
use crate::report::{Versions, table};
use crate::storage::Description;

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
    less_is_better: bool,
}

impl Quantity {
    pub(crate) const fn less_is_better(name: &'static str) -> Quantity {
        Quantity {
            name,
            less_is_better: true,
        }
    }
}

/// One number.
#[derive(Clone, Copy, Debug, Serialize)]
struct Sample {
    quantity: usize,
    system: System,
    /// From 1.
    round: u32,
    value: f64,
}

/// All numbers of one workload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Samples {
    title: String,
    quantities: Vec<Quantity>,
    samples: Vec<Sample>,
}

impl Samples {
    pub(crate) fn new(title: String, quantities: &[Quantity]) -> Samples {
        Samples {
            title,
            quantities: quantities.to_vec(),
            samples: Vec::new(),
        }
    }

    /// `quantity` is its place among those given; a round may have several.
    pub(crate) fn add(&mut self, quantity: usize, system: System, round: u32, value: f64) {
        assert!(quantity < self.quantities.len(), "no quantity {quantity}");
        self.samples.push(Sample {
            quantity,
            system,
            round,
            value,
        });
    }

    fn values(&self, quantity: usize, system: System, round: Option<u32>) -> Option<Spread> {
        let of = self.samples.iter().filter(|sample| {
            (sample.quantity, sample.system) == (quantity, system)
                && round.is_none_or(|round| sample.round == round)
        });
        Spread::of(of.map(|sample| sample.value))
    }

    /// Quorate's median of a round divided by etcd's.
    fn ratios(&self, quantity: usize) -> Option<Spread> {
        let last = self.samples.iter().map(|sample| sample.round).max()?;
        Spread::of((1..=last).filter_map(|round| {
            let median = |system| self.values(quantity, system, Some(round));
            ratio(
                median(System::Quorate)?.median,
                median(System::Etcd)?.median,
            )
        }))
    }

    /// A table in Markdown.
    fn table(&self) -> String {
        let rows = self.quantities.iter().enumerate().map(|(index, quantity)| {
            let cell = |spread: Option<Spread>, digits: usize| match spread {
                Some(Spread {
                    median,
                    least,
                    greatest,
                }) => format!("{median:.digits$} ({least:.digits$} to {greatest:.digits$})"),
                None => "-".to_owned(),
            };
            let digits =
                |spread: &Option<Spread>| usize::from(spread.is_some_and(|s| s.median < 100.0)) * 2;
            let (quorate, etcd) = (
                self.values(index, System::Quorate, None),
                self.values(index, System::Etcd, None),
            );
            vec![
                quantity.name.to_owned(),
                cell(quorate, digits(&quorate)),
                cell(etcd, digits(&etcd)),
                cell(self.ratios(index), 2),
            ]
        });
        let head = ["quantity", "Quorate", "etcd", "ratio"];
        table(&head, 1, rows.collect())
    }
}

/// The result, with what it was measured on.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    date: String,
    command: String,
    machine: Machine,
    storage: Description,
    versions: Versions,
    #[serde(flatten)]
    samples: Samples,
}

impl Comparison {
    pub(crate) fn new(versions: Versions, storage: &Description, samples: Samples) -> Comparison {
        let mut command = vec!["vs-etcd".to_owned()];
        command.extend(std::env::args().skip(1));
        Comparison {
            date: today(),
            command: command.join(" "),
            machine: Machine::this(),
            storage: storage.clone(),
            versions,
            samples,
        }
    }

    /// Prints it in the form asked for, and saves it if asked to.
    pub(crate) fn print(&self, arguments: &Arguments) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        match arguments.form() {
            Form::Json => println!("{json}"),
            Form::Text | Form::Markdown => print!("{}", self.text()),
        }
        if let Some(path) = &arguments.save {
            fs::write(path, json + "\n")
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn text(&self) -> String {
        format!(
            "{} with `{}`: Quorate {}, etcd {}; {}, {} cores; {}, fdatasync {} µs.\n\n\
             {}: median (least to greatest); ratios are Quorate's divided by etcd's, round by round:\n\n{}",
            self.date,
            self.command,
            self.versions.quorate,
            self.versions.etcd,
            self.machine.processor,
            self.machine.cores,
            self.storage.filesystem,
            self.storage.fdatasync_us_median,
            self.samples.title,
            self.samples.table(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_of_the_medians_of_each_round() {
        let mut samples = Samples::new("gaps".to_owned(), &[Quantity::less_is_better("gap, ms")]);
        for (round, quorate, etcd) in [
            (1, [500.0, 700.0, 600.0], [1200.0; 3]),
            (2, [900.0; 3], [1000.0; 3]),
        ] {
            for value in quorate {
                samples.add(0, System::Quorate, round, value);
            }
            for value in etcd {
                samples.add(0, System::Etcd, round, value);
            }
        }
        let ratios = samples.ratios(0).expect("two rounds");
        assert_eq!((ratios.least, ratios.greatest), (0.5, 0.9));
        let expected = "\
| quantity |          Quorate |                etcd |               ratio |
| -------- | ---------------: | ------------------: | ------------------: |
| gap, ms  | 800 (500 to 900) | 1100 (1000 to 1200) | 0.70 (0.50 to 0.90) |
";
        assert_eq!(samples.table(), expected);
    }
}
