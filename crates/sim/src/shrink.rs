//! Looks for the smallest world that still fails in the same way.
//!
//! Delta debugging (Zeller and Hildebrandt, IEEE TSE 2002) on what a world is made of: its faults first,
//! by halves, quarters and so on down to single ones; then clients, nodes, time, and each thing that
//! makes its network and disks bad. Whatever is taken away, the rest of the world takes another course,
//! and a failure that hangs on timing may hide; so each attempt is made with a few different courses
//! ([`Recipe::salt`]) before it is given up.
//!
//! "In the same way" means: in the same words but for their numbers. Without that a search for one bug
//! easily ends at another.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::recipe::{Recipe, Without};

/// Courses that an attempt is made with: a failure that shows in half of them is missed once in 16.
const COURSES: u64 = 4;

/// A world that fails, as the search sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// What was found.
    pub what: String,
    /// The virtual time at which it failed.
    pub at: Duration,
    /// Faults that had happened by then, or had been left out: they have the numbers below this.
    pub faults: u64,
    /// Members of the cluster.
    pub nodes: usize,
    /// Clients.
    pub clients: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The smallest world that fails.
    pub recipe: Recipe,
    /// How it fails.
    pub failing: Failing,
    /// Worlds that were run.
    pub runs: u64,
}

/// Looks for the smallest world that fails as the one of `recipe` does, in at most so many runs;
/// none if that one does not fail. `run` runs a world and says how it failed, if it did.
pub fn shrink(
    recipe: Recipe,
    most_runs: u64,
    run: impl FnMut(&Recipe) -> Option<Failing>,
) -> Option<Shrunk> {
    let mut search = Search {
        run,
        most_runs,
        best: Shrunk {
            recipe,
            failing: Failing {
                what: String::new(),
                at: Duration::ZERO,
                faults: 0,
                nodes: 0,
                clients: 0,
            },
            runs: 1,
        },
    };
    search.best.failing = (search.run)(&search.best.recipe)?;
    loop {
        let before = search.best.recipe.clone();
        search.end_sooner();
        search.leave_faults_out();
        search.leave_clients_out();
        search.leave_nodes_out();
        search.leave_trouble_out();
        if search.best.recipe == before || search.is_over() {
            return Some(search.best);
        }
    }
}

struct Search<R> {
    run: R,
    most_runs: u64,
    best: Shrunk,
}

impl<R: FnMut(&Recipe) -> Option<Failing>> Search<R> {
    fn is_over(&self) -> bool {
        self.best.runs >= self.most_runs
    }

    /// Whether what this makes of the best fails too; then it is the best.
    fn try_with(&mut self, change: impl FnOnce(&mut Recipe)) -> bool {
        let mut recipe = self.best.recipe.clone();
        change(&mut recipe);
        if recipe == self.best.recipe {
            return false;
        }
        let salt = recipe.salt;
        for course in 0..COURSES {
            if self.is_over() {
                return false;
            }
            self.best.runs += 1;
            recipe.salt = salt + course;
            let failing = (self.run)(&recipe);
            let words = words_of(&self.best.failing.what);
            if let Some(failing) = failing.filter(|failing| words_of(&failing.what) == words) {
                self.best.recipe = recipe;
                self.best.failing = failing;
                return true;
            }
        }
        false
    }

    /// What comes after the failure does not matter; perhaps it also comes when all ends sooner.
    fn end_sooner(&mut self) {
        let failed_ms = self.best.failing.at.as_millis() as u64 + 1;
        let ends_at = self.best.recipe.chaos_ms;
        if ends_at.is_none_or(|ms| failed_ms < ms) {
            self.try_with(|recipe| recipe.chaos_ms = Some(failed_ms));
        }
        while let Some(ms) = self.best.recipe.chaos_ms
            && ms > 1
            && self.try_with(|recipe| recipe.chaos_ms = Some(ms / 2))
        {}
    }

    fn leave_faults_out(&mut self) {
        let happened = 0..self.best.failing.faults;
        let all: Vec<u64> = match &self.best.recipe.faults {
            None => happened.collect(),
            Some(faults) => faults.iter().copied().collect(),
        };
        let mut piece = all.len();
        while piece > 0 {
            let left = self.best.recipe.faults.clone();
            let left: Vec<u64> = left.map_or(all.clone(), |left| left.into_iter().collect());
            for out in left.chunks(piece) {
                let all = &all;
                self.try_with(|recipe| {
                    let faults = recipe.faults.take();
                    let mut kept: BTreeSet<u64> =
                        faults.unwrap_or_else(|| all.iter().copied().collect());
                    kept.retain(|fault| !out.contains(fault));
                    recipe.faults = Some(kept);
                });
            }
            piece /= 2;
        }
    }

    fn leave_clients_out(&mut self) {
        for fewer in 0..self.best.failing.clients {
            if self.try_with(|recipe| recipe.clients = Some(fewer)) {
                return;
            }
        }
    }

    fn leave_nodes_out(&mut self) {
        for fewer in 1..self.best.failing.nodes {
            if self.try_with(|recipe| recipe.nodes = Some(fewer)) {
                return;
            }
        }
    }

    fn leave_trouble_out(&mut self) {
        for without in Without::ALL {
            self.try_with(|recipe| {
                recipe.without.insert(without);
            });
        }
    }
}

/// The first line, without its numbers: terms, indexes and members differ from course to course.
fn words_of(what: &str) -> String {
    let first = what.lines().next().unwrap_or_default();
    first.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests;
