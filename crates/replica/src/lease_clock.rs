//! The lease clock: how much time each lease has left, counted by the leader alone.
//!
//! Time is soft state. What the log says of a lease is that it was granted for so many seconds, that
//! it is revoked, and now and then how much of it was left; every member follows that
//! ([`LeaseNews`]). The leader's clock counts from there and proposes a `LeaseRevoke` when a lease
//! has run out, so that it ends for all members alike, at one place of the log. (etcd's
//! `lease/lessor.go`; Gray and Cheriton, "Leases", 1989.)
//!
//! What must hold: **no lease ends before its time has passed since it was granted, or since a
//! renewal that was answered was asked for**.
//! - A new leader does not know what its predecessor answered. It begins when the first entry of its
//!   term is applied, which is after any such answer, and gives each lease all its time again, or
//!   what the log says was left, and an election timeout more, in which nobody could be renewed.
//! - A renewal counts only when leadership was confirmed after it was asked for (the caller's duty),
//!   and not once the end of the lease stands in the log.
//! - A remainder in the log is void from the first renewal on: it is struck out there
//!   ([`Standing::Noted`]) before the renewal is answered, also if it is only on its way.
//! - An id may be granted anew. While a grant of it stands in the log and is not applied, nothing is
//!   proposed for it: it could hit the new lease. That counts from the first entry of a term on, before
//!   the clock has begun.
//! - Whoever leads no more forgets all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_kv::{LEASE_CHECKPOINTS_MAX, LeaseEvent, LeaseInfo};
use quorate_raft::{Instant, LogIndex};

use crate::limits::{
    LEASE_CHECKPOINT_INTERVAL, LEASE_CHECKPOINT_PAUSE, LEASE_RETRY_AFTER, LEASE_REVOKE_WINDOW,
    LEASE_REVOKES_PER_WINDOW,
};

/// What the applier tells of leases, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseNews {
    /// All there are: at the start, after a snapshot was loaded, or when changes were lost.
    All(Vec<LeaseInfo>),
    /// What has changed since.
    Changes(Vec<LeaseEvent>),
}

/// How long a lease lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTime {
    /// What it was granted, in seconds.
    pub granted_seconds: i64,
    /// Whole seconds that are left.
    pub remaining_seconds: i64,
}

/// What can be said of a lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none of this id.
    Unknown,
    /// Its end stands in the log and is not applied.
    Ending,
    /// A remainder of it stands in the log, or may.
    Noted,
    /// It runs.
    Running,
}

/// The leases as the log knows them, and their time while this node leads.
#[derive(Debug)]
pub(crate) struct LeaseClock {
    grace: Duration,
    takes_checkpoints: bool,
    known: BTreeMap<i64, Known>,
    /// Grants in the log of this node's term that may not be applied.
    unsettled: BTreeMap<i64, LogIndex>,
    running: Option<Running>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    granted_seconds: i64,
    remaining_seconds: Option<i64>,
}

#[derive(Debug, Default)]
struct Running {
    leases: BTreeMap<i64, Timed>,
    /// When each is next looked at.
    due: BTreeSet<(Instant, i64)>,
    checkpoints_due: BTreeSet<(Instant, i64)>,
    checkpoints_from: Instant,
    window_began: Instant,
    revoked_in_window: usize,
}

#[derive(Debug)]
struct Timed {
    granted: Duration,
    expires_at: Instant,
    due_at: Instant,
    checkpoint_at: Option<Instant>,
    /// Where its end stands in the log.
    revoke: Option<LogIndex>,
    /// The log may say how much was left of it.
    is_noted: bool,
    /// An entry that strikes that out is on its way.
    is_clearing: bool,
}

impl LeaseClock {
    pub(crate) fn new(election_timeout: Duration, takes_checkpoints: bool) -> LeaseClock {
        LeaseClock {
            grace: election_timeout,
            takes_checkpoints,
            known: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            running: None,
        }
    }

