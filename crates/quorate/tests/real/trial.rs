//! One row of the table: faults in rounds, counted, under a recorded load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::history::Operation;
use crate::judge::{Count, judge};
use crate::real_faults::Dice;
use crate::workload::Workload;

/// How long each row goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// Each row says for how many rounds: seconds.
    Short,
    /// So long for each row, and never less than the short form.
    Long(Duration),
}

/// What a row does its faults with, and what came of it.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) dice: Dice,
    length: Length,
    began: Instant,
    rounds: u64,
    faults: BTreeMap<String, u64>,
    operations: Count,
}

impl Trial {
    pub(crate) fn new(dice: Dice, length: Length) -> Trial {
        Trial {
            dice,
            length,
            began: Instant::now(),
            rounds: 0,
            faults: BTreeMap::new(),
            operations: Count::default(),
        }
    }

    /// Whether there is another round; the short form has `short` of them. Gives its number, from 0.
    pub(crate) fn next_round(&mut self, short: u64) -> Option<u64> {
        let goes_on = match self.length {
            Length::Short => false,
            Length::Long(time) => self.began.elapsed() < time,
        };
        let round = self.rounds;
        self.rounds += 1;
        (round < short || goes_on).then_some(round)
    }

    /// Counts a fault that was done.
    pub(crate) fn count(&mut self, fault: &str) {
        self.count_many(fault, 1);
    }

    /// Counts faults that were done; there must be some, or this row proves nothing.
    pub(crate) fn count_many(&mut self, fault: &str, times: u64) {
        assert!(times > 0, "no {fault}");
        *self.faults.entry(fault.to_owned()).or_default() += times;
    }

    /// Starts the load.
    pub(crate) fn work(&mut self, cluster: &Cluster) -> Workload {
        Workload::start(cluster, &mut self.dice)
    }

    /// Stops the load and judges what it saw, which is given back. All nodes run, and can reach
    /// each other.
    pub(crate) fn judge(&mut self, cluster: &Cluster, workload: Workload) -> Vec<Operation> {
        let operations = workload.stop();
        self.operations.add(judge(cluster, &operations));
        operations
    }

    /// One line: what was done.
    pub(crate) fn report(&self) -> String {
        let faults: Vec<String> = self
            .faults
            .iter()
            .map(|(fault, times)| format!("{times} {fault}"))
            .collect();
        let Count {
            reads,
            writes,
            unknown,
        } = self.operations;
        format!(
            "{}; {writes} writes acknowledged, {reads} reads answered, {unknown} writes of unknown \
             outcome, {:.1} s",
            faults.join(", "),
            self.began.elapsed().as_secs_f64()
        )
    }

    /// How many operations were judged.
    pub(crate) fn operations(&self) -> Count {
        self.operations
    }

    /// What was done, and how often.
    pub(crate) fn faults(&self) -> &BTreeMap<String, u64> {
        &self.faults
    }
}

/// The other two of three.
pub(crate) fn others(victim: usize) -> [usize; 2] {
    [(victim + 1) % 3, (victim + 2) % 3]
}

/// All three.
pub(crate) const ALL: [usize; 3] = [0, 1, 2];
