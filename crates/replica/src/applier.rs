//! The second machine of a node: applies what is committed, in order, and answers.
//!
//! It works in steps, so that whoever holds the store's lock for it holds it briefly: a step
//! handles a bounded number of keys, and a command that touches more goes on in the next step
//! while readers see the revision before it. Everything a command does depends on the entry
//! and the state alone: equal logs give equal stores, answers and hashes on every member.

mod decode;
mod members;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chaos::chaos;
use quorate_kv::{Answer as Wanted, Application, Command, LeaseEvents, Reply, Rules, Step, Store};
use quorate_proto::envelope::{CommandEnvelope, RequestId};
use quorate_raft::limits::ENTRY_OVERHEAD_BYTES;
use quorate_raft::{Entry, LogIndex, Membership, Payload, ReadGrant, ReadId, SnapshotMeta, Term};

use self::decode::{Decoded, decode_command};
use crate::cluster_version::check_speaks;
use crate::duplicates::Duplicates;
use crate::error::{ApplyError, ApplyFault, RequestError};
use crate::lease_clock::LeaseNews;
use crate::limits::FIRST_KEYS_OF_A_COMMAND;
use crate::members::MemberTable;
use crate::snapshot_head::SnapshotHead;
use crate::snapshots::{Capture, SnapshotPolicy};

/// The answer to a request that this node took.
#[derive(Debug)]
pub struct Answer {
    /// The request's sequence in this boot.
    pub sequence: u64,
    /// What its client hears.
    pub result: Result<Reply, RequestError>,
}

/// What a step did.
#[derive(Debug, Default)]
pub struct Progress {
    /// Answers to requests of this node, in the order of the log.
    pub answers: Vec<Answer>,
    /// Requests of this node that changed the members, each with the table that it led to.
    pub changes: Vec<(u64, Arc<MemberTable>)>,
    /// Reads that may now be served from the store.
    pub released: Vec<ReadId>,
    /// What became of leases, for [`Consensus::leases_applied`](crate::Consensus::leases_applied):
    /// before it hears that anything of this step is applied.
    pub leases: Option<LeaseNews>,
    /// Whether a command was begun that may make the store larger.
    pub takes_space: bool,
    /// Whether there is more to apply.
    pub more: bool,
}

/// A command that is being applied over several steps.
struct Current {
    index: LogIndex,
    term: Term,
    answer_to: Option<u64>,
    application: Application,
    /// How many keys it may touch in its first step.
    first_keys: usize,
}

/// Applies committed entries to a store.
pub struct Applier {
    member: u64,
    boot_nonce: u32,
    queue: VecDeque<Entry>,
    current: Option<Current>,
    waiting_reads: VecDeque<ReadGrant>,
    applied: LogIndex,
    applied_term: Term,
    duplicates: Duplicates,
    duplicate_count: u64,
    /// Where each request took effect, for whoever watches.
    witnessed: Option<Vec<(LogIndex, RequestId)>>,
    log_time_ms: u64,
    cluster_version: u32,
    /// The highest that this member speaks.
    highest_version: u32,
    /// In force at `applied`.
    membership: Membership,
    /// Who the members are at `applied`.
    members: Arc<MemberTable>,
    /// Our request whose change of the members is half done.
    settling: Option<u64>,
    snapshots: SnapshotPolicy,
    /// Whether the leases of the store that is applied to were told.
    leases_told: bool,
    /// Bytes of entries applied since the state that the newest snapshot holds.
    bytes_since_snapshot: u64,
}

impl Applier {
    /// `founders` are the members that the cluster began with.
    pub(crate) fn new(
        member: u64,
        boot_nonce: u32,
        founders: MemberTable,
        snapshot_log_bytes: u64,
        highest_version: u32,
    ) -> Applier {
        Applier {
            membership: founders.membership(),
            members: Arc::new(founders),
            settling: None,
            snapshots: SnapshotPolicy::new(snapshot_log_bytes),
            leases_told: false,
            bytes_since_snapshot: 0,
            member,
            boot_nonce,
            queue: VecDeque::new(),
            current: None,
            waiting_reads: VecDeque::new(),
            applied: LogIndex::ZERO,
            applied_term: Term(0),
            duplicates: Duplicates::default(),
            duplicate_count: 0,
            witnessed: None,
            log_time_ms: 0,
            cluster_version: 0,
            highest_version,
        }
    }

