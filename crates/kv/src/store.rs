//! The store: what it holds, and the words in which the other modules change it.

use std::num::NonZeroI64;
use std::sync::{Arc, Weak};

use crate::alarm::Alarms;
use crate::changes::Changes;
use crate::compaction::Sweep;
use crate::counts::Counts;
use crate::error::KvError;
use crate::hash::StateHash;
use crate::keyspace::Keyspace;
use crate::lease::{LeaseEventQueue, Leases};
use crate::live::{Collected, LiveEvents};
use crate::pin::{Pin, PinRegister};
use crate::rules::Rules;
use crate::versions::Version;

/// The applied state of one member. See the crate's documentation for the model.
///
/// Reads take `&self` and may run side by side; whoever applies needs it alone.
#[derive(Debug)]
pub struct Store {
    pub(crate) keyspace: Keyspace,
    pub(crate) changes: Changes,
    /// The revision that readers see.
    pub(crate) revision: i64,
    pub(crate) compacted_revision: i64,
    pub(crate) applied_index: u64,
    pub(crate) hash: StateHash,
    pub(crate) draft: Draft,
    pub(crate) pins: PinRegister,
    pub(crate) sweep: Sweep,
    /// The snapshot being scanned, while there is one.
    pub(crate) scanning: Weak<()>,
    pub(crate) leases: Leases,
    pub(crate) lease_events: LeaseEventQueue,
    pub(crate) alarms: Alarms,
    /// What happened, for those who want to be told as it happens.
    pub(crate) live: LiveEvents,
    pub(crate) counts: Counts,
    pub(crate) rules: Rules,
}

/// The change that is being applied: not yet visible, not yet in the hash.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The log index of the entry; `None` when nothing is being applied.
    pub(crate) index: Option<u64>,
    /// Versions written so far. With the first, the next revision is taken.
    pub(crate) versions: usize,
    pub(crate) hash: StateHash,
    /// The events of the revision being written.
    pub(crate) events: Collected,
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}

impl Store {
    /// An empty store, at revision 1.
    pub fn new() -> Store {
        Store {
            keyspace: Keyspace::new(),
            changes: Changes::default(),
            revision: 1,
            compacted_revision: -1,
            applied_index: 0,
            hash: StateHash::default(),
            draft: Draft::default(),
            pins: PinRegister::default(),
            sweep: Sweep::default(),
            scanning: Weak::new(),
            leases: Leases::default(),
            lease_events: LeaseEventQueue::default(),
            alarms: Alarms::default(),
            live: LiveEvents::default(),
            counts: Counts::default(),
            rules: Rules::default(),
        }
    }

    /// The revision of the newest change; 1 before the first.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The revision before which nothing can be read; -1 before the first compaction.
    pub fn compacted_revision(&self) -> i64 {
        self.compacted_revision
    }

    /// How much was applied since this store was made or loaded.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The log index of the last entry applied; 0 before the first.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// A hash of everything applied so far. Two members with the same applied index and different
    /// hashes have applied different things. Freeing and pins do not show in it.
    pub fn state_hash(&self) -> u64 {
        self.hash.get()
    }

    /// How many keys there are, for metrics: in the middle of an application, the part already done
    /// counts.
    pub fn key_count(&self) -> usize {
        self.keyspace.live_keys()
    }

