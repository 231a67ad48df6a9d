//! A whole trace.

use serde::{Deserialize, Serialize};

use crate::{Event, Moment};

/// What happened in one run. Its JSON is what the page carries, in `<script id="trace">`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What the run is called.
    pub title: String,
    /// More about it, a line each: the seed, the command that repeats it.
    pub about: Vec<String>,
    /// Names of the servers, a column each. Events name a server by its position here.
    pub servers: Vec<String>,
    /// What held before the first event.
    pub start: Moment,
    /// What happened, in order; times never go back.
    pub events: Vec<Event>,
    /// How many events before `events` were dropped because there were too many.
    pub dropped: u64,
    /// How many events before `events` were left out because they were not asked for.
    #[serde(default)]
    pub left_out: u64,
}

impl Trace {
    /// The part from `since` on and before `until`, in nanoseconds. What came before is what it
    /// starts with.
    #[must_use]
    pub fn between(mut self, since: u64, until: u64) -> Trace {
        let begins = self.events.partition_point(|event| event.at < since);
        let ends = self.events.partition_point(|event| event.at < until);
        self.events.truncate(ends.max(begins));
        for event in self.events.drain(..begins) {
            self.start.apply(&event);
        }
        self.left_out += begins as u64;
        self
    }
}
