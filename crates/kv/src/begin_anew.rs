//! The state that a new cluster begins with, made from the state of another.
//!
//! A backup is restored as a new cluster: other members, other ids, another log. What the state says of
//! the old cluster's course must not go with it:
//!
//! - an **alarm** names a member that is none any more, so nobody would ever end it. A store without room
//!   raises its own again; members that begin with one file do not differ;
//! - a **checkpoint** of a lease says how much of it was left then, by clocks that stood still since:
//!   each lease has all its time again, so that its owner can come back before it ends.
//!
//! Watchers and caches that have seen revisions after the backup would take the new cluster's for them:
//! it counts on from the backup's, so the same number comes to mean something else. For their sake the
//! revision may be **bumped** by more than was written since, and everything before be marked as compacted:
//! then they are refused, and read anew (etcd: `etcdutl snapshot restore --bump-revision
//! --mark-compacted`).

use std::num::NonZeroU64;

use crate::changes::Changes;
use crate::compaction::Sweep;
use crate::limits::BUMPED_REVISION_MAX;
use crate::store::Store;

/// Why a revision cannot be bumped so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "revision {revision} cannot be bumped by {by}, at most to {BUMPED_REVISION_MAX}; take a smaller step"
)]
pub struct BumpError {
    /// Where the store is.
    pub revision: i64,
    /// What was asked for.
    pub by: u64,
}

impl Store {
    /// Makes this state one that a new cluster can begin with. With `bump` its revision is raised by so
    /// many, without a change there, and everything before is compacted.
    ///
    /// # Errors
    /// When the revision would be greater than any can be; nothing has changed then.
    ///
    /// Panics while an application or a scan is under way, or somebody holds a pin.
    pub fn begin_anew(&mut self, bump: Option<NonZeroU64>) -> Result<(), BumpError> {
        assert!(
            self.draft.index.is_none() && self.pins.oldest().is_none(),
            "a store at index {} that is in use cannot begin anew",
            self.applied_index
        );
        if let Some(by) = bump {
            self.bump(by)?;
        }
        for (kind, member) in self.alarms.iter() {
            self.hash.absorb_alarm(kind, member, false);
        }
        self.alarms = Default::default();
        let leases: Vec<_> = self.leases(i64::MIN).collect();
        for lease in leases {
            if lease.remaining_ttl_seconds.is_none() {
                continue;
            }
            let times = self.leases.times(lease.id);
            let mut times = times.expect("a lease that was just listed is there");
            times.remaining_ttl_seconds = 0;
            self.leases.set(lease.id, times);
            self.hash.absorb_lease(lease.id, times);
        }
        Ok(())
    }

    fn bump(&mut self, by: NonZeroU64) -> Result<(), BumpError> {
        let raised = self.revision.cast_unsigned().checked_add(by.get());
        let raised = raised.filter(|raised| *raised <= BUMPED_REVISION_MAX);
        let Some(raised) = raised.map(u64::cast_signed) else {
            let (revision, by) = (self.revision, by.get());
            return Err(BumpError { revision, by });
        };
        self.revision = raised;
        self.compacted_revision = raised;
        self.hash.absorb_compaction(raised);
        while self.free_step(usize::MAX) {}
        // All of them were before: the next one comes right after the new revision.
        self.changes = Changes::default();
        self.sweep = Sweep::done(raised);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