    /// The log has come further. Gives the leases whose questions may have an answer now. A clock that
    /// is told of all leases must be begun anew, when whatever stands in the log by then is applied.
    pub(crate) fn learn(&mut self, now: Instant, news: LeaseNews) -> Vec<i64> {
        let events = match news {
            LeaseNews::Changes(events) => events,
            LeaseNews::All(leases) => {
                let known = leases.into_iter();
                self.known = known.map(|lease| (lease.id, Known::of(lease))).collect();
                return Vec::new();
            }
        };
        let mut settled = Vec::new();
        for event in events {
            match event {
                LeaseEvent::Granted { id, ttl_seconds } => {
                    let known = Known {
                        granted_seconds: ttl_seconds,
                        remaining_seconds: None,
                    };
                    self.known.insert(id, known);
                    if let Some(running) = &mut self.running {
                        let timed = Timed::new(known, now);
                        running.insert(now, id, timed, self.takes_checkpoints);
                    }
                }
                LeaseEvent::Revoked { id } => {
                    self.known.remove(&id);
                    if let Some(running) = &mut self.running {
                        running.remove(id);
                    }
                    settled.push(id);
                }
                LeaseEvent::Checkpointed {
                    id,
                    remaining_ttl_seconds,
                } => {
                    if let Some(known) = self.known.get_mut(&id) {
                        known.remaining_seconds = remaining_ttl_seconds;
                    }
                    let running = self.running.as_mut();
                    if let Some(timed) = running.and_then(|running| running.leases.get_mut(&id)) {
                        timed.is_noted = remaining_ttl_seconds.is_some();
                        timed.is_clearing &= timed.is_noted;
                        settled.push(id);
                    }
                }
            }
        }
        settled
    }

    /// This node leads, and the first entry of its term is applied.
    pub(crate) fn begin(&mut self, now: Instant) {
        let from = now + self.grace;
        let known = self.known.iter();
        let timed = known.map(|(id, known)| (*id, Timed::new(*known, from)));
        self.running = Some(Running::of(now, timed.collect(), self.takes_checkpoints));
    }