    /// About how many bytes of memory the keys, their versions, the list of changes and the leases take.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Store>()
            + self.keyspace.heap_bytes()
            + self.changes.heap_bytes()
            + self.leases.heap_bytes()
    }

    /// Keeps the view of `revision` whole until the pin is dropped.
    pub fn pin(&self, revision: i64) -> Result<Pin, KvError> {
        if revision > self.revision {
            return Err(KvError::FutureRevision);
        }
        if revision < self.compacted_revision {
            return Err(KvError::Compacted);
        }
        Ok(self.pins.pin(revision))
    }

    /// Lets a pin go; the same as dropping it.
    pub fn unpin(&self, pin: Pin) {
        drop(pin);
    }

    /// The lowest revision that is pinned.
    pub fn oldest_pin(&self) -> Option<i64> {
        self.pins.oldest()
    }

    /// Has the commands from the next one on applied by these rules. They are no part of the state.
    pub fn go_by(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Passes over an entry that changes nothing, such as the empty one of a new leader.
    ///
    /// Panics unless `index` lies after the last one applied and no application is under way.
    pub fn skip(&mut self, index: u64) {
        self.open(index);
        self.close();
    }

    /// Starts the change of the entry at `index`.
    pub(crate) fn open(&mut self, index: u64) {
        assert!(
            index > self.applied_index,
            "entry {index} cannot be applied after entry {}",
            self.applied_index
        );
        assert!(
            self.draft.index.is_none(),
            "entry {index} cannot be applied while entry {:?} is unfinished",
            self.draft.index
        );
        self.draft = Draft {
            index: Some(index),
            versions: 0,
            hash: self.hash,
            events: self.live.begin(),
        };
    }

    /// Makes the change visible, all at once.
    pub(crate) fn close(&mut self) {
        let draft = std::mem::take(&mut self.draft);
        self.applied_index = draft.index.expect("only what was opened is closed");
        if draft.versions > 0 {
            self.revision += 1;
            self.live.end(self.revision, draft.events);
        }
        self.hash = draft.hash;
    }

    /// The revision that operations of the change under way see: the current one, or the next when
    /// something has been written.
    pub(crate) fn draft_revision(&self) -> i64 {
        self.revision + i64::from(self.draft.versions > 0)
    }

    /// The revision that the change under way writes.
    pub(crate) fn next_revision(&self) -> NonZeroI64 {
        NonZeroI64::new(self.revision + 1).expect("revisions start at 1")
    }

    /// The version of `key` that a reader at `revision` sees.
    pub(crate) fn live_version(&self, key: &[u8], revision: i64) -> Option<&Version> {
        self.keyspace.get(key)?.live_at(revision)
    }

    /// Writes one key: `make` gets what is there and says what shall be: value and lease. Versions
    /// and revisions are counted here.
    pub(crate) fn write_key(
        &mut self,
        key: &[u8],
        make: impl FnOnce(Option<&Version>) -> (Arc<[u8]>, i64),
    ) {
        let mod_revision = self.next_revision();
        let Store {
            keyspace,
            changes,
            draft,
            ..
        } = self;
        let mut leases = (0, 0);
        keyspace.write(key, |newest| {
            let before = newest.filter(|version| version.is_live());
            let (value, lease) = make(before);
            leases = (before.map_or(0, |before| before.lease), lease);
            let version = Version {
                mod_revision,
                create_revision: before.map_or(mod_revision.get(), |b| b.create_revision),
                version: before.map_or(0, |before| before.version) + 1,
                lease,
                value: Some(value),
            };
            draft.record(changes, key, newest, &version);
            version
        });
        if leases.0 != leases.1 {
            self.move_to_lease(key, leases.0, leases.1);
        }
    }

    /// The newest version of `key` names another lease than the one before.
    fn move_to_lease(&mut self, key: &[u8], from: i64, to: i64) {
        if from != 0 {
            self.leases.detach(from, key);
        }
        if to != 0 {
            let entry = self.keyspace.entry(key);
            let entry = entry.expect("a key that was just written is there");
            self.leases.attach(to, &entry.key);
        }
    }
}

impl Draft {
    /// Notes a version that is being written, after the one that was there `before`.
    pub(crate) fn record(
        &mut self,
        changes: &mut Changes,
        key: &[u8],
        before: Option<&Version>,
        version: &Version,
    ) {
        changes.push(version.revision(), key);
        self.hash.absorb_version(key, version);
        self.versions += 1;
        self.events.push(key, before, version);
    }
}