    /// Takes committed entries, which continue those taken before.
    pub fn committed(&mut self, entries: Vec<Entry>) {
        self.queue.extend(entries);
    }

    /// Takes a read that may be served once its index has been applied.
    pub fn granted(&mut self, grant: ReadGrant) {
        self.waiting_reads.push_back(grant);
    }

    /// Applies entries until `max_keys` keys may have been touched, a snapshot is due or nothing is
    /// left. What a command touched is not known, only what it was allowed to, so that is what
    /// counts. That a snapshot is taken at the entry that makes it due, and not wherever a step
    /// ends, lets members take theirs at the same one.
    ///
    /// # Errors
    /// When an entry cannot be applied by this version: the node must stop.
    pub fn step(&mut self, store: &mut Store, max_keys: usize) -> Result<Progress, ApplyError> {
        let mut progress = Progress::default();
        let max_keys = match chaos!("one-entry-a-step", 50) {
            true => 1,
            false => max_keys,
        };
        let mut budget = max_keys;
        while budget > 0 {
            let goes_on = budget == max_keys || self.current.is_some();
            if !goes_on && self.snapshots.is_due(self.bytes_since_snapshot) {
                break;
            }
            if let Some(current) = &mut self.current {
                let keys = budget.min(current.first_keys);
                budget -= keys;
                current.first_keys = usize::MAX;
                if let Step::Done(result) = store.advance(&mut current.application, keys) {
                    if let Some(sequence) = current.answer_to {
                        let result = result.map_err(RequestError::Refused);
                        progress.answers.push(Answer { sequence, result });
                    }
                    self.applied = current.index;
                    self.applied_term = current.term;
                    self.current = None;
                }
                continue;
            }
            let Some(entry) = self.queue.pop_front() else {
                break;
            };
            self.begin(store, entry, &mut progress)?;
            budget -= usize::from(self.current.is_none());
        }
        let waits = !self.waiting_reads.is_empty() && chaos!("reads-released-late", 30);
        if !waits {
            self.release_reads(&mut progress);
        }
        progress.leases = self.news_of_leases(store);
        progress.more = waits || self.current.is_some() || !self.queue.is_empty();
        Ok(progress)
    }

    /// The last index applied.
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// Whether no command is half applied: what [`Applier::log_time_ms`] says is then of
    /// [`Applier::applied`], else of the entry after it.
    pub fn is_between_commands(&self) -> bool {
        self.current.is_none()
    }

    /// The log time of the last command, milliseconds since 1970.
    pub fn log_time_ms(&self) -> u64 {
        self.log_time_ms
    }

    /// The cluster version in force; 0 until agreed.
    pub fn cluster_version(&self) -> u32 {
        self.cluster_version
    }

    /// Who the members are. The table is another one, by its address, whenever it has changed.
    pub fn members(&self) -> &Arc<MemberTable> {
        &self.members
    }

    /// The membership in force at [`Applier::applied`].
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Entries that were not applied because their request had been applied before.
    pub fn duplicate_count(&self) -> u64 {
        self.duplicate_count
    }

    /// From now on notes where each request takes effect, for [`Applier::take_witnessed`].
    pub fn witness_requests(&mut self) {
        self.witnessed = Some(Vec::new());
    }

    /// The requests that took effect since the last call, and where they are in the log; none unless
    /// [`Applier::witness_requests`] was called.
    pub fn take_witnessed(&mut self) -> Vec<(LogIndex, RequestId)> {
        let witnessed = self.witnessed.as_mut();
        witnessed.map(std::mem::take).unwrap_or_default()
    }

    /// A snapshot of this index or after it is wanted, for a backup: unless the one under way, or the last one
    /// taken, is one, it is due as soon as so much has been applied and no other is under way. Who still has
    /// none when one was given up asks again.
    pub fn want_snapshot(&mut self, from: LogIndex) {
        self.snapshots.want(from.min(self.applied));
    }

    /// The state as it is now, for a snapshot, when one is due and none is under way; to be asked
    /// between steps. It ends with [`Applier::snapshot_ended`].
    pub fn capture_if_due(&mut self, store: &mut Store) -> Option<Capture> {
        let due = self.snapshots.is_due(self.bytes_since_snapshot)
            || (self.snapshots.may_be_early() && chaos!("snapshot-at-once", 2));
        if !due || !self.is_between_commands() {
            return None;
        }
        // Whoever held the last scan may not have let go of it yet.
        let scan = store.capture_snapshot().ok()?;
        self.snapshots.begin(self.applied);
        self.bytes_since_snapshot = 0;
        let meta = SnapshotMeta {
            index: self.applied,
            term: self.applied_term,
            membership: self.membership.clone(),
        };
        let head = self.capture_head().encode();
        Some(Capture { meta, head, scan })
    }