    /// This node leads no more.
    pub(crate) fn forget(&mut self) {
        self.unsettled.clear();
        self.running = None;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn standing(&self, id: i64) -> Standing {
        match self.timed(id) {
            None => Standing::Unknown,
            Some(timed) if timed.revoke.is_some() => Standing::Ending,
            Some(timed) if timed.is_noted => Standing::Noted,
            Some(_) => Standing::Running,
        }
    }

    /// Gives a lease all its time again. Its [`Standing`] must be `Running`.
    pub(crate) fn renew(&mut self, now: Instant, id: i64) {
        let standing = self.standing(id);
        assert_eq!(standing, Standing::Running, "lease {id:x} is renewed");
        let takes_checkpoints = self.takes_checkpoints;
        if let Some(running) = &mut self.running {
            running.renew(now, id, takes_checkpoints);
        }
    }

    /// How long a lease lives, if it runs here.
    pub(crate) fn time(&self, now: Instant, id: i64) -> Option<LeaseTime> {
        let timed = self.timed(id)?;
        let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Some(LeaseTime {
            granted_seconds: whole(timed.granted),
            remaining_seconds: whole(timed.expires_at.since(now)),
        })
    }

    /// The remainder of a lease in the log is to be struck out. Whether that has to be proposed: not
    /// if it is under way.
    pub(crate) fn clear(&mut self, id: i64) -> bool {
        let Some(timed) = self.timed_mut(id) else {
            return false;
        };
        !std::mem::replace(&mut timed.is_clearing, true)
    }

    /// The proposal of [`LeaseClock::clear`] was refused.
    pub(crate) fn clear_refused(&mut self, id: i64) {
        if let Some(timed) = self.timed_mut(id) {
            timed.is_clearing = false;
        }
    }

    /// A grant of this id was appended to the log by this node, which leads.
    pub(crate) fn grant_appended(&mut self, id: i64, index: LogIndex) {
        self.unsettled.insert(id, index);
    }

    /// The log is applied through `index`, and all news of it were learnt.
    pub(crate) fn applied(&mut self, index: LogIndex) {
        if !self.unsettled.is_empty() {
            self.unsettled.retain(|_, granted| *granted > index);
        }
    }

    /// Leases that are to be revoked now, which [`LeaseClock::revokes_appended`] or
    /// [`LeaseClock::revokes_refused`] must follow: those whose time is over, no more in a second
    /// than the log is to bear.
    pub(crate) fn take_expired(&mut self, now: Instant, applied: LogIndex) -> Vec<i64> {
        let mut expired = Vec::new();
        let Some(running) = &mut self.running else {
            return expired;
        };
        if now >= running.window_began + LEASE_REVOKE_WINDOW {
            running.window_began = now;
            running.revoked_in_window = 0;
        }
        while running.revoked_in_window < LEASE_REVOKES_PER_WINDOW
            && let Some((_, id)) = running.due.pop_first_if(now)
        {
            let is_unsettled = self.unsettled.contains_key(&id);
            let timed = running.leases.get_mut(&id).expect("what is due is there");
            timed.due_at = now + LEASE_RETRY_AFTER;
            running.due.insert((timed.due_at, id));
            let is_under_way = timed.revoke.is_some_and(|index| index > applied);
            if !is_unsettled && !is_under_way {
                timed.revoke = Some(LogIndex(u64::MAX));
                running.revoked_in_window += 1;
                expired.push(id);
            }
        }
        expired
    }

    /// The ends of these leases stand in the log, from `first` on.
    pub(crate) fn revokes_appended(&mut self, ids: &[i64], first: LogIndex) {
        for (offset, id) in (0..).zip(ids) {
            if let Some(timed) = self.timed_mut(*id) {
                timed.revoke = Some(LogIndex(first.0 + offset));
            }
        }
    }

    /// The log did not take the ends of these leases. They are given again, in a while.
    pub(crate) fn revokes_refused(&mut self, ids: &[i64]) {
        for id in ids {
            if let Some(timed) = self.timed_mut(*id) {
                timed.revoke = None;
            }
        }
    }

    /// Leases of which the log should say how many seconds are left, as many as one entry holds.
    /// From now on they count as noted.
    pub(crate) fn take_checkpoints(&mut self, now: Instant) -> Vec<(i64, i64)> {
        let mut checkpoints = Vec::new();
        let Some(running) = &mut self.running else {
            return checkpoints;
        };
        if now < running.checkpoints_from {
            return checkpoints;
        }
        while checkpoints.len() < LEASE_CHECKPOINTS_MAX
            && let Some((_, id)) = running.checkpoints_due.pop_first_if(now)
        {
            let is_unsettled = self.unsettled.contains_key(&id);
            let timed = running.leases.get_mut(&id).expect("what is due is there");
            timed.checkpoint_at = None;
            let left = timed.expires_at.since(now);
            let rounded_up = left + Duration::from_nanos(999_999_999);
            let is_part = rounded_up.as_secs() < timed.granted.as_secs();
            let is_settled = !is_unsettled && timed.revoke.is_none() && !timed.is_clearing;
            if is_part && is_settled {
                timed.is_noted = true;
                let left_seconds = i64::try_from(rounded_up.as_secs()).unwrap_or(i64::MAX);
                checkpoints.push((id, left_seconds));
            }
            running.schedule_checkpoint(now, id, true);
        }
        if !checkpoints.is_empty() {
            running.checkpoints_from = now + LEASE_CHECKPOINT_PAUSE;
        }
        checkpoints
    }

    /// When there is something to take.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        let window_ends = running.window_began + LEASE_REVOKE_WINDOW;
        let is_full = running.revoked_in_window >= LEASE_REVOKES_PER_WINDOW;
        let revoke = running.due.first().map(|(due, _)| match is_full {
            true => window_ends.max(*due),
            false => *due,
        });
        let checkpoint = running.checkpoints_due.first();
        let checkpoint = checkpoint.map(|(due, _)| running.checkpoints_from.max(*due));
        [revoke, checkpoint].into_iter().flatten().min()
    }

    fn timed(&self, id: i64) -> Option<&Timed> {
        self.running.as_ref()?.leases.get(&id)
    }

