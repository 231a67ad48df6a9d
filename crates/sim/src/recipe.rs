//! What a world is made from: a seed, and perhaps what is taken away from the world that it draws.
//!
//! A failure is best understood in the smallest world that still shows it. A [`Recipe`] names such a
//! world in one word that fits on a command line: `17` is the world of seed 17, and
//! `17:faults=3+9,clients=1,no-loss` the same without most of its faults, with one client, on a network
//! that loses nothing. [`shrink`](crate::shrink()) looks for one.
//!
//! What holds: a recipe without changes is the world of its seed, to the last event; and each fault has
//! chance of its own, drawn from the seed and the fault's number. So leaving one out moves no other,
//! though what happens between them takes another course.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::world::Plan;

/// The longest recipe that is read: far more than any that is printed.
const MAX_CHARS: usize = 10_000;

/// A seed, and what is changed in its world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// Draws everything.
    pub seed: u64,
    /// Other than zero: the same plan and faults, but another course of everything else.
    pub salt: u64,
    /// So many nodes, if not as many as were drawn.
    pub nodes: Option<usize>,
    /// So many clients.
    pub clients: Option<usize>,
    /// Virtual milliseconds during which things go wrong.
    pub chaos_ms: Option<u64>,
    /// Only these faults happen, by number; all, if none are named.
    pub faults: Option<BTreeSet<u64>>,
    /// What there is none of.
    pub without: BTreeSet<Without>,
}

/// Something that makes a world more difficult and can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Without {
    /// Frames that are lost or damaged.
    Loss,
    /// Frames that come twice.
    Duplication,
    /// Frames that overtake each other.
    Reordering,
    /// Disks that stall.
    SlowDisks,
    /// Appliers that stall.
    SlowAppliers,
    /// Snapshots.
    Snapshots,
    /// Commands that take several steps to apply.
    Steps,
    /// Members that come and go.
    Changes,
    /// Chaos sites of the core.
    Sites,
    /// Clients that have to do with leases.
    Leases,
}

impl Without {
    /// All of them.
    pub const ALL: [Without; 10] = [
        Without::Loss,
        Without::Duplication,
        Without::Reordering,
        Without::SlowDisks,
        Without::SlowAppliers,
        Without::Snapshots,
        Without::Steps,
        Without::Changes,
        Without::Sites,
        Without::Leases,
    ];

    /// Its word in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Without::Loss => "no-loss",
            Without::Duplication => "no-duplication",
            Without::Reordering => "no-reordering",
            Without::SlowDisks => "no-slow-disks",
            Without::SlowAppliers => "no-slow-appliers",
            Without::Snapshots => "no-snapshots",
            Without::Steps => "no-steps",
            Without::Changes => "no-changes",
            Without::Sites => "no-sites",
            Without::Leases => "no-leases",
        }
    }

    fn leave_out(self, plan: &mut Plan) {
        let quiet = Plan::quiet(plan.nodes);
        match self {
            Without::Loss => {
                plan.loss_percent = quiet.loss_percent;
                plan.damage_percent = quiet.damage_percent;
            }
            Without::Duplication => plan.duplication_percent = quiet.duplication_percent,
            Without::Reordering => plan.reordering = quiet.reordering,
            Without::SlowDisks => plan.slow_disk_percent = quiet.slow_disk_percent,
            Without::SlowAppliers => plan.slow_applier_percent = quiet.slow_applier_percent,
            Without::Snapshots => plan.snapshot_log_bytes = quiet.snapshot_log_bytes,
            Without::Steps => plan.keys_per_step = quiet.keys_per_step,
            Without::Changes => {
                plan.change_every_ms = quiet.change_every_ms;
                plan.newcomers = quiet.newcomers;
                plan.transfer_percent = quiet.transfer_percent;
            }
            Without::Leases => plan.lease_clients = quiet.lease_clients,
            Without::Sites => plan.open_sites = quiet.open_sites,
        }
    }
}

