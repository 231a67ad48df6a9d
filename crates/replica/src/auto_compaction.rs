//! When to forget old versions without being asked: etcd's `--auto-compaction-mode` and `-retention`.
//!
//! Pure: time, the store's revision and its size come in, and out comes the revision to compact to. Every
//! member runs one, so that a new leader knows how old revisions are; only the leader's proposals count.
//!
//! Three rules, of which one is in force:
//!
//! - **Periodic** (etcd: `compactor/periodic.go`): what is older than the retention goes, every hour, or as
//!   often as the retention if that is shorter; looked at ten times as often.
//! - **Revisions** (etcd: `compactor/revision.go`): all but the newest N go, every five minutes.
//! - **When full**, ours, when nothing was asked for: once four fifths of the quota are used, what is older
//!   than an hour goes. etcd would go on until it refuses writes.
//!
//! # What must hold
//! Never younger than promised: a version is only forgotten if a newer one was seen at least the retention ago
//! (or N revisions ago). How old a revision is counts from when this process saw it, so after a start nothing
//! is forgotten for one retention.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_raft::Instant;

/// How often etcd's revision mode acts.
const REVISIONS_EVERY: Duration = Duration::from_secs(5 * 60);

/// Periodic compactions are at most so far apart.
const PERIODIC_EVERY_MAX: Duration = Duration::from_secs(60 * 60);

/// Looks at the revision between two periodic compactions.
const LOOKS_PER_PERIOD: u32 = 10;

/// Looks are at least so far apart, however short the retention is.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(10);

/// How long history is kept when the quota is nearly used up.
const FULL_RETENTION: Duration = Duration::from_secs(60 * 60);

/// How often it is looked then.
const FULL_EVERY: Duration = Duration::from_secs(60);

/// The share of the quota beyond which it is, in percent.
const FULL_PERCENT: u128 = 80;

/// Revisions whose time is remembered; of more, every other one is forgotten, which keeps history longer and
/// never shorter.
const SAMPLES_MAX: usize = 10_000;

/// What is forgotten without being asked, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Nothing, ever.
    Off,
    /// What is older than `retention`, looked at and done at most this often.
    Periodic {
        /// How long history is kept; not zero.
        retention: Duration,
    },
    /// All but the newest revisions.
    Revisions {
        /// How many are kept; at least 1.
        retention: i64,
        /// How often it is looked.
        every: Duration,
    },
    /// What is older than `retention`, once four fifths of the quota are used.
    WhenFull {
        /// How long history is kept.
        retention: Duration,
        /// How often it is looked.
        every: Duration,
    },
}

impl AutoCompaction {
    /// As `--auto-compaction-mode=revision` has it.
    pub const fn revisions(retention: i64) -> AutoCompaction {
        AutoCompaction::Revisions {
            retention,
            every: REVISIONS_EVERY,
        }
    }

    /// What holds when nothing was asked for.
    pub const fn when_full() -> AutoCompaction {
        AutoCompaction::WhenFull {
            retention: FULL_RETENTION,
            every: FULL_EVERY,
        }
    }

    /// How often to look; never, if it is off.
    fn looks_every(self) -> Option<Duration> {
        match self {
            AutoCompaction::Off => None,
            AutoCompaction::Periodic { retention } => {
                let every = retention.min(PERIODIC_EVERY_MAX) / LOOKS_PER_PERIOD;
                Some(every.max(LOOK_EVERY_MIN))
            }
            AutoCompaction::Revisions { every, .. } | AutoCompaction::WhenFull { every, .. } => {
                Some(every.max(LOOK_EVERY_MIN))
            }
        }
    }

    /// The time between two compactions.
    fn compacts_every(self) -> Duration {
        match self {
            AutoCompaction::Periodic { retention } => retention.min(PERIODIC_EVERY_MAX),
            _ => Duration::ZERO,
        }
    }
}

/// The store, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct StoreLevel {
    /// The newest revision.
    pub revision: i64,
    /// The compacted one, -1 before the first compaction.
    pub compacted_revision: i64,
    /// Bytes of memory that it takes.
    pub used_bytes: u64,
    /// How many it may take, if that is limited.
    pub quota_bytes: Option<u64>,
}

impl StoreLevel {
    /// Whether four fifths of the quota are used.
    fn is_nearly_full(&self) -> bool {
        self.quota_bytes.is_some_and(|quota| {
            u128::from(self.used_bytes) * 100 >= u128::from(quota) * FULL_PERCENT
        })
    }
}

/// Decides when to compact, and to which revision.
#[derive(Debug)]
pub struct AutoCompactor {
    rule: AutoCompaction,
    /// When which revision was seen to be the newest; both rise.
    samples: VecDeque<(Instant, i64)>,
    next_look: Option<Instant>,
    last_done: Option<Instant>,
}

impl AutoCompactor {
    /// One that looks for the first time now.
    pub fn new(rule: AutoCompaction, now: Instant) -> AutoCompactor {
        AutoCompactor {
            rule,
            samples: VecDeque::new(),
            next_look: rule.looks_every().map(|_| now),
            last_done: None,
        }
    }

    /// When [`look`](Self::look) is to be called next; never if it is off.
    pub fn deadline(&self) -> Option<Instant> {
        self.next_look
    }

    /// Looks at the store. The revision that a leader is to compact to, if it is time for it; to be told by
    /// [`compacted`](Self::compacted) if that worked, else it comes again.
    pub fn look(&mut self, now: Instant, store: &StoreLevel) -> Option<i64> {
        let every = self.rule.looks_every()?;
        if self.next_look.is_some_and(|at| now < at) {
            return None;
        }
        self.next_look = Some(now + every);
        self.note(now, store.revision);
        let target = match self.rule {
            AutoCompaction::Off => return None,
            AutoCompaction::Periodic { retention } => self.revision_at(now, retention)?,
            AutoCompaction::Revisions { retention, .. } => store.revision.checked_sub(retention)?,
            AutoCompaction::WhenFull { .. } if !store.is_nearly_full() => return None,
            AutoCompaction::WhenFull { retention, .. } => self.revision_at(now, retention)?,
        };
        let is_early = self
            .last_done
            .is_some_and(|done| now.since(done) < self.rule.compacts_every());
        let is_new = target > 0 && target > store.compacted_revision && target <= store.revision;
        (is_new && !is_early).then_some(target)
    }

    /// What [`look`](Self::look) gave was done, or had been done already.
    pub fn compacted(&mut self, now: Instant) {
        self.last_done = Some(now);
    }

    /// Remembers when a revision was the newest; the earliest time is what counts. One that is lower than the
    /// last comes with another store: what was known is of no use.
    fn note(&mut self, now: Instant, revision: i64) {
        match self.samples.back() {
            Some((_, last)) if *last == revision => return,
            Some((_, last)) if *last > revision => self.samples.clear(),
            _ => {}
        }
        if self.samples.len() >= SAMPLES_MAX {
            let mut is_kept = false;
            self.samples.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        self.samples.push_back((now, revision));
    }

    /// The newest revision seen at least so long ago; those before it are forgotten.
    fn revision_at(&mut self, now: Instant, retention: Duration) -> Option<i64> {
        let is_old = |(at, _): &(Instant, i64)| now.since(*at) >= retention;
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
        let oldest = self.samples.front().filter(|sample| is_old(sample))?;
        Some(oldest.1)
    }
}

#[cfg(test)]
mod tests;