    /// From now on a snapshot is due whenever the log since the last one has reached its limit, however
    /// large that one was: the log stays short, and a large store is written out again and again.
    pub fn bound_log(&mut self) {
        self.snapshots.bound_log();
    }

    /// The snapshot that was captured last is durable and has so many bytes, or was given up.
    pub fn snapshot_ended(&mut self, bytes: Option<u64>) {
        self.snapshots.ended(bytes);
    }

    /// What a snapshot at [`Applier::applied`] holds beside the store.
    ///
    /// Panics while a command is half applied ([`Applier::is_between_commands`]): its request
    /// would count as applied without having been.
    pub fn capture_head(&self) -> SnapshotHead {
        assert!(
            self.is_between_commands(),
            "a snapshot at {:?} in the middle of the entry after it",
            self.applied
        );
        SnapshotHead {
            applied_index: self.applied.0,
            applied_term: self.applied_term.0,
            membership: self.membership.clone(),
            log_time_ms: self.log_time_ms,
            cluster_version: self.cluster_version,
            members: (*self.members).clone(),
            duplicates: self.duplicates.clone(),
        }
    }

    /// Goes on from a snapshot of so many bytes, whose store takes the place of the one applied to so far. Entries
    /// that it contains and that were still to be applied are passed over; who waits for one of
    /// them on this node is told that its outcome is unknown, since it is not known here. Reads
    /// that it releases come with the next step.
    ///
    /// Panics when the snapshot lies before what has been applied.
    pub fn restore(&mut self, head: SnapshotHead, bytes: u64) -> Vec<Answer> {
        assert!(
            head.applied_index >= self.applied.0,
            "a snapshot at index {} would undo what was applied up to {:?}",
            head.applied_index,
            self.applied
        );
        let current = self.current.take().and_then(|current| current.answer_to);
        let settling = self.settling.take();
        let mut unknown: Vec<u64> = current.into_iter().chain(settling).collect();
        let is_contained = |entry: &Entry| entry.index.0 <= head.applied_index;
        while let Some(entry) = self.queue.pop_front_if(|entry| is_contained(entry)) {
            unknown.extend(self.waits_for(&entry));
        }
        let runs = self.applied > LogIndex::ZERO;
        self.applied = LogIndex(head.applied_index);
        self.applied_term = Term(head.applied_term);
        if !(runs && planted::bug("install-keeps-the-old-log-time")) {
            self.log_time_ms = head.log_time_ms;
        }
        self.cluster_version = head.cluster_version;
        if !(runs && planted::bug("install-keeps-the-old-duplicates")) {
            self.duplicates = head.duplicates;
        }
        if !(runs && planted::bug("install-keeps-the-old-members")) {
            self.membership = head.membership;
            self.members = Arc::new(head.members);
        }
        self.leases_told = false;
        self.bytes_since_snapshot = 0;
        self.snapshots.loaded(bytes);
        let answer = |sequence| Answer {
            sequence,
            result: Err(RequestError::LeaderLost),
        };
        unknown.into_iter().map(answer).collect()
    }