impl Recipe {
    /// The plan that the seed drew, with the changes.
    pub(crate) fn change(&self, plan: &mut Plan) {
        plan.nodes = self.nodes.unwrap_or(plan.nodes);
        plan.clients = self.clients.unwrap_or(plan.clients);
        plan.chaos_ms = self.chaos_ms.unwrap_or(plan.chaos_ms);
        for without in &self.without {
            without.leave_out(plan);
        }
    }

    /// Whether this fault happens.
    pub(crate) fn has_fault(&self, number: u64) -> bool {
        let faults = self.faults.as_ref();
        faults.is_none_or(|faults| faults.contains(&number))
    }

    fn change_from(&mut self, word: &str) -> Result<(), RecipeError> {
        let unknown = || RecipeError::Unknown(word.to_owned());
        if let Some(without) = Without::ALL.iter().find(|one| one.name() == word) {
            self.without.insert(*without);
            return Ok(());
        }
        let (name, value) = word.split_once('=').ok_or_else(unknown)?;
        let number = |most: u64| match value.parse() {
            Ok(number) if number <= most => Ok(number),
            _ => Err(RecipeError::Value(word.to_owned())),
        };
        match name {
            "salt" => self.salt = number(u64::MAX)?,
            "nodes" => self.nodes = Some(number(MAX_NODES)?.max(1) as usize),
            "clients" => self.clients = Some(number(MAX_CLIENTS)? as usize),
            "chaos-ms" => self.chaos_ms = Some(number(MAX_CHAOS_MS)?),
            "faults" => {
                let numbers = value.split('+').filter(|number| !number.is_empty());
                let numbers: Result<_, _> = numbers.map(str::parse).collect();
                let numbers = numbers.map_err(|_| RecipeError::Value(word.to_owned()))?;
                self.faults = Some(numbers);
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

/// Who asks for more wants to measure the simulator, and has its API for that.
const MAX_NODES: u64 = 9;
/// As [`MAX_NODES`].
const MAX_CLIENTS: u64 = 1_000;
/// An hour of virtual time.
const MAX_CHAOS_MS: u64 = 3_600_000;

impl From<u64> for Recipe {
    fn from(seed: u64) -> Recipe {
        Recipe {
            seed,
            ..Recipe::default()
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.salt != 0 {
            words.push(format!("salt={}", self.salt));
        }
        words.extend(self.nodes.map(|nodes| format!("nodes={nodes}")));
        words.extend(self.clients.map(|clients| format!("clients={clients}")));
        words.extend(self.chaos_ms.map(|ms| format!("chaos-ms={ms}")));
        words.extend(self.faults.as_ref().map(|faults| {
            let numbers: Vec<String> = faults.iter().map(u64::to_string).collect();
            format!("faults={}", numbers.join("+"))
        }));
        words.extend(self.without.iter().map(|one| one.name().to_owned()));
        write!(f, "{}", self.seed)?;
        match words.is_empty() {
            true => Ok(()),
            false => write!(f, ":{}", words.join(",")),
        }
    }
}

/// Why a text is no recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// It does not begin with a number.
    #[error("{0:?} is no seed: a seed is a number from 0 to 18446744073709551615")]
    Seed(String),
    /// A change that does not exist.
    #[error(
        "{0:?} changes nothing; what can be changed, with commas between, is salt=N, nodes=N, clients=N, chaos-ms=N, \
         faults=N+N+…, {all}",
        all = Without::ALL.map(Without::name).join(", ")
    )]
    Unknown(String),
    /// A change to something that cannot be.
    #[error("{0:?} has a value that is no number, or too great a one")]
    Value(String),
    /// More than anyone writes.
    #[error("it is longer than {MAX_CHARS} characters")]
    TooLong,
}

impl FromStr for Recipe {
    type Err = RecipeError;

    fn from_str(text: &str) -> Result<Recipe, RecipeError> {
        if text.len() > MAX_CHARS {
            return Err(RecipeError::TooLong);
        }
        let (seed, changes) = text.split_once(':').unwrap_or((text, ""));
        let seed: u64 = seed
            .parse()
            .map_err(|_| RecipeError::Seed(seed.to_owned()))?;
        let mut recipe = Recipe::from(seed);
        for word in changes.split(',').filter(|word| !word.is_empty()) {
            recipe.change_from(word)?;
        }
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests;
