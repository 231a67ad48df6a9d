//! Compaction: forgetting at once, freeing by and by.
//!
//! A compaction at revision C takes effect in one step: reads below C are refused. What C made
//! superfluous is freed later in bounded steps, which walk the list of changes: each change up to C has
//! superseded one version of its key. Kept are
//!
//! - every version at or after C, tombstones too: a watcher may start at C and must see what happened
//!   there (etcd issue 19179 was the loss of a tombstone at C);
//! - of a key without one at C, the newest version before C, unless it is a tombstone.
//!
//! Freeing stops at the oldest pin as if compaction had been at that revision, and goes on when the pin
//! is gone. Nothing that a reader may ask for, and nothing in the state hash, depends on how far
//! freeing has come.

use chaos::chaos;
use quorate_proto::etcdserverpb::{CompactionRequest, CompactionResponse};

use crate::changes::Position;
use crate::command::header;
use crate::error::KvError;
use crate::store::Store;

/// How far freeing has come.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Freeing has been done for this revision.
    done: i64,
    /// The pass under way.
    pass: Option<Pass>,
    /// The first change that a later pass must look at again: those at `done` itself are kept.
    restart: Position,
}

impl Sweep {
    /// Of a store from which everything before `compacted_revision` has been freed.
    pub(crate) fn done(compacted_revision: i64) -> Sweep {
        Sweep {
            done: compacted_revision.max(0),
            ..Sweep::default()
        }
    }
}

/// One walk over the list of changes, up to a revision and including it.
#[derive(Clone, Copy, Debug)]
struct Pass {
    floor: i64,
    position: Position,
    /// Before the first change at `floor`.
    at_floor: Option<Position>,
}

impl Store {
    /// Forgets everything before a revision.
    pub(crate) fn compact(
        &mut self,
        request: &CompactionRequest,
    ) -> Result<CompactionResponse, KvError> {
        if request.revision <= self.compacted_revision {
            return Err(KvError::Compacted);
        }
        if request.revision > self.revision {
            return Err(KvError::FutureRevision);
        }
        self.compacted_revision = request.revision;
        self.draft.hash.absorb_compaction(request.revision);
        Ok(CompactionResponse {
            header: header(self.revision),
        })
    }

    /// Whether a compaction has left something that could be freed now. What a pin holds back does
    /// not count: to answer a compaction with `physical`, wait until this says no.
    pub fn has_more_to_free(&self) -> bool {
        self.sweep.pass.is_some() || self.free_floor() > self.sweep.done
    }

    /// Frees what compaction made superfluous, looking at no more than `changes_max` changes.
    /// Returns whether there is more to do. Calling it later, more often or not at all changes only
    /// how much memory is used.
    pub fn free_step(&mut self, changes_max: usize) -> bool {
        if chaos!("freeing-put-off", 50) {
            return self.has_more_to_free();
        }
        if self.sweep.pass.is_none() {
            let floor = self.free_floor();
            if floor <= self.sweep.done {
                return false;
            }
            let position = self.sweep.restart;
            self.sweep.pass = Some(Pass {
                floor,
                position,
                at_floor: None,
            });
        }
        for _ in 0..changes_max {
            if !self.free_next() {
                return self.has_more_to_free();
            }
        }
        true
    }

    /// Everything before this revision may be freed.
    fn free_floor(&self) -> i64 {
        let oldest_pin = self.pins.oldest().unwrap_or(i64::MAX);
        self.compacted_revision.min(oldest_pin)
    }

    /// Looks at one change of the pass under way; `false` when the pass is over.
    fn free_next(&mut self) -> bool {
        let Some(mut pass) = self.sweep.pass else {
            return false;
        };
        let next = self.changes.next(pass.position);
        let Some((change, after)) = next.filter(|(change, _)| change.revision <= pass.floor) else {
            self.sweep.restart = pass.at_floor.unwrap_or(pass.position);
            self.sweep.done = pass.floor;
            self.sweep.pass = None;
            self.changes.drop_before(self.sweep.restart);
            return false;
        };
        if change.revision == pass.floor && pass.at_floor.is_none() {
            pass.at_floor = Some(pass.position);
        }
        self.keyspace.free(change.key, change.revision, pass.floor);
        pass.position = after;
        self.sweep.pass = Some(pass);
        self.changes
            .drop_before(pass.at_floor.unwrap_or(pass.position));
        true
    }
}
