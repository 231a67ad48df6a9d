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
}