    fn begin(
        &mut self,
        store: &mut Store,
        entry: Entry,
        progress: &mut Progress,
    ) -> Result<(), ApplyError> {
        let (index, term) = (entry.index, entry.term);
        assert_eq!(
            index,
            self.applied.next(),
            "entries are applied in order, without gaps"
        );
        self.bytes_since_snapshot += (entry.payload.len() + ENTRY_OVERHEAD_BYTES) as u64;
        let bytes = match entry.payload {
            Payload::Command(bytes) => bytes,
            Payload::Membership {
                membership,
                context,
            } => {
                // Consensus went by it from the moment it was in the log.
                self.membership = *membership;
                self.skip(store, index, term);
                return self.change_members(&context, progress);
            }
            Payload::Empty => {
                self.skip(store, index, term);
                return Ok(());
            }
        };
        let envelope = self
            .open(&bytes)
            .map_err(|reason| ApplyError { index, reason })?;
        self.log_time_ms = match planted::bug("log-time-falls") {
            true => envelope.log_time_ms,
            false => self.log_time_ms.max(envelope.log_time_ms),
        };
        let answer_to = self.answer_to(envelope.request_id);
        if !self.duplicates.admit(envelope.request_id, index) {
            self.duplicate_count += 1;
            self.skip(store, index, term);
            if let Some(sequence) = answer_to {
                // The first time has been answered, and nobody waits any more. Should somebody
                // wait all the same, then for a request whose fate this node does not know.
                let result = Err(RequestError::LeaderLost);
                progress.answers.push(Answer { sequence, result });
            }
            return Ok(());
        }
        if let Some(witnessed) = &mut self.witnessed {
            witnessed.push((index, envelope.request_id));
        }
        match decode_command(envelope.kind, &envelope.body) {
            Decoded::Store(command) => {
                let wanted = if answer_to.is_some() {
                    Wanted::Wanted
                } else {
                    Wanted::Discard
                };
                progress.takes_space |= command.cost_bytes() > 0;
                let first_keys = match command {
                    Command::Put(_) => 1,
                    _ => FIRST_KEYS_OF_A_COMMAND,
                };
                store.go_by(Rules::of_version(self.cluster_version));
                let application = store.begin(index.0, command, wanted);
                self.current = Some(Current {
                    index,
                    term,
                    answer_to,
                    application,
                    first_keys,
                });
            }
            Decoded::ClusterVersion(version) => {
                let spoken = check_speaks(self.highest_version, version);
                spoken.map_err(|reason| ApplyError {
                    index,
                    reason: reason.into(),
                })?;
                self.cluster_version = self.cluster_version.max(version);
                self.skip(store, index, term);
            }
            Decoded::MemberUpdate(update) => {
                self.skip(store, index, term);
                self.update_members(update, answer_to, progress);
            }
            Decoded::Illegal => {
                self.skip(store, index, term);
                if let Some(sequence) = answer_to {
                    let result = Err(RequestError::Undecodable);
                    progress.answers.push(Answer { sequence, result });
                }
            }
        }
        Ok(())
    }

    /// The command, if this member may apply it.
    fn open(&self, bytes: &Bytes) -> Result<CommandEnvelope, ApplyFault> {
        let envelope = CommandEnvelope::decode(bytes).map_err(ApplyFault::Envelope)?;
        check_speaks(self.highest_version, envelope.kind.since_version())?;
        Ok(envelope)
    }

    fn news_of_leases(&mut self, store: &mut Store) -> Option<LeaseNews> {
        if self.leases_told {
            match store.take_lease_events() {
                LeaseEvents::All(events) if events.is_empty() => return None,
                LeaseEvents::All(events) => return Some(LeaseNews::Changes(events)),
                LeaseEvents::Lost => {}
            }
        }
        self.leases_told = true;
        store.follow_leases(true);
        Some(LeaseNews::All(store.leases(i64::MIN).collect()))
    }

    fn skip(&mut self, store: &mut Store, index: LogIndex, term: Term) {
        store.skip(index.0);
        self.applied = index;
        self.applied_term = term;
    }

    fn answer_to(&self, request: RequestId) -> Option<u64> {
        let same_boot = request.boot_nonce == self.boot_nonce
            || planted::bug("entry-of-an-earlier-boot-answers");
        let ours = request.member == self.member && same_boot;
        // Nobody waits for what a leader proposes of its own.
        (ours && request.sequence > 0).then_some(request.sequence)
    }

    /// The request of this node, if it is one, that an entry is to answer.
    fn waits_for(&self, entry: &Entry) -> Option<u64> {
        let bytes = match &entry.payload {
            Payload::Command(bytes) => bytes,
            Payload::Membership { context, .. } => context,
            Payload::Empty => return None,
        };
        let envelope = CommandEnvelope::decode(bytes).ok()?;
        self.answer_to(envelope.request_id)
            .filter(|sequence| *sequence > 0)
    }

    fn release_reads(&mut self, progress: &mut Progress) {
        let mut applied = self.applied;
        if planted::bug("read-sees-half-a-command")
            && let Some(current) = &self.current
        {
            applied = current.index;
        }
        self.waiting_reads.retain(|grant| {
            let waits = grant.index > applied;
            if !waits {
                progress.released.push(grant.id);
            }
            waits
        });
    }
}