    fn timed_mut(&mut self, id: i64) -> Option<&mut Timed> {
        self.running.as_mut()?.leases.get_mut(&id)
    }
}

impl Running {
    /// Of many leases at once: ordered maps are made of ordered items several times as fast as by one
    /// insertion after the other, and heartbeats wait meanwhile.
    fn of(now: Instant, mut leases: BTreeMap<i64, Timed>, takes_checkpoints: bool) -> Running {
        let due = leases.iter().map(|(id, timed)| (timed.due_at, *id));
        let due = due.collect();
        let mut checkpoints_due = Vec::new();
        for (id, timed) in &mut leases {
            timed.checkpoint_at = next_checkpoint(now, timed, takes_checkpoints);
            checkpoints_due.extend(timed.checkpoint_at.map(|at| (at, *id)));
        }
        Running {
            leases,
            due,
            checkpoints_due: checkpoints_due.into_iter().collect(),
            window_began: now,
            ..Running::default()
        }
    }

    fn insert(&mut self, now: Instant, id: i64, timed: Timed, takes_checkpoints: bool) {
        self.remove(id);
        self.due.insert((timed.due_at, id));
        self.leases.insert(id, timed);
        self.schedule_checkpoint(now, id, takes_checkpoints);
    }

    fn remove(&mut self, id: i64) {
        let Some(timed) = self.leases.remove(&id) else {
            return;
        };
        self.due.remove(&(timed.due_at, id));
        if let Some(at) = timed.checkpoint_at {
            self.checkpoints_due.remove(&(at, id));
        }
    }

    fn renew(&mut self, now: Instant, id: i64, takes_checkpoints: bool) {
        let Some(timed) = self.leases.get_mut(&id) else {
            return;
        };
        // A new leader may have given it more than its time.
        timed.expires_at = timed.expires_at.max(now + timed.granted);
        self.due.remove(&(timed.due_at, id));
        timed.due_at = timed.expires_at;
        self.due.insert((timed.due_at, id));
        self.schedule_checkpoint(now, id, takes_checkpoints);
    }

    fn schedule_checkpoint(&mut self, now: Instant, id: i64, takes_checkpoints: bool) {
        let Some(timed) = self.leases.get_mut(&id) else {
            return;
        };
        if let Some(at) = timed.checkpoint_at.take() {
            self.checkpoints_due.remove(&(at, id));
        }
        timed.checkpoint_at = next_checkpoint(now, timed, takes_checkpoints);
        if let Some(at) = timed.checkpoint_at {
            self.checkpoints_due.insert((at, id));
        }
    }
}

impl Timed {
    /// As the log knows it, counted from `from` on.
    fn new(known: Known, from: Instant) -> Timed {
        let left = known.remaining_seconds.unwrap_or(known.granted_seconds);
        let expires_at = from + seconds(left);
        Timed {
            granted: seconds(known.granted_seconds),
            expires_at,
            due_at: expires_at,
            checkpoint_at: None,
            revoke: None,
            is_noted: known.remaining_seconds.is_some(),
            is_clearing: false,
        }
    }
}

impl Known {
    fn of(lease: LeaseInfo) -> Known {
        Known {
            granted_seconds: lease.granted_ttl_seconds,
            remaining_seconds: lease.remaining_ttl_seconds,
        }
    }
}

/// When the log is told next how much of a lease is left, if it lives so long.
fn next_checkpoint(now: Instant, timed: &Timed, takes_checkpoints: bool) -> Option<Instant> {
    let is_long = timed.expires_at.since(now) > LEASE_CHECKPOINT_INTERVAL;
    (takes_checkpoints && is_long).then(|| now + LEASE_CHECKPOINT_INTERVAL)
}

/// The first of what is due by now.
trait PopDue {
    fn pop_first_if(&mut self, now: Instant) -> Option<(Instant, i64)>;
}

impl PopDue for BTreeSet<(Instant, i64)> {
    fn pop_first_if(&mut self, now: Instant) -> Option<(Instant, i64)> {
        let is_due = self.first().is_some_and(|(due, _)| *due <= now);
        is_due.then(|| self.pop_first()).flatten()
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests;
