//! The order of the runs.

use std::time::Instant;

use serde::Serialize;

use crate::arguments::{Cell, Kind};
use crate::measure::{Bench, Run, System};

/// Both servers on one cell, one right after the other.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pair {
    #[serde(flatten)]
    pub(crate) cell: Cell,
    /// From 1.
    pub(crate) round: u32,
    pub(crate) first: System,
    pub(crate) quorate: Run,
    pub(crate) etcd: Run,
}

/// Runs every cell on both servers, `rounds` times, and tells of each run on standard error.
pub(crate) fn run(bench: &Bench, cells: &[Cell], rounds: u32) -> anyhow::Result<Vec<Pair>> {
    let start = Instant::now();
    let total = cells.len() * rounds as usize;
    let mut pairs: Vec<Pair> = Vec::with_capacity(total);
    for round in 1..=rounds {
        for (index, cell) in cells.iter().enumerate() {
            let left = if pairs.is_empty() {
                String::new()
            } else {
                let each = start.elapsed().as_secs_f64() / pairs.len() as f64;
                let minutes = each * (total - pairs.len()) as f64 / 60.0;
                format!(" (about {:.0} min left)", minutes.ceil())
            };
            eprintln!(
                "round {round} of {rounds}, {} {}{left}",
                cell.kind,
                clients(*cell)
            );
            let order = order(round, index);
            let one = |system| -> anyhow::Result<Run> {
                let run = bench.run(system, *cell)?;
                eprintln!("  {}", line(&run));
                Ok(run)
            };
            let (early, late) = (one(order[0])?, one(order[1])?);
            let (quorate, etcd) = match order[0] {
                System::Quorate => (early, late),
                System::Etcd => (late, early),
            };
            pairs.push(Pair {
                cell: *cell,
                round,
                first: order[0],
                quorate,
                etcd,
            });
        }
    }
    Ok(pairs)
}

/// A B, B A, A B, … within a round and from round to round, so that neither is always the one that finds
/// the machine as the other left it.
pub(crate) fn order(round: u32, cell_index: usize) -> [System; 2] {
    if (round as usize + cell_index) % 2 == 1 {
        [System::Quorate, System::Etcd]
    } else {
        [System::Etcd, System::Quorate]
    }
}

fn clients(cell: Cell) -> String {
    match cell.clients {
        watchers if cell.kind == Kind::Watch => format!("{watchers} watchers"),
        1 => "1 client".to_owned(),
        clients => format!("{clients} clients"),
    }
}

fn line(run: &Run) -> String {
    let load = &run.load;
    let errors = match load.errors {
        0 => String::new(),
        errors => {
            let texts: Vec<&str> = load.first_errors.keys().map(String::as_str).collect();
            format!(", {errors} FAILED: {}", texts.join("; "))
        }
    };
    format!(
        "{:8} {:>8.0}/s, p50 {:.2} ms, p99 {:.2} ms, servers {:.3} and generator {:.3} CPU-s per 10,000, others {:.0} %{errors}",
        run.system.to_string(),
        load.ops_per_second,
        load.latency_us.p50 / 1e3,
        load.latency_us.p99 / 1e3,
        run.server_cpu_seconds_per_10000,
        run.generator_cpu_seconds_per_10000,
        run.others_share * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_goes_first_by_turns_in_a_round_and_in_a_cell() {
        for index in 0..4 {
            for round in 1..6 {
                let first = order(round, index)[0];
                assert_ne!(first, order(round, index)[1]);
                assert_ne!(first, order(round + 1, index)[0], "{round}, {index}");
                assert_ne!(first, order(round, index + 1)[0], "{round}, {index}");
            }
        }
    }
}
